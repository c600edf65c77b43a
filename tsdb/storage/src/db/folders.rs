//! Folders that come and go whole.

use super::snapshot::{MAKING, SNAPSHOTS};
use crate::block::{CREATING, Ulid};
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::Path;

/// Ends the name of a block's folder that is being removed (`tsdb/db.go`, `tmpForDeletionBlockDirSuffix`).
const DELETING: &str = ".tmp-for-deletion";

/// Ends the name of a block's folder that versions of Prometheus before 2.22 were making or removing.
const OLD: &str = ".tmp";

/// Removes a block's folder: from the moment of its renaming on it is no block, also after a crash in the middle. What is
/// left of it under its new name is removed at the next start at the latest.
///
/// # Errors
/// [`StorageError::Io`]: it may be there after a crash. To be called again, also where the folder has its new name already:
/// that may not be durable.
pub(super) fn remove_block(disk: &dyn Disk, dir: &Path, ulid: Ulid) -> Result<(), StorageError> {
    let (path, going) = (dir.join(ulid.to_string()), dir.join(format!("{ulid}{DELETING}")));
    let exists = |path: &Path| disk.exists(path).map_err(|e| StorageError::io("look at", path, e));
    if exists(&path)? {
        if exists(&going)? {
            remove(disk, &going)?;
        }
        disk.rename(&path, &going)
            .map_err(|e| StorageError::io("rename", &path, e))?;
    }
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))?;
    if let Err(error) = remove_if_there(disk, &going) {
        tracing::warn!(%error, "the files of a removed block are left to the next start");
    }
    Ok(())
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), StorageError> {
    match disk.exists(path) {
        Ok(true) => remove(disk, path),
        Ok(false) => Ok(()),
        Err(error) => Err(StorageError::io("look at", path, error)),
    }
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
    use crate::disk::faulty::Fault;
    use crate::disk::{FaultyDisk, MemoryDisk};
    use leadline_model::entropy::SeededEntropy;
    use std::sync::Arc;

    #[test]
    fn a_block_whose_removal_was_not_durable_is_removed_durably_by_the_next_call() {
        let (dir, ulid) = (Path::new("/data"), Ulid::new(7, &SeededEntropy::new(7)));
        for seed in 0..8 {
            let disk = MemoryDisk::new();
            let block = dir.join(ulid.to_string());
            disk.create_dir_all(&block).unwrap();
            for parent in ["/", "/data"] {
                disk.sync_dir(Path::new(parent)).unwrap();
            }
            let faulty = FaultyDisk::new(Arc::new(disk.clone()), Arc::new(SeededEntropy::new(1)));
            faulty.arm(Fault::FailedSync, 0);
            assert!(remove_block(&faulty, dir, ulid).is_err());
            remove_block(&faulty, dir, ulid).unwrap();
            let left = disk.crash(&SeededEntropy::new(seed));
            assert!(!left.exists(&block).unwrap(), "seed {seed}");
        }
    }

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
