//! Writes a block into a folder of its own, which appears under its name only when all of it is durable.

use super::chunks;
use super::index::{self, ChunkMeta};
use super::meta::{Meta, Stats};
use super::tombstones::Tombstones;
use super::ulid::Ulid;
use crate::chunk::sample_count;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::source::{SourceChunk, SymbolIter};
use leadline_model::labels::Labels;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the name of a block's folder ends with while it is written (`tsdb/db.go`, `tmpForCreationBlockDirSuffix`).
pub const CREATING: &str = ".tmp-for-creation";

/// Is told [`Writer::written`] while a block is finished, and ends that with an error.
pub type Progress<'a> = dyn FnMut(u64) -> Result<(), StorageError> + 'a;

/// A block that is being written. Dropped before [`Self::finish`] it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<dyn Disk>,
    ulid: Ulid,
    parent: PathBuf,
    folder: Folder,
    files: Files,
    stats: Stats,
    places: Vec<ChunkMeta>,
}

/// The two streams.
#[derive(Debug)]
struct Files {
    chunks: chunks::Writer,
    index: index::Writer,
}

/// The folder under its temporary name; removed when dropped unless it was renamed.
#[derive(Debug)]
struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        if !self.keep {
            let _ = self.disk.remove_dir_all(&self.path);
        }
    }
}

impl Writer {
    /// Begins a block in the data directory `dir`. `symbols` are all label names and values that will come, sorted.
    ///
    /// # Errors
    /// [`StorageError::Io`]; [`StorageError::Refused`] when symbols are not in order; what `symbols` gives.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, ulid: Ulid, symbols: SymbolIter<'_>) -> Result<Self, StorageError> {
        Self::with_segments(disk, dir, ulid, symbols, chunks::SEGMENT)
    }

    /// As [`Self::create`], with segments of chunks of at most `segment_bytes`.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn with_segments(
        disk: Arc<dyn Disk>,
        dir: &Path,
        ulid: Ulid,
        symbols: SymbolIter<'_>,
        segment_bytes: u64,
    ) -> Result<Self, StorageError> {
        let path = dir.join(format!("{ulid}{CREATING}"));
        if disk.exists(&path).map_err(|e| StorageError::io("look for", &path, e))? {
            disk.remove_dir_all(&path)
                .map_err(|e| StorageError::io("remove", &path, e))?;
        }
        disk.create_dir_all(&path)
            .map_err(|e| StorageError::io("create", &path, e))?;
        let folder = Folder {
            disk: Arc::clone(&disk),
            path,
            keep: false,
        };
        let files = Files {
            chunks: chunks::Writer::create(Arc::clone(&disk), &folder.path, segment_bytes)?,
            index: index::Writer::create(Arc::clone(&disk), &folder.path, symbols)?,
        };
        Ok(Self {
            disk,
            ulid,
            parent: dir.to_owned(),
            folder,
            files,
            stats: Stats::default(),
            places: Vec::new(),
        })
    }

    /// Adds a series, which must be above all others, with its chunks in order and without overlap. One without chunks
    /// is left out.
    ///
    /// # Errors
    /// [`StorageError::Io`]; [`StorageError::Refused`] when series or chunks are not in order or the block grows beyond
    /// what its files can address.
    pub fn series(&mut self, labels: &Labels, chunks: &[SourceChunk]) -> Result<(), StorageError> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.files.chunks.series(chunks, &mut self.places)?;
        self.files.index.series(labels, &self.places)?;
        self.stats.num_series += 1;
        self.stats.num_chunks += chunks.len() as u64;
        for chunk in chunks {
            let samples = u64::from(sample_count(chunk.encoding, &chunk.data));
            self.stats.num_samples += samples;
            if chunk.encoding.is_float() {
                self.stats.num_float_samples += samples;
            } else {
                self.stats.num_histogram_samples += samples;
            }
        }
        Ok(())
    }

    /// Bytes that were written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.files.chunks.len() + self.files.index.len()
    }

    /// What is in it so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Makes the block appear, durably, and returns its description: `meta` with its name and [`Meta::stats`] set.
    /// Without a single sample there is no block and nothing is left (`None`).
    ///
    /// # Errors
    /// [`StorageError::Io`]; nothing is left then but perhaps the temporary folder.
    pub fn finish(self, meta: Meta) -> Result<Option<Meta>, StorageError> {
        self.finish_with(meta, &mut |_| Ok(()))
    }

    /// As [`Self::finish`]. `progress` is called often: with every list of postings, and every series that is read for them.
    ///
    /// # Errors
    /// As [`Self::finish`]; what `progress` gives.
    pub fn finish_with(mut self, mut meta: Meta, progress: &mut Progress<'_>) -> Result<Option<Meta>, StorageError> {
        if self.stats.num_samples == 0 {
            return Ok(None);
        }
        meta.ulid = self.ulid;
        meta.stats = std::mem::take(&mut self.stats);
        let Self {
            disk,
            parent,
            mut folder,
            files,
            ..
        } = self;
        let sync = |dir: &Path| disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e));
        let chunks = files.chunks.len();
        files.chunks.finish()?;
        files.index.finish(&mut |index| progress(chunks + index))?;
        meta.write(&*disk, &folder.path)?;
        // The last file makes the names of all durable.
        Tombstones::default().write(&*disk, &folder.path)?;
        let path = parent.join(meta.ulid.to_string());
        disk.rename(&folder.path, &path)
            .map_err(|e| StorageError::io("rename", &folder.path, e))?;
        folder.keep = true;
        sync(&parent)?;
        Ok(Some(meta))
    }
}
