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

fn cut(disk: &dyn Disk, path: &Path, offset: u64) -> Result<(), StorageError> {
    let mut file = disk.append(path).map_err(|e| StorageError::io("open", path, e))?;
    let end = offset.min(file.len());
    let padded = end.div_ceil(PAGE_BYTES) * PAGE_BYTES;
    file.set_len(end)
        .and_then(|()| file.set_len(padded))
        .map_err(|e| StorageError::io("cut", path, e))?;
    file.sync().map_err(|e| StorageError::io("sync", path, e))
}
