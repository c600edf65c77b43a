//! Folders that come and go whole.

use super::snapshot::{MAKING, SNAPSHOTS};
use crate::block::{CREATING, Ulid};
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::{Path, PathBuf};

/// Ends the name of a block's folder that is being removed (`tsdb/db.go`, `tmpForDeletionBlockDirSuffix`).
const DELETING: &str = ".tmp-for-deletion";

/// Ends the name of a folder in which blocks are being made, and of a block's that versions of Prometheus before 2.22 were
/// making or removing.
const OLD: &str = ".tmp";

/// Removes a block's folder: from the moment of its renaming on it is no block, also after a crash in the middle.
pub(super) fn remove_block(disk: &dyn Disk, dir: &Path, ulid: Ulid) -> Result<(), StorageError> {
    let (path, going) = (dir.join(ulid.to_string()), dir.join(format!("{ulid}{DELETING}")));
    if !disk.exists(&path).map_err(|e| StorageError::io("look at", &path, e))? {
        return Ok(());
    }
    if disk
        .exists(&going)
        .map_err(|e| StorageError::io("look at", &going, e))?
    {
        remove(disk, &going)?;
    }
    disk.rename(&path, &going)
        .map_err(|e| StorageError::io("rename", &path, e))?;
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))?;
    remove(disk, &going)
}

/// A folder for what is being made of several blocks; the next start removes it.
pub(super) fn unfinished(dir: &Path, ulid: Ulid) -> PathBuf {
    dir.join(format!("{ulid}{OLD}"))
}

/// Removes what was being made or removed when the store ended.
pub(super) fn remove_unfinished(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    remove_folders(disk, dir, is_unfinished)?;
    let copies = dir.join(SNAPSHOTS);
    match disk.exists(&copies) {
        Ok(true) => remove_folders(disk, &copies, |name| name.ends_with(MAKING)),
        Ok(false) => Ok(()),
        Err(error) => Err(StorageError::io("look at", &copies, error)),
    }
}

fn remove_folders(disk: &dyn Disk, dir: &Path, which: impl Fn(&str) -> bool) -> Result<(), StorageError> {
    let entries = disk.list(dir).map_err(|e| StorageError::io("list", dir, e))?;
    for entry in entries.iter().filter(|entry| entry.is_dir && which(&entry.name)) {
        tracing::info!(folder = entry.name, "what unfinished work left behind is removed");
        remove(disk, &dir.join(&entry.name))?;
    }
    Ok(())
}

fn is_unfinished(name: &str) -> bool {
    let stems = [CREATING, DELETING, OLD]
        .into_iter()
        .filter_map(|end| name.strip_suffix(end));
    stems.into_iter().any(|stem| stem.parse::<Ulid>().is_ok())
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    disk.remove_dir_all(path)
        .map_err(|e| StorageError::io("remove", path, e))
}

/// Bytes of all files in a folder and those below it; 0 where there is none.
pub(super) fn bytes(disk: &dyn Disk, dir: &Path) -> u64 {
    let entries = disk.list(dir).unwrap_or_default().into_iter();
    let of = |entry: crate::disk::Entry| match entry.is_dir {
        true => bytes(disk, &dir.join(&entry.name)),
        false => entry.len,
    };
    entries.map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_blocks_that_come_or_go_are_unfinished() {
        for (name, unfinished) in [
            ("01DXXFZDYD1MQW6079WK0K6EDQ", false),
            ("01DXXFZDYD1MQW6079WK0K6EDQ.tmp-for-creation", true),
            ("01DXXFZDYD1MQW6079WK0K6EDQ.tmp-for-deletion", true),
            ("01DXXFZDYD1MQW6079WK0K6EDQ.tmp", true),
            ("wal", false),
            ("notes.tmp", false),
            (".tmp-for-deletion", false),
        ] {
            assert_eq!(is_unfinished(name), unfinished, "{name}");
        }
    }
}
