//! What a head with a directory has besides: its log, its mapped chunks, and how far it has come at the start.

use super::Head;
use super::chunks_head::ChunksHead;
use super::log::{Log, LogHealth};
use super::series::Data;
use super::unwritten::Unwritten;
use crate::cache::Cache;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::settings::Settings;
use leadline_model::Clock;
use leadline_model::port::QueryError;
use leadline_model::sample::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What a head with a directory is made of.
pub struct HeadParts {
    /// Limits and sizes.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// The directory that holds `wal`, `wbl` and `chunks_head`.
    pub dir: PathBuf,
    /// Whether nothing may be written: what is there is read into memory, and that is all.
    pub read_only: bool,
    /// What keeps the chunks that queries read of files.
    pub cache: Arc<Cache>,
}

/// What the log calls a series besides its reference.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alias {
    /// The reference under which the series is held.
    pub(super) series: u64,
    /// Time (ms) of the newest sample that the log has under the other one.
    pub(super) newest: Timestamp,
}

/// The directory of a head.
#[derive(Debug)]
pub(super) struct Durable {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) read_only: bool,
    /// The log of all that is written.
    pub(super) wal: Log,
    /// The log of samples that come out of order.
    pub(super) wbl: Log,
    pub(super) chunks: Arc<ChunksHead>,
    pub(super) unwritten: Unwritten,
    /// Mapped chunks from this place on may have samples that the log does not have.
    unlogged_from: AtomicU64,
    /// Until the log was read.
    replaying: AtomicBool,
    /// When the head was opened, ms: what is written from here on is there at once.
    pub(super) opened_at: Timestamp,
    /// References that the log has for series that have another one now, with the time (ms) of their newest sample.
    pub(super) aliases: Mutex<BTreeMap<u64, Alias>>,
    /// How often the log was written anew.
    pub(super) rebuilds: AtomicU64,
    /// What attempts to read the log have found damaged and could not keep, in words, until one succeeds.
    pub(super) lost: Mutex<Vec<String>>,
    /// What of mapped chunks is lost and nobody asked for so far, in words.
    pub(super) untold: Mutex<Vec<String>>,
}

impl Durable {
    /// The same directory for a head that only reads the mapped chunks of this one.
    pub(super) fn reading(other: &Self, settings: &Settings) -> Self {
        let log = |dir: &Path| Log::new(Arc::clone(&other.disk), dir.to_owned(), settings.wal_segment_bytes);
        Self {
            disk: Arc::clone(&other.disk),
            read_only: true,
            wal: log(other.wal.dir()),
            wbl: log(other.wbl.dir()),
            chunks: Arc::clone(&other.chunks),
            unwritten: Unwritten::default(),
            unlogged_from: AtomicU64::new(0),
            replaying: AtomicBool::new(false),
            opened_at: other.opened_at,
            aliases: Mutex::default(),
            rebuilds: AtomicU64::new(0),
            lost: Mutex::default(),
            untold: Mutex::default(),
        }
    }

    /// Whether chunks and records may be written: not before the log was read, and not where nothing may be.
    pub(super) fn is_writable(&self) -> bool {
        !self.read_only && !self.is_replaying()
    }

    pub(super) fn is_replaying(&self) -> bool {
        self.replaying.load(Ordering::Acquire)
    }

    /// Fails while somebody else writes the log anew: it lacks what is not written yet, whatever of it is durable.
    fn whole(&self) -> Result<(), StorageError> {
        match self.wal.is_partial() || self.wbl.is_partial() {
            true => Err(StorageError::Refused(
                "the write-ahead log is being written anew".to_owned(),
            )),
            false => Ok(()),
        }
    }

    pub(super) fn replayed(&self) {
        self.replaying.store(false, Ordering::Release);
    }

    /// Finds out what of the mapped chunks the log has. To be called before chunks are mapped, while nobody else tidies:
    /// samples wait for the log before a chunk of them is mapped, so when all that waits now is written and nothing was
    /// dropped, the log has what was mapped before.
    pub(super) fn compare_with_log(&self, now: Timestamp) {
        let end = self.chunks.end();
        let written = self.both(|log| log.flush(now));
        if written.is_ok() && !self.wal.is_broken() && !self.wbl.is_broken() {
            self.all_is_logged(end);
        } else {
            // Files are numbered from the first again after all of them went.
            self.unlogged_from.fetch_min(end, Ordering::AcqRel);
        }
    }

    /// Does something to both logs: one that fails keeps nothing from reaching the other. Returns the first failure.
    fn both(&self, act: impl Fn(&Log) -> Result<(), StorageError>) -> Result<(), StorageError> {
        let (wal, wbl) = (act(&self.wal), act(&self.wbl));
        wal.and(wbl)
    }

    /// The log has all samples of chunks that were mapped before `end`, which [`ChunksHead::end`] told.
    pub(super) fn all_is_logged(&self, end: u64) {
        self.unlogged_from.store(end, Ordering::Release);
    }

    /// Whether the log may lack samples of a closed chunk when it had to drop records.
    pub(super) fn may_lack(&self, chunk: &Data) -> bool {
        match chunk {
            Data::Memory(_) => true,
            Data::Disk(place) => *place >= self.unlogged_from.load(Ordering::Acquire),
        }
    }
}

impl Head {
    /// A head with a directory, whose log is not read yet: [`Self::replay`] does that. Commits are taken at once.
    ///
    /// # Errors
    /// [`StorageError::Settings`] when a setting is out of its range.
    pub fn durable(parts: HeadParts) -> Result<Arc<Self>, StorageError> {
        let log = |name| {
            Log::new(
                Arc::clone(&parts.disk),
                parts.dir.join(name),
                parts.settings.wal_segment_bytes,
            )
        };
        let durable = Durable {
            wal: log("wal"),
            wbl: log("wbl"),
            chunks: Arc::new(ChunksHead::new(
                Arc::clone(&parts.disk),
                parts.dir.join("chunks_head"),
                parts.cache,
            )),
            unwritten: Unwritten::default(),
            unlogged_from: AtomicU64::new(0),
            disk: parts.disk,
            read_only: parts.read_only,
            replaying: AtomicBool::new(true),
            opened_at: parts.clock.now(),
            aliases: Mutex::default(),
            rebuilds: AtomicU64::new(0),
            lost: Mutex::default(),
            untold: Mutex::default(),
        };
        let head = Self::build(parts.settings, parts.clock, Some(durable))?;
        for stripe in &head.stripes {
            stripe.write().begin_early();
        }
        Ok(Arc::new(head))
    }

    /// Whether the log has not been read yet.
    #[must_use]
    pub fn is_replaying(&self) -> bool {
        self.durable.as_ref().is_some_and(Durable::is_replaying)
    }

    /// Writes to the log what commits left pending, in one write. To be called many times a second.
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be written. Commits go on in memory, [`Self::log_health`] tells, and what was
    /// not written is written by the next call that can: nothing is lost as long as the process lives.
    pub fn flush(&self) -> Result<(), StorageError> {
        match &self.durable {
            Some(durable) if durable.is_writable() => self.write(durable, Log::flush),
            Some(durable) => {
                // What is committed before the log was read is in memory alone.
                self.weigh(durable);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Does something to both logs, which are written anew first if need be.
    fn write(
        &self,
        durable: &Durable,
        act: impl Fn(&Log, Timestamp) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let whole = match durable.wal.is_broken() || durable.wbl.is_broken() {
            true => self.rebuild_log(durable),
            false => Ok(()),
        };
        let now = self.clock.now();
        // One that cannot be begun anew keeps nothing from reaching the other.
        let written = durable.both(|log| match log.is_partial() {
            true => Ok(()),
            false => act(log, now),
        });
        self.weigh(durable);
        whole.and(written)
    }

    /// [`Self::flush`], and makes the log durable.
    ///
    /// # Errors
    /// As [`Self::flush`]; [`StorageError::Refused`] before the log was read: what was committed until then is in memory
    /// alone.
    pub fn sync(&self) -> Result<(), StorageError> {
        if self.is_replaying() {
            return Err(StorageError::Refused(
                "the write-ahead log is being replayed".to_owned(),
            ));
        }
        match &self.durable {
            Some(durable) if durable.is_writable() => {
                let synced = self.write(durable, |log, now| log.flush(now).and_then(|()| log.sync(now)));
                synced.and_then(|()| durable.whole())
            }
            _ => Ok(()),
        }
    }

    /// Ends the log and the mapped chunks in good order: all that was committed is durable then. Commits must have been
    /// refused before ([`Self::close`]). What fails keeps nothing else from becoming durable.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn shut(&self) -> Result<(), StorageError> {
        let written = self.flush();
        match &self.durable {
            Some(durable) if durable.is_writable() => {
                // Who writes chunks away is done then, and does not begin again.
                let _one = self.tidying.lock();
                let mapped = durable.chunks.cut();
                let now = self.clock.now();
                written.and(mapped).and(durable.both(|log| log.shut(now)))
            }
            _ => written,
        }
    }

    /// Whether what is committed reaches the log.
    #[must_use]
    pub fn log_health(&self) -> LogHealth {
        let Some(durable) = &self.durable else {
            return LogHealth::default();
        };
        let (wal, wbl) = (durable.wal.health(), durable.wbl.health());
        LogHealth {
            failed: wal.failed.or(wbl.failed),
            dropped_bytes: wal.dropped_bytes + wbl.dropped_bytes,
            pending_bytes: wal.pending_bytes + wbl.pending_bytes,
            rebuilds: durable.rebuilds.load(Ordering::Relaxed),
        }
    }

    /// Refuses samples older than `mint` (ms) from now on: a block holds their time, or is about to. When this returns,
    /// no commit that began before is still on its way.
    pub fn seal(&self, mint: Timestamp) {
        self.min_valid.fetch_max(mint, Ordering::AcqRel);
        for stripe in &self.stripes {
            // Commits look at the bound while they hold their stripes.
            drop(stripe.write());
        }
    }

    /// Refuses a window that reaches into time that is not read yet.
    pub(super) fn check_replayed(&self, mint: Timestamp) -> Result<(), QueryError> {
        match &self.durable {
            Some(durable) if durable.is_replaying() && mint < durable.opened_at => {
                Err(QueryError::Unavailable(format!(
                    "the write-ahead log is being replayed: samples before {} are not there yet",
                    durable.opened_at
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Counts readers for whom series must keep their numbers in the index.
#[derive(Debug, Default)]
pub(super) struct Leases(AtomicU32);

impl Leases {
    pub(super) fn take(&self) -> Lease<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Lease(self)
    }

    pub(super) fn none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

/// One such reader.
#[derive(Debug)]
pub(super) struct Lease<'a>(&'a Leases);

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
