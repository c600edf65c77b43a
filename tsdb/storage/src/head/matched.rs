//! The series that matchers select, in which order and what they are called: kept for whoever asks the same again. An HPA, a rule
//! and a dashboard do so every few seconds; that a series comes or goes, which ends what is kept, is rarer.

use super::grouping::Groups;
use super::index::Index;
use super::postings::Id;
use super::resolve::resolve;
use super::sorting;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{GroupOrder, Grouping, SeriesRef};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;

/// Selections of fewer series are made anew as fast as they are found.
const LEAST_SERIES: usize = 16;
/// What an entry takes besides its content, bytes: counters and links of the cache, allocations.
const OVERHEAD: usize = 256;
/// For how many bytes a label set counts, though others may hold it, too.
const LABELS: usize = 256;

/// What is asked of the index.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// Each series by its own labels, in their order or in any.
    Each { sorted: bool },
    /// Series in groups.
    Groups(Grouping<'a>),
}

/// What series are called.
#[derive(Debug, Default)]
pub(super) enum Names {
    /// Nothing was asked.
    #[default]
    None,
    /// Each by its own labels.
    Own(Vec<Labels>),
    /// By those of their groups.
    Groups {
        /// For each series its group.
        of: Arc<[u32]>,
        /// The labels of each group.
        labels: Arc<[Labels]>,
        /// For each series a number that compares as its labels do, where that was asked for.
        places: Arc<[u32]>,
    },
    /// They cannot be grouped so.
    Unlike,
}

/// The series that matchers selected from the index in one state of it.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// That of the index then.
    pub(super) version: u64,
    /// Ascending by number.
    pub(super) found: Vec<(Id, SeriesRef)>,
    /// The places in `found`, in the order of labels; empty where any order will do.
    pub(super) order: Vec<u32>,
    /// In the order of `found`.
    pub(super) names: Names,
}

impl Matched {
    /// The series alone.
    pub(super) fn find(index: &Index, matchers: &[Matcher]) -> Self {
        let found = resolve(index, matchers).into_iter();
        Self {
            version: index.version,
            found: found.map(|id| (id, index.series(id))).collect(),
            ..Self::default()
        }
    }

    /// The series as they are wanted. `own` makes the labels of each.
    pub(super) fn of(
        index: &Index,
        matchers: &[Matcher],
        wanted: Wanted<'_>,
        own: impl FnOnce(&[(Id, SeriesRef)]) -> Vec<Labels>,
    ) -> Self {
        let mut matched = Self::find(index, matchers);
        let (sorted, names) = match wanted {
            Wanted::Each { sorted } => (sorted, Names::Own(own(&matched.found))),
            Wanted::Groups(grouping) => {
                let ids = matched.found.iter().map(|found| found.0);
                let names = match Groups::of(index, ids, grouping) {
                    Some(Groups { of, labels, places }) => Names::Groups {
                        of: of.into(),
                        labels: labels.into(),
                        places: places.into(),
                    },
                    None => Names::Unlike,
                };
                (grouping.order == GroupOrder::Series, names)
            }
        };
        if sorted && !matches!(names, Names::Unlike) {
            matched.order = sorting::order(index, &matched.found, |found| found.0);
        }
        matched.names = names;
        matched
    }

    /// The labels of the series at a place in `found`, or of its group.
    pub(super) fn labels(&self, at: u32) -> Option<&Labels> {
        match &self.names {
            Names::Own(labels) => labels.get(at as usize),
            Names::Groups { of, labels, .. } => labels.get(*of.get(at as usize)? as usize),
            Names::None | Names::Unlike => None,
        }
    }

    /// Bytes that it takes, about.
    fn weight(&self) -> usize {
        let names = match &self.names {
            Names::Own(labels) => labels.len() * LABELS,
            Names::Groups { of, labels, places } => labels.len() * LABELS + size_of_val(&**of) + size_of_val(&**places),
            Names::None | Names::Unlike => 0,
        };
        size_of_val(&*self.found) + size_of_val(&*self.order) + names
    }
}

/// Selections that may be asked for again, least recently used out first.
pub(super) struct Selections {
    entries: Cache<Arc<[u8]>, Arc<Matched>, rapidhash::fast::RandomState>,
    /// Bytes.
    capacity: u64,
}

impl Selections {
    /// At most so many bytes of them; 0 keeps none.
    pub(super) fn new(capacity: u64) -> Self {
        let weigh = |key: &Arc<[u8]>, matched: &Arc<Matched>| weight(key, matched);
        let entries = Cache::builder()
            .max_capacity(capacity)
            .weigher(weigh)
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(rapidhash::fast::RandomState::default());
        Self { entries, capacity }
    }

    /// What is kept under a key of the index as it is, or else what `make` makes of it; whether it was kept.
    pub(super) fn get(&self, key: &[u8], index: &Index, make: impl FnOnce() -> Matched) -> (Arc<Matched>, bool) {
        if let Some(kept) = self.entries.get(key).filter(|kept| kept.version == index.version) {
            return (kept, true);
        }
        let made = Arc::new(make());
        // What is larger than the whole would only push everything else out.
        if made.found.len() >= LEAST_SERIES && u64::from(weight(key, &made)) <= self.capacity {
            self.entries.insert(key.into(), Arc::clone(&made));
        }
        (made, false)
    }

    /// Lets go of everything.
    pub(super) fn clear(&self) {
        self.entries.invalidate_all();
    }

    /// Bytes of what is kept, about.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.weighted_size()
    }
}

fn weight(key: &[u8], matched: &Matched) -> u32 {
    u32::try_from(key.len() + matched.weight() + OVERHEAD).unwrap_or(u32::MAX)
}

/// What tells a selection from all others, whatever bytes its texts have.
pub(super) fn key(matchers: &[Matcher], wanted: Wanted<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    let number = |n: usize, out: &mut Vec<u8>| out.extend_from_slice(&(n as u64).to_le_bytes());
    let text = |text: &[u8], out: &mut Vec<u8>| {
        number(text.len(), out);
        out.extend_from_slice(text);
    };
    number(matchers.len(), &mut out);
    for matcher in matchers {
        let (name, op, value) = matcher.written();
        text(name, &mut out);
        out.push(match op {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        });
        text(value, &mut out);
    }
    match wanted {
        Wanted::Each { sorted } => out.extend_from_slice(&[0, u8::from(sorted)]),
        Wanted::Groups(grouping) => {
            let order = match grouping.order {
                GroupOrder::Any => 0,
                GroupOrder::Groups => 1,
                GroupOrder::Series => 2,
            };
            out.extend_from_slice(&[1, order, u8::from(grouping.without)]);
            number(grouping.names.len(), &mut out);
            grouping.names.iter().for_each(|name| text(name.as_bytes(), &mut out));
            number(grouping.alike.len(), &mut out);
            grouping.alike.iter().for_each(|name| text(name.as_bytes(), &mut out));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn index(pods: usize) -> Index {
        let mut index = Index::default();
        for pod in 0..pods {
            let labels = Labels::from_pairs([("__name__", "m"), ("pod", &*format!("p{pod}"))]);
            index.create(&labels, SeriesRef(pod as u64)).unwrap();
        }
        index
    }

    fn find(selections: &Selections, index: &Index) -> (usize, bool) {
        let matchers = [Matcher::equal("__name__", "m")];
        let wanted = Wanted::Each { sorted: false };
        let made = || Matched::of(index, &matchers, wanted, |found| vec![Labels::default(); found.len()]);
        let (matched, kept) = selections.get(&key(&matchers, wanted), index, made);
        (matched.found.len(), kept)
    }

    #[test]
    fn a_selection_is_kept_until_a_series_comes_or_goes() {
        let selections = Selections::new(1 << 20);
        let mut index = index(20);
        assert_eq!(find(&selections, &index), (20, false));
        assert_eq!(find(&selections, &index), (20, true));
        assert!(selections.bytes() > 20 * 16);
        let more = Labels::from_pairs([("__name__", "m")]);
        index.create(&more, SeriesRef(20)).unwrap();
        assert_eq!(find(&selections, &index), (21, false));
        assert_eq!(find(&selections, &index), (21, true));
        index.kill(0..3);
        index.sweep(true);
        assert_eq!(find(&selections, &index), (18, false));
        selections.clear();
        assert_eq!(find(&selections, &index), (18, false));
    }

    #[test]
    fn what_is_small_or_larger_than_the_whole_is_not_kept() {
        for (pods, capacity) in [(LEAST_SERIES - 1, 1 << 20), (1_000, 1 << 12), (20, 0)] {
            let (selections, index) = (Selections::new(capacity), index(pods));
            assert_eq!(find(&selections, &index), (pods, false));
            assert_eq!(find(&selections, &index), (pods, false), "{pods} {capacity}");
        }
    }

    #[test]
    fn keys_differ_where_anything_that_is_asked_does() {
        let matchers: [&[(&str, MatchOp, &str)]; 7] = [
            &[],
            &[("a", MatchOp::Equal, "b")],
            &[("a", MatchOp::NotEqual, "b")],
            &[("a", MatchOp::Regex, "b")],
            &[("a", MatchOp::NotRegex, "b")],
            &[("a", MatchOp::Equal, "b"), ("c", MatchOp::Equal, "d")],
            &[("c", MatchOp::Equal, "d"), ("a", MatchOp::Equal, "b")],
        ];
        let (ab, a): (Vec<String>, Vec<String>) = (vec!["a".into(), "b".into()], vec!["ab".into()]);
        let mut wanted = vec![Wanted::Each { sorted: false }, Wanted::Each { sorted: true }];
        for names in [&ab[..], &a[..], &[]] {
            for order in [GroupOrder::Any, GroupOrder::Groups, GroupOrder::Series] {
                for (without, alike) in [(false, &[][..]), (true, &["ab"][..]), (true, &["a", "b"][..])] {
                    wanted.push(Wanted::Groups(Grouping {
                        names,
                        without,
                        order,
                        alike,
                        newest: false,
                    }));
                }
            }
        }
        let mut keys = BTreeSet::new();
        for matchers in matchers {
            let built = matchers
                .iter()
                .map(|(name, op, value)| Matcher::new(*name, *op, *value).unwrap());
            let built: Vec<Matcher> = built.collect();
            for &wanted in &wanted {
                assert!(keys.insert(key(&built, wanted)), "{matchers:?} {wanted:?}");
            }
        }
    }
}
