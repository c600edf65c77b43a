//! Samples that came out of order become blocks, which are merged with those of their time later.

use super::Db;
use super::cut::range_end;
use super::maintenance::{Maintenance, Work};
use crate::block::{Meta, OUT_OF_ORDER};
use crate::error::StorageError;
use crate::head::OutOfOrder;
use crate::source::Source;
use std::sync::atomic::Ordering;

impl Db {
    /// Writes what came out of order into blocks once in a range of time by the clock, so that it also happens where
    /// nothing comes in order any more; [`Self::reorder_now`] is part of every cut.
    pub(super) fn reorder(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        let rested = self.clock.now().saturating_sub(work.reordered_at);
        match (0..self.settings.block_range_ms).contains(&rested) {
            true => Ok(()),
            false => self.reorder_now(work, done),
        }
    }

    /// Writes what came out of order into blocks and lets the head forget it.
    pub(super) fn reorder_now(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        let found = self.head.out_of_order()?;
        if !found.is_empty() {
            let mut blocks = Vec::new();
            let written = self.each_reordered(&found, |source, meta| {
                blocks.extend(self.write_block(&[source], meta)?);
                Ok(())
            });
            self.show_all(written, blocks, done)?;
            self.head.truncate_out_of_order(&found)?;
            self.counters.reordered.fetch_add(1, Ordering::Relaxed);
        }
        work.reordered_at = self.clock.now();
        Ok(())
    }

    /// Hands each aligned range of what came out of order to `write` (`tsdb/db.go`, `compactOOO`).
    pub(super) fn each_reordered(
        &self,
        found: &OutOfOrder,
        mut write: impl FnMut(&dyn Source, Meta) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let range = self.settings.block_range_ms;
        let mut end = range_end(found.mint, range);
        loop {
            let mint = end.saturating_sub(range);
            let source = self.head.out_of_order_range(found, mint, end.saturating_sub(1));
            // No block ends in time that has not come: the retention counts from the end of the newest.
            let mut meta = Meta::new(self.new_ulid(), mint, end.min(found.maxt.saturating_add(1)));
            meta.add_hint(OUT_OF_ORDER);
            write(&source, meta)?;
            if end > found.maxt {
                return Ok(());
            }
            end = end.saturating_add(range);
        }
    }
}
