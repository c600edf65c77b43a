//! Reading the log at the start.

use serde::Serialize;

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Series that exist now.
    pub series: u64,
    /// Samples that were read from the log.
    pub samples: u64,
    /// What was damaged and could not be kept, in words.
    pub lost: Vec<String>,
}

/// How far a replay has come, in segments of the log (as `/api/v1/status/walreplay` shows it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayStatus {
    /// The first segment to read.
    pub min: u32,
    /// The last segment to read.
    pub max: u32,
    /// The segment that is being read.
    pub current: u32,
    /// Whether everything was read.
    pub done: bool,
}
