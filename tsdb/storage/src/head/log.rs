//! The head's side of the log: what commits leave pending, and what becomes of it when the disk fails.
//!
//! A commit encodes its records while it holds its stripes and leaves them here, so that the order of records is that of
//! commits. [`Log::flush`] writes what is pending in one go. When that fails it stays pending and is tried again; when
//! there is too much of it, it is dropped, the log is *broken*, and [`super::rebuild`] writes it anew from memory once
//! the disk takes it.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::wal::{self, Wal};
use leadline_model::sample::Timestamp;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The most bytes that wait to be written; few where the store is tested, so that records have to be dropped.
const MAX_PENDING: usize = if cfg!(feature = "planted") {
    4096
} else {
    32 * 1024 * 1024
};
/// A record that is too long for the log is refused at every attempt, and all that waits with it. It is too much to wait,
/// too, so it is dropped at once, and what is written anew from memory has no record of that length.
const _: () = assert!(wal::MAX_RECORD_BYTES > MAX_PENDING);
/// Buffers of more bytes than this are given back once they are empty.
const KEEP: usize = 1024 * 1024;
/// Buffers for commits that are kept.
const POOL: usize = 8;

/// Whether what is committed reaches the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogHealth {
    /// Since when (ms) it does not, and why; `None` while it does.
    pub failed: Option<(Timestamp, String)>,
    /// Bytes of records that had to be dropped; they are written anew from memory when the disk takes them.
    pub dropped_bytes: u64,
    /// Bytes of records that wait to be written.
    pub pending_bytes: u64,
    /// How often the log was written anew from memory, after records had been dropped or could not be read.
    pub rebuilds: u64,
}

/// What is done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Writing to it.
    Write,
    /// Making what was written durable.
    Sync,
}

/// That the disk does not take the log.
#[derive(Debug)]
struct Failure {
    /// Since when, ms.
    since: Timestamp,
    why: String,
    /// What failed: only when that succeeds is it over. A disk that takes writes may lose them all.
    deed: Deed,
}

/// Records in the order in which they are to be written.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Records {
    pub(super) fn push(&mut self, record: &[u8]) {
        if !record.is_empty() {
            self.bytes.extend_from_slice(record);
            self.ends.push(self.bytes.len());
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn append(&mut self, other: &Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(KEEP);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().filter_map(move |&end| {
            let record = self.bytes.get(from..end);
            from = end;
            record
        })
    }
}

/// What is written, and by whom one at a time.
#[derive(Debug, Default)]
struct Writing {
    wal: Option<Wal>,
    /// Taken from what is pending; empty between two writes.
    records: Records,
    /// The first segment of what is written anew, as long as that is not whole.
    anew_from: Option<u32>,
}

/// One log of the head.
#[derive(Debug)]
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    pending: Mutex<Records>,
    writing: Mutex<Writing>,
    broken: AtomicBool,
    failed: Mutex<Option<Failure>>,
    dropped: AtomicU64,
    pool: Mutex<Vec<Vec<u8>>>,
}

impl Log {
    /// A log in `dir` that is not open yet; what is pushed until then stays pending.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf, segment_bytes: u64) -> Self {
        Self {
            disk,
            dir,
            segment_bytes,
            pending: Mutex::default(),
            writing: Mutex::default(),
            broken: AtomicBool::new(false),
            failed: Mutex::default(),
            dropped: AtomicU64::new(0),
            pool: Mutex::default(),
        }
    }

    /// Its folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins a segment of its own behind those that are there.
    pub(super) fn open(&self) -> Result<(), StorageError> {
        let wal = self.begin()?;
        self.writing.lock().wal = Some(wal);
        Ok(())
    }

    fn begin(&self) -> Result<Wal, StorageError> {
        Wal::open(Arc::clone(&self.disk), &self.dir, self.segment_bytes)
    }

    /// Begins a new segment, in a log that is opened if it is not open yet.
    pub(super) fn open_anew(&self, now: Timestamp) -> Result<(), StorageError> {
        if self.writing.lock().wal.is_none() {
            let opened = self.open();
            return self.note(now, Deed::Write, opened);
        }
        self.cut(now).map(drop)
    }

    /// Begins to write all of it anew, behind what is there. What an attempt before has left goes first, if it can.
    pub(super) fn begin_anew(&self, now: Timestamp) -> Result<(), StorageError> {
        self.withdraw();
        self.open_anew(now)?;
        let mut writing = self.writing.lock();
        let first = writing.wal.as_ref().map(Wal::segment);
        writing.anew_from = writing.anew_from.or(first);
        Ok(())
    }

    /// It is written anew, all of it.
    pub(super) fn is_anew(&self) {
        self.writing.lock().anew_from = None;
    }

    /// Whether it is being written anew, or could not be.
    pub(super) fn is_partial(&self) -> bool {
        self.is_broken() || self.writing.lock().anew_from.is_some()
    }

    /// Removes what was written anew and is not whole: memory has it. Else every attempt would leave segments on a disk that
    /// may be full. Where they cannot be removed they stay until the next attempt; who reads them finds nothing wrong.
    pub(super) fn withdraw(&self) {
        let mut writing = self.writing.lock();
        let Some(first) = writing.anew_from else { return };
        writing.wal = None;
        // An empty segment stays: a folder without any would look as if all were lost.
        match wal::repair(&*self.disk, &self.dir, first, 0) {
            Ok(()) => writing.anew_from = None,
            Err(error) => tracing::warn!(%error, "half of a log that was to be written anew cannot be removed"),
        }
    }

    /// A buffer to encode a record in.
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.pool.lock().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() == 0 {
            return;
        }
        let mut pool = self.pool.lock();
        if pool.len() < POOL && buffer.capacity() <= KEEP {
            pool.push(buffer);
        }
    }

    /// Leaves records to be written, in this order and behind all that were left before. Returns whether so much is
    /// pending that it should be written at once.
    pub(super) fn push(&self, records: &[&[u8]]) -> bool {
        if self.is_broken() {
            let bytes: usize = records.iter().map(|r| r.len()).sum();
            self.dropped.fetch_add(bytes as u64, Ordering::Relaxed);
            return false;
        }
        let mut pending = self.pending.lock();
        for record in records {
            pending.push(record);
        }
        pending.len() > MAX_PENDING
    }

    /// Whether records were dropped that memory still has.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Writes what is pending, and opens the log for it if need be. At `now` (ms) a failure begins, if there is one.
    pub(super) fn flush(&self, now: Timestamp) -> Result<(), StorageError> {
        let mut writing = self.writing.lock();
        let Writing { wal, records, .. } = &mut *writing;
        std::mem::swap(records, &mut *self.pending.lock());
        if records.is_empty() {
            return Ok(());
        }
        let written = match wal {
            Some(wal) => write(wal, records),
            None => self.begin().and_then(|begun| write(wal.insert(begun), records)),
        };
        if written.is_err() {
            self.put_back(records);
        }
        records.clear();
        self.note(now, Deed::Write, written)
    }

    /// Makes what could not be written pending again, before all that came meanwhile, or drops it all when it is too much.
    fn put_back(&self, records: &mut Records) {
        let mut pending = self.pending.lock();
        records.append(&pending);
        std::mem::swap(&mut *pending, records);
        if pending.len() > MAX_PENDING {
            self.broken.store(true, Ordering::Release);
            self.dropped.fetch_add(pending.len() as u64, Ordering::Relaxed);
            pending.clear();
        }
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&self, now: Timestamp) -> Result<(), StorageError> {
        self.with(now, Deed::Sync, Wal::sync)
    }

    /// Makes all that was written durable and begins a new segment, in a log that is opened if it is not open; returns its
    /// number.
    pub(super) fn cut(&self, now: Timestamp) -> Result<u32, StorageError> {
        let mut writing = self.writing.lock();
        let (deed, cut) = match &mut writing.wal {
            Some(wal) => (Deed::Sync, wal.cut().map(|()| wal.segment())),
            empty => (Deed::Write, self.begin().map(|begun| empty.insert(begun).segment())),
        };
        drop(writing);
        self.note(now, deed, cut)
    }

    /// Ends the log.
    pub(super) fn shut(&self, now: Timestamp) -> Result<(), StorageError> {
        self.with(now, Deed::Sync, Wal::close)
    }

    /// Writes records that are not pending: those of a log that is written anew.
    pub(super) fn write(&self, now: Timestamp, records: &Records) -> Result<(), StorageError> {
        self.with(now, Deed::Write, |wal| write(wal, records))
    }

    /// From now on what is pushed is taken again.
    pub(super) fn mend(&self) {
        self.pending.lock().clear();
        self.broken.store(false, Ordering::Release);
    }

    /// Gives up what is pending.
    pub(super) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        let mut pending = self.pending.lock();
        self.dropped.fetch_add(pending.len() as u64, Ordering::Relaxed);
        pending.clear();
    }

    fn with<T: Default>(
        &self,
        now: Timestamp,
        deed: Deed,
        act: impl FnOnce(&mut Wal) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let done = match &mut self.writing.lock().wal {
            Some(wal) => act(wal),
            None => return Ok(T::default()),
        };
        self.note(now, deed, done)
    }

    /// Keeps since when the disk fails.
    fn note<T>(&self, now: Timestamp, deed: Deed, done: Result<T, StorageError>) -> Result<T, StorageError> {
        let mut failed = self.failed.lock();
        match &done {
            Ok(_) => {
                // A sync that succeeds has written too.
                let over = |failure: &Failure| failure.deed == deed || deed == Deed::Sync;
                if !self.is_broken() && failed.take_if(|failure| over(failure)).is_some() {
                    tracing::info!("the write-ahead log is written again");
                }
            }
            Err(error) => {
                if failed.is_none() {
                    tracing::warn!(%error, "the write-ahead log cannot be written, samples are in memory alone");
                }
                let before = failed.take();
                *failed = Some(Failure {
                    since: before.as_ref().map_or(now, |f| f.since),
                    why: error.to_string(),
                    deed: before.filter(|f| f.deed == Deed::Sync).map_or(deed, |f| f.deed),
                });
            }
        }
        done
    }

    /// Whether what was written last, or was to become durable, did not.
    pub(super) fn fails(&self) -> bool {
        self.failed.lock().is_some()
    }

    pub(super) fn health(&self) -> LogHealth {
        LogHealth {
            failed: self.failed.lock().as_ref().map(|f| (f.since, f.why.clone())),
            dropped_bytes: self.dropped.load(Ordering::Relaxed),
            pending_bytes: self.pending.lock().len() as u64,
            rebuilds: 0,
        }
    }
}

fn write(wal: &mut Wal, records: &Records) -> Result<(), StorageError> {
    let all: Vec<&[u8]> = records.iter().collect();
    wal.log(&all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::Fault;
    use crate::disk::{FaultyDisk, MemoryDisk};
    use leadline_model::entropy::SeededEntropy;

    #[test]
    fn half_of_a_log_that_was_written_anew_goes_at_once_or_with_the_next_attempt() {
        for removable in [true, false] {
            let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()), Arc::new(SeededEntropy::new(1)));
            let log = Log::new(Arc::new(disk.clone()), PathBuf::from("/wal"), 1);
            let segments = || {
                let all = wal::segments(&disk, Path::new("/wal")).unwrap();
                all.iter().map(|s| (s.number, s.len > 0)).collect::<Vec<_>>()
            };
            log.open().unwrap();
            log.push(&[b"before"]);
            log.flush(0).unwrap();
            log.begin_anew(0).unwrap();
            // Of which every one fills more than a segment.
            for i in 0..3 {
                let mut noise = Records::default();
                noise.push(
                    &(0..30_000u32)
                        .flat_map(|n| (n.wrapping_mul(2_654_435_761) ^ i).to_le_bytes())
                        .collect::<Vec<_>>(),
                );
                log.write(0, &noise).unwrap();
            }
            assert!(log.is_partial() && segments().len() > 3, "{:?}", segments());
            if !removable {
                disk.arm(Fault::Failure, 1);
            }
            log.withdraw();
            assert_eq!(segments().len() > 2, !removable, "{:?}", segments());
            log.begin_anew(0).unwrap();
            assert_eq!(segments(), [(0, true), (1, false)], "removable {removable}");
            log.is_anew();
            assert!(!log.is_partial());
        }
    }
}
