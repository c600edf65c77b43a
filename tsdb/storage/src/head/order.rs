//! The order of labels, without building them: label pairs are ranked once, and series compared by ranks.
//!
//! The index is held for a moment at a time, so that commits that create series go on. Whoever sorts holds a
//! [`super::durable::Lease`]: series and label pairs keep their numbers meanwhile.

use super::index::Index;
use super::pairs::{NameId, PairId};
use super::postings::Id;
use parking_lot::RwLock;
use std::cmp::Ordering;

/// How many series are looked at while the index is held.
const BATCH: usize = 4_096;

/// Where each label pair comes among all: by name, then by value, bytewise.
#[derive(Debug)]
struct Ranks(Vec<u32>);

impl Ranks {
    fn new(index: &RwLock<Index>) -> Self {
        let (mut names, pairs) = {
            let index = index.read();
            let names: Vec<(Box<str>, NameId)> = (0..)
                .zip(index.pairs.names())
                .filter(|(_, name)| !name.pairs.is_empty())
                .map(|(id, name)| (name.text.clone(), id))
                .collect();
            (names, index.pairs.len())
        };
        names.sort_unstable();
        let mut ranks = vec![u32::MAX; pairs];
        let mut next = 0;
        for (_, name) in names {
            for pair in sorted_pairs(&index.read(), name) {
                if let Some(rank) = ranks.get_mut(pair as usize) {
                    *rank = next;
                    next += 1;
                }
            }
        }
        Self(ranks)
    }

    fn of(&self, pair: PairId) -> u32 {
        self.0.get(pair as usize).copied().unwrap_or(u32::MAX)
    }

    /// The ranks of the first two pairs of a series: most series differ in them. No pair comes before any.
    fn key(&self, index: &Index, id: Id) -> u64 {
        let mut pairs = index.pairs_of(id);
        let mut next = || u64::from(pairs.next().map_or(0, |pair| self.of(pair).saturating_add(1)));
        next() << 32 | next()
    }

    /// Compares two series by their labels, as [`leadline_model::labels::Labels`] are compared.
    fn compare(&self, index: &Index, a: Id, b: Id) -> Ordering {
        let rank = |pair| self.of(pair);
        index.pairs_of(a).map(rank).cmp(index.pairs_of(b).map(rank))
    }
}

/// The pairs of one name by their values.
fn sorted_pairs(index: &Index, name: NameId) -> Vec<PairId> {
    let mut pairs = index.pairs.name(name).pairs.clone();
    pairs.sort_unstable_by(|&a, &b| index.pairs.pair(a).value.cmp(&index.pairs.pair(b).value));
    pairs
}

/// Sorts series by their labels.
pub(super) fn sort(index: &RwLock<Index>, ids: &[Id]) -> Vec<Id> {
    let ranks = Ranks::new(index);
    let mut keyed: Vec<(u64, Id)> = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let index = index.read();
        keyed.extend(batch.iter().map(|&id| (ranks.key(&index, id), id)));
    }
    keyed.sort_unstable();
    for group in keyed.chunk_by_mut(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        let index = index.read();
        group.sort_unstable_by(|a, b| ranks.compare(&index, a.1, b.1));
    }
    keyed.into_iter().map(|(_, id)| id).collect()
}

/// The names and values of all labels, sorted bytewise, each once; texts are copied as they are asked for.
pub(super) fn symbols(index: &RwLock<Index>) -> impl Iterator<Item = String> {
    let mut ids = index.read().pairs.symbols();
    ids.sort_unstable_by(|&a, &b| {
        let index = index.read_recursive();
        index.pairs.symbol(a).cmp(index.pairs.symbol(b))
    });
    let mut last: Option<String> = None;
    ids.into_iter().filter_map(move |id| {
        let index = index.read();
        let text = index.pairs.symbol(id);
        if last.as_deref() == Some(text) {
            return None;
        }
        last = Some(text.to_owned());
        last.clone()
    })
}
