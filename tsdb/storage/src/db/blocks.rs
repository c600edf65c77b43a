//! The blocks of a directory.

use crate::block::{Block, OUT_OF_ORDER, Ulid};
use crate::cache::Cache;
use crate::compact::{in_order_end, is_whole};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::wal::checkpoint;
use leadline_model::sample::Timestamp;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
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
    /// Those that could not be opened, and why.
    left_out: RwLock<BTreeMap<Ulid, String>>,
    /// Those of them that the disk did not read at the start, until they are tried again.
    misread: Mutex<BTreeSet<Ulid>>,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    open: Vec<Arc<Block>>,
    left_out: BTreeMap<Ulid, String>,
    misread: BTreeSet<Ulid>,
    /// Blocks that others replace, and those of which nothing is left: to be removed.
    pub(super) superseded: Vec<Ulid>,
}

impl Found {
    /// Opens what there is. Nothing is changed.
    ///
    /// A block that is damaged or that the system cannot read now is left out (unless another replaces it, it is all that
    /// there is of its samples, so it is not touched either). One that a newer version wrote is an error: it is all right.
    pub(super) fn look(disk: &Arc<dyn Disk>, dir: &Path, cache: &Arc<Cache>) -> Result<Self, StorageError> {
        let mut found = Self::default();
        let entries = disk.list(dir).map_err(|error| StorageError::io("list", dir, error))?;
        for entry in entries.into_iter().filter(|entry| entry.is_dir) {
            let Ok(ulid) = entry.name.parse::<Ulid>() else { continue };
            match open(disk, &dir.join(&entry.name), cache) {
                Ok(block) => found.open.push(block),
                Err(error @ StorageError::Unknown { .. }) => return Err(error),
                Err(error) => found.leave_out(ulid, &error),
            }
        }
        found.leave_out_parts();
        found.supersede();
        Ok(found)
    }

    fn leave_out(&mut self, ulid: Ulid, error: &StorageError) {
        if is_misread(error) {
            self.misread.insert(ulid);
        }
        self.left_out.insert(ulid, error.to_string());
    }

    /// Takes out what would replace blocks that are there and is a part of a block: somebody may be copying it, so what it
    /// would replace is all that there is of the rest.
    fn leave_out_parts(&mut self) {
        let there: BTreeSet<Ulid> = self.open.iter().map(|block| block.ulid()).collect();
        let replaces = |block: &Block, left_out: &BTreeMap<Ulid, String>| {
            let mut replaced = replaced_by(block).into_iter();
            replaced.any(|ulid| there.contains(&ulid) || left_out.contains_key(&ulid))
        };
        for block in std::mem::take(&mut self.open) {
            match replaces(&block, &self.left_out).then(|| block.check_reach()) {
                None | Some(Ok(())) => self.open.push(block),
                Some(Err(error)) => self.leave_out(block.ulid(), &error),
            }
        }
    }

    /// Takes out what others replace.
    fn supersede(&mut self) {
        let replaced: BTreeSet<Ulid> = self.open.iter().flat_map(|block| replaced_by(block)).collect();
        let superseded = &mut self.superseded;
        self.open.retain(|block| {
            let goes = replaced.contains(&block.ulid()) || block.meta().compaction.deletable;
            if goes {
                superseded.push(block.ulid());
            }
            !goes
        });
        self.left_out.retain(|ulid, _| {
            let goes = replaced.contains(ulid);
            if goes {
                superseded.push(*ulid);
            }
            !goes
        });
    }
}

/// Opens the block in a folder, unless its chunks are not there (a copy may bring the index before them), or the folder has
/// another name than the block: blocks are known, replaced and removed by name, so a copy beside the block itself would be
/// taken for it, and a renamed one would outlast its removal.
pub(super) fn open(disk: &Arc<dyn Disk>, dir: &Path, cache: &Arc<Cache>) -> Result<Arc<Block>, StorageError> {
    let block = Block::open(Arc::clone(disk), dir, Arc::clone(cache))?;
    let meta = block.meta();
    let name = meta.ulid.to_string();
    if dir.file_name() != Some(name.as_ref()) {
        return Err(StorageError::Refused(format!(
            "{}: its meta.json says that this is the block {name}: give the folder that name, or remove it if it is a copy",
            dir.display()
        )));
    }
    let chunks = meta.stats.num_chunks;
    if chunks > 0 && block.chunk_bytes() == 0 {
        let expected = format!("segments with {chunks} chunks");
        return Err(StorageError::damaged(&dir.join("chunks"), 0, expected, "none"));
    }
    Ok(block)
}

/// Whether the disk failed. A file that is not there or that ends early may be in the middle of being copied.
fn is_misread(error: &StorageError) -> bool {
    let early = [ErrorKind::NotFound, ErrorKind::UnexpectedEof];
    matches!(error, StorageError::Io { source, .. } if !early.contains(&source.kind()))
}

/// The blocks in whose place this one came.
pub(super) fn replaced_by(block: &Block) -> Vec<Ulid> {
    let meta = block.meta();
    let parents = meta.compaction.parents.iter().map(|parent| parent.ulid);
    // A block that was written anew never names itself, but a hand-made one may.
    parents.filter(|parent| *parent != meta.ulid).collect()
}

fn tell(ulid: Ulid, why: &str) {
    tracing::error!(block = %ulid, %why, "a block that cannot be opened is left out");
}

impl Blocks {
    pub(super) fn new(found: Found) -> Self {
        for (ulid, why) in &found.left_out {
            tell(*ulid, why);
        }
        let open = ordered(found.open);
        Self {
            end: AtomicI64::new(end(&open)),
            open: RwLock::new(open),
            left_out: RwLock::new(found.left_out),
            misread: Mutex::new(found.misread),
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

    /// Those that could not be opened, and why.
    pub(super) fn damaged(&self) -> Vec<(String, String)> {
        let left_out = self.left_out.read();
        let told = left_out.iter();
        told.map(|(ulid, why)| (ulid.to_string(), why.clone())).collect()
    }

    /// Whether a block is open.
    pub(super) fn has(&self, ulid: Ulid) -> bool {
        self.list().iter().any(|block| block.ulid() == ulid)
    }

    /// Remembers that a block could not be opened, and says so where that is new.
    pub(super) fn leave_out(&self, ulid: Ulid, error: &StorageError) {
        let why = error.to_string();
        let before = self.left_out.write().insert(ulid, why.clone());
        if before.as_ref() != Some(&why) {
            tell(ulid, &why);
        }
    }

    /// Forgets those that were left out and are not in the directory any more.
    pub(super) fn forget_all_but(&self, there: impl Fn(&Ulid) -> bool) {
        self.left_out.write().retain(|ulid, _| there(ulid));
    }

    /// Why a block could not be opened, where that was tried.
    pub(super) fn why_left_out(&self, ulid: Ulid) -> Option<String> {
        self.left_out.read().get(&ulid).cloned()
    }

    /// The blocks that the disk did not read at the start; none from the second call on.
    pub(super) fn take_misread(&self) -> BTreeSet<Ulid> {
        std::mem::take(&mut *self.misread.lock())
    }

    /// Lets queries that begin from now on see `new` in the place of `gone`, and of a block of the same name.
    pub(super) fn exchange(&self, gone: &[Ulid], new: Option<Arc<Block>>) {
        let mut open = self.open.write();
        let named = new.as_ref().map(|block| block.ulid());
        let goes = |ulid: Ulid| gone.contains(&ulid) || named == Some(ulid);
        let kept = open.iter().filter(|block| !goes(block.ulid())).cloned();
        self.left_out.write().retain(|ulid, _| !goes(*ulid));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{Meta, Writer};
    use crate::chunk::{Encoding, XorAppender};
    use crate::disk::MemoryDisk;
    use crate::source::SourceChunk;
    use leadline_model::entropy::SeededEntropy;
    use leadline_model::labels::Labels;

    #[test]
    fn a_block_takes_the_place_of_an_open_one_of_its_name() {
        let (disk, dir): (Arc<dyn Disk>, _) = (Arc::new(MemoryDisk::new()), Path::new("data"));
        let ulid = Ulid::new(7, &SeededEntropy::new(7));
        disk.create_dir_all(dir).unwrap();
        let symbols = ["__name__", "a"].map(|text| Ok(text.to_owned()));
        let mut writer = Writer::create(Arc::clone(&disk), dir, ulid, Box::new(symbols.into_iter())).unwrap();
        let mut samples = XorAppender::default();
        samples.append(1, 1.0);
        let chunk = SourceChunk {
            mint: 1,
            maxt: 1,
            encoding: Encoding::Xor,
            data: samples.seal(&mut Vec::new()).to_vec().into(),
        };
        writer
            .series(&Labels::from_pairs([("__name__", "a")]), &[chunk])
            .unwrap();
        writer.finish(Meta::new(ulid, 1, 2)).unwrap();
        let cache = Cache::new(0);
        let blocks = Blocks::new(Found::look(&disk, dir, &cache).unwrap());
        let again = open(&disk, &dir.join(ulid.to_string()), &cache).unwrap();
        blocks.exchange(&[], Some(Arc::clone(&again)));
        let list = blocks.list();
        assert!(list.len() == 1 && Arc::ptr_eq(&list[0], &again), "{}", list.len());
    }
}
