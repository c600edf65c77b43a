//! Writing a block from sources.

use super::merge::Merge;
use super::pace::Pace;
use super::symbols::symbols;
use super::vertical::join;
use crate::block::{self, Meta};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::source::{Source, SourceChunk};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is written, from what, and how.
pub struct Job<'a> {
    /// Where files are.
    pub disk: &'a Arc<dyn Disk>,
    /// The folder in which the block's folder appears.
    pub dir: &'a Path,
    /// What it is written from. Of samples of one series at one time that of the first source stays.
    pub sources: &'a [&'a dyn Source],
    /// What is said about it; its figures are filled in.
    pub meta: Meta,
    /// How fast it may go.
    pub pace: &'a dyn Pace,
    /// Gives up when it is set.
    pub stop: &'a AtomicBool,
}

/// Writes a block that holds what the sources hold, without what was deleted. It appears whole or not at all; `None`:
/// no sample is left, and no block was written.
///
/// # Errors
/// [`StorageError`]: a source cannot be read, the disk fails, or it was told to stop. Nothing is left of the block then,
/// unless even removing fails; the next start removes that.
pub fn write(job: Job<'_>) -> Result<Option<Meta>, StorageError> {
    let mut writer = block::Writer::create(Arc::clone(job.disk), job.dir, job.meta.ulid, symbols(job.sources)?)?;
    for series in Merge::new(job.sources)? {
        let series = series?;
        if job.stop.load(Ordering::Relaxed) {
            return Err(StorageError::closing());
        }
        let chunks = join(series.parts)?;
        if chunks.is_empty() {
            continue;
        }
        writer.series(&series.labels, &chunks)?;
        job.pace.wrote(bytes(&chunks));
    }
    writer.finish(job.meta)
}

fn bytes(chunks: &[SourceChunk]) -> u64 {
    chunks.iter().map(|chunk| chunk.data.len() as u64).sum()
}
