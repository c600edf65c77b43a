//! What names a series: a row per series, found by its labels or through its label pairs.

use super::pairs::{PairId, Pairs};
use super::postings::Id;
use super::verdicts::VerdictCache;
use crate::stats::Stats;
use hashbrown::HashTable;
use leadline_model::labels::Labels;
use leadline_model::port::SeriesRef;
use rapidhash::fast::RandomState;
use std::hash::BuildHasher;

/// A series that was dropped and whose number was not given out anew yet.
const DEAD: SeriesRef = SeriesRef(u64::MAX);

/// Where a series is and what it is called.
#[derive(Debug, Clone, Copy)]
struct Row {
    series: SeriesRef,
    /// Where its packed labels begin in the arena.
    labels: u32,
}

/// The index of all series.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) pairs: Pairs,
    /// By number; numbers grow, dropped ones stay as holes until there are too many.
    rows: Vec<Row>,
    by_labels: HashTable<Id>,
    arena: Arena,
    dead: usize,
    /// Pairs whose postings hold series that were dropped.
    touched: Vec<PairId>,
    /// Which values fulfil which regular expressions.
    pub(super) verdicts: VerdictCache,
    /// Changes whenever a series is created or dropped.
    pub(super) version: u64,
    hasher: RandomState,
}

/// Packed label sets: number of labels, then the label pairs in order of their names, all LEB128.
#[derive(Debug, Default)]
struct Arena {
    pages: Vec<Vec<u8>>,
}

const PAGE: usize = 64 * 1024;

impl Arena {
    /// Stores `packed` and returns its address; `None` when 4 GiB are full or it is longer than a page.
    fn push(&mut self, packed: &[u8]) -> Option<u32> {
        if packed.len() > PAGE {
            return None;
        }
        if self.pages.last().is_none_or(|p| p.len() + packed.len() > PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let number = self.pages.len() - 1;
        let page = self.pages.last_mut()?;
        let at = u32::try_from(number * PAGE + page.len()).ok()?;
        page.extend_from_slice(packed);
        Some(at)
    }

    fn at(&self, address: u32) -> &[u8] {
        let address = address as usize;
        self.pages
            .get(address / PAGE)
            .and_then(|p| p.get(address % PAGE..))
            .unwrap_or(&[])
    }
}

fn put(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Nearly all numbers take one or two bytes.
#[inline]
fn take(bytes: &mut &[u8]) -> u32 {
    match *bytes {
        [a, rest @ ..] if *a < 0x80 => {
            *bytes = rest;
            u32::from(*a)
        }
        [a, b, rest @ ..] if *b < 0x80 => {
            *bytes = rest;
            u32::from(a & 0x7f) | u32::from(*b) << 7
        }
        _ => take_long(bytes),
    }
}

fn take_long(bytes: &mut &[u8]) -> u32 {
    let (mut value, mut shift) = (0, 0);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    value
}

/// The label pairs of one series, in order of their names.
#[derive(Debug, Clone)]
pub(super) struct PairIter<'a> {
    left: u32,
    rest: &'a [u8],
}

impl Iterator for PairIter<'_> {
    type Item = PairId;

    #[inline]
    fn next(&mut self) -> Option<PairId> {
        self.left = self.left.checked_sub(1)?;
        Some(take(&mut self.rest))
    }
}

/// Packs numbers of label pairs.
fn pack(pairs: &[PairId], out: &mut Vec<u8>) {
    out.clear();
    put(out, pairs.len() as u32);
    for &pair in pairs {
        put(out, pair);
    }
}

impl Index {
    /// Makes room for `series` more: growing step by step hashes each of them several times.
    pub(super) fn reserve(&mut self, series: usize) {
        self.rows.reserve_exact(series);
        let (rows, arena, hasher) = (&self.rows, &self.arena, &self.hasher);
        self.by_labels.reserve(series, |&id| {
            hasher.hash_one(packed_at(arena, rows[id as usize].labels))
        });
    }

    /// Number of series that exist.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.dead
    }

    /// A number above those of all series.
    pub(super) fn universe(&self) -> usize {
        self.rows.len()
    }

    /// Every series that exists.
    pub(super) fn all(&self) -> Vec<Id> {
        (0..self.rows.len() as Id)
            .filter(|&id| self.rows[id as usize].series != DEAD)
            .collect()
    }

    /// The reference of a series; one that no stripe knows when it was dropped.
    #[inline]
    pub(super) fn series(&self, id: Id) -> SeriesRef {
        self.rows[id as usize].series
    }

    /// The label pairs of a series.
    #[inline]
    pub(super) fn pairs_of(&self, id: Id) -> PairIter<'_> {
        let mut rest = self.arena.at(self.rows[id as usize].labels);
        PairIter {
            left: take(&mut rest),
            rest,
        }
    }

    /// The labels of a series.
    pub(super) fn labels(&self, id: Id) -> Labels {
        Labels::from_sorted(self.pairs_of(id).map(|pair| {
            let pair = self.pairs.pair(pair);
            (&*self.pairs.name(pair.name).text, &*pair.value)
        }))
    }

    /// The series with exactly these labels.
    pub(super) fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        let mut packed = Vec::with_capacity(64);
        put(&mut packed, labels.len() as u32);
        for (name, value) in labels {
            put(&mut packed, self.pairs.find(name, value)?);
        }
        self.find_packed(&packed).map(|id| self.series(id))
    }

    fn find_packed(&self, packed: &[u8]) -> Option<Id> {
        let hash = self.hasher.hash_one(packed);
        self.by_labels.find(hash, |&id| self.packed(id) == packed).copied()
    }

    /// The packed labels of a series.
    fn packed(&self, id: Id) -> &[u8] {
        packed_at(&self.arena, self.rows[id as usize].labels)
    }

    /// Enters a series that [`Self::find`] does not find. `None` when there is no room.
    pub(super) fn create(&mut self, labels: &Labels, series: SeriesRef) -> Option<Id> {
        let id = Id::try_from(self.rows.len()).ok()?;
        let pairs: smallvec::SmallVec<[PairId; 24]> = labels.iter().map(|(n, v)| self.pairs.intern(n, v)).collect();
        let mut packed = Vec::with_capacity(64);
        pack(&pairs, &mut packed);
        let address = self.arena.push(&packed)?;
        self.rows.push(Row {
            series,
            labels: address,
        });
        for &pair in &pairs {
            self.pairs.post(pair, id);
        }
        let (rows, arena, hasher) = (&self.rows, &self.arena, &self.hasher);
        self.by_labels.insert_unique(hasher.hash_one(&packed[..]), id, |&id| {
            hasher.hash_one(packed_at(arena, rows[id as usize].labels))
        });
        self.version += 1;
        Some(id)
    }

    /// Drops series: nothing finds them by their labels from now on. Their postings go with the next [`Self::sweep`].
    pub(super) fn kill(&mut self, ids: impl Iterator<Item = Id>) {
        for id in ids {
            self.touched
                .extend(self.pairs_of(id).collect::<smallvec::SmallVec<[PairId; 24]>>());
            let hash = self.hasher.hash_one(self.packed(id));
            if let Ok(entry) = self.by_labels.find_entry(hash, |&other| other == id) {
                entry.remove();
            }
            self.rows[id as usize].series = DEAD;
            self.dead += 1;
        }
        self.version += 1;
        // Each pair counts once; what many series share would fill the list.
        if self.touched.len() > 2 * self.pairs.len() + 1_024 {
            self.touched.sort_unstable();
            self.touched.dedup();
        }
    }

    /// Clears the postings of dropped series; where `renumber` allows it, also the label pairs that no series carries any
    /// more, and when many series are gone, the rest gets new numbers.
    pub(super) fn sweep(&mut self, renumber: bool) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        let (rows, pairs) = (&self.rows, &mut self.pairs);
        touched.retain(|&pair| !pairs.retain(pair, |id| rows[id as usize].series != DEAD));
        self.version += 1;
        if !renumber {
            self.touched = touched;
            return;
        }
        self.pairs.reclaim(touched);
        if self.dead > self.rows.len() / 2 {
            self.renumber();
        }
    }

    /// Gives the living series new numbers without holes, in the same order, and packs their labels together.
    fn renumber(&mut self) {
        let old = std::mem::take(&mut self.arena);
        let mut new_id = vec![0; self.rows.len()];
        let mut rows = Vec::with_capacity(self.len());
        for (id, row) in self.rows.iter().enumerate() {
            if row.series != DEAD {
                new_id[id] = rows.len() as Id;
                // It fitted before, and less is stored now.
                let labels = self.arena.push(packed_at(&old, row.labels)).unwrap_or(0);
                rows.push(Row {
                    series: row.series,
                    labels,
                });
            }
        }
        for pair in self.pairs.all_mut() {
            for id in &mut pair.postings {
                *id = new_id[*id as usize];
            }
        }
        self.rows = rows;
        self.dead = 0;
        self.by_labels.clear();
        let (rows, arena, hasher) = (&self.rows, &self.arena, &self.hasher);
        let hash = |&id: &Id| hasher.hash_one(packed_at(arena, rows[id as usize].labels));
        self.by_labels.shrink_to(rows.len(), hash);
        for id in 0..rows.len() as Id {
            self.by_labels.insert_unique(hash(&id), id, hash);
        }
    }

    /// Adds the gauges of the index.
    pub(super) fn add_to(&self, stats: &mut Stats) {
        let packed: usize = self.arena.pages.iter().map(Vec::capacity).sum();
        let rows = self.rows.capacity() * size_of::<Row>() + self.by_labels.capacity() * 5;
        stats.bytes += (packed + rows) as u64;
        self.pairs.add_to(stats);
    }
}

fn packed_at(arena: &Arena, address: u32) -> &[u8] {
    let bytes = arena.at(address);
    let mut rest = bytes;
    for _ in 0..take(&mut rest) {
        take(&mut rest);
    }
    &bytes[..bytes.len() - rest.len()]
}
