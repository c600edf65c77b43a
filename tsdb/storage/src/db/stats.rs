//! Figures of a directory.

use serde::Serialize;

/// A snapshot of the store's figures. Counters run since the start; gauges say so. In brackets: what Prometheus calls it,
/// with `prometheus_tsdb_` before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The head's own figures.
    pub head: crate::Stats,
    /// Blocks that are open (gauge; `blocks_loaded`).
    pub blocks: u64,
    /// Bytes of the blocks' files (gauge; `storage_blocks_bytes`).
    pub block_bytes: u64,
    /// Samples in blocks, what was deleted and not yet removed included (gauge).
    pub block_samples: u64,
    /// Blocks that could not be opened and were left out (gauge).
    pub blocks_unreadable: u64,
    /// Oldest time (ms) of all that is stored (gauge; `lowest_timestamp`); 0 when nothing is.
    pub min_time: i64,
    /// Newest time (ms) of all that is stored (gauge; `head_max_time` where the head has samples).
    pub max_time: i64,
    /// Bytes of the log with its checkpoint (gauge; `wal_storage_size_bytes`).
    pub wal_bytes: u64,
    /// Bytes of the log of out-of-order samples (gauge).
    pub wbl_bytes: u64,
    /// Bytes of the files of mapped chunks (gauge; `head_chunks_storage_size_bytes`).
    pub mapped_bytes: u64,
    /// Merges of blocks that succeeded (`compactions_total`).
    pub compactions: u64,
    /// Merges of blocks and cuts of the head that failed (`compactions_failed_total`).
    pub compactions_failed: u64,
    /// Blocks that were written from the head.
    pub head_cuts: u64,
    /// Stale series that were evicted into blocks.
    pub stale_evicted: u64,
    /// Blocks that the retention by time removed (`time_retentions_total`).
    pub time_retentions: u64,
    /// Blocks that the retention by size removed (`size_retentions_total`).
    pub size_retentions: u64,
    /// Whether a compaction or cut is running (gauge: 0 or 1).
    pub compacting: u64,
    /// Bytes that the cache of blocks holds (gauge).
    pub cache_bytes: u64,
    /// Look-ups that the cache answered.
    pub cache_hits: u64,
    /// Look-ups that had to read.
    pub cache_misses: u64,
    /// How long the replay took, ms by the clock (gauge; `data_replay_duration_seconds`); 0 before it is done.
    pub replay_ms: i64,
}
