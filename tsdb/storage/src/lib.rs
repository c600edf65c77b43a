//! Series on disk: head, write-ahead log, blocks and compaction, in Prometheus' directory layout.
//!
//! [`db::Db`] is the whole of it and stands behind three of the model's ports: it takes commits in
//! ([`leadline_model::port::Appender`]), gives series out ([`leadline_model::port::Queryable`]) and tells which registered
//! selectors a commit touched ([`leadline_model::port::Commits`]). [`Head`] does so for the newest samples, with a
//! directory or in memory alone.
//!
//! # The rooms
//! * [`disk`]: files, as a component. Nothing else reaches them.
//! * [`chunk`]: samples as bytes, bit for bit Prometheus' encodings.
//! * [`wal`]: the log, and the checkpoints that keep it short.
//! * [`Head`]: the newest samples. A *stripe* holds the series that its owners created: one array of 64-byte hot rows
//!   (everything an append touches) and one of cold rows (closed chunks). An owner's commit locks its stripe once. The
//!   *index* holds what names a series: interned label pairs, each with its postings list, and one row per series. Which
//!   series a selection found there, and in which order and groups, is kept for whoever asks the same again until one comes or goes.
//! * [`cache`]: what was read from files and may be asked for again, chunks decoded.
//! * [`block`]: samples of a range of time that no longer change.
//! * [`compact`]: which blocks should become one, and making one of them or of a part of the head.
//! * [`query`]: answers of head and blocks as one.
//! * [`db`]: what is done when, and in which order, so that nothing is lost.
//!
//! # Locks
//! Always in this order: what works on blocks (one at a time), stripes by ascending number, then the index (what is kept of
//! selections is looked up while it is held), then the registered selectors. A commit holds every stripe it writes to until all of its samples are in, and a reader holds
//! every stripe it reads from until all of them are copied: that is the isolation. A generation is published after the
//! stripes are released.

pub mod active_queries;
pub mod block;
pub mod cache;
pub mod chunk;
pub mod codec;
pub mod compact;
pub mod db;
pub mod disk;
mod error;
mod head;
pub mod interval;
#[cfg(feature = "planted")]
pub mod planted;
mod points;
pub mod query;
mod retention;
mod settings;
pub mod source;
mod stats;
pub mod wal;

pub use error::{ChunkError, Damage, SettingsError, StorageError};
pub use head::{
    Cardinality, Head, HeadParts, LogHealth, Maintenance, Mended, OutOfOrder, RangeSource, ReplayMonitor, Replayed,
    StaleSeries, verify_mapped,
};
pub use settings::Settings;
pub use stats::{Refusals, Stats};
