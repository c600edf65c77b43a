//! Files read here and there, by pages.

use crate::disk::{Disk, ReadAt};
use crate::error::StorageError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a first read takes, bytes: most series and chunks are shorter.
const FIRST: usize = 1 << 10;
/// What reading on in order takes at most, bytes.
const AHEAD: usize = 256 << 10;
/// A gap up to this size (bytes) still counts as reading on.
const NEAR: u64 = 16 << 10;

/// A file that no longer changes.
#[derive(Debug)]
pub(super) struct Stored {
    file: Arc<dyn ReadAt>,
    path: PathBuf,
    len: u64,
}

impl Stored {
    /// Opens it; its length is taken now.
    pub(super) fn open(disk: &dyn Disk, path: PathBuf) -> Result<Self, StorageError> {
        let file = disk.open(&path).map_err(|e| StorageError::io("open", &path, e))?;
        let len = file.len().map_err(|e| StorageError::io("read", &path, e))?;
        Ok(Self { file, path, len })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length, bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn window(&self) -> Window<'_> {
        Window {
            stored: self,
            start: 0,
            buffer: Vec::new(),
            ahead: FIRST,
        }
    }

    /// That `expected` is at `offset`, but `got` is.
    pub(super) fn damaged(&self, offset: u64, expected: impl Into<String>, got: impl Into<String>) -> StorageError {
        StorageError::damaged(&self.path, offset, expected, got)
    }
}

/// What was read last of a file; what comes next is read ahead.
#[derive(Debug)]
pub(super) struct Window<'a> {
    stored: &'a Stored,
    start: u64,
    buffer: Vec<u8>,
    ahead: usize,
}

impl Window<'_> {
    /// The `len` bytes from `offset` on. `len` may come from the disk: nothing is allocated beyond the file's end.
    ///
    /// # Errors
    /// [`StorageError::Damaged`] when the file ends before; [`StorageError::Io`].
    pub(super) fn get(&mut self, offset: u64, len: usize) -> Result<&[u8], StorageError> {
        let rest = self.stored.len.saturating_sub(offset);
        if len as u64 > rest {
            return Err(self
                .stored
                .damaged(offset, format!("{len} bytes"), format!("{rest} bytes")));
        }
        self.up_to(offset, len)
    }

    /// The `len` bytes from `offset` on, or fewer where the file ends.
    pub(super) fn up_to(&mut self, offset: u64, len: usize) -> Result<&[u8], StorageError> {
        let rest = usize::try_from(self.stored.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(rest);
        let held = offset >= self.start && offset + len as u64 <= self.start + self.buffer.len() as u64;
        if !held {
            self.fill(offset, len, rest)?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(from
            .checked_add(len)
            .and_then(|to| self.buffer.get(from..to))
            .unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, len: usize, rest: usize) -> Result<(), StorageError> {
        let end = self.start + self.buffer.len() as u64;
        let onward = !self.buffer.is_empty() && offset >= self.start && offset <= end + NEAR;
        self.ahead = if onward { (self.ahead * 4).min(AHEAD) } else { FIRST };
        self.start = offset;
        self.buffer.clear();
        self.buffer.resize(len.max(self.ahead).min(rest), 0);
        let stored = self.stored;
        stored.file.read_exact_at(&mut self.buffer, offset).map_err(|e| {
            self.buffer.clear();
            StorageError::io("read", &stored.path, e)
        })
    }
}
