//! A new file, written through a buffer.

use crate::disk::{Disk, File};
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;

/// The file.
#[derive(Debug)]
pub(super) struct Output {
    file: Box<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Length with what is still in the buffer, bytes.
    len: u64,
}

impl Output {
    pub(super) fn create(disk: &dyn Disk, path: PathBuf) -> Result<Self, StorageError> {
        let file = disk.create(&path).map_err(|e| StorageError::io("create", &path, e))?;
        Ok(Self {
            file,
            path,
            buffer: Vec::with_capacity(BUFFER),
            len: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.len += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds zeros until the length is a multiple of `align`, at most 16.
    pub(super) fn pad(&mut self, align: u64) -> Result<(), StorageError> {
        let missing = self.len.next_multiple_of(align) - self.len;
        let zeros = [0; 16];
        self.write(zeros.get(..missing as usize).unwrap_or(&zeros))
    }

    /// Writes over what is at `offset`.
    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), StorageError> {
        self.flush()?;
        self.file
            .write_at(bytes, offset)
            .map_err(|e| StorageError::io("write", &self.path, e))
    }

    /// Hands the buffer to the file, so that who reads it sees all.
    pub(super) fn flush(&mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            self.file
                .write_all(&self.buffer)
                .map_err(|e| StorageError::io("write", &self.path, e))?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes all and makes it durable.
    pub(super) fn sync(&mut self) -> Result<(), StorageError> {
        self.flush()?;
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::BlockRenamedBeforeSync) {
            return Ok(());
        }
        self.file.sync().map_err(|e| StorageError::io("sync", &self.path, e))
    }
}
