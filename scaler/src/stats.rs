//! What the scaler counts.

use std::sync::atomic::{AtomicU64, Ordering};
use tonic::{Code, Status};

/// The methods of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GetMetricSpec`.
    GetMetricSpec,
    /// `GetMetrics`.
    GetMetrics,
    /// `IsActive`.
    IsActive,
    /// `StreamIsActive`.
    StreamIsActive,
    /// `StreamMetricSpec`.
    StreamMetricSpec,
}

impl Method {
    /// All of them, in the order of [`Stats::calls`].
    pub const ALL: [Self; 5] = [
        Self::GetMetricSpec,
        Self::GetMetrics,
        Self::IsActive,
        Self::StreamIsActive,
        Self::StreamMetricSpec,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GetMetricSpec => "GetMetricSpec",
            Self::GetMetrics => "GetMetrics",
            Self::IsActive => "IsActive",
            Self::StreamIsActive => "StreamIsActive",
            Self::StreamMetricSpec => "StreamMetricSpec",
        }
    }
}

/// Calls of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calls {
    /// All of them.
    pub total: u64,
    /// Refused for what was asked (metadata, query, tenancy, caps).
    pub invalid: u64,
    /// Refused because the value is cold, partial or failed.
    pub unavailable: u64,
    /// Not answered in time.
    pub late: u64,
}

/// The scaler at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Per method, in the order of [`Method::ALL`].
    pub calls: [Calls; 5],
    /// Triggers that are known.
    pub triggers: usize,
    /// Streams that are open.
    pub streams: u64,
    /// States of activity that were pushed: the first of each stream, and every change.
    pub edges: u64,
    /// Times that `true` was said again.
    pub repeats: u64,
}

#[derive(Debug, Default)]
struct CallCounters {
    total: AtomicU64,
    invalid: AtomicU64,
    unavailable: AtomicU64,
    late: AtomicU64,
}

/// The stats as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: [CallCounters; 5],
    pub(crate) streams: AtomicU64,
    pub(crate) edges: AtomicU64,
    pub(crate) repeats: AtomicU64,
}

impl Counters {
    /// Counts a call by its outcome and hands that back.
    pub(crate) fn call<T>(&self, method: Method, outcome: Result<T, Status>) -> Result<T, Status> {
        let calls = &self.calls[method as usize];
        calls.total.fetch_add(1, Ordering::Relaxed);
        if let Err(status) = &outcome {
            let counter = match status.code() {
                Code::Unavailable => &calls.unavailable,
                Code::DeadlineExceeded => &calls.late,
                _ => &calls.invalid,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    pub(crate) fn read(&self, triggers: usize) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let calls = self.calls.each_ref().map(|c| Calls {
            total: of(&c.total),
            invalid: of(&c.invalid),
            unavailable: of(&c.unavailable),
            late: of(&c.late),
        });
        Stats {
            calls,
            triggers,
            streams: of(&self.streams),
            edges: of(&self.edges),
            repeats: of(&self.repeats),
        }
    }
}
