//! The lock of a directory: one process writes to it.

use crate::disk::{Disk, Lock};
use crate::error::StorageError;
use std::io;
use std::path::Path;

/// Name of the lock's file (`tsdb/tsdbutil/dir_locker.go`).
const NAME: &str = "lock";

/// Creates the directory if need be and takes its lock, which is held until the value is dropped.
pub(super) fn take(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Lock>, StorageError> {
    create(disk, dir)?;
    let path = dir.join(NAME);
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => StorageError::Locked { path: path.clone() },
        _ => StorageError::io("lock", &path, error),
    })
}

/// Creates the folder and those above it that are missing, durably: what is in a folder is lost with its name.
fn create(disk: &dyn Disk, dir: &Path) -> Result<(), StorageError> {
    if disk
        .exists(dir)
        .map_err(|error| StorageError::io("look at", dir, error))?
    {
        return Ok(());
    }
    let above = match dir.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        // A name alone is in the working directory, a root is in nothing.
        Some(_) => Path::new("."),
        None => dir,
    };
    if above != Path::new(".") {
        create(disk, above)?;
    }
    disk.create_dir_all(dir)
        .map_err(|error| StorageError::io("create", dir, error))?;
    disk.sync_dir(above)
        .map_err(|error| StorageError::io("sync", above, error))
}
