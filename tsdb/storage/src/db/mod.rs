//! The store as a whole: a directory with a lock, a head, its log and its blocks.
//!
//! Nothing here starts a thread or asks the system for the time: whoever runs the store calls [`Db::flush`],
//! [`Db::sync`] and [`Db::maintain`] when it is time to.
//!
//! # What holds at every moment
//! * A sample is in the head, in a block, or in both; it leaves the head only when the block that holds it is durable
//!   and queries see it. A query copies what it wants from the head first and lists the blocks afterwards, so it misses
//!   nothing, and of what it finds twice it takes one.
//! * Blocks appear and go whole. Those that others replace are removed when the others are durable, at the latest by the
//!   next start.
//! * One thing is done to blocks at a time.

mod adopt;
mod blocks;
mod cut;
mod cut_first;
mod delete;
mod early;
mod evict;
mod folders;
mod lock;
mod maintenance;
mod make;
mod mend;
mod places;
mod ports;
mod read_only;
mod reorder;
mod replay;
mod snapshot;
mod standstill;
mod stats;
mod tidy;

pub use maintenance::Maintenance;
pub use read_only::ReadOnly;
pub use replay::{ReplayStatus, Replayed};
pub use stats::Stats;

use crate::block::{Block, Ulid};
use crate::cache::Cache;
use crate::compact::{Pace, Throttle, Unhurried};
use crate::disk::{Disk, Lock};
use crate::error::StorageError;
use crate::head::{Head, HeadParts};
use crate::settings::Settings;
use crate::wal;
use blocks::{Blocks, Found};
use leadline_model::clock::Clock;
use leadline_model::entropy::Entropy;
use leadline_model::matcher::Matcher;
use leadline_model::sample::Timestamp;
use maintenance::Work;
use parking_lot::{Mutex, MutexGuard};
use replay::Progress;
use standstill::Standstill;
use stats::Counters;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a [`Db`] is made of.
pub struct Parts {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// The directory; created if need be.
    pub path: PathBuf,
    /// Limits and sizes.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Names new blocks.
    pub entropy: Arc<dyn Entropy>,
}

/// A directory that is open for writing.
pub struct Db {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    head: Arc<Head>,
    blocks: Blocks,
    /// Whether the log had samples that came out of order when the directory was opened, of whatever time.
    late_logged: bool,
    cache: Arc<Cache>,
    pace: Box<dyn Pace>,
    work: Mutex<Work>,
    /// Blocks that no query asks any more and whose files could not be removed.
    garbage: Mutex<BTreeSet<Ulid>>,
    counters: Counters,
    progress: Progress,
    /// That the head cannot be cut, if it cannot.
    standstill: Mutex<Option<Standstill>>,
    /// Whether the store is being closed; whoever writes a block gives up.
    stop: AtomicBool,
    lock: Mutex<Option<Box<dyn Lock>>>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens a directory: takes its lock, removes what unfinished work left behind, and opens its blocks. The log is not
    /// read yet: [`Self::replay`] does that.
    ///
    /// # Errors
    /// [`StorageError`]: a setting is out of its range, the directory is locked by another process, was written by
    /// something newer, or cannot be read or written. A block that is damaged or cannot be read is left out, logged,
    /// counted in [`Stats`] and named by [`Self::damaged`], and left as it is; [`Self::maintain`] tries again to read it.
    pub fn open(parts: Parts) -> Result<Arc<Self>, StorageError> {
        parts.settings.validate()?;
        let lock = lock::take(parts.disk.as_ref(), &parts.path)?;
        folders::remove_unfinished(parts.disk.as_ref(), &parts.path)?;
        let cache = Cache::new(parts.settings.cache_bytes);
        let mut found = Found::look(&parts.disk, &parts.path, &cache)?;
        let superseded = std::mem::take(&mut found.superseded);
        let blocks = Blocks::new(found);
        let begins = blocks.log_begins(&parts.disk, &parts.path)?;
        let late = wal::segments(parts.disk.as_ref(), &parts.path.join("wbl"))?;
        let head = Head::durable(HeadParts {
            settings: parts.settings.clone(),
            clock: Arc::clone(&parts.clock),
            disk: Arc::clone(&parts.disk),
            dir: parts.path.clone(),
            read_only: false,
            cache: Arc::clone(&cache),
        })?;
        if let Some(begins) = begins {
            head.seal(begins);
        }
        let db = Arc::new(Self {
            pace: pace(&parts.settings),
            disk: parts.disk,
            path: parts.path,
            settings: parts.settings,
            clock: parts.clock,
            entropy: parts.entropy,
            head,
            blocks,
            late_logged: late.iter().any(|segment| segment.len > 0),
            cache,
            work: Mutex::default(),
            garbage: Mutex::default(),
            counters: Counters::default(),
            progress: Progress::default(),
            standstill: Mutex::default(),
            stop: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        });
        db.remove_files(&superseded);
        Ok(db)
    }

    /// Opens a directory for reading alone: its lock is not taken, and nothing of it is ever changed. Its log is replayed
    /// into memory. What another process moves from the log to blocks meanwhile is found.
    ///
    /// # Errors
    /// [`StorageError`]: the directory is not there or cannot be read. [`StorageError::Refused`] where it changes as often as
    /// it is read.
    pub fn read_only(disk: Arc<dyn Disk>, path: &Path, clock: Arc<dyn Clock>) -> Result<ReadOnly, StorageError> {
        let path = path.to_owned();
        read_only::Source {
            disk,
            path,
            clock,
            limit: None,
        }
        .open()
    }

    /// [`Self::read_only`], unless what only the log has takes more than `limit` bytes of memory.
    ///
    /// # Errors
    /// As [`Self::read_only`]; [`StorageError::Refused`] where it takes more, with what to do then.
    pub fn read_only_within(
        disk: Arc<dyn Disk>,
        path: &Path,
        clock: Arc<dyn Clock>,
        limit: u64,
    ) -> Result<ReadOnly, StorageError> {
        let (path, limit) = (path.to_owned(), Some(limit));
        let source = read_only::Source {
            disk,
            path,
            clock,
            limit,
        };
        source.open()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// [`Head::adjust`]: the settings that may change while the store is open. A window of 0 takes no more samples out of
    /// order; those that came before are compacted as ever (`tsdb/db.go`, `DB.ApplyConfig`).
    ///
    /// # Errors
    /// [`StorageError::Settings`] when one is out of its range; nothing is changed then.
    pub fn adjust(&self, out_of_order_window_ms: i64, max_exemplars: u32) -> Result<(), StorageError> {
        Ok(self.head.adjust(out_of_order_window_ms, max_exemplars)?)
    }

    /// The newest samples.
    #[must_use]
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// The blocks that are open.
    #[must_use]
    pub fn blocks(&self) -> Vec<Arc<Block>> {
        self.blocks.list().to_vec()
    }

    /// The blocks that are damaged or cannot be read now and were left out, by name, and why.
    #[must_use]
    pub fn damaged(&self) -> Vec<(String, String)> {
        self.blocks.damaged()
    }

    /// Writes to the log what commits left pending.
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be written; commits go on in memory, [`Self::health`] tells, and what was not
    /// written is written again once it can be.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.head.flush()
    }

    /// [`Self::flush`], and makes the log durable.
    ///
    /// # Errors
    /// As [`Self::flush`]; [`StorageError::Refused`] before the log was read.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.head.sync()
    }

    /// Writes full chunks away, as [`Self::maintain`] does too, but without waiting for what works on blocks: a compaction may
    /// take long, and memory would fill up meanwhile. Those that came out of order wait. Returns how many. Nothing is done
    /// before the log was read.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails. The chunks stay in memory and go with the next call.
    pub fn map_chunks(&self) -> Result<usize, StorageError> {
        let mapped = self.head.map_in_order();
        if mapped.is_err() {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
        }
        mapped
    }

    /// Does what is due by the clock: opens blocks that others put into the directory, writes full chunks away, cuts the head into blocks, evicts stale series, compacts
    /// one group of blocks, and removes what is past the retention. To be called about once a minute, from a thread that
    /// may block; one call at a time works, others wait. Nothing is done before the log was read.
    pub fn maintain(&self) -> Maintenance {
        self.do_what_is_due()
    }

    /// Deletes the samples with `mint <= t <= maxt` (ms) of the series that fulfil all matchers, from the head and from
    /// blocks, durably. Their bytes go with the next compaction or [`Self::clean_tombstones`].
    ///
    /// # Errors
    /// [`StorageError`]: the log was not read yet, a block that was given up cannot be removed, or the disk fails; doing it
    /// again is safe. [`StorageError::Refused`] where blocks are damaged, cannot be written or are not open, which it names:
    /// all else has the deletion then, and it has to be done again once those can be read or are moved away.
    pub fn delete_series(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<(), StorageError> {
        let _work = self.begin()?;
        self.delete_everywhere(matchers, mint, maxt)
    }

    /// Writes every block with deletions anew, without what was deleted.
    ///
    /// # Errors
    /// [`StorageError::Refused`] names the blocks that could not be read or written anew and stay as they were; all others
    /// are done.
    pub fn clean_tombstones(&self) -> Result<(), StorageError> {
        let _work = self.begin()?;
        self.rewrite_deleted()
    }

    /// Writes a copy of all blocks, and with `with_head` of the head, below `snapshots/` in the directory; files are
    /// linked where the file system can. Returns the name of the copy's folder there.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails; nothing is left of the copy.
    pub fn snapshot(&self, with_head: bool) -> Result<String, StorageError> {
        let (mut work, mut name) = (self.begin()?, String::new());
        self.despite_damage(&mut work, &mut Maintenance::default(), |db, _, _| {
            name = db.copy_all(with_head)?;
            Ok(())
        })?;
        Ok(name)
    }

    /// Whether the store keeps what it is given.
    ///
    /// # Errors
    /// Why it does not: the log cannot be read or written (a full disk, say). Commits go on in memory, up to
    /// [`Settings::unwritten_memory_bytes`]; that this is reached is said too. Or that the head could not be cut again and
    /// again, so that memory and the log grow.
    pub fn health(&self) -> Result<(), String> {
        if let Some(why) = self.progress.failure() {
            return Err(format!("the write-ahead log cannot be replayed: {why}"));
        }
        let failed = self.head.log_health().failed;
        let failed = failed.map(|(since, why)| format!("the write-ahead log cannot be written since {since}: {why}"));
        let limit = self.settings.unwritten_memory_bytes;
        match (failed, self.head.is_full()) {
            (None, false) => Standstill::told(&self.standstill).map_or(Ok(()), Err),
            (Some(why), false) => Err(why),
            (failed, true) => Err(format!(
                "{}; memory has reached its limit of {limit} bytes, samples are refused",
                failed.unwrap_or_else(|| match self.head.is_replaying() {
                    true => "the write-ahead log is not read yet".to_owned(),
                    false => "chunks cannot be written".to_owned(),
                })
            )),
        }
    }

    /// Refuses commits from now on, makes the log durable and gives the lock back. What writes a block gives up first, and
    /// so does a replay: samples that were committed before the log was read are written into blocks then. Reading goes on.
    ///
    /// # Errors
    /// [`StorageError`]: what was pending could not be written.
    pub fn close(&self) -> Result<(), StorageError> {
        self.head.close();
        self.stop.store(true, Ordering::Release);
        let _work = self.work.lock();
        let Some(lock) = self.lock.lock().take() else {
            return Ok(());
        };
        let kept = self.keep_early();
        let shut = self.head.shut();
        drop(lock);
        kept.and(shut)
    }

    fn is_closed(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Begins what must not be begun before the log was read or after the store was closed.
    fn begin(&self) -> Result<MutexGuard<'_, Work>, StorageError> {
        let refuse = |why: &str| Err(StorageError::Refused(why.to_owned()));
        if self.head.is_replaying() {
            return refuse("the write-ahead log is being replayed");
        }
        let work = self.work.lock();
        match self.is_closed() {
            true => refuse("the store is closed"),
            false => Ok(work),
        }
    }
}

fn pace(settings: &Settings) -> Box<dyn Pace> {
    match settings.compaction_bytes_per_second {
        0 => Box::new(Unhurried),
        limit => Box::new(Throttle::new(limit)),
    }
}
