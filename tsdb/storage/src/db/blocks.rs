//! The blocks of a directory.

use crate::block::{Block, Cache, OUT_OF_ORDER, Ulid};
use crate::compact::{in_order_end, is_whole};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::wal::checkpoint;
use leadline_model::sample::Timestamp;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Blocks that are open, in the order in which their samples count: those of the head before those that came out of
/// order, then by time.
pub(super) type List = Arc<[Arc<Block>]>;

/// The blocks of a directory.
#[derive(Debug)]
pub(super) struct Blocks {
    open: RwLock<List>,
    /// None of them has a sample at or behind this time, ms.
    end: AtomicI64,
    /// Those that could not be opened since they are damaged, and why.
    damaged: BTreeMap<Ulid, String>,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    open: Vec<Arc<Block>>,
    damaged: BTreeMap<Ulid, String>,
    /// Blocks that others replace, and those of which nothing is left: to be removed.
    pub(super) superseded: Vec<Ulid>,
}

impl Found {
    /// Opens what there is. Nothing is changed.
    ///
    /// A damaged block is left out (unless another replaces it, it is all that there is of its samples, so it is not
    /// touched either). One that a newer version wrote, or that the system cannot read now, is an error: it may be
    /// all right.
    pub(super) fn look(disk: &Arc<dyn Disk>, dir: &Path, cache: &Arc<Cache>) -> Result<Self, StorageError> {
        let mut found = Self::default();
        let entries = disk.list(dir).map_err(|error| StorageError::io("list", dir, error))?;
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let Ok(ulid) = entry.name.parse::<Ulid>() else { continue };
            match Block::open(Arc::clone(disk), &dir.join(&entry.name), Arc::clone(cache)) {
                Ok(block) => found.open.push(block),
                Err(error) if is_damage(&error) => {
                    found.damaged.insert(ulid, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        found.supersede();
        Ok(found)
    }

    /// Takes out what others replace.
    fn supersede(&mut self) {
        let replaced: BTreeSet<Ulid> = self
            .open
            .iter()
            .flat_map(|block| {
                let meta = block.meta();
                let parents: Vec<Ulid> = meta.compaction.parents.iter().map(|parent| parent.ulid).collect();
                // A block that was written anew never names itself, but a hand-made one may.
                parents.into_iter().filter(move |parent| *parent != meta.ulid)
            })
            .collect();
        let superseded = &mut self.superseded;
        self.open.retain(|block| {
            let goes = replaced.contains(&block.ulid()) || block.meta().compaction.deletable;
            if goes {
                superseded.push(block.ulid());
            }
            !goes
        });
        self.damaged.retain(|ulid, _| {
            let goes = replaced.contains(ulid);
            if goes {
                superseded.push(*ulid);
            }
            !goes
        });
    }
}

/// Whether the bytes are to blame and not the system.
fn is_damage(error: &StorageError) -> bool {
    match error {
        StorageError::Damaged(_) => true,
        StorageError::Io { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::IsADirectory
        ),
        _ => false,
    }
}

impl Blocks {
    pub(super) fn new(found: Found) -> Self {
        for (ulid, why) in &found.damaged {
            tracing::error!(block = %ulid, %why, "a damaged block is left out");
        }
        let open = ordered(found.open);
        Self {
            end: AtomicI64::new(end(&open)),
            open: RwLock::new(open),
            damaged: found.damaged,
        }
    }

    /// None of the blocks has a sample at or behind this time, ms.
    pub(super) fn end(&self) -> Timestamp {
        self.end.load(Ordering::Acquire)
    }

    /// The open ones.
    pub(super) fn list(&self) -> List {
        Arc::clone(&self.open.read())
    }

    /// The damaged ones, and why.
    pub(super) fn damaged(&self) -> &BTreeMap<Ulid, String> {
        &self.damaged
    }

    /// Lets queries that begin from now on see `new` in the place of `gone`.
    pub(super) fn exchange(&self, gone: &[Ulid], new: Option<Arc<Block>>) {
        let mut open = self.open.write();
        let kept = open.iter().filter(|block| !gone.contains(&block.ulid())).cloned();
        *open = ordered(kept.chain(new).collect());
        self.end.store(end(&open), Ordering::Release);
    }

    /// The block whose end is [`Self::in_order_end`]. Even when all of it was deleted it has to stay until there is a later
    /// one: without it, the log would give back what was deleted.
    pub(super) fn anchor(&self) -> Option<Ulid> {
        let end = self.in_order_end()?;
        let list = self.list();
        let anchors = list
            .iter()
            .map(|block| block.meta())
            .filter(|meta| meta.max_time == end && is_whole(meta));
        anchors.map(|meta| meta.ulid).next_back()
    }

    /// What is older (ms) the log of the directory need not give back: blocks hold it, or it was cut and nothing was left of
    /// it, which the newest checkpoint says.
    pub(super) fn log_begins(&self, disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<Timestamp>, StorageError> {
        let cut = match checkpoint::min_valid_time(disk, &dir.join("wal")) {
            // The replay says what is lost.
            Err(StorageError::Damaged(_)) => None,
            found => found?,
        };
        Ok(self.in_order_end().max(cut))
    }

    /// Up to where (ms) the blocks hold all that came in order: what the log has before it, it need not give back.
    pub(super) fn in_order_end(&self) -> Option<Timestamp> {
        let metas: Vec<_> = self.list().iter().map(|block| block.meta()).collect();
        in_order_end(metas.iter().map(AsRef::as_ref))
    }
}

fn end(blocks: &[Arc<Block>]) -> Timestamp {
    let ends = blocks.iter().map(|block| block.meta().max_time);
    ends.max().unwrap_or(Timestamp::MIN)
}

fn ordered(mut blocks: Vec<Arc<Block>>) -> List {
    blocks.sort_by_cached_key(|block| {
        let meta = block.meta();
        (meta.has_hint(OUT_OF_ORDER), meta.min_time, meta.max_time, meta.ulid)
    });
    blocks.into()
}
