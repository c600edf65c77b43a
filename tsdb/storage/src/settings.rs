//! What can be chosen about the head.

use crate::error::SettingsError;
use serde::{Deserialize, Serialize};

/// Limits and sizes of a [`crate::Head`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long samples are kept, ms; default 2 h. Samples older than this by the clock are refused as too old, closed
    /// chunks that end before it are dropped, and so is a series whose newest sample is older.
    pub retention_ms: i64,
    /// How far ahead of the clock a sample's time may be, ms; default 10 min, as in Prometheus' scraper
    /// (`scrape/scrape.go`, `maxAheadTime`).
    pub max_ahead_ms: i64,
    /// The most series that exist at once, over all owners; default 2,000,000 (about 1 to 2 GB with two hours of
    /// samples at 15 s). A new series beyond it is refused and counted.
    pub max_series: u32,
    /// Samples after which a chunk is closed, 2 to 240; default 120 as in Prometheus
    /// (`tsdb/db.go`, `DefaultSamplesPerChunk`).
    pub chunk_samples: u16,
    /// Commit events that are kept for a subscriber that lags, 1 to 1,048,576; default 4,096 (some ten seconds of 500
    /// targets at a scrape interval of 1 s). A subscriber that lags further is told so.
    pub event_capacity: u32,
    /// Label sets of recently selected series that are kept ready to hand out; default 65,536 (about 20 MB when it is
    /// full). 0 builds them anew for each query.
    pub label_cache: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention_ms: 2 * 60 * 60 * 1000,
            max_ahead_ms: 10 * 60 * 1000,
            max_series: 2_000_000,
            chunk_samples: 120,
            event_capacity: 4_096,
            label_cache: 65_536,
        }
    }
}

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`SettingsError`] names the first setting that is out of its range.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let checks = [
            (
                "retention_ms",
                self.retention_ms,
                self.retention_ms > 0,
                "more than 0 ms",
            ),
            (
                "max_ahead_ms",
                self.max_ahead_ms,
                self.max_ahead_ms >= 0,
                "0 ms or more",
            ),
            (
                "max_series",
                i64::from(self.max_series),
                self.max_series > 0,
                "more than 0",
            ),
            (
                "chunk_samples",
                i64::from(self.chunk_samples),
                (2..=240).contains(&self.chunk_samples),
                "2 to 240",
            ),
            (
                "event_capacity",
                i64::from(self.event_capacity),
                (1..=1 << 20).contains(&self.event_capacity),
                "1 to 1048576",
            ),
        ];
        match checks.into_iter().find(|(_, _, ok, _)| !ok) {
            Some((key, value, _, expected)) => Err(SettingsError { key, value, expected }),
            None => Ok(()),
        }
    }
}
