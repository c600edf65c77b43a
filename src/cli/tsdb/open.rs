//! Opens what commands read.

use super::Failure;
use crate::cli::storage::share;
use leadline_model::clock::SystemClock;
use leadline_storage::StorageError;
use leadline_storage::block::Block;
use leadline_storage::cache::Cache;
use leadline_storage::db::{Db, ReadOnly};
use leadline_storage::disk::{Disk, RealDisk};
use std::path::Path;
use std::sync::Arc;

/// Memory for what is read of blocks, bytes: a command goes through them once.
const CACHE: u64 = 16 << 20;
/// How often something is read that changes meanwhile.
pub(super) const ATTEMPTS: u32 = 5;
/// Characters of a ULID.
const ULID: usize = 26;

/// A cache for the blocks of one command.
pub(super) fn cache() -> Arc<Cache> {
    Cache::new(CACHE)
}

/// The blocks of a directory, by the times they begin at; its log is not read. Where one goes meanwhile, another has taken
/// its place, so all are opened anew.
///
/// # Errors
/// The directory is not there, a block cannot be opened, or blocks go as often as they are opened.
pub(super) fn blocks(disk: &Arc<dyn Disk>, path: &Path) -> Result<Vec<Arc<Block>>, StorageError> {
    let cache = cache();
    for _ in 0..ATTEMPTS {
        let opened = names(disk.as_ref(), path)?
            .into_iter()
            .map(|name| unless_gone(disk, &path.join(name), &cache));
        let Some(mut found) = opened.collect::<Result<Option<Vec<_>>, _>>()? else {
            continue;
        };
        found.sort_by_key(|block| (block.meta().min_time, block.meta().ulid));
        return Ok(found);
    }
    Err(StorageError::changing(path))
}

/// The block `name`, or the last one by name.
///
/// # Errors
/// There is none, or it cannot be opened.
pub(super) fn block(path: &Path, name: Option<&str>) -> Result<Arc<Block>, Failure> {
    let (disk, cache) = (disk(), cache());
    for _ in 0..ATTEMPTS {
        let names = names(disk.as_ref(), path)?;
        let name = match name {
            Some(name) => names
                .iter()
                .find(|n| *n == name)
                .ok_or(format!("invalid block ID {name}"))?,
            None => names.last().ok_or("no blocks found")?,
        };
        if let Some(block) = unless_gone(&disk, &path.join(name), &cache)? {
            return Ok(block);
        }
    }
    Err(StorageError::changing(path).into())
}

/// The block in a folder; `None` where whoever has the directory open has removed it in between.
fn unless_gone(disk: &Arc<dyn Disk>, dir: &Path, cache: &Arc<Cache>) -> Result<Option<Arc<Block>>, StorageError> {
    match Block::open(Arc::clone(disk), dir, Arc::clone(cache)) {
        Ok(block) => Ok(Some(block)),
        Err(_) if !exists(disk.as_ref(), dir)? => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a folder is there still.
pub(super) fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, StorageError> {
    disk.exists(dir)
        .map_err(|error| StorageError::io("look at", dir, error))
}

/// A directory as a whole, its log read into memory; nothing of it is changed.
///
/// # Errors
/// It is not there or cannot be read, or what only the log has takes more than two thirds of the memory that is
/// left: a server may run beside this, in the same control group.
pub(super) fn read_only(path: &Path) -> Result<ReadOnly, Failure> {
    let (disk, clock) = (disk(), Arc::new(SystemClock));
    Ok(match crate::memory::left() {
        Some(left) => Db::read_only_within(disk, path, clock, share(left)),
        None => Db::read_only(disk, path, clock),
    }?)
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
