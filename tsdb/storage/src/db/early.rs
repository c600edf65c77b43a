//! Keeping what was committed before the log was read, where the store is closed first.
//!
//! Such samples cannot be put behind the log: the references of their series are the log's to give, and only who has read
//! all of it knows which are free. So they become blocks. To what the log has they are what came out of order: it counts
//! first, as it would have had the replay come to its end.

use super::Db;
use crate::block::{Meta, OUT_OF_ORDER};
use crate::compact::{self, Job, Unhurried};
use crate::error::StorageError;
use leadline_model::sample::Timestamp;
use std::sync::atomic::AtomicBool;

impl Db {
    /// Writes what was committed before the log was read into blocks, durably; nothing is to be done once it was read.
    /// Exemplars and metadata are not kept. Returns the number of blocks.
    pub(super) fn keep_early(&self) -> Result<usize, StorageError> {
        if !self.head.is_replaying() {
            return Ok(0);
        }
        let (late, range) = (self.head.seal_late(), self.settings.block_range_ms);
        let mut ranges = self.head.ranges_in_order(range)?;
        ranges.append(&mut self.head.ranges_out_of_order(range)?);
        // No block ends in time that has not come: the retention counts from the end of the newest.
        let newest = self.head.max_time().unwrap_or(Timestamp::MIN).max(late.maxt);
        let mut written = 0;
        for mint in ranges {
            let end = mint.saturating_add(range).min(newest.saturating_add(1));
            let last = end.saturating_sub(1);
            let (in_order, out_of_order) = (
                self.head.range(mint, last),
                self.head.out_of_order_range(&late, mint, last),
            );
            let mut meta = Meta::new(self.new_ulid(), mint, end);
            meta.add_hint(OUT_OF_ORDER);
            let block = compact::write(Job {
                disk: &self.disk,
                dir: &self.path,
                sources: &[&in_order, &out_of_order],
                meta,
                pace: &Unhurried,
                // Being closed is what it is written for.
                stop: &AtomicBool::new(false),
            })?;
            written += usize::from(block.is_some());
        }
        if written > 0 {
            tracing::info!(
                blocks = written,
                "what was committed before the log was read was written into blocks"
            );
        }
        Ok(written)
    }
}
