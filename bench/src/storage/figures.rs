//! What is measured of one system in one scenario.

use crate::process::Memory;
use serde::{Deserialize, Serialize};

/// Figures of the phases that were gone through.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    pub(super) steady: Option<Steady>,
    pub(super) compaction: Option<Compaction>,
    pub(super) replay: Option<Replay>,
    pub(super) rollout: Option<Rollout>,
}

/// Of scraping before the first block is cut.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Steady {
    /// CPU seconds per million samples.
    pub(super) cpu: f64,
    /// The mean over the window's second half, bytes.
    pub(super) memory: Memory,
    /// Growth of the log per sample; of VictoriaMetrics, which has none, its data without the index since the start.
    pub(super) disk_bytes: f64,
}

/// Of the time until blocks were there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Compaction {
    /// CPU seconds per million samples, compaction in them.
    pub(super) cpu: f64,
    /// The most that was seen, bytes.
    pub(super) peak: Memory,
    /// Of the blocks of the lowest level that were there: each spans the same time, however many wait to be merged.
    pub(super) lowest: PerSample,
    /// Of those of the highest level.
    pub(super) highest: PerSample,
    /// How long the phase took.
    pub(super) seconds: f64,
}

/// Bytes per sample in the blocks of one level.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PerSample {
    /// The level.
    pub(super) level: u64,
    /// Bytes of chunk files.
    pub(super) chunks: f64,
    /// Bytes of all files.
    pub(super) all: f64,
}

/// Of the second start after SIGKILL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Replay {
    /// Until a query over all series was answered rightly.
    pub(super) seconds: f64,
    /// CPU seconds until then.
    pub(super) cpu: f64,
    /// The most until then, bytes.
    pub(super) peak: Memory,
    /// Just before the kill, bytes.
    pub(super) before: Memory,
    /// Bytes of the log that was there.
    pub(super) log_bytes: f64,
    /// Samples that queries saw before the kill and not after it, of one metric in a hundred.
    pub(super) lost: f64,
}

/// Of replacing all pods three times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Rollout {
    /// From the first change until queries see all of the last generation and none of the others.
    pub(super) seconds: f64,
    /// CPU seconds of that time.
    pub(super) cpu: f64,
    /// The mean before it, bytes.
    pub(super) before: Memory,
    /// The most until it has settled.
    pub(super) peak: Memory,
    /// When it had settled.
    pub(super) after: Memory,
}
