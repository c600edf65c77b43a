//! Writing a block from sources.

use super::merge::Merge;
use super::pace::Pace;
use super::sound::check;
use super::symbols::symbols;
use super::vertical::{Unsound, join};
use crate::block::{self, Meta};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::source::Source;
use leadline_model::labels::Labels;
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
    let mut told = 0;
    let mut progress = |written: u64| {
        if job.stop.load(Ordering::Relaxed) {
            return Err(StorageError::closing());
        }
        job.pace.wrote(written.saturating_sub(told));
        told = written;
        Ok(())
    };
    let symbols = symbols(job.sources)?.map(|symbol| match job.stop.load(Ordering::Relaxed) {
        true => Err(StorageError::closing()),
        false => symbol,
    });
    let mut writer = block::Writer::create(Arc::clone(job.disk), job.dir, job.meta.ulid, Box::new(symbols))?;
    progress(writer.written())?;
    for series in Merge::new(job.sources)? {
        let series = series?;
        let joined = check(&series.parts, job.sources).and_then(|()| join(series.parts));
        let chunks = joined.map_err(|bad| unsound(job.sources, &series.labels, bad))?;
        // Without chunks nothing is written, but it may be told to stop.
        writer.series(&series.labels, &chunks)?;
        progress(writer.written())?;
    }
    writer.finish_with(job.meta, &mut progress)
}

/// Says in whose bytes a chunk lies that is not what it must be.
fn unsound(sources: &[&dyn Source], labels: &Labels, bad: Unsound) -> StorageError {
    match sources.get(bad.source) {
        Some(source) => source.damaged(labels, Some(bad.mint), &bad.expected, bad.got),
        None => StorageError::Refused(bad.got),
    }
}
