//! The order of labels, without building them: label pairs are ranked once, and series compared by ranks.

use super::index::Index;
use super::pairs::PairId;
use super::postings::Id;
use std::cmp::Ordering;

/// Where each label pair comes among all: by name, then by value, bytewise.
#[derive(Debug)]
pub(super) struct Ranks(Vec<u32>);

impl Ranks {
    /// Ranks the pairs of `index`.
    pub(super) fn new(index: &Index) -> Self {
        let mut names: Vec<_> = index.pairs.names().iter().collect();
        names.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        let mut ranks = vec![0; index.pairs.len()];
        let mut next = 0;
        let mut of_name: Vec<PairId> = Vec::new();
        for name in names {
            of_name.clone_from(&name.pairs);
            of_name.sort_unstable_by(|&a, &b| index.pairs.pair(a).value.cmp(&index.pairs.pair(b).value));
            for &pair in &of_name {
                ranks[pair as usize] = next;
                next += 1;
            }
        }
        Self(ranks)
    }

    /// Compares two series by their labels, as [`leadline_model::labels::Labels`] are compared.
    pub(super) fn compare(&self, index: &Index, a: Id, b: Id) -> Ordering {
        let rank = |pair: PairId| self.0.get(pair as usize).copied().unwrap_or(u32::MAX);
        index.pairs_of(a).map(rank).cmp(index.pairs_of(b).map(rank))
    }

    /// Sorts series by their labels.
    pub(super) fn sort(&self, index: &Index, ids: &mut [Id]) {
        ids.sort_unstable_by(|&a, &b| self.compare(index, a, b));
    }
}
