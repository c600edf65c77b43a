//! The lock of a directory: one process writes to it.

use crate::disk::{Disk, Lock};
use crate::error::StorageError;
use std::io;
use std::path::Path;

/// Name of the lock's file (`tsdb/tsdbutil/dir_locker.go`).
const NAME: &str = "lock";

/// Creates the directory if need be and takes its lock, which is held until the value is dropped.
pub(super) fn take(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, StorageError> {
    disk.create_dir_all(dir)
        .map_err(|error| StorageError::io("create", dir, error))?;
    let path = dir.join(NAME);
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path: path.clone() },
        _ => StorageError::io("lock", &path, error),
    })
}
