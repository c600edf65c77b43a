//! Where a log begins.

use super::{checkpoint, segments};
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::Path;

/// Where a log begins: it only ever moves on, when a checkpoint takes the place of the first segments and when these are
/// removed. Who finds it the same before and after reading has read one log, and not parts of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// Number of the newest checkpoint.
    checkpoint: Option<u32>,
    /// Number of the first segment.
    first: Option<u32>,
}

impl Beginning {
    /// Where the log in `dir` begins now.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the folder cannot be listed; that it is not there is none.
    pub fn of(disk: &dyn Disk, dir: &Path) -> Result<Self, StorageError> {
        Ok(Self {
            checkpoint: checkpoint::latest(disk, dir)?.map(|checkpoint| checkpoint.number),
            first: segments(disk, dir)?.first().map(|segment| segment.number),
        })
    }
}
