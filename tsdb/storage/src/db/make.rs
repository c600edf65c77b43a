//! Making a block and letting queries see it.

use super::Db;
use super::maintenance::Maintenance;
use crate::block::{Block, Meta, Ulid};
use crate::compact::{self, Job};
use crate::error::StorageError;
use crate::source::Source;
use std::sync::Arc;

impl Db {
    /// A name for a new block.
    pub(super) fn new_ulid(&self) -> Ulid {
        Ulid::new(self.clock.now(), self.entropy.as_ref())
    }

    /// Writes a block from sources, durably; `None`: nothing was left to write.
    pub(super) fn write_block(&self, sources: &[&dyn Source], meta: Meta) -> Result<Option<Arc<Block>>, StorageError> {
        let ulid = meta.ulid;
        let made = self.try_block(sources, meta);
        if made.is_err() {
            // It may be there whole and could only not be made durable or opened. It will be written again.
            self.remove_files(&[ulid]);
        }
        made
    }

    fn try_block(&self, sources: &[&dyn Source], meta: Meta) -> Result<Option<Arc<Block>>, StorageError> {
        let written = compact::write(Job {
            disk: &self.disk,
            dir: &self.path,
            sources,
            meta,
            pace: self.pace.as_ref(),
            stop: &self.stop,
        })?;
        let Some(meta) = written else { return Ok(None) };
        let dir = self.path.join(meta.ulid.to_string());
        Block::open(Arc::clone(&self.disk), &dir, Arc::clone(&self.cache)).map(Some)
    }

    /// Shows `new` in the place of `gone`, whose files are removed.
    pub(super) fn replace(&self, gone: &[Ulid], new: Option<Arc<Block>>) {
        self.blocks.exchange(gone, new);
        self.remove_files(gone);
    }

    /// Shows all of the blocks that were written from the head together, or removes them when one could not be written:
    /// the head keeps what they hold then, and it will be written again.
    pub(super) fn show_all(
        &self,
        written: Result<(), StorageError>,
        blocks: Vec<Arc<Block>>,
        done: &mut Maintenance,
    ) -> Result<(), StorageError> {
        if written.is_err() {
            let ulids: Vec<Ulid> = blocks.iter().map(|block| block.ulid()).collect();
            self.remove_files(&ulids);
            return written;
        }
        for block in blocks {
            done.cut.push(block.ulid().to_string());
            self.blocks.exchange(&[], Some(block));
        }
        Ok(())
    }

    /// Removes the folders of blocks that no query will ask any more. What cannot be removed now is tried again later.
    pub(super) fn remove_files(&self, gone: &[Ulid]) {
        for &ulid in gone {
            if let Err(error) = super::folders::remove_block(self.disk.as_ref(), &self.path, ulid) {
                tracing::warn!(block = %ulid, %error, "a block cannot be removed yet");
                self.garbage.lock().insert(ulid);
            }
        }
    }

    /// Tries again to remove what could not be removed. Returns whether nothing of it is left.
    pub(super) fn remove_garbage(&self) -> bool {
        let garbage: Vec<Ulid> = std::mem::take(&mut *self.garbage.lock()).into_iter().collect();
        self.remove_files(&garbage);
        self.garbage.lock().is_empty()
    }
}
