//! Where the samples of a directory are, for who reads it while another process writes.

use crate::block::Ulid;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::wal::Beginning;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Which blocks there are, and where log and mapped chunks begin. What moves from the log to blocks (a cut of the head,
/// stale series, samples out of order) or from block to block changes it; what is only added at the end does not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    blocks: BTreeSet<Ulid>,
    wal: Beginning,
    wbl: Beginning,
    /// Number of the first file of mapped chunks.
    mapped: Option<u32>,
}

impl Places {
    /// As it is now in the directory `dir`.
    pub(super) fn of(disk: &dyn Disk, dir: &Path) -> Result<Self, StorageError> {
        let entries = disk.list(dir).map_err(|error| StorageError::io("list", dir, error))?;
        let folders = entries.iter().filter(|entry| entry.is_dir);
        Ok(Self {
            blocks: folders.filter_map(|folder| folder.name.parse().ok()).collect(),
            wal: Beginning::of(disk, &dir.join("wal"))?,
            wbl: Beginning::of(disk, &dir.join("wbl"))?,
            mapped: first_mapped(disk, &dir.join("chunks_head"))?,
        })
    }
}

fn first_mapped(disk: &dyn Disk, dir: &Path) -> Result<Option<u32>, StorageError> {
    match disk.list(dir) {
        Ok(entries) => Ok(entries.iter().filter_map(|entry| entry.name.parse().ok()).min()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::io("list", dir, error)),
    }
}
