//! Cuts a log at its damage.

use super::PAGE_BYTES;
use super::segment::{segment_path, segments};
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::Path;

/// Ends the log in `dir` at `offset` (bytes) of `segment`: what comes later is removed, later segments whole
/// (`tsdb/wlog/wlog.go`, `Repair`). [`super::Reader::position`] tells where. The segment is filled with zeros to its
/// page's end, because another one will follow it. A log that ends there already is left alone but for that.
///
/// Later segments go first, the last one before all others: whenever this is cut short, the damage is still met by who
/// reads the log next, with nothing behind it that would be taken for its continuation.
///
/// # Errors
/// [`StorageError::Io`]; the log can be repaired again then.
pub fn repair(disk: &dyn Disk, dir: &Path, segment: u32, offset: u64) -> Result<(), StorageError> {
    let found = segments(disk, dir)?;
    let mut removed = false;
    for s in found.iter().rev().filter(|s| s.number > segment) {
        let path = segment_path(dir, s.number);
        disk.remove_file(&path)
            .map_err(|e| StorageError::io("remove", &path, e))?;
        removed = true;
    }
    if removed {
        disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))?;
    }
    if found.iter().any(|s| s.number == segment) {
        cut(disk, &segment_path(dir, segment), offset)?;
    }
    Ok(())
}

/// Makes the end of the log in `dir` durable. Who read it may have read what a killed process had only written, or the end
/// that a [`repair`] had cut and could not sync: were that lost after a segment was begun behind it, all that follows would
/// be taken for what stands behind damage.
///
/// # Errors
/// [`StorageError::Io`].
pub fn settle(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    let Some(last) = segments(disk, dir)?.pop() else {
        return Ok(());
    };
    let path = segment_path(dir, last.number);
    let file = disk.append(&path).and_then(|mut file| file.sync());
    file.map_err(|e| StorageError::io("sync", &path, e))?;
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))
}

fn cut(disk: &dyn Disk, path: &Path, offset: u64) -> Result<(), StorageError> {
    let mut file = disk.append(path).map_err(|e| StorageError::io("open", path, e))?;
    let end = offset.min(file.len());
    let padded = end.div_ceil(PAGE_BYTES) * PAGE_BYTES;
    file.set_len(end)
        .and_then(|()| file.set_len(padded))
        .map_err(|e| StorageError::io("cut", path, e))?;
    file.sync().map_err(|e| StorageError::io("sync", path, e))
}
