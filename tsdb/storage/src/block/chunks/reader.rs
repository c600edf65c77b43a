//! Reads chunks.

use super::super::pages::{Stored, Window};
use super::{DIR, HEADER, MAGIC, MAX_LEN_FIELD, VERSION};
use crate::cache::{Cache, Cached, Chunk, Key, Kind};
use crate::chunk::{Decoded, Encoding};
use crate::codec::{Cursor, Malformed};
use crate::disk::Disk;
use crate::error::StorageError;
use bytes::Bytes;
use leadline_model::sample::{Samples, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The segments of a block.
#[derive(Debug)]
pub(in crate::block) struct Reader {
    dir: PathBuf,
    segments: Vec<Stored>,
    cache: Arc<Cache>,
    block: u64,
}

impl Reader {
    /// Opens the segments in a block's folder; `block` is the block's number in the cache.
    pub(in crate::block) fn open(
        disk: &dyn Disk,
        dir: &Path,
        cache: Arc<Cache>,
        block: u64,
    ) -> Result<Self, StorageError> {
        let dir = dir.join(DIR);
        let entries = disk.list(&dir).map_err(|e| StorageError::io("list", &dir, e))?;
        // As in Prometheus, what is no number is none of the segments.
        let number = |name: &str| name.parse::<u32>().ok().filter(|n| format!("{n:06}") == name);
        let mut numbers: Vec<u32> = entries.iter().filter_map(|e| number(&e.name)).collect();
        numbers.sort_unstable();
        let mut segments = Vec::with_capacity(numbers.len());
        for (number, expected) in numbers.into_iter().zip(1..) {
            let path = dir.join(format!("{number:06}"));
            // A missing one would shift all references behind it.
            if number != expected {
                return Err(StorageError::damaged(
                    &dir,
                    0,
                    format!("segment {expected:06}"),
                    format!("{number:06}"),
                ));
            }
            let stored = Stored::open(disk, path)?;
            check_header(&stored)?;
            segments.push(stored);
        }
        Ok(Self {
            dir,
            segments,
            cache,
            block,
        })
    }

    /// Length of all segments, bytes.
    pub(in crate::block) fn len(&self) -> u64 {
        self.segments.iter().map(Stored::len).sum()
    }

    /// Lengths of the segments, bytes.
    pub(in crate::block) fn segments(&self) -> impl ExactSizeIterator<Item = u64> {
        self.segments.iter().map(Stored::len)
    }

    /// Where a chunk is, for messages.
    pub(in crate::block) fn place(&self, reference: u64) -> (&Path, u64) {
        let segment = self.segments.get(segment_of(reference));
        (segment.map_or(&*self.dir, Stored::path), offset_of(reference))
    }

    /// Reads chunks.
    pub(in crate::block) fn chunks(&self) -> ChunkReader<'_> {
        ChunkReader {
            reader: self,
            window: None,
        }
    }

    /// Whether so many chunks, which are all read for one query, are worth keeping.
    pub(in crate::block) fn is_worth_keeping(&self, chunks: usize) -> bool {
        self.cache.is_worth_keeping(chunks)
    }
}

fn segment_of(reference: u64) -> usize {
    (reference >> 32) as usize
}

fn offset_of(reference: u64) -> u64 {
    reference & u64::from(u32::MAX)
}

/// What the cache keeps of floats without start times, if it can.
fn decoded(encoding: Encoding, data: &[u8]) -> Option<Decoded> {
    (encoding == Encoding::Xor)
        .then(|| {
            Decoded::read(
                encoding,
                data,
                (Timestamp::MIN, Timestamp::MAX),
                &mut Samples::default(),
            )
        })
        .flatten()
}

fn check_header(stored: &Stored) -> Result<(), StorageError> {
    let mut window = stored.window();
    let mut header = Cursor::new(window.get(0, HEADER as usize)?);
    let wrap = |e: Malformed| e.in_file(stored.path(), 0);
    let magic = header.be_u32().map_err(wrap)?;
    if magic != MAGIC {
        return Err(stored.damaged(0, format!("magic number {MAGIC:08x}"), format!("{magic:08x}")));
    }
    match header.u8().map_err(wrap)? {
        VERSION => Ok(()),
        other => Err(StorageError::Unknown {
            path: stored.path().to_owned(),
            offset: size_of_val(&MAGIC) as u64,
            what: "chunks version",
            found: other.to_string(),
            known: "1",
        }),
    }
}

/// Reads chunks one after the other, best in ascending order.
#[derive(Debug)]
pub(in crate::block) struct ChunkReader<'a> {
    reader: &'a Reader,
    /// Of the segment that was read last.
    window: Option<(usize, Window<'a>)>,
}

impl<'a> ChunkReader<'a> {
    /// The chunk with this reference, from the cache if it is there, and into it if it is to be kept.
    pub(in crate::block) fn cached(&mut self, reference: u64, keep: bool) -> Result<Chunk, StorageError> {
        let key = Key {
            of: self.reader.block,
            kind: Kind::Chunk,
            at: reference,
        };
        if let Some(Cached::Chunk(chunk)) = self.reader.cache.get(&key) {
            return Ok(chunk);
        }
        let (encoding, data) = self.get(reference)?;
        if !keep {
            return Ok(Chunk::Encoded(encoding, data));
        }
        let chunk = match decoded(encoding, &data) {
            Some(decoded) => Chunk::Decoded(decoded),
            None => Chunk::Encoded(encoding, data),
        };
        self.reader.cache.put(key, Cached::Chunk(chunk.clone()));
        Ok(chunk)
    }

    /// Checks that the chunk with this reference ends within its segment; what it holds is not read.
    ///
    /// # Errors
    /// [`StorageError::Damaged`]: it does not; [`StorageError::Io`].
    pub(in crate::block) fn check_end(&mut self, reference: u64) -> Result<(), StorageError> {
        self.find(reference).map(|_| ())
    }

    /// A chunk's segment and what is read of it, where its encoding begins there, and the bytes from there to its end.
    fn find(&mut self, reference: u64) -> Result<(&'a Stored, &mut Window<'a>, u64, usize), StorageError> {
        let (segment, offset) = (segment_of(reference), offset_of(reference));
        let Some(stored) = self.reader.segments.get(segment) else {
            let there = format!("{} segments", self.reader.segments.len());
            return Err(StorageError::damaged(
                &self.reader.dir,
                0,
                format!("segment {:06}", segment + 1),
                there,
            ));
        };
        let window = match self.window.take() {
            Some((of, window)) if of == segment => window,
            _ => stored.window(),
        };
        let (_, window) = self.window.insert((segment, window));
        let mut cursor = Cursor::new(window.up_to(offset, MAX_LEN_FIELD as usize)?);
        let len = cursor.uvarint().map_err(|e| e.in_file(stored.path(), offset))?;
        let start = offset + cursor.position() as u64;
        // Encoding, data, checksum.
        let whole = usize::try_from(len)
            .ok()
            .and_then(|len| len.checked_add(5))
            .unwrap_or(usize::MAX);
        let rest = stored.len().saturating_sub(start);
        if whole as u64 > rest {
            return Err(stored.damaged(
                offset,
                format!("a chunk of {len} bytes"),
                format!("{rest} bytes before the end"),
            ));
        }
        Ok((stored, window, start, whole))
    }

    /// The chunk with this reference as it is stored, past the cache.
    pub(in crate::block) fn get(&mut self, reference: u64) -> Result<(Encoding, Bytes), StorageError> {
        let offset = offset_of(reference);
        let (stored, window, start, whole) = self.find(reference)?;
        let bytes = window.get(start, whole)?;
        let Some((content, sum)) = bytes.split_last_chunk::<4>() else {
            return Err(stored.damaged(start, "a checksum", "the end"));
        };
        let (expected, got) = (u32::from_be_bytes(*sum), crc32c::crc32c(content));
        if expected != got {
            return Err(stored.damaged(
                offset,
                format!("a chunk with checksum {expected:08x}"),
                format!("{got:08x}"),
            ));
        }
        let (number, data) = content.split_first().unwrap_or((&0, &[]));
        let encoding = Encoding::from_number(*number).ok_or_else(|| StorageError::Unknown {
            path: stored.path().to_owned(),
            offset: start,
            what: "chunk encoding",
            found: number.to_string(),
            known: "1 to 6",
        })?;
        Ok((encoding, Bytes::copy_from_slice(data)))
    }
}
