//! What is still needed of a log's first segments, so that they can go (`tsdb/wlog/checkpoint.go`).
//!
//! A checkpoint `checkpoint.N` is a folder beside the segments with a log of its own; it stands for everything up to
//! segment N, earlier checkpoints included. It is written beside its place, made durable and then renamed: it is whole or
//! not there.

mod batch;
mod filter;
mod latest;

use super::record::{Record, encode_min_valid_time, unknown_type};
use super::{Reader, SEGMENT_BYTES, Segment, Wal};
use crate::disk::Disk;
use crate::error::StorageError;
use batch::Batch;
use filter::Filter;
use latest::LatestMetadata;
use leadline_model::sample::Timestamp;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PREFIX: &str = "checkpoint.";
const TEMPORARY: &str = ".tmp";
/// Bytes of records that are written together.
const BATCH_BYTES: usize = if cfg!(feature = "planted") { 4096 } else { 1024 * 1024 };

/// A checkpoint that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last segment that it stands for.
    pub number: u32,
    /// Its folder, a log for a [`Reader`].
    pub path: PathBuf,
}

/// What a checkpoint kept and what it left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Series kept.
    pub series: u64,
    /// Series left out.
    pub series_dropped: u64,
    /// Samples of floats kept.
    pub samples: u64,
    /// Samples of floats left out.
    pub samples_dropped: u64,
    /// Histograms kept.
    pub histograms: u64,
    /// Histograms left out.
    pub histograms_dropped: u64,
    /// Exemplars kept.
    pub exemplars: u64,
    /// Exemplars left out.
    pub exemplars_dropped: u64,
    /// Tombstones kept.
    pub tombstones: u64,
    /// Tombstones left out.
    pub tombstones_dropped: u64,
    /// Series whose metadata were kept.
    pub metadata: u64,
}

/// The newest checkpoint of the log in `dir`; none when there is no such folder.
///
/// # Errors
/// [`StorageError::Io`] when the folder cannot be listed.
pub fn latest(disk: &dyn Disk, dir: &Path) -> Result<Option<Checkpoint>, StorageError> {
    Ok(all(disk, dir)?.pop())
}

/// The time (ms) before which the newest checkpoint of the log in `dir` left samples out; `None` where there is no
/// checkpoint or it does not say so.
///
/// # Errors
/// [`StorageError`] when the checkpoint cannot be read.
pub fn min_valid_time(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<Timestamp>, StorageError> {
    let Some(checkpoint) = latest(&**disk, dir)? else {
        return Ok(None);
    };
    let mut reader = Reader::open(Arc::clone(disk), &checkpoint.path, ..)?.whole();
    let Some(record) = reader.next()? else {
        return Ok(None);
    };
    match Record::parse(record) {
        Ok(Record::MinValidTime(mint)) => Ok(Some(mint)),
        Ok(_) => Ok(None),
        Err(e) => Err(reader.malformed(e)),
    }
}

/// Gives a checkpoint that lost all its records to damage a first one again, so that the next checkpoint can be written
/// of it.
///
/// # Errors
/// [`StorageError`] when it cannot be read, because it was not repaired, or not be written.
pub fn mend(disk: &Arc<dyn Disk>, checkpoint: &Checkpoint) -> Result<(), StorageError> {
    if Reader::open(Arc::clone(disk), &checkpoint.path, ..)?.next()?.is_some() {
        return Ok(());
    }
    let mut record = Vec::new();
    encode_min_valid_time(&mut record, Timestamp::MIN);
    let mut log = Wal::open(Arc::clone(disk), &checkpoint.path, SEGMENT_BYTES)?;
    log.log(&[&record])?;
    log.close()
}

/// Which of the segments a checkpoint is to be written of: the first two thirds without the one that is being written,
/// if that is more than one (`tsdb/head.go`, `truncateWAL`).
#[must_use]
pub fn span(segments: &[Segment]) -> Option<RangeInclusive<u32>> {
    let [first, .., last, _written] = segments else {
        return None;
    };
    let two_thirds = u64::from(last.number - first.number) * 2 / 3;
    let last = first.number + two_thirds as u32;
    (last > first.number).then_some(first.number..=last)
}

/// Writes `checkpoint.N`, N being the end of `segments`, of the newest checkpoint and the segments behind it up to N.
///
/// Kept are: series that `keep` says of, by their references (those that live, and those that newer segments, the
/// out-of-order log or blocks to be cut still refer to); samples, histograms and exemplars not before `mint` (ms);
/// tombstones of kept series that reach `mint`; the latest metadata of kept series, under the reference that `held` says a
/// series is held under: where the log has several for one, what was told last must not come before what was told first.
/// The answers of `keep` and `held` must not change meanwhile.
///
/// The segments and older checkpoints are left there: see [`super::remove_before`] and [`remove_before`].
///
/// # Errors
/// [`StorageError`]; nothing is left then but a temporary folder, see [`remove_temporary`]. Damage in a segment is an
/// error, because nobody knows which series are lost, and so is a record of an unknown type, which would be.
/// [`StorageError::Refused`] when there is nothing new in `segments`.
pub fn write(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    segments: RangeInclusive<u32>,
    keep: &dyn Fn(u64) -> bool,
    held: &dyn Fn(u64) -> u64,
    mint: Timestamp,
) -> Result<Kept, StorageError> {
    let number = *segments.end();
    let previous = latest(&**disk, dir)?;
    if previous.as_ref().is_some_and(|p| p.number >= number) {
        let text = format!("a checkpoint up to segment {number:08} is there already");
        return Err(StorageError::Refused(text));
    }
    let mint_before = min_valid_time(disk, dir)?;
    let path = dir.join(format!("{PREFIX}{number:08}"));
    let temporary = dir.join(format!("{PREFIX}{number:08}{TEMPORARY}"));
    remove_temporary(&**disk, dir)?;

    let mut writer = Writer {
        log: Wal::open(Arc::clone(disk), &temporary, SEGMENT_BYTES)?,
        batch: Batch::default(),
    };
    // Never lower than before: a time that was cut off does not come back.
    let since = mint_before.map_or(mint, |before| before.max(mint));
    writer.batch.append(|out| encode_min_valid_time(out, since));
    let mut filter = Filter {
        keep,
        held,
        mint,
        kept: Kept::default(),
        metadata: LatestMetadata::default(),
    };
    let first = match previous {
        Some(previous) => {
            rewrite(
                Reader::open(Arc::clone(disk), &previous.path, ..)?.whole(),
                &mut filter,
                &mut writer,
            )?;
            previous.number + 1
        }
        None => *segments.start(),
    };
    rewrite(
        Reader::open(Arc::clone(disk), dir, first..=number)?.whole(),
        &mut filter,
        &mut writer,
    )?;
    filter.kept.metadata = filter.metadata.len() as u64;
    for record in filter.metadata.records() {
        writer.batch.append(record);
        writer.write_if_full()?;
    }
    writer.finish()?;

    appear(&**disk, &temporary, &path)?;
    Ok(filter.kept)
}

/// Takes a record for a checkpoint.
pub type Put<'p> = dyn FnMut(&[u8]) -> Result<(), StorageError> + 'p;

/// Writes `checkpoint.<number>` of the records that `give` gives, alone: it stands for everything up to segment `number`, of
/// which nothing else is needed any more. The first record must say before which time nothing is to come back. An older
/// checkpoint and the segments are left there, as by [`write`]; they are not read.
///
/// # Errors
/// [`StorageError`]; nothing is left then but a temporary folder, see [`remove_temporary`].
pub fn write_bare(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    number: u32,
    give: impl FnOnce(&mut Put<'_>) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let path = dir.join(format!("{PREFIX}{number:08}"));
    let temporary = dir.join(format!("{PREFIX}{number:08}{TEMPORARY}"));
    remove_temporary(&**disk, dir)?;
    let mut writer = Writer {
        log: Wal::open(Arc::clone(disk), &temporary, SEGMENT_BYTES)?,
        batch: Batch::default(),
    };
    give(&mut |record| {
        writer.batch.push(record);
        writer.write_if_full()
    })?;
    writer.finish()?;
    appear(&**disk, &temporary, &path)
}

/// Gives a finished checkpoint its name.
fn appear(disk: &dyn Disk, temporary: &Path, path: &Path) -> Result<(), StorageError> {
    disk.rename(temporary, path)
        .map_err(|e| StorageError::io("rename", temporary, e))?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e)),
        None => Ok(()),
    }
}

fn rewrite(mut reader: Reader, filter: &mut Filter<'_>, writer: &mut Writer) -> Result<(), StorageError> {
    while let Some(record) = reader.next()? {
        if let Some(number) = unknown_type(record) {
            return Err(reader.unknown(number));
        }
        if let Err(e) = filter.pass(record, &mut writer.batch) {
            return Err(reader.malformed(e));
        }
        writer.write_if_full()?;
    }
    Ok(())
}

/// Gathers records and writes many at once.
struct Writer {
    log: Wal,
    batch: Batch,
}

impl Writer {
    fn write_if_full(&mut self) -> Result<(), StorageError> {
        if self.batch.len() < BATCH_BYTES {
            return Ok(());
        }
        self.batch.write(&mut self.log)
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        self.batch.write(&mut self.log)?;
        self.log.close()
    }
}

/// Removes the checkpoints below `number`.
///
/// # Errors
/// [`StorageError::Io`]; what is left does no harm, for a later one is there.
pub fn remove_before(disk: &dyn Disk, dir: &Path, number: u32) -> Result<(), StorageError> {
    let old = all(disk, dir)?;
    for checkpoint in old.iter().filter(|c| c.number < number) {
        disk.remove_dir_all(&checkpoint.path)
            .map_err(|e| StorageError::io("remove", &checkpoint.path, e))?;
    }
    Ok(())
}

/// Removes what a checkpoint left that was never finished.
///
/// # Errors
/// [`StorageError::Io`].
pub fn remove_temporary(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    for (name, is_dir) in names(disk, dir)? {
        if is_dir
            && name
                .strip_suffix(TEMPORARY)
                .is_some_and(|name| name.starts_with(PREFIX))
        {
            let path = dir.join(name);
            disk.remove_dir_all(&path)
                .map_err(|e| StorageError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn all(disk: &dyn Disk, dir: &Path) -> Result<Vec<Checkpoint>, StorageError> {
    let mut found: Vec<Checkpoint> = names(disk, dir)?
        .into_iter()
        .filter(|(_, is_dir)| *is_dir)
        .filter_map(|(name, _)| {
            let number = name.strip_prefix(PREFIX)?;
            let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let number = number.parse().ok().filter(|_| digits)?;
            Some(Checkpoint {
                number,
                path: dir.join(&name),
            })
        })
        .collect();
    found.sort_by_key(|c| c.number);
    Ok(found)
}

fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<(String, bool)>, StorageError> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.into_iter().map(|e| (e.name, e.is_dir)).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(StorageError::io("list", dir, e)),
    }
}
