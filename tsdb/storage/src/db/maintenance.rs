//! What is due by the clock.

use super::Db;
use super::adopt::Files;
use super::cut::Newest;
use super::standstill::Standstill;
use crate::block::{Meta, Ulid};
use crate::error::StorageError;
use leadline_model::sample::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// What one [`Db::maintain`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Chunks that were written away and left the memory.
    pub chunks_mapped: usize,
    /// Series that left the head because nothing of them was left there.
    pub series_removed: usize,
    /// Stale series that left the head for a block.
    pub series_evicted: usize,
    /// Blocks that others wrote, or that could not be read before, and that are open now, by name.
    pub adopted: Vec<String>,
    /// Blocks that were written from the head, by name.
    pub cut: Vec<String>,
    /// Blocks that were merged, and the block that they became (`None`: everything in them was deleted).
    pub compacted: Option<(Vec<String>, Option<String>)>,
    /// Blocks that the retention removed.
    pub removed: Vec<String>,
    /// What of mapped chunks that cannot be read is lost, because the log lacks it too, in words; since the last call.
    pub lost: Vec<String>,
    /// What could not be done, and is tried again by the next call.
    pub failures: Vec<String>,
}

/// Failures after which blocks are not merged any more: this is written into their descriptions.
const GIVE_UP: u8 = 3;

/// What is remembered from one call to the next. Held locked while blocks are made or removed, so that one thing is done
/// at a time.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// How often merging these blocks failed since the store was opened; from [`GIVE_UP`] on they are left alone.
    pub(super) failed: BTreeMap<Ulid, u8>,
    /// The files of the blocks that were not open, as this call (or the last) found them.
    pub(super) seen: BTreeMap<Ulid, Files>,
    /// Up to where (ms) blocks were cut that the head has not forgotten yet.
    pub(super) cut_to: Option<Timestamp>,
    /// Up to where (ms) the head has forgotten what its files still have.
    pub(super) shorten_to: Option<Timestamp>,
    /// Whether this call could not do something because the disk has no room.
    pub(super) full: bool,
    /// Whether the disk did not read mapped chunks, or the log in their place, in this call.
    pub(super) misread: bool,
    /// In how many calls in a row before this one that was so.
    pub(super) misreads: u32,
    pub(super) newest: Newest,
    /// When samples that came out of order were last made blocks, ms; 0 before the first time.
    pub(super) reordered_at: Timestamp,
    /// When series that have ended were last looked for, ms; 0 before the first time.
    pub(super) stale_looked_at: Timestamp,
    /// A block that has to stay though all of it was deleted; not planned with as long as that is so.
    pub(super) kept: Option<Ulid>,
}

impl Work {
    /// A block's description, marked as failed where this run found it so.
    pub(super) fn judge(&self, meta: &Meta) -> Meta {
        let mut meta = meta.clone();
        meta.compaction.failed |= self.gave_up(meta.ulid) || self.kept == Some(meta.ulid);
        meta
    }

    /// Whether a block is not merged any more.
    pub(super) fn gave_up(&self, ulid: Ulid) -> bool {
        self.failed.get(&ulid).is_some_and(|&n| n >= GIVE_UP)
    }

    /// Notes why blocks could not be merged. A full disk passes; a disk that fails may; what cannot be read stays so, and
    /// must not keep other blocks from being merged: where one of them is what is wrong, it alone is blamed.
    pub(super) fn note_failure(&mut self, blocks: &[Ulid], error: &StorageError) {
        let culprit = culprit(blocks, error);
        let blamed = blocks.iter().filter(|ulid| culprit.is_none_or(|one| one == **ulid));
        for &ulid in blamed.filter(|_| !error.is_full()) {
            let times = self.failed.entry(ulid).or_default();
            *times = match error {
                StorageError::Io { .. } => times.saturating_add(1),
                _ => GIVE_UP,
            };
        }
    }
}

/// The block in whose folder the damage lies, or what a newer version wrote, or what the disk does not read, if that is one
/// of these. What it does not write is in the folder of a new one.
fn culprit(blocks: &[Ulid], error: &StorageError) -> Option<Ulid> {
    let path = match error {
        StorageError::Damaged(damage) => &damage.path,
        StorageError::Unknown { path, .. } | StorageError::Io { path, .. } => path,
        _ => return None,
    };
    // The innermost: the folder of the store may be named like one of them.
    path.ancestors().find_map(|folder| {
        let name = folder.file_name()?.to_str()?.parse().ok()?;
        blocks.iter().copied().find(|ulid| *ulid == name)
    })
}

impl Db {
    /// See [`Db::maintain`]. A step that fails does not keep the others from being done: a full disk is helped by the
    /// retention, and one damaged block says nothing about the head.
    pub(super) fn do_what_is_due(&self) -> Maintenance {
        let mut done = Maintenance::default();
        let Ok(mut work) = self.begin() else {
            return done;
        };
        self.counters.compacting.store(true, Ordering::Relaxed);
        self.remove_garbage();
        work.full = false;
        work.misread = false;
        let mut steps = Steps {
            db: self,
            work: &mut work,
            done: &mut done,
        };
        steps.run("blocks that others wrote cannot be taken", Db::adopt);
        steps.run("chunks cannot be mapped", |db, _, done| {
            done.chunks_mapped = db.head.map_chunks()?;
            Ok(())
        });
        steps.run("the head cannot be cut", |db, work, done| {
            let cut = db.despite_damage(work, done, Self::cut_head);
            if !db.is_closed() {
                Standstill::note(&db.standstill, db.clock.now(), cut.as_ref().err());
            }
            cut
        });
        steps.run("out-of-order samples cannot be written as blocks", |db, work, done| {
            db.despite_damage(work, done, Self::reorder)
        });
        steps.run("stale series cannot be evicted", |db, work, done| {
            db.despite_damage(work, done, Self::evict_stale)
        });
        steps.run("blocks cannot be compacted", Self::compact_once);
        work.misreads = match work.misread {
            true => work.misreads.saturating_add(1),
            false => 0,
        };
        self.retain(&work, &mut done);
        done.lost = self.head.take_lost();
        self.counters.compacting.store(false, Ordering::Relaxed);
        done
    }
}

/// Things that are done one after another.
struct Steps<'a> {
    db: &'a Db,
    work: &'a mut Work,
    done: &'a mut Maintenance,
}

impl Steps<'_> {
    fn run(
        &mut self,
        failure: &'static str,
        step: impl FnOnce(&Db, &mut Work, &mut Maintenance) -> Result<(), StorageError>,
    ) {
        if self.db.is_closed() {
            return;
        }
        if let Err(error) = step(self.db, self.work, self.done) {
            if self.db.is_closed() {
                return;
            }
            self.work.full |= error.is_full();
            tracing::error!(%error, "{failure}");
            self.db.counters.failures.fetch_add(1, Ordering::Relaxed);
            self.done.failures.push(format!("{failure}: {error}"));
        }
    }
}
