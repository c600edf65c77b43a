//! Series in the order of their labels, by the ranks of their label pairs among those of the selection: a text is compared
//! once for each pair that occurs, not for each series.
//!
//! [`super::order`] ranks all pairs of the index for those who sort most of it.

use super::index::Index;
use super::pairs::PairId;
use super::postings::Id;
use std::cmp::Ordering;

/// The most places of label pairs at which series are told apart by packed keys.
const PLACES: usize = 64;

/// Sorts `items` by the labels of the series that `id` names.
pub(super) fn sort_by_labels<T>(index: &Index, items: &mut Vec<T>, id: impl Fn(&T) -> Id) {
    if items.len() < 2 {
        return;
    }
    let order = order(index, items, id);
    let mut left: Vec<Option<T>> = std::mem::take(items).into_iter().map(Some).collect();
    items.extend(order.into_iter().filter_map(|at| left[at as usize].take()));
}

/// For each series its place in the order of labels.
pub(super) fn places(index: &Index, series: impl Iterator<Item = Id>) -> Vec<u32> {
    let series: Vec<Id> = series.collect();
    let mut places = vec![0; series.len()];
    for (place, at) in (0..).zip(order(index, &series, |&id| id)) {
        places[at as usize] = place;
    }
    places
}

/// For each place in the order of labels which of `items` has it.
fn order<T>(index: &Index, items: &[T], id: impl Fn(&T) -> Id) -> Vec<u32> {
    let ranks = Ranks::of(index, items.iter().map(&id));
    ranks.packed(index, items, &id).unwrap_or_else(|| {
        let mut order: Vec<u32> = (0..items.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| ranks.compare(index, id(&items[a as usize]), id(&items[b as usize])));
        order
    })
}

/// The order of the label pairs of a selection.
struct Ranks {
    /// By the number of a pair, from 1; 0 for those that do not occur.
    of_pair: Vec<u32>,
    /// The highest.
    last: u32,
    /// Whether series differ at the n-th pair; where there are more, not for all of them.
    differs: Vec<bool>,
}

impl Ranks {
    fn of(index: &Index, series: impl Iterator<Item = Id>) -> Self {
        let mut of_pair = vec![0u32; index.pairs.len()];
        let mut found: Vec<PairId> = Vec::new();
        // What the first series has at each place, and whether all have.
        let mut first: Vec<PairId> = Vec::new();
        let mut differs: Vec<bool> = Vec::new();
        for (n, id) in series.enumerate() {
            let mut places = 0;
            for pair in index.pairs_of(id) {
                if of_pair[pair as usize] == 0 {
                    of_pair[pair as usize] = 1;
                    found.push(pair);
                }
                match first.get(places) {
                    Some(&other) => differs[places] |= other != pair,
                    None => {
                        first.push(pair);
                        differs.push(n > 0);
                    }
                }
                places += 1;
            }
            // A series that ends before others differs from them behind its end.
            differs[places..].fill(true);
        }
        found.sort_unstable_by(|&a, &b| index.pairs.compare(a, b));
        for (rank, &pair) in (1..).zip(&found) {
            of_pair[pair as usize] = rank;
        }
        Self {
            of_pair,
            last: found.len() as u32,
            differs,
        }
    }

    fn rank(&self, pair: PairId) -> u32 {
        self.of_pair[pair as usize]
    }

    /// Pair by pair, a set before those that begin with it.
    fn compare(&self, index: &Index, a: Id, b: Id) -> Ordering {
        let ranks = |id: Id| index.pairs_of(id).map(|pair| self.rank(pair));
        ranks(a).cmp(ranks(b))
    }

    /// The order by ranks packed into one number each with the place of the series; `None` where they do not fit.
    fn packed<T>(&self, index: &Index, items: &[T], id: impl Fn(&T) -> Id) -> Option<Vec<u32>> {
        let bits = u32::BITS - self.last.leading_zeros();
        let place_bits = usize::BITS - items.len().leading_zeros();
        let places = self.differs.iter().filter(|differs| **differs).count();
        if self.differs.len() > PLACES || places as u32 * bits + place_bits > u128::BITS {
            return None;
        }
        let key = |(place, item): (usize, &T)| {
            let mut pairs = index.pairs_of(id(item));
            let mut key = 0u128;
            for differs in &self.differs {
                let rank = pairs.next().map_or(0, |pair| self.rank(pair));
                if *differs {
                    key = key << bits | u128::from(rank);
                }
            }
            key << place_bits | place as u128
        };
        let mut keys: Vec<u128> = items.iter().enumerate().map(key).collect();
        keys.sort_unstable();
        let place = |key: u128| (key & ((1 << place_bits) - 1)) as u32;
        Some(keys.into_iter().map(place).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::labels::Labels;
    use leadline_model::port::SeriesRef;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn series_come_in_the_order_of_their_labels(
            series in proptest::collection::btree_set(
                proptest::collection::btree_map(0usize..6, 0u8..12, 0..6), 0..40),
            turn in any::<prop::sample::Index>(),
            padding in prop_oneof![Just(0usize), Just(30)],
        ) {
            let name = |i: usize| ["a", "b", "__name__", "aa", "z", "\u{e9}"][i].to_owned();
            let mut index = Index::default();
            let mut sets: Vec<Labels> = series
                .iter()
                .map(|pairs| {
                    let own = pairs.iter().map(|(&i, v)| (name(i), v.to_string()));
                    // Too many places that differ for one number.
                    let more = (0..padding).map(|i| (format!("p{i}"), (pairs.len() + i).to_string()));
                    Labels::from_pairs(own.chain(more))
                })
                .collect();
            let at = turn.index(sets.len().max(1)).min(sets.len());
            sets.rotate_left(at);
            for (i, set) in sets.iter().enumerate() {
                index.create(set, SeriesRef(i as u64)).unwrap();
            }
            let told = places(&index, 0..sets.len() as Id);
            let mut ids: Vec<Id> = (0..sets.len() as Id).collect();
            sort_by_labels(&index, &mut ids, |id| *id);
            prop_assert!(ids.iter().map(|&id| told[id as usize]).eq(0..ids.len() as u32));
            let sorted: Vec<Labels> = ids.iter().map(|&id| index.labels(id)).collect();
            sets.sort();
            prop_assert_eq!(sorted, sets);
        }
    }
}
