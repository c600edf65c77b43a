//! Blocks that others put into the directory while the store is open (Prometheus looks for them every minute, `tsdb/db.go`,
//! `reloadBlocks`), and those that could not be read before.

use super::Db;
use super::blocks::{self, replaced_by};
use super::maintenance::{Maintenance, Work};
use crate::block::{Block, OUT_OF_ORDER, Ulid};
use crate::compact::is_whole;
use crate::disk::Disk;
use crate::error::StorageError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is in a block's folder and in the folders there, with lengths, bytes. What lies deeper is no part of a block.
pub(super) type Files = BTreeMap<PathBuf, u64>;

impl Db {
    /// Opens what is there and not open. A block in the middle of being copied may look whole (its index comes before its
    /// chunks, say), and one that is open is never opened again: so it is taken when its files are those of the call before,
    /// and its segments go as far as its index says, because a copy may stand still for longer. What the disk failed to read at
    /// the start is tried at once. What cannot be opened is left out, told once, and tried again.
    pub(super) fn adopt(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        let there = self.not_open()?;
        self.blocks.forget_all_but(|ulid| there.contains_key(ulid));
        let (before, misread) = (std::mem::take(&mut work.seen), self.blocks.take_misread());
        let mut failed = Ok(());
        for (ulid, dir) in there {
            let files = match files(self.disk.as_ref(), &dir) {
                Ok(files) => files,
                Err(error) => {
                    self.blocks.leave_out(ulid, &error);
                    continue;
                }
            };
            let settled = before.get(&ulid) == Some(&files);
            work.seen.insert(ulid, files);
            if !settled && !misread.contains(&ulid) {
                continue;
            }
            let opened = blocks::open(&self.disk, &dir, &self.cache);
            let taken = match opened.and_then(|block| block.check_reach().map(|()| block)) {
                Ok(block) => self.take_in(block).map(|()| done.adopted.push(ulid.to_string())),
                Err(error) => {
                    self.blocks.leave_out(ulid, &error);
                    Ok(())
                }
            };
            // The others are taken all the same.
            failed = failed.and(taken);
        }
        failed
    }

    /// The folders of the blocks of the directory that are not open, but for those that are only waiting for their removal.
    pub(super) fn not_open(&self) -> Result<BTreeMap<Ulid, PathBuf>, StorageError> {
        let entries = self.disk.list(&self.path);
        let entries = entries.map_err(|error| StorageError::io("list", &self.path, error))?;
        let garbage = self.garbage.lock();
        let folders = entries.into_iter().filter(|entry| entry.is_dir);
        let named = folders.filter_map(|entry| Some((entry.name.parse::<Ulid>().ok()?, self.path.join(entry.name))));
        Ok(named
            .filter(|(ulid, _)| !garbage.contains(ulid) && !self.blocks.has(*ulid))
            .collect())
    }

    /// Lets queries see a block, in the place of those that it replaces.
    ///
    /// A block that says nothing else is taken to hold all that came in order in its time. The head holds samples behind the
    /// newest such block, so one that reaches there is marked as a part: else the next start would not read the log of its
    /// time, and what only the log has would be lost.
    fn take_in(&self, block: Arc<Block>) -> Result<(), StorageError> {
        let meta = block.meta();
        if is_whole(&meta) && Some(meta.max_time) > self.blocks.in_order_end() {
            block.update_meta(|meta| meta.add_hint(OUT_OF_ORDER))?;
        }
        tracing::info!(block = %block.ulid(), "a block that appeared in the directory is taken");
        let gone = match meta.compaction.deletable {
            true => vec![block.ulid()],
            false => replaced_by(&block),
        };
        self.replace(&gone, (!meta.compaction.deletable).then_some(block));
        Ok(())
    }
}

fn files(disk: &dyn Disk, dir: &Path) -> Result<Files, StorageError> {
    let list = |dir: &Path| disk.list(dir).map_err(|error| StorageError::io("list", dir, error));
    let mut files = Files::new();
    for entry in list(dir)? {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            let within = list(&path)?.into_iter();
            files.extend(within.map(|entry| (path.join(entry.name), entry.len)));
        }
        files.insert(path, entry.len);
    }
    Ok(files)
}
