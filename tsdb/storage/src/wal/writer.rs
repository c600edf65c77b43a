//! Writes a log.

use super::fragment::{Compression, HEADER_BYTES, Part, kind_byte};
use super::segment::{segment_path, segments};
use super::{MAX_RECORD_BYTES, PAGE_BYTES, checkpoint};
use crate::codec::{put_u16, put_u32};
use crate::disk::{self, Disk, File};
use crate::error::StorageError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes after which [`Wal::log`] makes what was written durable of itself, because it keeps them until then; fewer
/// where the store is tested.
const UNSYNCED_BYTES: usize = if cfg!(feature = "planted") {
    16 * 1024
} else {
    8 * 1024 * 1024
};

/// A log that is being written, one segment at a time.
///
/// # Errors of the disk
/// A write that fails leaves nothing: what got through of it is cut off before the next one. A [`Self::sync`] that fails
/// may have lost what was written since the last one that did not, whatever the file seems to hold; it is kept in memory
/// until it is durable and written once more, and when that fails too, into a new file in the place of the segment's. So
/// either can be called again until it succeeds.
#[derive(Debug)]
pub struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    number: u32,
    path: PathBuf,
    file: Box<dyn File>,
    /// End of the whole records in the file, bytes.
    end: u64,
    /// How much of it is durable, bytes.
    synced: u64,
    /// What the file holds from `synced` to `end`.
    unsynced: Vec<u8>,
    /// The file may be longer than `end`.
    torn: bool,
    /// The file may not hold `unsynced`.
    doubtful: bool,
    /// The file is a new one in the place of another, and its name may not be durable.
    renamed: bool,
    /// Fragments to be written.
    buffer: Vec<u8>,
    compressed: Vec<u8>,
    snappy: snap::raw::Encoder,
    written: u64,
}

impl Wal {
    /// Begins a new segment behind the last one in `dir`, which is created if need be; a last one that is empty is used.
    /// `segment_bytes` is rounded up to whole pages. What was torn or damaged must have been repaired before.
    ///
    /// # Errors
    /// [`StorageError::Io`]; [`StorageError::Refused`] when segments have run out of numbers.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> Result<Self, StorageError> {
        create_dir(&*disk, dir)?;
        disk::remove_copies(&*disk, dir).map_err(|e| StorageError::io("tidy", dir, e))?;
        let number = free_number(&*disk, dir)?;
        let file = create(&*disk, dir, number)?;
        Ok(Self {
            path: segment_path(dir, number),
            disk,
            dir: dir.to_owned(),
            segment_bytes: segment_bytes.max(1).div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES),
            number,
            file,
            end: 0,
            synced: 0,
            unsynced: Vec::new(),
            torn: false,
            doubtful: false,
            renamed: false,
            buffer: Vec::new(),
            compressed: Vec::new(),
            snappy: snap::raw::Encoder::new(),
            written: 0,
        })
    }

    /// Writes records, compressed where that makes them shorter, with one write of the disk unless the segment becomes
    /// full. Empty ones are left out.
    ///
    /// # Errors
    /// [`StorageError::Io`]; only records that went into a full segment can be in the log then, so all may be given
    /// again. [`StorageError::Refused`] for one longer than [`MAX_RECORD_BYTES`].
    pub fn log(&mut self, records: &[&[u8]]) -> Result<(), StorageError> {
        if let Some(long) = records.iter().find(|r| r.len() > MAX_RECORD_BYTES) {
            let text = format!("a record of {} bytes is longer than {MAX_RECORD_BYTES}", long.len());
            return Err(StorageError::Refused(text));
        }
        if self.unsynced.len() >= UNSYNCED_BYTES {
            self.sync()?;
        }
        self.heal()?;
        self.buffer.clear();
        for record in records.iter().filter(|r| !r.is_empty()) {
            self.add(record)?;
        }
        self.write_buffer()
    }

    /// Makes the segment durable and begins the next one, unless it is empty.
    ///
    /// # Errors
    /// [`StorageError::Io`]; the segment goes on being written then.
    pub fn cut(&mut self) -> Result<(), StorageError> {
        self.sync()?;
        if self.end == 0 {
            return Ok(());
        }
        let next = following(self.number)?;
        let mut last = std::mem::replace(&mut self.file, create(&*self.disk, &self.dir, next)?);
        // For those who look at lengths; a reader takes what is missing for the same zeros.
        let _ = last.set_len(page_end(self.end));
        self.number = next;
        self.path = segment_path(&self.dir, next);
        (self.end, self.synced) = (0, 0);
        Ok(())
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StorageError::Io`]; nothing since the last success is to be taken for durable then.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        self.heal()?;
        if self.unsynced.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::LogNotSynced) {
            self.unsynced.clear();
            return Ok(());
        }
        if let Err(error) = self.sync_file() {
            // What fails twice in a row may do so for good.
            let again = std::mem::replace(&mut self.doubtful, true);
            if !again || self.write_afresh().is_err() {
                return Err(error);
            }
        }
        if self.renamed {
            let synced = self.disk.sync_dir(&self.dir);
            synced.map_err(|e| StorageError::io("sync", &self.dir, e))?;
            self.renamed = false;
        }
        self.doubtful = false;
        self.synced = self.end;
        self.unsynced.clear();
        Ok(())
    }

    /// Makes the file durable, written once more where that failed before.
    fn sync_file(&mut self) -> Result<(), StorageError> {
        if self.doubtful {
            self.rewrite()?;
        }
        self.file.sync().map_err(|e| StorageError::io("sync", &self.path, e))
    }

    /// Puts a new file in the place of one that fails.
    fn write_afresh(&mut self) -> Result<(), StorageError> {
        let new = disk::write_afresh(&*self.disk, &self.path, self.synced, &self.unsynced);
        (self.file, _) = new.map_err(|e| StorageError::io("write anew", &self.path, e))?;
        self.renamed = true;
        tracing::warn!(file = %self.path.display(), "a segment of the log could not be made durable and was written anew");
        Ok(())
    }

    /// Makes all durable and fills the last page; to be called before the log is dropped.
    ///
    /// # Errors
    /// [`StorageError::Io`]; may be called again.
    pub fn close(&mut self) -> Result<(), StorageError> {
        self.sync()?;
        // Were the log written on, the zeros would be cut off first.
        self.torn = true;
        // For those who look at lengths; a reader takes what is missing for the same zeros.
        let _ = self.file.set_len(page_end(self.end)).and_then(|()| self.file.sync());
        Ok(())
    }

    /// Number of the segment that is written.
    #[must_use]
    pub fn segment(&self) -> u32 {
        self.number
    }

    /// Length of that segment, bytes.
    #[must_use]
    pub fn segment_len(&self) -> u64 {
        self.end
    }

    /// Bytes written since the log was opened.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes written that are not durable yet.
    #[must_use]
    pub fn unsynced(&self) -> u64 {
        self.unsynced.len() as u64
    }

    /// Folder of the log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a record to the buffer, in the next segment when this one has no room.
    fn add(&mut self, record: &[u8]) -> Result<(), StorageError> {
        let mut compressed = std::mem::take(&mut self.compressed);
        let shorter = compress(&mut self.snappy, record, &mut compressed);
        let (bytes, how) = match shorter {
            Some(n) => (compressed.get(..n).unwrap_or_default(), Compression::Snappy),
            None => (record, Compression::None),
        };
        let room = if self.room() >= bytes.len() as u64 || self.at() == 0 {
            Ok(())
        } else {
            self.write_buffer().and_then(|()| self.cut())
        };
        if room.is_ok() {
            self.cut_into_fragments(bytes, how);
        }
        self.compressed = compressed;
        room
    }

    fn at(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    /// Bytes of a record that the segment still has room for.
    fn room(&self) -> u64 {
        const HEADER: u64 = HEADER_BYTES as u64;
        let at = self.at();
        let page_left = PAGE_BYTES - at % PAGE_BYTES;
        let pages_left = (self.segment_bytes / PAGE_BYTES).saturating_sub(at / PAGE_BYTES + 1);
        if at >= self.segment_bytes {
            return 0;
        }
        page_left - HEADER + pages_left * (PAGE_BYTES - HEADER)
    }

    fn cut_into_fragments(&mut self, mut bytes: &[u8], how: Compression) {
        let mut first = true;
        loop {
            let page_left = (PAGE_BYTES - self.at() % PAGE_BYTES) as usize;
            let (data, rest) = bytes.split_at(bytes.len().min(page_left - HEADER_BYTES));
            self.buffer.push(kind_byte(Part::of(first, rest.is_empty()), how));
            put_u16(&mut self.buffer, data.len() as u16);
            put_u32(&mut self.buffer, crc32c::crc32c(data));
            self.buffer.extend_from_slice(data);
            let unused = page_left - HEADER_BYTES - data.len();
            if unused < HEADER_BYTES {
                self.buffer.resize(self.buffer.len() + unused, 0);
            }
            if rest.is_empty() {
                return;
            }
            (bytes, first) = (rest, false);
        }
    }

    fn write_buffer(&mut self) -> Result<(), StorageError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let stored = self.file.write_all(&self.buffer);
        #[cfg(feature = "planted")]
        let stored = stored.or_else(crate::planted::swallow);
        if let Err(e) = stored {
            self.torn = true;
            self.buffer.clear();
            // What got through goes at once if it can, and before the next write if not.
            let _ = self.heal();
            return Err(StorageError::io("write", &self.path, e));
        }
        self.end = self.at();
        self.written += self.buffer.len() as u64;
        self.unsynced.extend_from_slice(&self.buffer);
        self.buffer.clear();
        Ok(())
    }

    /// Cuts off what a failed write left.
    fn heal(&mut self) -> Result<(), StorageError> {
        if self.torn {
            self.file
                .set_len(self.end)
                .map_err(|e| StorageError::io("cut", &self.path, e))?;
            self.torn = false;
        }
        Ok(())
    }

    /// Writes once more what a failed sync may have lost; in place, so that it needs no more room.
    fn rewrite(&mut self) -> Result<(), StorageError> {
        if self.file.len() < self.end {
            self.file
                .set_len(self.end)
                .map_err(|e| StorageError::io("extend", &self.path, e))?;
        }
        self.file
            .write_at(&self.unsynced, self.synced)
            .map_err(|e| StorageError::io("write", &self.path, e))
    }
}

/// The end of the page that `offset` (bytes) is in, or is the end of.
fn page_end(offset: u64) -> u64 {
    offset.next_multiple_of(PAGE_BYTES)
}

/// Compresses into the front of `into` and returns the length; `None` when that does not shrink it.
fn compress(snappy: &mut snap::raw::Encoder, record: &[u8], into: &mut Vec<u8>) -> Option<usize> {
    let most = snap::raw::max_compress_len(record.len());
    if into.len() < most {
        into.resize(most, 0);
    }
    let n = snappy.compress(record, into).ok()?;
    (n < record.len()).then_some(n)
}

/// The number of the segment to begin: behind all that are there, and behind what a checkpoint stands for, because a
/// replay passes over what that covers even when its segments are gone.
fn free_number(disk: &dyn Disk, dir: &Path) -> Result<u32, StorageError> {
    let behind_checkpoint = match checkpoint::latest(disk, dir)? {
        Some(checkpoint) => following(checkpoint.number)?,
        None => 0,
    };
    let behind_segments = match segments(disk, dir)?.last() {
        Some(last) if last.len == 0 => last.number,
        Some(last) => following(last.number)?,
        None => 0,
    };
    Ok(behind_segments.max(behind_checkpoint))
}

fn following(number: u32) -> Result<u32, StorageError> {
    number
        .checked_add(1)
        .ok_or_else(|| StorageError::Refused("segments have run out of numbers".to_owned()))
}

/// Makes the folder, and its name durable even where it is there: whoever made it may have failed at that.
fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    disk.create_dir_all(dir)
        .map_err(|e| StorageError::io("create", dir, e))?;
    match dir.parent() {
        Some(parent) => disk.sync_dir(parent).map_err(|e| StorageError::io("sync", parent, e)),
        None => Ok(()),
    }
}

fn create(disk: &dyn Disk, dir: &Path, number: u32) -> Result<Box<dyn File>, StorageError> {
    let path = segment_path(dir, number);
    let file = disk.create(&path).map_err(|e| StorageError::io("create", &path, e))?;
    #[cfg(feature = "planted")]
    if crate::planted::on(crate::planted::Defect::SegmentNameNotSynced) {
        return Ok(file);
    }
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))?;
    Ok(file)
}
