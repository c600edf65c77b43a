//! Opens what commands read.

use super::Failure;
use leadline_model::clock::SystemClock;
use leadline_storage::StorageError;
use leadline_storage::block::{Block, Cache};
use leadline_storage::db::{Db, ReadOnly};
use leadline_storage::disk::{Disk, RealDisk};
use std::path::Path;
use std::sync::Arc;

/// Memory for what is read of blocks, bytes: a command goes through them once.
const CACHE: u64 = 16 << 20;
/// Characters of a ULID.
const ULID: usize = 26;

/// A cache for the blocks of one command.
pub(super) fn cache() -> Arc<Cache> {
    Cache::new(CACHE)
}

/// The blocks of a directory, by the times they begin at; its log is not read.
///
/// # Errors
/// The directory is not there, or a block cannot be opened.
pub(super) fn blocks(path: &Path) -> Result<Vec<Arc<Block>>, Failure> {
    let (disk, cache) = (disk(), cache());
    let mut found = Vec::new();
    for name in names(disk.as_ref(), path)? {
        found.push(Block::open(Arc::clone(&disk), &path.join(name), Arc::clone(&cache))?);
    }
    found.sort_by_key(|block| (block.meta().min_time, block.meta().ulid));
    Ok(found)
}

/// The block `name`, or the last one by name.
///
/// # Errors
/// There is none, or it cannot be opened.
pub(super) fn block(path: &Path, name: Option<&str>) -> Result<Arc<Block>, Failure> {
    let disk = disk();
    let names = names(disk.as_ref(), path)?;
    let name = match name {
        Some(name) => names
            .iter()
            .find(|n| *n == name)
            .ok_or(format!("invalid block ID {name}"))?,
        None => names.last().ok_or("no blocks found")?,
    };
    Ok(Block::open(disk, &path.join(name), cache())?)
}

/// A directory as a whole, its log read into memory; nothing of it is changed.
///
/// # Errors
/// It is not there or cannot be read.
pub(super) fn read_only(path: &Path) -> Result<ReadOnly, Failure> {
    Ok(Db::read_only(disk(), path, Arc::new(SystemClock))?)
}

/// The machine's disk.
pub(super) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// The names of the folders of a directory that are blocks, sorted.
pub(super) fn names(disk: &dyn Disk, path: &Path) -> Result<Vec<String>, StorageError> {
    let entries = disk.list(path).map_err(|error| StorageError::io("list", path, error))?;
    let is_block =
        |name: &str| name.len() == ULID && name.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    let names = entries.into_iter().filter(|e| e.is_dir && is_block(&e.name));
    Ok(names.map(|e| e.name).collect())
}
