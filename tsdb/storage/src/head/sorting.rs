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

/// The places of `items` in the order of the labels of the series that `id` names.
pub(super) fn order<T>(index: &Index, items: &[T], id: impl Fn(&T) -> Id) -> Vec<u32> {
    Ranks::of(index, items.iter().map(&id)).order(index, items, id)
}

/// For each series a number: they compare as its labels do with those of the others.
pub(super) fn places(index: &Index, series: impl Iterator<Item = Id>) -> Vec<u32> {
    let series: Vec<Id> = series.collect();
    let ranks = Ranks::of(index, series.iter().copied());
    // Where few pairs differ, their ranks are such a number and nothing need be sorted.
    if ranks.bits().is_some_and(|bits| bits <= u32::BITS) {
        return series.iter().map(|&id| ranks.key(index, id) as u32).collect();
    }
    let mut places = vec![0; series.len()];
    for (place, at) in (0..).zip(ranks.order(index, &series, |&id| id)) {
        places[at as usize] = place;
    }
    places
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

    /// For each place in the order of labels which of `items` has it.
    fn order<T>(&self, index: &Index, items: &[T], id: impl Fn(&T) -> Id) -> Vec<u32> {
        self.packed(index, items, &id).unwrap_or_else(|| {
            let mut order: Vec<u32> = (0..items.len() as u32).collect();
            order.sort_unstable_by(|&a, &b| self.compare(index, id(&items[a as usize]), id(&items[b as usize])));
            order
        })
    }

    /// Bits of a rank.
    fn rank_bits(&self) -> u32 {
        u32::BITS - self.last.leading_zeros()
    }

    /// Bits of a key; `None` where series differ at places that are not known.
    fn bits(&self) -> Option<u32> {
        let places = self.differs.iter().filter(|differs| **differs).count();
        (self.differs.len() <= PLACES).then(|| places as u32 * self.rank_bits())
    }

    /// The ranks of a series' pairs where series differ, as one number of [`Self::bits`] bits, which are 128 at most.
    fn key(&self, index: &Index, id: Id) -> u128 {
        let bits = self.rank_bits();
        let mut pairs = index.pairs_of(id);
        self.differs.iter().fold(0, |key, differs| {
            let rank = pairs.next().map_or(0, |pair| self.rank(pair));
            if *differs { key << bits | u128::from(rank) } else { key }
        })
    }

    /// The order by ranks packed into one number each with the place of the series; `None` where they do not fit.
    fn packed<T>(&self, index: &Index, items: &[T], id: impl Fn(&T) -> Id) -> Option<Vec<u32>> {
        let place_bits = usize::BITS - items.len().leading_zeros();
        self.bits().filter(|bits| bits + place_bits <= u128::BITS)?;
        let key = |(place, item): (usize, &T)| self.key(index, id(item)) << place_bits | place as u128;
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
            let ids: Vec<Id> = (0..sets.len() as Id).collect();
            let ids = order(&index, &ids, |id| *id);
            prop_assert!(ids.is_sorted_by_key(|&id| told[id as usize]));
            let mut unique = told.clone();
            unique.sort_unstable();
            unique.dedup();
            prop_assert_eq!(unique.len(), told.len());
            let sorted: Vec<Labels> = ids.iter().map(|&id| index.labels(id)).collect();
            sets.sort();
            prop_assert_eq!(sorted, sets);
        }
    }
}
