//! Writes chunks into segments.

use super::super::index::ChunkMeta;
use super::super::output::Output;
use super::{DIR, HEADER, MAGIC, MAX_LEN_FIELD, VERSION};
use crate::codec;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::source::SourceChunk;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a segment ends, bytes, unless one series' first chunk is longer.
pub(in crate::block) const SEGMENT: u64 = 512 << 20;

/// Segments that are being written.
#[derive(Debug)]
pub(in crate::block) struct Writer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    out: Option<Output>,
    /// Segments that were begun.
    segments: u32,
    /// Bytes in those that are done.
    done: u64,
    frame: Vec<u8>,
}

impl Writer {
    /// Creates the folder in a block's.
    pub(in crate::block) fn create(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64) -> Result<Self, StorageError> {
        let dir = dir.join(DIR);
        disk.create_dir_all(&dir)
            .map_err(|e| StorageError::io("create", &dir, e))?;
        Ok(Self {
            disk,
            dir,
            segment_bytes,
            out: None,
            segments: 0,
            done: 0,
            frame: Vec::new(),
        })
    }

    /// Writes the chunks of one series and tells where they are. A new segment begins where Prometheus would begin it
    /// (`WriteChunks`): what a series still fits is judged by the length of the segment before the series.
    pub(in crate::block) fn series(
        &mut self,
        chunks: &[SourceChunk],
        places: &mut Vec<ChunkMeta>,
    ) -> Result<(), StorageError> {
        places.clear();
        if chunks.is_empty() {
            return Ok(());
        }
        let mut before = self.current()?.len();
        let mut batch = 0;
        for (i, chunk) in chunks.iter().enumerate() {
            let size = MAX_LEN_FIELD + 1 + chunk.data.len() as u64 + 4;
            batch += size;
            let may_cut = i > 0 || before > HEADER;
            if may_cut && before + batch > self.segment_bytes {
                self.cut()?;
                (before, batch) = (HEADER, size);
            }
            places.push(self.write(chunk)?);
        }
        Ok(())
    }

    fn write(&mut self, chunk: &SourceChunk) -> Result<ChunkMeta, StorageError> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        codec::put_uvarint(&mut frame, chunk.data.len() as u64);
        let from = frame.len();
        frame.push(chunk.encoding as u8);
        frame.extend_from_slice(&chunk.data);
        codec::put_crc(&mut frame, from);
        self.current()?;
        let segment = u64::from(self.segments.saturating_sub(1));
        let out = self.current()?;
        let Ok(offset) = u32::try_from(out.len()) else {
            return Err(StorageError::Refused(format!(
                "{}: more than 4 GiB",
                out.path().display()
            )));
        };
        out.write(&frame)?;
        self.frame = frame;
        Ok(ChunkMeta {
            reference: segment << 32 | u64::from(offset),
            mint: chunk.mint,
            maxt: chunk.maxt,
        })
    }

    fn current(&mut self) -> Result<&mut Output, StorageError> {
        let out = match self.out.take() {
            Some(out) => out,
            None => self.begin()?,
        };
        Ok(self.out.insert(out))
    }

    fn begin(&mut self) -> Result<Output, StorageError> {
        self.segments += 1;
        let path = self.dir.join(format!("{:06}", self.segments));
        let mut out = Output::create(&*self.disk, path)?;
        let mut head = Vec::with_capacity(HEADER as usize);
        codec::put_u32(&mut head, MAGIC);
        head.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.write(&head)?;
        Ok(out)
    }

    fn cut(&mut self) -> Result<(), StorageError> {
        if let Some(mut out) = self.out.take() {
            out.sync()?;
            self.done += out.len();
        }
        Ok(())
    }

    /// Bytes so far.
    pub(in crate::block) fn len(&self) -> u64 {
        self.done + self.out.as_ref().map_or(0, Output::len)
    }

    /// Makes all durable, the names of the segments too.
    pub(in crate::block) fn finish(mut self) -> Result<(), StorageError> {
        self.cut()?;
        self.disk
            .sync_dir(&self.dir)
            .map_err(|e| StorageError::io("sync", &self.dir, e))
    }
}
