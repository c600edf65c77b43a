//! What can be chosen about the store.

use crate::error::SettingsError;
use serde::{Deserialize, Serialize};

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const MIB: u64 = 1024 * 1024;

/// Limits and sizes of a [`crate::Head`] and of a [`crate::db::Db`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long samples are kept, ms; default 2 h.
    ///
    /// Of a head in memory: samples older than this by the clock are refused as too old, closed chunks that end before it
    /// are dropped, and so is a series whose newest sample is older. Of a directory: a block that ends at least this
    /// long before the newest block's end is removed.
    pub retention_ms: i64,
    /// How far ahead of the clock a sample's time may be, ms; default 10 min, as in Prometheus' scraper
    /// (`scrape/scrape.go`, `maxAheadTime`).
    pub max_ahead_ms: i64,
    /// The most series that exist at once, over all owners; default 2,000,000 (about 1 to 2 GB with two hours of
    /// samples at 15 s). A new series beyond it is refused and counted, and the commit counts as one that failed. A sixteenth more
    /// may be made of what batches call vital ([`leadline_model::port::Extras::vital`]).
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
    /// Bytes of selections (which series match, in which order, under which names) that are kept for whoever asks the same again
    /// while no series came or went; default 8 MiB. 0 keeps none.
    pub selection_cache: u64,
    /// Time that a block of the first level spans, ms, 1 s to 31 d; default 2 h as in Prometheus
    /// (`tsdb/db.go`, `DefaultBlockDuration`). The head is cut when it spans half as much again.
    pub block_range_ms: i64,
    /// The longest time that a compacted block may span, ms; 0, the default, is a tenth of the retention, at most 31 d
    /// (`cmd/prometheus/main.go`), and never below `block_range_ms`.
    pub max_block_range_ms: i64,
    /// The most bytes that blocks, log and mapped chunks may take together; 0, the default, sets no limit. The oldest
    /// blocks go first; log, mapped chunks and the newest block are counted and never removed for it.
    pub retention_bytes: u64,
    /// How much older than the newest sample of the head a sample may be and still be taken, ms; default 0: samples of a
    /// series come in order.
    pub out_of_order_window_ms: i64,
    /// The most exemplars that are kept, of all series together; default 100,000 as in Prometheus (`config/config.go`).
    /// 0 keeps none.
    pub max_exemplars: u32,
    /// Length of a segment of the log, bytes, a multiple of 32 KiB from 64 KiB to 256 MiB; default 128 MiB
    /// (`tsdb/wlog/wlog.go`, `DefaultSegmentSize`).
    pub wal_segment_bytes: u64,
    /// How often whoever runs the store makes its log durable, ms, 1 to 60,000; default 1,000. At most this much is lost when
    /// the machine fails.
    pub wal_fsync_interval_ms: i64,
    /// The most memory that reading the log at the start may take, bytes, as the store reckons it; 0, the default, sets no
    /// limit. A log that takes more is read in parts and cut into blocks, and the head begins empty.
    pub replay_memory_bytes: u64,
    /// The most memory that the head may take, bytes, as it reckons it, while the disk takes nothing from it; 0, the default,
    /// sets no limit. Samples beyond it are refused and counted, until the disk takes what is there.
    pub unwritten_memory_bytes: u64,
    /// Memory for postings, series and chunks that were read from blocks, and for mapped chunks of the head that were, bytes; default
    /// 64 MiB. 0 keeps none.
    pub cache_bytes: u64,
    /// How long a series has to be stale before it may leave the head for a block of its own, ms; default 10 min, twice
    /// the lookback of a query. 0 leaves it until the head is cut. A minute is enough, and neither of the next two settings
    /// counts, where nine tenths of `max_series` exist or series were refused.
    pub stale_after_ms: i64,
    /// The share of stale series, percent of the head's, from which on they are evicted, 1 to 100; default 5.
    pub stale_percent: u8,
    /// The fewest stale series that are evicted, so that few do not make many small blocks; default 1,000.
    pub stale_min_series: u32,
    /// How fast a compaction may write, bytes per second; default 64 MiB. 0 sets no limit.
    pub compaction_bytes_per_second: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            retention_ms: 2 * HOUR_MS,
            max_ahead_ms: 10 * MINUTE_MS,
            max_series: 2_000_000,
            chunk_samples: 120,
            event_capacity: 4_096,
            label_cache: 65_536,
            selection_cache: 8 << 20,
            block_range_ms: 2 * HOUR_MS,
            max_block_range_ms: 0,
            retention_bytes: 0,
            out_of_order_window_ms: 0,
            max_exemplars: 100_000,
            wal_segment_bytes: 128 * MIB,
            wal_fsync_interval_ms: 1_000,
            replay_memory_bytes: 0,
            unwritten_memory_bytes: 0,
            cache_bytes: 64 * MIB,
            stale_after_ms: 10 * MINUTE_MS,
            stale_percent: 5,
            stale_min_series: 1_000,
            compaction_bytes_per_second: 64 * MIB,
        }
    }
}

/// Pages of the log, bytes (`tsdb/wlog/wlog.go`, `pageSize`).
const PAGE: u64 = 32 * 1024;

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`SettingsError`] names the first setting that is out of its range.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let mut checks = self.head_checks().into_iter().chain(self.directory_checks());
        match checks.find(|(_, _, ok, _)| !ok) {
            Some((key, value, _, expected)) => Err(SettingsError { key, value, expected }),
            None => Ok(()),
        }
    }

    /// The time spans of blocks by level, ms, ascending: each three times the one before
    /// (`tsdb/compact.go`, `ExponentialBlockRanges`; `tsdb/db.go` drops those above the longest).
    #[must_use]
    pub fn block_ranges(&self) -> Vec<i64> {
        const LEVELS: usize = 10;
        let longest = match self.max_block_range_ms {
            0 => (self.retention_ms / 10).min(31 * DAY_MS),
            chosen => chosen,
        };
        std::iter::successors(Some(self.block_range_ms), |range| range.checked_mul(3))
            .take(LEVELS)
            .enumerate()
            .take_while(|&(level, range)| level == 0 || range <= longest)
            .map(|(_, range)| range)
            .collect()
    }

    fn head_checks(&self) -> [Check; 5] {
        [
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
        ]
    }

    fn directory_checks(&self) -> [Check; 7] {
        let segment = self.wal_segment_bytes;
        [
            (
                "block_range_ms",
                self.block_range_ms,
                (1_000..=31 * DAY_MS).contains(&self.block_range_ms),
                "1000 to 2678400000 ms",
            ),
            (
                "max_block_range_ms",
                self.max_block_range_ms,
                self.max_block_range_ms == 0 || self.max_block_range_ms >= self.block_range_ms,
                "0, or at least block_range_ms",
            ),
            (
                "out_of_order_window_ms",
                self.out_of_order_window_ms,
                self.out_of_order_window_ms >= 0,
                "0 ms or more",
            ),
            (
                "wal_segment_bytes",
                i64::try_from(segment).unwrap_or(i64::MAX),
                (2 * PAGE..=256 * MIB).contains(&segment) && segment.is_multiple_of(PAGE),
                "a multiple of 32768 from 65536 to 268435456 bytes",
            ),
            (
                "wal_fsync_interval_ms",
                self.wal_fsync_interval_ms,
                (1..=60_000).contains(&self.wal_fsync_interval_ms),
                "1 to 60000 ms",
            ),
            (
                "stale_after_ms",
                self.stale_after_ms,
                self.stale_after_ms >= 0,
                "0 ms or more",
            ),
            (
                "stale_percent",
                i64::from(self.stale_percent),
                (1..=100).contains(&self.stale_percent),
                "1 to 100",
            ),
        ]
    }
}

/// A setting, its value, whether that is within its range, and the range.
type Check = (&'static str, i64, bool, &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_ranges() {
        assert_eq!(Settings::default().validate(), Ok(()));
    }

    #[test]
    fn blocks_span_three_times_the_level_below_up_to_a_tenth_of_the_retention() {
        let hours = |retention: i64, max: i64| {
            let settings = Settings {
                retention_ms: retention * HOUR_MS,
                max_block_range_ms: max * HOUR_MS,
                ..Settings::default()
            };
            let ranges = settings.block_ranges();
            ranges.into_iter().map(|r| r / HOUR_MS).collect::<Vec<_>>()
        };
        assert_eq!(hours(2, 0), [2]);
        assert_eq!(hours(24, 0), [2]);
        assert_eq!(hours(24, 24), [2, 6, 18]);
        assert_eq!(hours(15 * 24, 0), [2, 6, 18]);
        assert_eq!(hours(10_000 * 24, 0), [2, 6, 18, 54, 162, 486]);
    }

    #[test]
    fn a_setting_out_of_its_range_is_named() {
        let wrong = [
            (
                "block_range_ms",
                Settings {
                    block_range_ms: 999,
                    ..Settings::default()
                },
            ),
            (
                "max_block_range_ms",
                Settings {
                    max_block_range_ms: 1,
                    ..Settings::default()
                },
            ),
            (
                "wal_segment_bytes",
                Settings {
                    wal_segment_bytes: 100_000,
                    ..Settings::default()
                },
            ),
            (
                "wal_fsync_interval_ms",
                Settings {
                    wal_fsync_interval_ms: 0,
                    ..Settings::default()
                },
            ),
            (
                "stale_percent",
                Settings {
                    stale_percent: 0,
                    ..Settings::default()
                },
            ),
        ];
        for (key, settings) in wrong {
            assert_eq!(settings.validate().map_err(|e| e.key), Err(key));
        }
    }
}
