//! Merging blocks, writing them anew, and removing those that are kept no longer.

use super::Db;
use super::delete::told;
use super::maintenance::{Maintenance, Work};
use crate::block::{Block, Meta, Ulid};
use crate::compact::{Plan, PlanSettings, Why, describe, describe_rewritten, plan};
use crate::error::StorageError;
use crate::retention::{Candidate, too_large, too_old};
use crate::source::Source;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Db {
    /// Does one compaction, if one is due.
    pub(super) fn compact_once(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        let blocks = self.blocks.list();
        let settings = PlanSettings {
            ranges: self.settings.block_ranges(),
        };
        if work.kept != self.blocks.anchor() {
            work.kept = None;
        }
        let metas: Vec<Meta> = blocks.iter().map(|block| work.judge(&block.meta())).collect();
        let Some(plan) = plan(&metas, &settings) else {
            return Ok(());
        };
        match self.compact(&blocks, &plan, work) {
            Ok(new) => {
                self.counters.compactions.fetch_add(1, Ordering::Relaxed);
                let named = plan.blocks.iter().map(ToString::to_string).collect();
                done.compacted = Some((named, new.map(|ulid| ulid.to_string())));
                Ok(())
            }
            Err(error) => {
                if !self.is_closed() {
                    work.note_failure(&plan.blocks, &error);
                    mark_failed(&blocks, work);
                }
                Err(error)
            }
        }
    }

    fn compact(&self, blocks: &[Arc<Block>], plan: &Plan, work: &mut Work) -> Result<Option<Ulid>, StorageError> {
        let parents: Vec<&Arc<Block>> = blocks.iter().filter(|b| plan.blocks.contains(&b.ulid())).collect();
        let metas: Vec<Arc<Meta>> = parents.iter().map(|block| block.meta()).collect();
        let ulid = self.new_ulid();
        let meta = match (plan.why, metas.as_slice()) {
            (Why::Deletions, [one]) => describe_rewritten(ulid, one),
            _ => {
                let mut by_time: Vec<&Meta> = metas.iter().map(AsRef::as_ref).collect();
                by_time.sort_by_key(|meta| (meta.min_time, meta.max_time, meta.ulid));
                describe(ulid, &by_time)
            }
        };
        // The order of the list, not that of time: what came in order counts before what did not.
        let sources: Vec<&dyn Source> = parents.iter().map(|block| block.as_ref() as &dyn Source).collect();
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::ParentsRemovedFirst) {
            self.remove_files(&plan.blocks);
        }
        let new = self.write_block(&sources, meta)?;
        tracing::info!(
            why = ?plan.why,
            blocks = plan.blocks.len(),
            new = %new.as_ref().map_or_else(|| "none".to_owned(), |b| b.ulid().to_string()),
            "blocks compacted"
        );
        let ulid = new.as_ref().map(|block| block.ulid());
        let mut gone = plan.blocks.clone();
        if new.is_none() {
            work.kept = self.blocks.anchor().filter(|anchor| gone.contains(anchor));
            gone.retain(|ulid| work.kept != Some(*ulid));
        }
        self.replace(&gone, new);
        Ok(ulid)
    }

    /// Writes every block anew of which something was deleted. One that cannot be read does not keep the others from it, nor
    /// does one for which the disk has no room: the next may be smaller.
    pub(super) fn rewrite_deleted(&self) -> Result<(), StorageError> {
        let mut failed = Vec::new();
        for block in self.blocks.list().iter() {
            if block.meta().stats.num_tombstones == 0 {
                continue;
            }
            if self.is_closed() {
                return Err(StorageError::closing());
            }
            if let Err(error) = self.rewrite(block) {
                failed.push((block.ulid(), error.to_string()));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        Err(StorageError::Refused(format!(
            "what was deleted is still in {}",
            told(&failed)
        )))
    }

    /// Writes a block anew without what was deleted.
    fn rewrite(&self, block: &Arc<Block>) -> Result<(), StorageError> {
        let meta = describe_rewritten(self.new_ulid(), &block.meta());
        let new = self.write_block(&[block.as_ref() as &dyn Source], meta)?;
        if new.is_some() || self.blocks.anchor() != Some(block.ulid()) {
            self.replace(&[block.ulid()], new);
        }
        Ok(())
    }

    /// Removes the blocks that are past the retention, but never [`super::blocks::Blocks::anchor`].
    ///
    /// Age counts from the end of the newest block. While none can be written because the disk is full it counts from the
    /// newest sample, though not from one ahead of the clock: else a disk that is full of blocks would stay so.
    pub(super) fn retain(&self, work: &Work, done: &mut Maintenance) {
        let of = |block: &Arc<Block>| Candidate {
            ulid: block.ulid(),
            max_time: block.meta().max_time,
            bytes: block.size(),
        };
        let mut blocks: Vec<Candidate> = self.blocks.list().iter().map(of).collect();
        // Without it the log would give back what is older, deletions undone. It can be too old too: blocks of what came
        // out of order, or of series that ended, reach beyond it where nothing was cut from the head for a retention.
        let anchor = self.blocks.anchor();
        let may_go = |ulid: &Ulid| Some(*ulid) != anchor;
        let waiting = self.head.max_time().filter(|_| work.full);
        let waiting = waiting.map(|newest| newest.min(self.clock.now()));
        let mut old = too_old(&blocks, self.settings.retention_ms, waiting);
        old.retain(may_go);
        blocks.retain(|block| !old.contains(&block.ulid));
        let mut large = match self.settings.retention_bytes {
            0 => Vec::new(),
            limit => too_large(&blocks, self.log_bytes(), limit),
        };
        large.retain(may_go);
        for (gone, count, why) in [
            (old, &self.counters.time_retentions, "time"),
            (large, &self.counters.size_retentions, "size"),
        ] {
            if gone.is_empty() {
                continue;
            }
            tracing::info!(blocks = gone.len(), why, "blocks past the retention are removed");
            count.fetch_add(gone.len() as u64, Ordering::Relaxed);
            done.removed.extend(gone.iter().map(ToString::to_string));
            self.replace(&gone, None);
        }
    }
}

/// Writes into the descriptions of blocks that they are not merged any more, so that the next start, and Prometheus, leave
/// them alone too (`tsdb/compact.go`, `setCompactionFailed`).
fn mark_failed(blocks: &[Arc<Block>], work: &Work) {
    for block in blocks.iter().filter(|block| work.gave_up(block.ulid())) {
        if block.meta().compaction.failed {
            continue;
        }
        match block.update_meta(|meta| meta.compaction.failed = true) {
            Ok(()) => {
                tracing::warn!(block = %block.ulid(), "a block cannot be merged and is left as it is from now on");
            }
            // It is remembered as long as the store is open.
            Err(error) => {
                tracing::warn!(block = %block.ulid(), %error, "a block that cannot be merged cannot be marked");
            }
        }
    }
}
