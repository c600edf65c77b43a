//! The pieces of a segment: pages, and the fragments of records in them.

use super::PAGE_BYTES;
use super::segment::segment_path;
use crate::disk::{Disk, ReadAt};
use crate::error::StorageError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Length of a fragment's header, bytes: its kind, the length of its data and their CRC-32C.
pub(super) const HEADER_BYTES: usize = 7;
/// The most bytes read at once; a short segment takes no more than it has pages.
const WINDOW_BYTES: usize = 8 * PAGE_BYTES as usize;

/// How a record is compressed; the flags of every fragment of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Snappy,
    Zstd,
}

/// Which part of its record a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Full,
    First,
    Middle,
    Last,
}

impl Part {
    /// The part that is the first of its record or not, and the last or not.
    pub(super) fn of(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Self::Full,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }
}

/// A fragment's first byte.
pub(super) fn kind_byte(part: Part, compression: Compression) -> u8 {
    let part = match part {
        Part::Full => 1,
        Part::First => 2,
        Part::Middle => 3,
        Part::Last => 4,
    };
    part | match compression {
        Compression::None => 0,
        Compression::Snappy => 1 << 3,
        Compression::Zstd => 1 << 4,
    }
}

fn kind_of(byte: u8) -> Option<(Part, Compression)> {
    let part = match byte & 7 {
        1 => Part::Full,
        2 => Part::First,
        3 => Part::Middle,
        4 => Part::Last,
        _ => return None,
    };
    let compression = match byte >> 3 {
        0 => Compression::None,
        1 => Compression::Snappy,
        2 => Compression::Zstd,
        _ => return None,
    };
    Some((part, compression))
}

/// A fragment whose checksum is right.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) part: Part,
    pub(super) compression: Compression,
    /// Where it begins in its segment, bytes.
    pub(super) offset: u64,
    /// Where its data are in the window.
    data: std::ops::Range<usize>,
}

/// Why the next fragment cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file ends, or is zero from there on, before the fragment does: a write that did not get through.
    Cut(Wrong),
    /// Anything else that is not what was written.
    Damage(Wrong),
    /// The operating system refused.
    Io(StorageError),
}

/// What is wrong at an offset of a segment.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) offset: u64,
    pub(super) expected: &'static str,
    pub(super) got: String,
}

fn damage(offset: u64, expected: &'static str, got: impl Into<String>) -> Fault {
    Fault::Damage(Wrong {
        offset,
        expected,
        got: got.into(),
    })
}

/// Reads the fragments of one segment; holds a few pages of it.
#[derive(Debug)]
pub(super) struct SegmentPages {
    pub(super) path: PathBuf,
    file: Arc<dyn ReadAt>,
    window: Vec<u8>,
    /// Where the window begins in the file, bytes; a page's beginning.
    window_at: u64,
    /// The next byte in the window.
    at: usize,
    /// Where the last fragment ended, bytes.
    end: u64,
    /// Pages at the end that are all zero.
    zero_pages: u64,
}

impl SegmentPages {
    /// Opens a segment; the memory of one that was read before is used again.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, number: u32, old: Option<Self>) -> Result<Self, StorageError> {
        let path = segment_path(dir, number);
        let file = disk.open(&path).map_err(|e| StorageError::io("open", &path, e))?;
        let mut window = old.map(|old| old.window).unwrap_or_default();
        window.clear();
        Ok(Self {
            path,
            file,
            window,
            window_at: 0,
            at: 0,
            end: 0,
            zero_pages: 0,
        })
    }

    /// Where the next byte is in the segment.
    fn offset(&self) -> u64 {
        self.window_at + self.at as u64
    }

    /// Where the last fragment ended in the segment, bytes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether the segment, which is read to its end, ends in zeros that nobody writes: to the page's end go ours, a page
    /// more goes Prometheus' repair.
    pub(super) fn is_hollow(&self) -> bool {
        self.zero_pages > 1
    }

    /// The data of a fragment that was read last.
    pub(super) fn data(&self, fragment: &Fragment) -> &[u8] {
        self.window.get(fragment.data.clone()).unwrap_or_default()
    }

    /// The next fragment; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Fragment>, Fault> {
        loop {
            if self.at == self.window.len() && !self.refill().map_err(Fault::Io)? {
                return Ok(None);
            }
            let page_left = (PAGE_BYTES - self.offset() % PAGE_BYTES) as usize;
            let rest = self.window.get(self.at..).unwrap_or_default();
            let page = rest.get(..page_left.min(rest.len())).unwrap_or_default();
            if page.first() != Some(&0) {
                self.check_gap()?;
                return self.fragment(page_left).map(Some);
            }
            if let Some((n, b)) = page.iter().enumerate().find(|(_, b)| **b != 0) {
                let offset = self.offset() + n as u64;
                return Err(damage(offset, "zeros to the end of the page", format!("byte {b}")));
            }
            self.zero_pages += u64::from(page.len() as u64 == PAGE_BYTES);
            self.at += page.len();
        }
    }

    /// Nobody writes behind a page of zeros: it is one that was lost. Behind zeros to a page's end, Prometheus goes on
    /// when the next segment could not be created.
    fn check_gap(&self) -> Result<(), Fault> {
        if self.zero_pages == 0 {
            return Ok(());
        }
        let gap = self.offset() - self.end;
        Err(damage(
            self.end,
            "a fragment",
            format!("{gap} zeros before the next one"),
        ))
    }

    fn fragment(&mut self, page_left: usize) -> Result<Fragment, Fault> {
        let offset = self.offset();
        let rest = self.window.get(self.at..).unwrap_or_default();
        let Some((part, compression)) = rest.first().copied().and_then(kind_of) else {
            let got = rest.first().copied().unwrap_or_default();
            return Err(damage(offset, "the kind of a fragment", got.to_string()));
        };
        if page_left < HEADER_BYTES {
            return Err(damage(
                offset,
                "zeros to the end of the page",
                "a fragment that has no room",
            ));
        }
        let Some(&[_, l0, l1, c0, c1, c2, c3]) = rest.first_chunk::<HEADER_BYTES>() else {
            return Err(self.cut(offset, "a fragment's header", rest.len()));
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let crc = u32::from_be_bytes([c0, c1, c2, c3]);
        if len > page_left - HEADER_BYTES {
            return Err(damage(
                offset + 1,
                "a length within the page",
                format!("{len} with {} left", page_left - HEADER_BYTES),
            ));
        }
        let Some(data) = rest.get(HEADER_BYTES..HEADER_BYTES + len) else {
            return Err(self.cut(offset, "a whole fragment", rest.len()));
        };
        let found = crc32c::crc32c(data);
        if found != crc {
            return Err(self.wrong_sum(offset, len, crc, found));
        }
        let start = self.at + HEADER_BYTES;
        self.at = start + len;
        self.end = self.offset();
        Ok(Fragment {
            part,
            compression,
            offset,
            data: start..start + len,
        })
    }

    fn cut(&self, offset: u64, expected: &'static str, left: usize) -> Fault {
        Fault::Cut(Wrong {
            offset,
            expected,
            got: format!("{left} bytes before the end of the file"),
        })
    }

    /// A wrong checksum: of data that did not reach the disk when all is zero from their last byte on, else of damage.
    fn wrong_sum(&self, offset: u64, len: usize, crc: u32, found: u32) -> Fault {
        let wrong = Wrong {
            offset,
            expected: "the data of their checksum",
            got: format!("checksum {found:08x} and not {crc:08x} over {len} bytes"),
        };
        let last = offset + (HEADER_BYTES + len.saturating_sub(1)) as u64;
        match self.is_zero_from(last) {
            Ok(true) => Fault::Cut(wrong),
            Ok(false) => Fault::Damage(wrong),
            Err(e) => Fault::Io(e),
        }
    }

    fn is_zero_from(&self, mut offset: u64) -> Result<bool, StorageError> {
        let mut bytes = [0; 4096];
        loop {
            let n = self
                .file
                .read_at(&mut bytes, offset)
                .map_err(|e| StorageError::io("read", &self.path, e))?;
            if bytes.iter().take(n).any(|&b| b != 0) {
                return Ok(false);
            }
            if n < bytes.len() {
                return Ok(true);
            }
            offset += n as u64;
        }
    }

    /// Reads the pages behind the window; whether there is a byte.
    fn refill(&mut self) -> Result<bool, StorageError> {
        let offset = self.offset();
        // A short page is the file's end, unless it grew since.
        let begun = (offset % PAGE_BYTES) as usize;
        self.window_at = offset - begun as u64;
        let len = (self.window.len() * 2).next_multiple_of(PAGE_BYTES as usize);
        self.window.resize(len.clamp(PAGE_BYTES as usize, WINDOW_BYTES), 0);
        let n = self
            .file
            .read_at(&mut self.window, self.window_at)
            .map_err(|e| StorageError::io("read", &self.path, e))?;
        self.window.truncate(n.max(begun));
        self.at = begun;
        Ok(n > begun)
    }
}
