//! `--storage.tsdb.*`: where the store is, and its limits.

use crate::storage::Options;
use clap::Args;
use leadline_model::duration::{Duration, DurationError};
use leadline_scrape::ByteSize;
use std::path::PathBuf;

/// Flags with Prometheus' names.
#[derive(Debug, Args)]
pub(crate) struct Storage {
    /// The directory of the store; created if need be. Prometheus and promtool read what is written there.
    #[arg(long = "storage.tsdb.path", default_value = "data/", value_name = "FOLDER")]
    path: PathBuf,
    /// How long samples are kept.
    #[arg(long = "storage.tsdb.retention.time", default_value = "24h", value_name = "DURATION", value_parser = duration)]
    retention: Duration,
    /// The most bytes that blocks, log and mapped chunks may take together (512MB, 10GB); the oldest blocks go first. 0: no limit.
    #[arg(long = "storage.tsdb.retention.size", default_value = "0", value_name = "BYTES", value_parser = ByteSize::parse)]
    retention_size: ByteSize,
    /// The most series that are held in memory; further ones are refused and counted, and their scrapes fail. Default: one
    /// for every 2 KiB of what the process may use, at most 2000000.
    #[arg(long = "storage.tsdb.max-series", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_series: Option<u32>,
    /// The most memory that reading the log at the start may take (512MB, 2GB); a log that takes more is cut into blocks
    /// first, and memory begins without its series. 0: no limit. Default: two thirds of what the process may use.
    #[arg(long = "storage.tsdb.replay-memory", value_name = "BYTES", value_parser = ByteSize::parse)]
    replay_memory: Option<ByteSize>,
    /// The most memory that series and samples may take while the disk is full or fails (512MB, 2GB); further samples are
    /// refused and counted. 0: no limit. Default: two thirds of what the process may use.
    #[arg(long = "storage.tsdb.unwritten-memory", value_name = "BYTES", value_parser = ByteSize::parse)]
    unwritten_memory: Option<ByteSize>,
    /// How often the log is made durable: at most so much is lost when the machine fails.
    #[arg(long = "storage.tsdb.wal-fsync-interval", default_value = "1s", value_name = "DURATION", value_parser = duration)]
    wal_fsync_interval: Duration,
    /// The time that a block written from memory spans; for tests.
    #[arg(long = "storage.tsdb.min-block-duration", default_value = "2h", value_name = "DURATION", value_parser = duration, hide = true)]
    min_block: Duration,
    /// The longest time that a compacted block spans; for tests. Default: a tenth of the retention, at most 31d.
    #[arg(long = "storage.tsdb.max-block-duration", value_name = "DURATION", value_parser = duration, hide = true)]
    max_block: Option<Duration>,
}

/// A duration in Prometheus' form.
pub(super) fn duration(text: &str) -> Result<Duration, DurationError> {
    Duration::parse(text)
}

/// The share of the memory that the process may use which series and samples may take, when nothing was chosen, where the
/// store would take more and more: while it reads the log, and while the disk takes nothing. The rest is for all else.
pub(crate) fn share(allowed: u64) -> u64 {
    allowed / 3 * 2
}

/// The most series that are held where nothing was chosen.
const MOST_SERIES: u32 = 2_000_000;

/// Memory for which one series may be held, bytes: it takes about 1.2 kB with its samples (`docs/performance.md`), and the
/// rest is for all else.
const BYTES_A_SERIES: u64 = 2048;

/// The most series that may be held in `allowed` bytes of memory, when nothing was chosen.
fn series_in(allowed: u64) -> u32 {
    u32::try_from(allowed / BYTES_A_SERIES).map_or(MOST_SERIES, |series| series.clamp(1, MOST_SERIES))
}

impl Storage {
    /// What they say together; `memory` (bytes) is what the process may use, where that is known.
    pub(crate) fn options(self, memory: Option<u64>) -> Options {
        let max_series = self.max_series.or_else(|| memory.map(series_in)).unwrap_or(MOST_SERIES);
        tracing::info!(
            max_series,
            memory,
            chosen = self.max_series.is_some(),
            "the most series that are held"
        );
        let or_share = |chosen: Option<ByteSize>| chosen.map(|size| size.0).or_else(|| memory.map(share)).unwrap_or(0);
        Options {
            path: self.path,
            settings: leadline_storage::Settings {
                retention_ms: self.retention.as_millis(),
                retention_bytes: self.retention_size.0,
                max_series,
                replay_memory_bytes: or_share(self.replay_memory),
                unwritten_memory_bytes: or_share(self.unwritten_memory),
                wal_fsync_interval_ms: self.wal_fsync_interval.as_millis(),
                block_range_ms: self.min_block.as_millis(),
                max_block_range_ms: self.max_block.map_or(0, Duration::as_millis),
                ..leadline_storage::Settings::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        storage: Storage,
    }

    #[test]
    fn as_many_series_are_held_as_was_chosen_or_as_memory_is_for() {
        const CHOSEN: &[&str] = &["x", "--storage.tsdb.max-series=7000000"];
        for (flags, memory, series) in [
            (&["x"][..], None, 2_000_000),
            (&["x"], Some(1 << 30), 1 << 19),
            (&["x"], Some(2048 * 1_999_999 + 2047), 1_999_999),
            (&["x"], Some(1 << 40), 2_000_000),
            (&["x"], Some(u64::MAX), 2_000_000),
            (&["x"], Some(0), 1),
            (CHOSEN, Some(1 << 30), 7_000_000),
            (CHOSEN, None, 7_000_000),
        ] {
            let settings = Flags::try_parse_from(flags).unwrap().storage.options(memory).settings;
            assert_eq!(settings.max_series, series, "{flags:?} {memory:?}");
            settings.validate().unwrap();
        }
        assert!(Flags::try_parse_from(["x", "--storage.tsdb.max-series=0"]).is_err());
    }

    #[test]
    fn the_log_and_a_full_disk_may_take_what_was_chosen_or_two_thirds_of_what_there_is() {
        for (flags, memory, replay, unwritten) in [
            (&["x"][..], Some(3_000_000), 2_000_000, 2_000_000),
            (&["x"], None, 0, 0),
            (
                &["x", "--storage.tsdb.replay-memory=2GB"],
                Some(3_000_000),
                2 << 30,
                2_000_000,
            ),
            (&["x", "--storage.tsdb.replay-memory=0"], Some(3_000_000), 0, 2_000_000),
            (
                &["x", "--storage.tsdb.unwritten-memory=1GB"],
                Some(3_000_000),
                2_000_000,
                1 << 30,
            ),
            (&["x", "--storage.tsdb.unwritten-memory=0"], None, 0, 0),
        ] {
            let options = Flags::try_parse_from(flags).unwrap().storage.options(memory);
            let limits = (
                options.settings.replay_memory_bytes,
                options.settings.unwritten_memory_bytes,
            );
            assert_eq!(limits, (replay, unwritten), "{flags:?} {memory:?}");
        }
        assert!(Flags::try_parse_from(["x", "--storage.tsdb.replay-memory=2XB"]).is_err());
    }
}
