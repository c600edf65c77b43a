//! What the files of mapped chunks hold, at the start.

use super::{ChunksHead, Files, Mapped, format};
use crate::chunk::Encoding;
use crate::disk::{ReadAt, remove_copies};
use crate::error::StorageError;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use std::path::Path;
use std::sync::Arc;

/// What is read from a file at once, bytes.
const BLOCK: usize = 1024 * 1024;

/// A chunk that was found.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Found {
    pub(in super::super) series: SeriesRef,
    pub(in super::super) mint: Timestamp,
    pub(in super::super) maxt: Timestamp,
    pub(in super::super) encoding: Encoding,
    pub(in super::super) out_of_order: bool,
    pub(in super::super) samples: u16,
    /// File and offset, as [`Files::read`] takes it.
    pub(in super::super) place: u64,
}

/// What became of a scan.
#[derive(Debug, Default)]
pub(in super::super) struct Scanned {
    /// What was damaged and is not used, in words.
    pub(in super::super) lost: Vec<String>,
}

/// Reads a file from its beginning, block by block.
struct Cursor<'a> {
    reader: &'a dyn ReadAt,
    path: &'a Path,
    /// Length of the file, bytes.
    len: u64,
    block: Vec<u8>,
    /// Offset of the block in the file.
    at: u64,
    /// Position within the block.
    pos: usize,
}

impl<'a> Cursor<'a> {
    fn new(reader: &'a dyn ReadAt, path: &'a Path) -> Result<Self, StorageError> {
        Ok(Self {
            len: reader.len().map_err(|e| StorageError::io("look at", path, e))?,
            reader,
            path,
            block: Vec::new(),
            at: 0,
            pos: 0,
        })
    }

    fn offset(&self) -> u64 {
        self.at + self.pos as u64
    }

    /// What follows, at least `want` bytes of it where the file has them.
    fn peek(&mut self, want: usize) -> Result<&[u8], StorageError> {
        if self.block.len() - self.pos < want {
            self.block.drain(..self.pos);
            self.at += self.pos as u64;
            self.pos = 0;
            let have = self.block.len();
            let rest = usize::try_from(self.len - self.at.min(self.len)).unwrap_or(usize::MAX);
            self.block.resize(want.max(BLOCK).min(rest).max(have), 0);
            let into = self.block.get_mut(have..).unwrap_or_default();
            let n = self
                .reader
                .read_at(into, self.at + have as u64)
                .map_err(|e| StorageError::io("read", self.path, e))?;
            self.block.truncate(have + n);
        }
        Ok(self.block.get(self.pos..).unwrap_or_default())
    }

    fn skip(&mut self, n: usize) {
        self.pos += n;
    }
}

/// Lengths of files that Prometheus took room for in advance, bytes: it never gives back what is left
/// (`head_chunks_other.go` and `head_chunks_windows.go`, `HeadChunkFilePreallocationSize`).
const TAKEN: [u64; 2] = [128 * 1024, 128 * 1024 * 1024];

/// What is wrong with zeros behind the last chunk, if anything is. Prometheus takes room in advance, all of it zeros. In a
/// file of another length the room grew and what was written to it did not arrive: a torn end. Where the process went on to
/// a `later` file, Prometheus has passed such an end over, and what was torn off is mapped there; fewer zeros than a chunk's
/// overhead are damage there too.
fn read_zeros(cursor: &mut Cursor<'_>, later: bool) -> Result<Option<format::Wrong>, StorageError> {
    let left = usize::try_from(cursor.len - cursor.offset().min(cursor.len)).unwrap_or(usize::MAX);
    let whole = left == 0 || TAKEN.contains(&cursor.len) || later && left >= format::OVERHEAD;
    let mut at = 0;
    loop {
        // What is peeked at is not skipped, so that the end of the chunks is known.
        let bytes = cursor.peek(left.min(at + BLOCK))?;
        if let Some(n) = bytes.iter().skip(at).position(|&b| b != 0) {
            return Ok(Some(format::Wrong::Other {
                at: at + n,
                expected: "zeros to the end",
                got: format!("{:#04x}", bytes.get(at + n).copied().unwrap_or_default()),
            }));
        }
        if bytes.len() >= left || bytes.len() <= at {
            return Ok((!whole).then(|| format::Wrong::Other {
                at: 0,
                expected: "a chunk, or the end of the file",
                got: format!("{left} zeros"),
            }));
        }
        at = bytes.len();
    }
}

/// The chunks of one file up to its end or its first damage, and how long it is until there; whether there is a `later` file.
fn read_file(
    seq: u32,
    cursor: &mut Cursor<'_>,
    later: bool,
    found: &mut Vec<Found>,
) -> Result<Option<format::Wrong>, StorageError> {
    if let Err(wrong) = format::check_header(cursor.peek(format::HEADER_LEN)?) {
        return Ok(Some(wrong));
    }
    cursor.skip(format::HEADER_LEN);
    loop {
        let offset = cursor.offset();
        let want = format::record_len(cursor.peek(format::OVERHEAD)?).unwrap_or(format::OVERHEAD);
        let bytes = cursor.peek(want)?;
        if bytes.iter().take(format::OVERHEAD).all(|&b| b == 0) {
            return read_zeros(cursor, later);
        }
        let chunk = match format::parse(bytes) {
            Ok(chunk) => chunk,
            Err(wrong) => return Ok(Some(wrong)),
        };
        let data = bytes.get(chunk.data.clone()).unwrap_or_default();
        let next = chunk.data.end + 4;
        found.push(Found {
            series: chunk.series,
            mint: chunk.mint,
            maxt: chunk.maxt,
            encoding: chunk.encoding,
            out_of_order: chunk.out_of_order,
            samples: crate::chunk::sample_count(chunk.encoding, data),
            place: u64::from(seq) << 32 | offset,
        });
        cursor.skip(next);
    }
}

impl ChunksHead {
    /// Reads what is there, file by file: `take` gets the chunks of each in the order in which they were written. From
    /// the first damage on nothing is used, because what is behind a gap would hide what the log still has of it; with
    /// `repair` it is removed from the disk too.
    ///
    /// # Errors
    /// [`StorageError`]: a file cannot be read or repaired, or `take` fails. [`StorageError::Unknown`]: a newer version has
    /// written one, or a chunk of one; it is left as it is.
    pub(in super::super) fn scan(
        &self,
        repair: bool,
        mut take: impl FnMut(Vec<Found>) -> Result<(), StorageError>,
    ) -> Result<Scanned, StorageError> {
        let mut scanned = Scanned::default();
        let names = self.numbers()?;
        self.refuse_newer(&names)?;
        if repair && !names.is_empty() {
            remove_copies(&*self.disk, &self.dir).map_err(|e| StorageError::io("tidy", &self.dir, e))?;
        }
        let mut files = Files {
            damage: Arc::clone(&self.files().damage),
            cache: Some(Arc::clone(&self.cache)),
            ..Files::default()
        };
        let mut previous = None;
        for (i, &seq) in names.iter().enumerate() {
            if let Some(missing) = previous.map(|p: u32| p + 1).filter(|&next| next != seq) {
                let got = format!("none, the next is {seq:06}");
                let lost = StorageError::damaged(&self.path(missing), 0, "this file of mapped chunks", got);
                scanned.lost.push(lost.to_string());
                self.discard(&names[i..], repair)?;
                break;
            }
            previous = Some(seq);
            let path = self.path(seq);
            let reader = self.disk.open(&path).map_err(|e| StorageError::io("open", &path, e))?;
            let mut found = Vec::new();
            let mut cursor = Cursor::new(&*reader, &path)?;
            let wrong = read_file(seq, &mut cursor, i + 1 < names.len(), &mut found)?;
            let len = cursor.offset();
            let begun = len >= format::HEADER_LEN as u64;
            if begun {
                let maxt = found.iter().map(|c| c.maxt).max().unwrap_or(Timestamp::MIN);
                let reader = Arc::clone(&reader);
                files.all.insert(
                    seq,
                    Mapped {
                        path: path.clone(),
                        reader,
                        maxt,
                        len,
                        number: self.cache.number(),
                    },
                );
                take(found)?;
            }
            let Some(wrong) = wrong else { continue };
            if let format::Wrong::Newer { .. } = wrong {
                return Err(wrong.at(&path, len));
            }
            scanned.lost.push(wrong.at(&path, len).to_string());
            // First what is behind it: cut off, the file ends well, and what a crash brings back would be used.
            self.discard(names.get(i + 1..).unwrap_or_default(), repair)?;
            self.cut_off(&path, seq, begun.then_some(len), repair)?;
            break;
        }
        *self.files.write() = Arc::new(files);
        Ok(scanned)
    }

    /// Looks at all files before one is removed because of another.
    fn refuse_newer(&self, numbers: &[u32]) -> Result<(), StorageError> {
        for path in numbers.iter().map(|&seq| self.path(seq)) {
            let reader = self.disk.open(&path).map_err(|e| StorageError::io("open", &path, e))?;
            let mut cursor = Cursor::new(&*reader, &path)?;
            let chunk = cursor.peek(format::HEADER_LEN + format::OVERHEAD)?;
            let chunk = chunk.get(format::HEADER_LEN..).and_then(format::record_len);
            let whole = format::HEADER_LEN + chunk.unwrap_or(format::OVERHEAD);
            let checked = format::check_version(cursor.peek(whole)?);
            checked.map_err(|wrong| wrong.at(&path, 0))?;
        }
        Ok(())
    }

    /// The numbers of the files that are there, ascending.
    fn numbers(&self) -> Result<Vec<u32>, StorageError> {
        if !self
            .disk
            .exists(&self.dir)
            .map_err(|e| StorageError::io("look for", &self.dir, e))?
        {
            return Ok(Vec::new());
        }
        let entries = self
            .disk
            .list(&self.dir)
            .map_err(|e| StorageError::io("list", &self.dir, e))?;
        let number = |name: &str| name.bytes().all(|b| b.is_ascii_digit()).then(|| name.parse().ok())?;
        let mut numbers: Vec<u32> = entries
            .iter()
            .filter(|e| !e.is_dir)
            .filter_map(|e| number(&e.name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Cuts a damaged file off where it is still good; removes it where nothing is.
    fn cut_off(&self, path: &Path, seq: u32, good: Option<u64>, repair: bool) -> Result<(), StorageError> {
        match good {
            _ if !repair => Ok(()),
            None => self.discard(&[seq], repair),
            Some(len) => {
                let failed = |e| StorageError::io("cut off", path, e);
                let mut file = self.disk.append(path).map_err(failed)?;
                file.set_len(len).map_err(failed)?;
                file.sync().map_err(failed)
            }
        }
    }

    /// Removes files, durably: whatever gets a number before theirs next must not have them behind it after a crash.
    fn discard(&self, numbers: &[u32], repair: bool) -> Result<(), StorageError> {
        if numbers.is_empty() || !repair {
            return Ok(());
        }
        for path in numbers.iter().map(|&seq| self.path(seq)) {
            self.disk
                .remove_file(&path)
                .map_err(|e| StorageError::io("remove", &path, e))?;
        }
        self.disk
            .sync_dir(&self.dir)
            .map_err(|e| StorageError::io("sync", &self.dir, e))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::series::{Closed, Outgoing};
    use super::*;
    use crate::disk::{Disk, MemoryDisk};
    use std::path::PathBuf;

    const DIR: &str = "/chunks_head";

    fn write(disk: &MemoryDisk, series: u64) {
        let head = opened(disk).0;
        let sent = Outgoing {
            series: SeriesRef(series),
            chunk: Closed::in_memory(0, 1, Encoding::Xor, vec![0; 9].into()),
            out_of_order: false,
        };
        head.write(&[sent]).unwrap();
        head.cut().unwrap();
    }

    /// The folder, the series of the chunks that are used, and what is told; what is damaged is repaired.
    fn opened(disk: &MemoryDisk) -> (ChunksHead, Vec<u64>, Vec<String>) {
        let head = ChunksHead::new(Arc::new(disk.clone()), PathBuf::from(DIR), crate::cache::Cache::new(0));
        let mut series = Vec::new();
        let scanned = head.scan(true, |found| {
            series.extend(found.iter().map(|chunk| chunk.series.0));
            Ok(())
        });
        (head, series, scanned.unwrap().lost)
    }

    fn path(seq: u32) -> PathBuf {
        Path::new(DIR).join(format!("{seq:06}"))
    }

    fn set_len(disk: &MemoryDisk, seq: u32, len: u64) {
        disk.append(&path(seq)).unwrap().set_len(len).unwrap();
    }

    #[test]
    fn zeros_at_the_end_of_the_last_file_are_told_and_cut_off_so_that_nothing_is_given_up_because_of_them_later() {
        for zeros in [1, 7, 33, 34, 500, 3 * BLOCK as u64] {
            let disk = MemoryDisk::new();
            write(&disk, 1);
            write(&disk, 2);
            let len = disk.open(&path(2)).unwrap().len().unwrap();
            set_len(&disk, 2, len + zeros);
            let (_, series, told) = opened(&disk);
            let text = format!(
                "/chunks_head/000002: damaged at offset {len}: expected a chunk, or the end of the file, got {zeros} zeros"
            );
            assert_eq!((series, told), (vec![1, 2], vec![text]));
            write(&disk, 3);
            let (_, series, told) = opened(&disk);
            assert_eq!((series, told), (vec![1, 2, 3], Vec::new()), "{zeros} zeros");
        }
    }

    #[test]
    fn room_that_prometheus_took_in_advance_is_no_damage_however_little_of_it_is_left() {
        for left in [1u64, 33, 34, 100_000] {
            let disk = MemoryDisk::new();
            let head = opened(&disk).0;
            // One chunk that leaves so much.
            let data = TAKEN[0] as usize - left as usize - format::HEADER_LEN - format::OVERHEAD + 2;
            let sent = Outgoing {
                series: SeriesRef(1),
                chunk: Closed::in_memory(0, 1, Encoding::Xor, vec![0; data].into()),
                out_of_order: false,
            };
            head.write(&[sent]).unwrap();
            head.cut().unwrap();
            assert_eq!(disk.open(&path(1)).unwrap().len().unwrap(), TAKEN[0] - left);
            set_len(&disk, 1, TAKEN[0]);
            assert_eq!(opened(&disk).2, [] as [&str; 0], "{left} at the end of the last file");
            write(&disk, 2);
            let (_, series, told) = opened(&disk);
            assert_eq!(
                (series, told),
                (vec![1, 2], Vec::new()),
                "{left} at the end of an earlier file"
            );
        }
    }

    #[test]
    fn few_zeros_before_a_later_file_are_damage_and_many_are_an_end_that_prometheus_passed_over() {
        for (zeros, used) in [(1, vec![1]), (33, vec![1]), (34, vec![1, 2]), (500, vec![1, 2])] {
            let disk = MemoryDisk::new();
            write(&disk, 1);
            write(&disk, 2);
            set_len(&disk, 1, disk.open(&path(1)).unwrap().len().unwrap() + zeros);
            let (_, series, told) = opened(&disk);
            assert_eq!(series, used, "{zeros} zeros: {told:?}");
        }
    }
}
