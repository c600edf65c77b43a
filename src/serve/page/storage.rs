//! The store's part of the page. What Prometheus counts too has its name.

use crate::telemetry::metrics::{Kind, Page};
use leadline_storage::db::Stats;

use Kind::{Counter, Gauge};

type Row = (Kind, &'static str, &'static str, f64);

/// Adds the store's metrics.
pub(crate) fn render(page: &mut Page, stats: &Stats) {
    let rows = head(stats).into_iter().chain(directory(stats)).chain(work(stats));
    for (kind, name, help, value) in rows {
        page.one(kind, name, help, value);
    }
    let refused = stats.head.refused;
    page.family(
        Counter,
        "leadline_storage_refused_total",
        "samples that were refused",
        &["reason"],
        refused.by_reason().map(|(reason, n)| ([reason], n as f64)),
    );
    let float = |name, help, n: u64| (name, help, [(["float"], n as f64)]);
    for (name, help, rows) in [
        float(
            "prometheus_tsdb_head_samples_appended_total",
            "samples that were stored",
            stats.head.appended,
        ),
        float(
            "prometheus_tsdb_out_of_order_samples_total",
            "samples that were refused because they came out of order",
            refused.out_of_order,
        ),
        float(
            "prometheus_tsdb_too_old_samples_total",
            "samples that were refused because they were too old",
            refused.too_old,
        ),
    ] {
        page.family(Counter, name, help, &["type"], rows);
    }
}

fn head(stats: &Stats) -> [Row; 11] {
    let head = &stats.head;
    let row = |kind, name, help, value: u64| (kind, name, help, value as f64);
    [
        row(Gauge, "leadline_storage_series", "series in memory", head.series),
        row(Gauge, "leadline_storage_samples", "samples in memory", head.samples),
        row(Gauge, "leadline_storage_chunks", "chunks in memory", head.chunks),
        row(
            Gauge,
            "leadline_storage_bytes",
            "estimate of the memory held",
            head.bytes,
        ),
        row(Counter, "leadline_storage_commits_total", "commits", head.commits),
        row(
            Counter,
            "leadline_storage_samples_appended_total",
            "samples that were stored",
            head.appended,
        ),
        row(
            Counter,
            "leadline_storage_series_created_total",
            "series that were created",
            head.series_created,
        ),
        row(
            Counter,
            "leadline_storage_series_removed_total",
            "series that left the memory",
            head.series_removed,
        ),
        row(Gauge, "prometheus_tsdb_head_series", "series in the head", head.series),
        row(Gauge, "prometheus_tsdb_head_chunks", "chunks in the head", head.chunks),
        row(
            Counter,
            "leadline_storage_stale_series_evicted_total",
            "stale series that left the memory for a block",
            stats.stale_evicted,
        ),
    ]
}

fn directory(stats: &Stats) -> [Row; 14] {
    let row = |name, help, value: u64| (Gauge, name, help, value as f64);
    let time = |name, help, ms: i64| (Gauge, name, help, ms as f64);
    [
        row("prometheus_tsdb_blocks_loaded", "blocks that are open", stats.blocks),
        row(
            "leadline_storage_blocks_unreadable",
            "blocks that could not be opened and were left out",
            stats.blocks_unreadable,
        ),
        row(
            "prometheus_tsdb_storage_blocks_bytes",
            "bytes of the blocks' files",
            stats.block_bytes,
        ),
        row(
            "leadline_storage_block_samples",
            "samples in blocks, deleted ones included",
            stats.block_samples,
        ),
        row(
            "prometheus_tsdb_wal_storage_size_bytes",
            "bytes of the write-ahead log with its checkpoint",
            stats.wal_bytes,
        ),
        row(
            "leadline_storage_wbl_bytes",
            "bytes of the log of out-of-order samples",
            stats.wbl_bytes,
        ),
        row(
            "prometheus_tsdb_head_chunks_storage_size_bytes",
            "bytes of the files of the head's full chunks",
            stats.mapped_bytes,
        ),
        time(
            "prometheus_tsdb_lowest_timestamp",
            "oldest time that is stored, milliseconds",
            stats.min_time,
        ),
        time(
            "prometheus_tsdb_head_max_time",
            "newest time that is stored, milliseconds",
            stats.max_time,
        ),
        row(
            "leadline_storage_block_table_bytes",
            "bytes of memory that the tables of open blocks take",
            stats.block_table_bytes,
        ),
        row(
            "leadline_storage_selections_bytes",
            "bytes of selections of the head that are kept for whoever asks the same again",
            stats.head.selections_bytes,
        ),
        row(
            "leadline_storage_cache_bytes",
            "bytes of what is kept in memory of blocks and of mapped chunks of the head",
            stats.cache_bytes,
        ),
        (
            Gauge,
            "prometheus_tsdb_data_replay_duration_seconds",
            "how long reading the log took",
            stats.replay_ms as f64 / 1000.0,
        ),
        row(
            "leadline_storage_compacting",
            "whether blocks are being written",
            stats.compacting,
        ),
    ]
}

fn work(stats: &Stats) -> [Row; 11] {
    let row = |name, help, value: u64| (Counter, name, help, value as f64);
    [
        row(
            "prometheus_tsdb_compactions_total",
            "merges of blocks",
            stats.compactions,
        ),
        row(
            "prometheus_tsdb_compactions_failed_total",
            "merges of blocks and cuts of the head that failed",
            stats.compactions_failed,
        ),
        row(
            "leadline_storage_head_cuts_total",
            "blocks that were written from the head",
            stats.head_cuts,
        ),
        row(
            "prometheus_tsdb_time_retentions_total",
            "blocks removed because of their age",
            stats.time_retentions,
        ),
        row(
            "prometheus_tsdb_size_retentions_total",
            "blocks removed because of the size of all",
            stats.size_retentions,
        ),
        row(
            "leadline_storage_mapped_chunks_damaged_total",
            "full chunks of the head whose file could not be read any more",
            stats.head.mapped_damaged,
        ),
        row(
            "leadline_storage_samples_lost_total",
            "samples of such chunks that the log did not have either",
            stats.head.samples_lost,
        ),
        row(
            "leadline_storage_selections_total",
            "selections of series of the head",
            stats.head.selects,
        ),
        row(
            "leadline_storage_selections_kept_total",
            "selections of the head whose series were known from the last of the same",
            stats.head.selects_kept,
        ),
        row(
            "leadline_storage_cache_hits_total",
            "reads of blocks and of mapped chunks that memory answered",
            stats.cache_hits,
        ),
        row(
            "leadline_storage_cache_misses_total",
            "reads of blocks and of mapped chunks that the disk answered",
            stats.cache_misses,
        ),
    ]
}
