//! Series sorted into groups by the numbers of their label pairs: no label set of a series is made, only one of each group.

use super::index::Index;
use super::pairs::{NameId, PairId};
use super::postings::Id;
use super::sorting;
use leadline_model::labels::Labels;
use leadline_model::port::{GroupOrder, Grouping};
use rapidhash::RapidHashMap;
use smallvec::SmallVec;

/// The pairs that make a group, in the order of their names.
type Key = SmallVec<[PairId; 4]>;

/// Series sorted into groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// For each series its group.
    pub(super) of: Vec<u32>,
    /// The labels of each group.
    pub(super) labels: Vec<Labels>,
    /// Where the order of groups was asked for: for each series a number that compares as its labels do.
    pub(super) places: Vec<u32>,
}

impl Groups {
    /// The groups of `series`; none where a label is not alike that has to be.
    pub(super) fn of(
        index: &Index,
        series: impl ExactSizeIterator<Item = Id> + Clone,
        grouping: Grouping<'_>,
    ) -> Option<Self> {
        if !grouping.alike.iter().all(|name| are_alike(index, name, series.clone())) {
            return None;
        }
        let mut groups = match only_name(index, grouping) {
            Some(name) if is_dense(index, name, series.len()) => by_postings(index, name, series.clone()),
            _ => by_keys(index, series.clone(), grouping),
        };
        if grouping.order == GroupOrder::Groups {
            groups.places = sorting::places(index, series);
        }
        Some(groups)
    }
}

/// Whether all series have the same value of a label, or all none.
fn are_alike(index: &Index, name: &str, mut series: impl Iterator<Item = Id>) -> bool {
    let known = index.pairs.name_id(name);
    let Some(name) = known.filter(|&name| !index.pairs.name(name).pairs.is_empty()) else {
        return true;
    };
    let value = |id: Id| index.pairs_of(id).find(|&pair| index.pairs.pair(pair).name == name);
    let Some(first) = series.next().map(value) else {
        return true;
    };
    series.all(|id| value(id) == first)
}

/// Groups by the pairs that each series has.
fn by_keys(index: &Index, series: impl Iterator<Item = Id>, grouping: Grouping<'_>) -> Groups {
    let chosen = Chosen::of(index, grouping);
    let mut numbers: RapidHashMap<Key, u32> = RapidHashMap::default();
    let mut labels = Vec::new();
    let (mut key, mut before) = (Key::new(), None::<(Key, u32)>);
    let number = |id| {
        chosen.key(index, id, &mut key);
        // Series of one target stand next to each other as a rule.
        if let Some((_, number)) = before.as_ref().filter(|(before, _)| *before == key) {
            return *number;
        }
        let number = match numbers.get(key.as_slice()) {
            Some(&number) => number,
            None => {
                let number = labels.len() as u32;
                labels.push(labels_of(index, &key));
                numbers.insert(key.clone(), number);
                number
            }
        };
        before = Some((std::mem::take(&mut key), number));
        number
    };
    Groups {
        of: series.map(number).collect(),
        labels,
        places: Vec::new(),
    }
}

/// The one name that makes the groups, where there is one.
fn only_name(index: &Index, grouping: Grouping<'_>) -> Option<NameId> {
    match grouping.names {
        [name] if !grouping.without => index.pairs.name_id(name),
        _ => None,
    }
}

/// How much cheaper it is to go over an entry of postings than over all label pairs of a series.
const CHEAPER: usize = 16;

/// Whether going over all series that have a name costs less than looking for it in each of `series` series.
fn is_dense(index: &Index, name: NameId, series: usize) -> bool {
    let mut left = series.saturating_mul(CHEAPER);
    if index.universe() > left {
        return false;
    }
    index.pairs.name(name).pairs.iter().all(|&pair| {
        let entries = index.pairs.pair(pair).postings.len() + 1;
        let fits = entries <= left;
        left = left.saturating_sub(entries);
        fits
    })
}

/// Groups by one name, read off its postings.
fn by_postings(index: &Index, name: NameId, series: impl Iterator<Item = Id>) -> Groups {
    let pairs = &index.pairs.name(name).pairs;
    // By the number of a series the place of its pair, from 1: 0 is for those that have none.
    let mut places = vec![0u32; index.universe()];
    for (place, &pair) in (1..).zip(pairs) {
        for &id in &index.pairs.pair(pair).postings {
            places[id as usize] = place;
        }
    }
    let mut numbers = vec![UNSEEN; pairs.len() + 1];
    let mut labels = Vec::new();
    let number = |id: Id| {
        let place = places[id as usize] as usize;
        if numbers[place] == UNSEEN {
            numbers[place] = labels.len() as u32;
            let pair = place.checked_sub(1).map(|place| pairs[place]);
            labels.push(labels_of(index, pair.as_slice()));
        }
        numbers[place]
    };
    Groups {
        of: series.map(number).collect(),
        labels,
        places: Vec::new(),
    }
}

/// Says that no series of a pair was seen yet.
const UNSEEN: u32 = u32::MAX;

fn labels_of(index: &Index, key: &[PairId]) -> Labels {
    Labels::from_sorted(key.iter().map(|&pair| {
        let pair = index.pairs.pair(pair);
        (&*index.pairs.name(pair.name).text, &*pair.value)
    }))
}

/// Which names make the groups.
struct Chosen {
    /// By the number of a name.
    names: Vec<bool>,
    /// The most of them that a series can have.
    most: usize,
}

impl Chosen {
    fn of(index: &Index, grouping: Grouping<'_>) -> Self {
        let known = index.pairs.names().len();
        let mut chosen = Self {
            names: vec![grouping.without; known],
            most: if grouping.without { known } else { 0 },
        };
        for name in grouping.names.iter().filter_map(|name| index.pairs.name_id(name)) {
            if let Some(place) = chosen.names.get_mut(name as usize) {
                *place = !grouping.without;
                chosen.most += usize::from(!grouping.without);
            }
        }
        chosen
    }

    /// Replaces `key` by the chosen pairs of a series.
    #[inline]
    fn key(&self, index: &Index, id: Id, key: &mut Key) {
        key.clear();
        if self.most == 0 {
            return;
        }
        for pair in index.pairs_of(id) {
            if self.names[index.pairs.pair(pair).name as usize] {
                key.push(pair);
                if key.len() == self.most {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::port::SeriesRef;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn groups_are_those_of_the_label_sets(
            series in proptest::collection::btree_set(
                proptest::collection::btree_map(0usize..5, 0u8..3, 0..5), 0..30),
            names in proptest::collection::btree_set(0usize..7, 0..4),
            without: bool,
            dropped in 0u32..4,
        ) {
            // The last two are on no series.
            let name = |i: usize| ["a", "b", "__name__", "aa", "z", "never", "nowhere"][i].to_owned();
            let mut index = Index::default();
            let mut sets = Vec::new();
            for pairs in &series {
                let set = Labels::from_pairs(pairs.iter().map(|(&i, v)| (name(i), v.to_string())));
                index.create(&set, SeriesRef(sets.len() as u64)).unwrap();
                sets.push(set);
            }
            let mut names: Vec<String> = names.into_iter().map(name).collect();
            names.sort();
            let grouping = Grouping { names: &names, without, order: GroupOrder::Groups, alike: &[], newest: false };
            // Their numbers stay in postings until these are swept.
            index.kill(0..dropped.min(sets.len() as u32));
            let left = dropped.min(sets.len() as u32)..sets.len() as u32;
            let Groups { of, labels, places } = Groups::of(&index, left.clone(), grouping).unwrap();
            for other in ["a", "nowhere"] {
                let mut values = sets[left.start as usize..].iter().map(|set| set.get(other));
                let first = values.next();
                let told = Groups::of(&index, left.clone(), Grouping { alike: &[other], ..grouping });
                prop_assert_eq!(told.is_some(), values.all(|value| Some(value) == first));
            }
            prop_assert_eq!(of.len(), left.len());
            let sets = &sets[left.start as usize..];
            for (set, &group) in sets.iter().zip(&*of) {
                let expected = set.without(|n| names.iter().any(|name| name == n) == without);
                prop_assert_eq!(&labels[group as usize], &expected);
            }
            let mut in_order: Vec<(u32, &Labels)> = places.iter().copied().zip(sets).collect();
            in_order.sort_unstable();
            prop_assert_eq!(in_order.len(), sets.len());
            prop_assert!(in_order.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
            let mut unique = labels.clone();
            unique.sort();
            unique.dedup();
            prop_assert_eq!(unique.len(), labels.len());
        }
    }
}
