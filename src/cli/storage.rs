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
    /// The most series that are held in memory; further ones are refused and counted.
    #[arg(long = "storage.tsdb.max-series", default_value_t = 2_000_000, value_name = "N")]
    max_series: u32,
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

impl Storage {
    /// What they say together.
    pub(crate) fn options(self) -> Options {
        Options {
            path: self.path,
            settings: leadline_storage::Settings {
                retention_ms: self.retention.as_millis(),
                retention_bytes: self.retention_size.0,
                max_series: self.max_series,
                wal_fsync_interval_ms: self.wal_fsync_interval.as_millis(),
                block_range_ms: self.min_block.as_millis(),
                max_block_range_ms: self.max_block.map_or(0, Duration::as_millis),
                ..leadline_storage::Settings::default()
            },
        }
    }
}
