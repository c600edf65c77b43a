//! How TLS handshakes end: whether KEDA comes with its certificate, and whether somebody is turned away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How one handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well, and it verified the client's certificate.
    Verified,
    /// Well, and nobody's certificate was verified: none was asked for, or requests are judged one by one.
    Unverified,
    /// It failed: no TLS, no certificate, one that is not trusted, a client that does not trust ours.
    Failed,
    /// It took too long.
    Late,
}

impl Outcome {
    /// In the order in which they are counted.
    const ALL: [Self; 4] = [Self::Verified, Self::Unverified, Self::Failed, Self::Late];

    fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Failed => "failed",
            Self::Late => "late",
        }
    }
}

/// Those of one listener.
#[derive(Debug, Default)]
pub(crate) struct Handshakes([AtomicU64; 4]);

impl Handshakes {
    /// Counts one.
    pub(crate) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each outcome's name and how often it was.
    pub(crate) fn all(&self) -> [(&'static str, u64); 4] {
        Outcome::ALL.map(|outcome| (outcome.as_str(), self.0[outcome as usize].load(Ordering::Relaxed)))
    }
}

/// Those of the listeners that speak TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsCounts {
    /// The adapter's.
    pub adapter: Arc<Handshakes>,
    /// The scaler's.
    pub scaler: Arc<Handshakes>,
}

impl TlsCounts {
    /// Each listener by its name.
    pub(crate) fn all(&self) -> [(&'static str, &Handshakes); 2] {
        [("adapter", &self.adapter), ("scaler", &self.scaler)]
    }
}
