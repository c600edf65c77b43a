//! Full chunks of the head on the disk (`tsdb/chunks/head_chunks.go`): memory holds only where they are.
//!
//! Everything here is also in the log until a block holds it, so nothing is synced before the log lets go of samples, and
//! a file that is broken costs time, at the next start or where its chunks are wanted ([`super::mend`]), and no sample. A log that had to drop records gets from here what
//! it lacks when it is written anew ([`super::rebuild`]). See `FORMAT.md` for the bytes.

mod ahead;
mod format;
mod near;
mod scan;
mod verify;

pub(super) use ahead::Ahead;
pub(super) use near::Near;
pub(super) use scan::Found;
pub use verify::verify_mapped;

use super::series::{Data, Outgoing};
use crate::cache::{Cache, Cached, Chunk, Key, Kind};
use crate::chunk::Decoded;
use crate::disk::{self, Disk, File, ReadAt};
use crate::error::{ChunkError, StorageError};
use bytes::Bytes;
use leadline_model::sample::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file is finished when another chunk would bring it over this many bytes
/// (`tsdb/chunks/head_chunks.go`, `MaxHeadChunkFileSize`); fewer where the store is tested.
const FILE_BYTES: u64 = if cfg!(feature = "planted") {
    2048
} else {
    128 * 1024 * 1024
};
/// What is written over itself at once, bytes; less than a file where the store is tested.
const AGAIN: usize = if cfg!(feature = "planted") { 1000 } else { 1024 * 1024 };
/// What is read at once to get a chunk whose length is not known: all but histograms fit.
const GUESS: usize = 1_100;

/// One file as readers see it.
#[derive(Debug, Clone)]
struct Mapped {
    path: PathBuf,
    reader: Arc<dyn ReadAt>,
    /// The newest time (ms) of its chunks.
    maxt: Timestamp,
    /// Bytes of complete chunks and the header.
    len: u64,
    /// Its number in the cache: another one when a file is made anew under the same name.
    number: u64,
}

/// The files at one moment; what is open stays readable when it is removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    /// By their numbers.
    all: BTreeMap<u32, Mapped>,
    /// What is kept of their chunks.
    cache: Option<Arc<Cache>>,
    /// Whether a chunk of them was found damaged; of one folder there is one.
    damage: Arc<AtomicBool>,
}

impl Files {
    /// The floats of the chunk at `place`, if they are kept.
    pub(super) fn kept(&self, place: u64) -> Option<Decoded> {
        match self.cache.as_ref()?.get(&self.key(place)?)? {
            Cached::Chunk(Chunk::Decoded(decoded)) => Some(decoded),
            _ => None,
        }
    }

    /// Keeps the floats of the chunk at `place`.
    pub(super) fn keep(&self, place: u64, decoded: Decoded) {
        if let (Some(cache), Some(key)) = (&self.cache, self.key(place)) {
            cache.put(key, Cached::Chunk(Chunk::Decoded(decoded)));
        }
    }

    /// Whether so many chunks, which are all read for one query, are worth keeping.
    pub(super) fn are_worth_keeping(&self, chunks: usize) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.is_worth_keeping(chunks))
    }

    fn key(&self, place: u64) -> Option<Key> {
        let (file, offset) = self.at(place)?;
        Some(Key {
            of: file.number,
            kind: Kind::Chunk,
            at: offset,
        })
    }

    /// The bytes of the chunk at `place`, checked.
    pub(super) fn read(&self, place: u64) -> Result<Bytes, StorageError> {
        let Some((file, offset)) = self.at(place) else {
            return Err(StorageError::Refused(format!(
                "there is no file {:06} of mapped chunks",
                place >> 32
            )));
        };
        let mut bytes = vec![0; GUESS];
        let read = |into: &mut [u8]| {
            file.reader
                .read_at(into, offset)
                .map_err(|e| StorageError::io("read", &file.path, e))
        };
        let n = read(&mut bytes)?;
        bytes.truncate(n);
        if let Some(whole) = format::record_len(&bytes)
            && whole > n
            && offset.saturating_add(whole as u64) <= file.len
        {
            bytes.resize(whole, 0);
            let n = read(&mut bytes)?;
            bytes.truncate(n);
        }
        let data = self.parse(place, &bytes)?;
        let mut bytes = Bytes::from(bytes);
        Ok(bytes.split_to(data.end).split_off(data.start))
    }

    /// The file that `place` is in, and where in it.
    fn at(&self, place: u64) -> Option<(&Mapped, u64)> {
        let file = self.all.get(&((place >> 32) as u32))?;
        Some((file, place & u64::from(u32::MAX)))
    }

    /// Where in `bytes`, which begin at `place`, the data of the chunk is, checked.
    fn parse(&self, place: u64, bytes: &[u8]) -> Result<Range<usize>, StorageError> {
        let damaged = |wrong: format::Wrong| match self.at(place) {
            Some((file, offset)) => self.met(wrong.at(&file.path, offset)),
            None => StorageError::Refused(format!("a mapped chunk is damaged: {wrong:?}")),
        };
        format::parse(bytes).map(|chunk| chunk.data).map_err(damaged)
    }

    /// That the samples of the chunk at `place`, whose checksum is right, cannot be read.
    pub(super) fn damaged(&self, place: u64, error: &ChunkError) -> StorageError {
        match self.at(place) {
            Some((file, offset)) => {
                let expected = "the samples of a chunk";
                self.met(StorageError::damaged(&file.path, offset, expected, error.to_string()))
            }
            None => StorageError::Refused(format!("a mapped chunk is damaged: {error}")),
        }
    }

    /// Notes that a chunk is damaged.
    fn met(&self, damage: StorageError) -> StorageError {
        self.damage.store(true, Ordering::Release);
        damage
    }

    /// Whether a chunk was found damaged since [`Self::forget_damage`].
    pub(super) fn met_damage(&self) -> bool {
        self.damage.load(Ordering::Acquire)
    }

    /// What was found damaged is not used any more.
    pub(super) fn forget_damage(&self) {
        self.damage.store(false, Ordering::Release);
    }

    /// The bytes of a closed chunk, wherever they are.
    pub(super) fn bytes(&self, data: &Data) -> Result<Bytes, StorageError> {
        match data {
            Data::Memory(bytes) => Ok(Bytes::from_owner(Arc::clone(bytes))),
            Data::Disk(place) => self.read(*place),
        }
    }
}

/// The file that is written to. It is never left for the next one before it is whole and durable: a file that lost its end
/// in a crash looks like a short one, and the chunks of later files would hide from a replay what was in it.
#[derive(Debug)]
struct Writing {
    seq: u32,
    file: Box<dyn File>,
    /// Bytes of complete chunks and the header.
    len: u64,
    /// Whether half a chunk may be behind them.
    spoiled: bool,
    /// Whether it could not be made durable: what was written since is to be written again.
    unsound: bool,
}

/// All files of mapped chunks.
#[derive(Debug)]
pub(super) struct ChunksHead {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    cache: Arc<Cache>,
    files: RwLock<Arc<Files>>,
    writing: Mutex<Option<Writing>>,
}

impl ChunksHead {
    /// The files in `dir`, which need not exist; [`Self::scan`] finds out what they hold. `cache` keeps what queries read of
    /// them.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf, cache: Arc<Cache>) -> Self {
        Self {
            disk,
            dir,
            files: RwLock::new(Arc::new(Files {
                cache: Some(Arc::clone(&cache)),
                ..Files::default()
            })),
            cache,
            writing: Mutex::new(None),
        }
    }

    /// The files as they are now.
    pub(super) fn files(&self) -> Arc<Files> {
        Arc::clone(&self.files.read())
    }

    /// The number of the first file, if there is any.
    pub(super) fn first(&self) -> Option<u32> {
        self.files.read().all.first_key_value().map(|(&seq, _)| seq)
    }

    /// The number of the last file; 0 where there is none.
    pub(super) fn last(&self) -> u32 {
        self.files.read().all.last_key_value().map_or(0, |(&seq, _)| seq)
    }

    /// The place of whatever is written next, or one before it.
    pub(super) fn end(&self) -> u64 {
        let files = self.files.read();
        let last = files.all.last_key_value();
        last.map_or(0, |(&seq, file)| u64::from(seq) << 32 | file.len)
    }

    /// Writes chunks, in one go as far as one file has room, and returns the place of each.
    pub(super) fn write(&self, chunks: &[Outgoing]) -> Result<Vec<u64>, StorageError> {
        let mut writing = self.writing.lock();
        let mut places = Vec::with_capacity(chunks.len());
        let mut rest = chunks;
        while !rest.is_empty() {
            if writing.is_none() {
                *writing = Some(self.begin()?);
            }
            let Some(current) = &mut *writing else { break };
            let written = self.fill(current, rest, &mut places)?;
            rest = rest.get(written..).unwrap_or_default();
            if !rest.is_empty() {
                self.finish(current)?;
                *writing = None;
            }
        }
        Ok(places)
    }

    /// Writes as many chunks as the file takes; returns how many.
    fn fill(&self, current: &mut Writing, chunks: &[Outgoing], places: &mut Vec<u64>) -> Result<usize, StorageError> {
        let path = self.path(current.seq);
        if current.spoiled {
            let cut = current.file.set_len(current.len);
            cut.map_err(|e| StorageError::io("cut off", &path, e))?;
            current.spoiled = false;
        }
        let (mut bytes, mut maxt, mut written) = (Vec::new(), Timestamp::MIN, 0);
        for sent in chunks {
            let Data::Memory(data) = &sent.chunk.data else { continue };
            let at = current.len + bytes.len() as u64;
            if at + data.len() as u64 > FILE_BYTES - format::OVERHEAD as u64 && at > format::HEADER_LEN as u64 {
                break;
            }
            let chunk = format::Chunk {
                series: sent.series,
                mint: sent.chunk.mint,
                maxt: sent.chunk.maxt(),
                encoding: sent.chunk.encoding,
                out_of_order: sent.out_of_order,
                data: 0..data.len(),
            };
            format::encode(&chunk, data, &mut bytes);
            places.push(u64::from(current.seq) << 32 | at);
            maxt = maxt.max(sent.chunk.maxt());
            written += 1;
        }
        current.spoiled = true;
        let done = current.file.write_all(&bytes);
        done.map_err(|e| StorageError::io("write", &path, e))?;
        current.spoiled = false;
        current.len += bytes.len() as u64;
        self.change(|files| {
            if let Some(file) = files.all.get_mut(&current.seq) {
                file.maxt = file.maxt.max(maxt);
                file.len = current.len;
            }
        });
        Ok(written)
    }

    /// Begins the next file.
    fn begin(&self) -> Result<Writing, StorageError> {
        self.disk
            .create_dir_all(&self.dir)
            .map_err(|e| StorageError::io("create", &self.dir, e))?;
        let last = self.files.read().all.last_key_value().map(|(seq, _)| *seq);
        if let Some(path) = last.map(|seq| self.path(seq)) {
            // A process that was killed left it as it was.
            match self.disk.append(&path).and_then(|mut file| file.sync()) {
                // Gone already where only making that durable failed.
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StorageError::io("sync", &path, e)),
                _ => {}
            }
        }
        let seq = last.map_or(1, |seq| seq + 1);
        let path = self.path(seq);
        let mut file = self
            .disk
            .create(&path)
            .map_err(|e| StorageError::io("create", &path, e))?;
        if let Err(e) = file.write_all(&format::header()) {
            drop(file);
            // Best effort: a file without a header is repaired at the next start.
            let _ = self.disk.remove_file(&path);
            return Err(StorageError::io("write", &path, e));
        }
        let reader = self.disk.open(&path).map_err(|e| StorageError::io("open", &path, e))?;
        self.change(|files| {
            files.all.insert(
                seq,
                Mapped {
                    path: path.clone(),
                    reader: Arc::clone(&reader),
                    maxt: Timestamp::MIN,
                    len: format::HEADER_LEN as u64,
                    number: self.cache.number(),
                },
            );
        });
        Ok(Writing {
            seq,
            file,
            len: format::HEADER_LEN as u64,
            spoiled: false,
            unsound: false,
        })
    }

    /// Makes a file whole and durable.
    fn finish(&self, current: &mut Writing) -> Result<(), StorageError> {
        let path = self.path(current.seq);
        if current.spoiled {
            let cut = current.file.set_len(current.len);
            cut.map_err(|e| StorageError::io("cut off", &path, e))?;
            current.spoiled = false;
        }
        if let Err(error) = self.sync_file(current, &path) {
            // What fails twice in a row may do so for good.
            let again = std::mem::replace(&mut current.unsound, true);
            if !again || self.write_afresh(current, &path).is_err() {
                return Err(error);
            }
        }
        current.unsound = false;
        for dir in [Some(&*self.dir), self.dir.parent()].into_iter().flatten() {
            self.disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))?;
        }
        Ok(())
    }

    /// Makes the content of a file durable, written once more where that failed before.
    fn sync_file(&self, current: &mut Writing, path: &Path) -> Result<(), StorageError> {
        if current.unsound {
            self.write_again(current, path)?;
        }
        current.file.sync().map_err(|e| StorageError::io("sync", path, e))
    }

    /// Puts a new file in the place of one that fails.
    fn write_afresh(&self, current: &mut Writing, path: &Path) -> Result<(), StorageError> {
        let new = disk::write_afresh(&*self.disk, path, current.len, &[]);
        let (file, reader) = new.map_err(|e| StorageError::io("write anew", path, e))?;
        current.file = file;
        self.change(|files| {
            if let Some(file) = files.all.get_mut(&current.seq) {
                file.reader = reader;
            }
        });
        tracing::warn!(file = %path.display(), "a file of mapped chunks could not be made durable and was written anew");
        Ok(())
    }

    /// Writes a file over itself: what could not be made durable once is not tried again by who holds it.
    fn write_again(&self, current: &mut Writing, path: &Path) -> Result<(), StorageError> {
        let reader = self.disk.open(path).map_err(|e| StorageError::io("open", path, e))?;
        let mut bytes = vec![0; AGAIN];
        let mut at = 0;
        while at < current.len {
            let n = (current.len - at).min(AGAIN as u64);
            let part = bytes.get_mut(..n as usize).unwrap_or_default();
            let read = reader.read_exact_at(part, at);
            read.map_err(|e| StorageError::io("read", path, e))?;
            let done = current.file.write_at(part, at);
            done.map_err(|e| StorageError::io("write", path, e))?;
            at += n;
        }
        Ok(())
    }

    /// Makes everything that was written durable and lets the next chunk begin a new file.
    pub(super) fn cut(&self) -> Result<(), StorageError> {
        let mut writing = self.writing.lock();
        if let Some(current) = &mut *writing {
            self.finish(current)?;
            *writing = None;
        }
        Ok(())
    }

    /// Removes the oldest files as long as all of their chunks ended before `mint` (ms), but none from `keep` on. The file that is written to is
    /// finished, so that it can go next time.
    pub(super) fn truncate(&self, mint: Timestamp, keep: u32) -> Result<(), StorageError> {
        self.cut()?;
        self.remove(|seq, file| file.maxt < mint && seq < keep)
    }

    /// Removes the oldest files as long as they may go.
    fn remove(&self, may_go: impl Fn(u32, &Mapped) -> bool) -> Result<(), StorageError> {
        let old: Vec<(u32, PathBuf)> = {
            let files = self.files.read();
            let old = files.all.iter().take_while(|(seq, file)| may_go(**seq, file));
            old.map(|(seq, file)| (*seq, file.path.clone())).collect()
        };
        self.remove_all(old)
    }

    /// Removes files in this order.
    fn remove_all(&self, files: Vec<(u32, PathBuf)>) -> Result<(), StorageError> {
        for (seq, path) in files {
            match self.disk.remove_file(&path) {
                // Gone already where only making that durable failed.
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StorageError::io("remove", &path, e)),
                _ => {}
            }
            // One by one: a gap that a crash leaves would cost all files behind it.
            self.disk
                .sync_dir(&self.dir)
                .map_err(|e| StorageError::io("sync", &self.dir, e))?;
            self.change(|files| {
                files.all.remove(&seq);
            });
        }
        Ok(())
    }

    /// Removes all files, the oldest first.
    pub(super) fn clear(&self) -> Result<(), StorageError> {
        self.cut()?;
        self.remove(|_, _| true)
    }

    /// Removes the files up to number `last`, the oldest first: what comes next is in a file behind them.
    pub(super) fn give_up(&self, last: u32) -> Result<(), StorageError> {
        self.remove(|seq, _| seq <= last)
    }

    /// Removes the files behind number `last`, the newest first, so that a crash leaves no gap.
    pub(super) fn withdraw_behind(&self, last: u32) -> Result<(), StorageError> {
        let mut writing = self.writing.lock();
        writing.take_if(|current| current.seq > last);
        let behind: Vec<(u32, PathBuf)> = {
            let files = self.files.read();
            let behind = files.all.iter().rev().take_while(|(seq, _)| **seq > last);
            behind.map(|(seq, file)| (*seq, file.path.clone())).collect()
        };
        self.remove_all(behind)
    }

    fn change(&self, change: impl FnOnce(&mut Files)) {
        change(Arc::make_mut(&mut self.files.write()));
    }

    fn path(&self, seq: u32) -> PathBuf {
        path(&self.dir, seq)
    }
}

fn path(dir: &Path, seq: u32) -> PathBuf {
    dir.join(format!("{seq:06}"))
}

#[cfg(test)]
mod tests {
    use super::super::series::Closed;
    use super::*;
    use crate::chunk::{Encoding, XorAppender};
    use crate::disk::MemoryDisk;
    use leadline_model::entropy::SeededEntropy;
    use leadline_model::port::SeriesRef;
    use leadline_model::sample::Samples;

    #[test]
    fn what_was_mapped_last_is_withdrawn_and_what_comes_next_takes_its_place() {
        let (disk, dir) = (MemoryDisk::new(), PathBuf::from("/chunks_head"));
        let head = ChunksHead::new(Arc::new(disk.clone()), dir.clone(), Cache::new(1 << 20));
        let write = |n: u8| {
            let sent = Outgoing {
                series: SeriesRef(1),
                chunk: Closed::in_memory(0, 1, Encoding::Xor, vec![n; 9].into()),
                out_of_order: false,
            };
            head.write(&[sent]).unwrap().remove(0)
        };
        let kept = write(1);
        head.cut().unwrap();
        let last = head.last();
        let gone = write(2);
        // A query keeps the floats of both.
        let mut open = XorAppender::default();
        open.append(0, 1.5);
        let mut bytes = Vec::new();
        open.copy_to(&mut bytes);
        let decoded = || Decoded::read(Encoding::Xor, &bytes, (0, 1), &mut Samples::default()).unwrap();
        head.files().keep(kept, decoded());
        head.files().keep(gone, decoded());
        head.cut().unwrap();
        // This one is still written to.
        write(3);
        head.withdraw_behind(last).unwrap();
        assert_eq!(disk.list(&dir).unwrap().len(), 1);
        let next = write(4);
        assert_eq!((kept >> 32, next), (1, gone));
        // What was kept of the file that had this name before is not taken for what this one has.
        let is_kept = |place| head.files().kept(place).is_some();
        assert_eq!((is_kept(kept), is_kept(next)), (true, false));
        let read = |place| head.files().read(place).unwrap()[0];
        assert_eq!((read(kept), read(next)), (1, 4));
    }

    /// The series of the chunks that a start uses.
    fn used(disk: &MemoryDisk, dir: &Path) -> Vec<u64> {
        let head = ChunksHead::new(Arc::new(disk.clone()), dir.to_owned(), Cache::new(0));
        let mut series = Vec::new();
        let take = |found: Vec<Found>| {
            series.extend(found.iter().map(|chunk| chunk.series.0));
            Ok(())
        };
        head.scan(true, take).unwrap();
        series
    }

    #[test]
    fn what_is_behind_a_damaged_chunk_does_not_come_back_where_power_is_lost_while_it_is_given_up() {
        let (disk, dir) = (MemoryDisk::new(), PathBuf::from("/chunks_head"));
        let head = ChunksHead::new(Arc::new(disk.clone()), dir.clone(), Cache::new(0));
        for series in 1..6 {
            let sent = Outgoing {
                series: SeriesRef(series),
                chunk: Closed::in_memory(0, 1, Encoding::Xor, vec![0; 9].into()),
                out_of_order: false,
            };
            head.write(&[sent]).unwrap();
            // The first file has two of them.
            if series > 1 {
                head.cut().unwrap();
            }
        }
        let mut first = disk.append(&head.path(1)).unwrap();
        first.set_len(head.files().all[&1].len - 3).unwrap();
        let mut crashes = 0;
        for (changes, seed) in (0..12).flat_map(|changes| (0..8).map(move |seed| (changes, seed))) {
            let disk = disk.duplicate();
            disk.crash_after(changes, Arc::new(SeededEntropy::new(seed)));
            assert_eq!(used(&disk, &dir), [1]);
            let Some(left) = disk.crashed() else { continue };
            assert_eq!(used(&left, &dir), [1], "after {changes} changes, seed {seed}");
            crashes += 1;
        }
        assert!(crashes > 8, "{crashes}");
    }
}
