//! Blocks that others put into the directory while the store is open (Prometheus looks for them every minute, `tsdb/db.go`,
//! `reloadBlocks`), and those that could not be read before.

use super::Db;
use super::blocks::replaced_by;
use super::maintenance::Maintenance;
use crate::block::{Block, OUT_OF_ORDER, Ulid};
use crate::compact::is_whole;
use crate::error::StorageError;
use std::sync::Arc;

impl Db {
    /// Opens what is there and not open. What cannot be opened is left out, told once, and tried again: it may be in the middle
    /// of being copied, and a disk that could not read it may read it later.
    pub(super) fn adopt(&self, done: &mut Maintenance) -> Result<(), StorageError> {
        let mut failed = Ok(());
        for ulid in self.not_open()? {
            let dir = self.path.join(ulid.to_string());
            let opened = Block::open(Arc::clone(&self.disk), &dir, Arc::clone(&self.cache));
            let taken = match opened {
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

    /// The blocks of the directory that are not open, but for those that are only waiting for their removal.
    fn not_open(&self) -> Result<Vec<Ulid>, StorageError> {
        let entries = self.disk.list(&self.path);
        let entries = entries.map_err(|error| StorageError::io("list", &self.path, error))?;
        let garbage = self.garbage.lock();
        let ulids = entries.iter().filter(|entry| entry.is_dir);
        let ulids = ulids.filter_map(|entry| entry.name.parse::<Ulid>().ok());
        Ok(ulids
            .filter(|ulid| !garbage.contains(ulid) && !self.blocks.has(*ulid))
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
