//! The write-ahead log: segments of pages, records, checkpoints; the out-of-order log has the same form.
//!
//! A log is a folder of *segments*, files of 32 KiB *pages*. A *record* is compressed and then cut into *fragments* that
//! fill pages; it never reaches over the end of a segment. What a record says is in [`record`]. The bytes are
//! Prometheus' (`tsdb/wlog/wlog.go`), drawn in `FORMAT.md`.
//!
//! The order of a start is: [`checkpoint::latest`], a [`Reader`] over it and one over the segments behind it, [`repair`]
//! where one of them ended in damage or torn, and then [`Wal::open`], which begins a segment of its own.

mod beginning;
pub mod checkpoint;
mod compression;
mod fragment;
pub mod histogram;
mod reader;
pub mod record;
mod repair;
mod segment;
mod writer;

pub use beginning::Beginning;
pub use reader::{Position, Reader};
pub use repair::{repair, settle};
pub use segment::{Segment, remove_before, segment_path, segments, size};
pub use writer::Wal;

/// Length of a page, bytes (`tsdb/wlog/wlog.go`, `pageSize`).
pub const PAGE_BYTES: u64 = 32 * 1024;

/// How long segments grow unless told otherwise, bytes (`tsdb/wlog/wlog.go`, `DefaultSegmentSize`).
pub const SEGMENT_BYTES: u64 = 128 * 1024 * 1024;

/// The longest record, bytes before compression. Real ones have a few megabytes; what claims more is taken for damage
/// and no memory is made for it.
pub const MAX_RECORD_BYTES: usize = 256 * 1024 * 1024;
