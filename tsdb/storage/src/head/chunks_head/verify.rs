//! A walk through all files of mapped chunks.

use super::ChunksHead;
use crate::cache::Cache;
use crate::disk::Disk;
use crate::error::StorageError;
use std::path::Path;
use std::sync::Arc;

/// Reads every mapped chunk in `dir` up to the first damage, which is where a start stops using them, and changes nothing.
/// `report` gets what is damaged, in words with file and offset. Returns how many chunks are good.
///
/// # Errors
/// [`StorageError::Io`]: a file cannot be read.
pub fn verify_mapped(disk: Arc<dyn Disk>, dir: &Path, report: &mut dyn FnMut(String)) -> Result<u64, StorageError> {
    let mut good = 0;
    let scanned = ChunksHead::new(disk, dir.to_owned(), Cache::new(0)).scan(false, |found| {
        good += found.len() as u64;
        Ok(())
    })?;
    scanned.lost.into_iter().for_each(report);
    Ok(good)
}
