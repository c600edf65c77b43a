//! Blocks: samples of a range of time that no longer change, in Prometheus' files (`FORMAT.md` has their bytes).
//!
//! [`Writer`] streams series into a new folder that appears whole or not at all. [`Block`] reads one by pages, keeps
//! little more than a table of contents in memory and shares one bounded [`crate::cache::Cache`] with all others.

#[expect(clippy::module_inception, reason = "the type that the room is named after")]
mod block;
mod chunks;
mod index;
mod meta;
mod output;
mod pages;
mod reach;
mod resolve;
mod select;
mod stream;
mod tombstones;
mod ulid;
mod verify;
mod writer;

pub use block::Block;
pub(crate) use index::{Page, SeriesEntry};
pub use meta::{Compaction, Meta, OUT_OF_ORDER, Parent, STALE_SERIES, Stats};
pub use tombstones::Tombstones;
pub use ulid::{Ulid, UlidError};
pub use verify::Verified;
pub use writer::{CREATING, Progress, Writer};

use crate::disk::Disk;
use crate::error::StorageError;
use std::path::Path;

/// The content of a small file of at most `max` bytes.
fn read_file(disk: &dyn Disk, path: &Path, max: u64) -> Result<Vec<u8>, StorageError> {
    let failed = |e| StorageError::io("read", path, e);
    let file = disk.open(path).map_err(failed)?;
    let len = file.len().map_err(failed)?;
    if len > max {
        return Err(StorageError::damaged(
            path,
            0,
            format!("at most {max} bytes"),
            format!("{len} bytes"),
        ));
    }
    let mut content = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut content, 0).map_err(failed)?;
    Ok(content)
}

/// Puts a file into a folder so that either the old or the new content is there whole, durably.
fn replace_file(disk: &dyn Disk, dir: &Path, name: &str, content: &[u8]) -> Result<(), StorageError> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let write = || {
        let mut file = disk.create(&new)?;
        file.write_all(content)?;
        file.sync()
    };
    let written = write().map_err(|e| StorageError::io("write", &new, e));
    let renamed = written.and_then(|()| {
        disk.rename(&new, &path)
            .map_err(|e| StorageError::io("rename", &new, e))
    });
    if renamed.is_err() {
        // What cannot be removed is overwritten the next time.
        let _ = disk.remove_file(&new);
    }
    renamed?;
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))
}
