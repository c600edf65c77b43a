//! Figures of a directory.

use super::Db;
use super::folders::bytes;
use leadline_model::sample::Timestamp;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// Bytes of memory that the tables of open blocks take, beside the cache (gauge; its `symbol_table_size_bytes` is the part
    /// of symbols).
    pub block_table_bytes: u64,
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
    /// How often samples that came out of order were written as blocks.
    pub out_of_order_compactions: u64,
    /// Stale series that were evicted into blocks.
    pub stale_evicted: u64,
    /// Blocks that the retention by time removed (`time_retentions_total`).
    pub time_retentions: u64,
    /// Blocks that the retention by size removed (`size_retentions_total`).
    pub size_retentions: u64,
    /// Whether a compaction or cut is running (gauge: 0 or 1).
    pub compacting: u64,
    /// Bytes that the cache of blocks and of mapped chunks holds (gauge).
    pub cache_bytes: u64,
    /// Look-ups that the cache answered.
    pub cache_hits: u64,
    /// Look-ups that had to read.
    pub cache_misses: u64,
    /// How long the replay took, ms by the clock (gauge; `data_replay_duration_seconds`); 0 before it is done.
    pub replay_ms: i64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) compactions: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) head_cuts: AtomicU64,
    pub(super) reordered: AtomicU64,
    pub(super) stale_evicted: AtomicU64,
    pub(super) time_retentions: AtomicU64,
    pub(super) size_retentions: AtomicU64,
    pub(super) compacting: AtomicBool,
}

impl Db {
    /// Bytes of the log, of that of out-of-order samples, and of mapped chunks.
    fn head_files(&self) -> [u64; 3] {
        ["wal", "wbl", "chunks_head"].map(|name| bytes(self.disk.as_ref(), &self.path.join(name)))
    }

    /// Bytes of all files that are not blocks' and count for the retention.
    pub(super) fn log_bytes(&self) -> u64 {
        self.head_files().iter().sum()
    }

    /// Figures of the store.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [wal_bytes, wbl_bytes, mapped_bytes] = self.head_files();
        let cache = self.cache.stats();
        let counters = &self.counters;
        let mut stats = Stats {
            head: self.head.stats(),
            blocks_unreadable: self.blocks.damaged().len() as u64,
            wal_bytes,
            wbl_bytes,
            mapped_bytes,
            compactions: get(&counters.compactions),
            compactions_failed: get(&counters.failures),
            head_cuts: get(&counters.head_cuts),
            out_of_order_compactions: get(&counters.reordered),
            stale_evicted: get(&counters.stale_evicted),
            time_retentions: get(&counters.time_retentions),
            size_retentions: get(&counters.size_retentions),
            compacting: u64::from(counters.compacting.load(Ordering::Relaxed)),
            cache_bytes: cache.bytes,
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            replay_ms: self.progress.took_ms(),
            ..Stats::default()
        };
        self.add_blocks(&mut stats);
        stats
    }

    fn add_blocks(&self, stats: &mut Stats) {
        let mut span = self.head_span();
        for block in self.blocks.list().iter() {
            let meta = block.meta();
            stats.blocks += 1;
            stats.block_bytes += block.size();
            stats.block_table_bytes += block.resident_bytes();
            stats.block_samples += meta.stats.num_samples;
            let (mint, maxt) = span.unwrap_or((Timestamp::MAX, Timestamp::MIN));
            span = Some((mint.min(meta.min_time), maxt.max(meta.max_time.saturating_sub(1))));
        }
        (stats.min_time, stats.max_time) = span.unwrap_or_default();
    }
}
