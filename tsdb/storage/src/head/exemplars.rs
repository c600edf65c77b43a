//! Exemplars: the newest so many of all series together, in a ring (`tsdb/exemplar.go`).
//!
//! The exemplars of one series are chained by time. A new one takes the place of the one that was added longest ago, of
//! whichever series that is. Those of a series go when the series does.

use leadline_model::exemplar::{Exemplar, MAX_LABEL_CHARACTERS};
use leadline_model::labels::Labels;
use leadline_model::port::Refusal;
use leadline_model::sample::Timestamp;
use rapidhash::RapidHashMap;

/// Stands for no place in the ring.
const NONE: u32 = u32::MAX;

/// An exemplar in its series' chain.
#[derive(Debug)]
struct Entry {
    series: u64,
    exemplar: Exemplar,
    older: u32,
    newer: u32,
}

/// The ends of a series' chain.
#[derive(Debug, Clone, Copy)]
struct Chain {
    oldest: u32,
    newest: u32,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Exemplars {
    capacity: u32,
    /// How much older (ms) than the newest of its series an exemplar may be.
    window: i64,
    ring: Vec<Option<Entry>>,
    /// The place that is taken next.
    next: u32,
    chains: RapidHashMap<u64, Chain>,
}

impl Exemplars {
    /// Keeps up to `capacity` exemplars; each may be up to `window` ms older than the newest of its series.
    pub(super) fn new(capacity: u32, window: i64) -> Self {
        Self {
            capacity,
            window,
            ring: Vec::new(),
            next: 0,
            chains: RapidHashMap::default(),
        }
    }

    /// Keeps up to `capacity` exemplars from now on, each up to `window` ms older than the newest of its series. What was
    /// added last stays (`tsdb/exemplar.go`, `Resize`).
    pub(super) fn limit(&mut self, capacity: u32, window: i64) {
        self.window = window;
        if capacity == self.capacity {
            return;
        }
        let mut old = std::mem::replace(self, Self::new(capacity, window));
        let added_first = (old.next as usize).min(old.ring.len());
        old.ring.rotate_left(added_first);
        let kept = old.ring.iter().flatten().count().min(capacity as usize);
        let all = old.ring.into_iter().rev().flatten().take(kept);
        for entry in all.collect::<Vec<_>>().into_iter().rev() {
            let older = self.place_behind(entry.series, entry.exemplar.t);
            self.link(entry.series, entry.exemplar, older);
        }
    }

    /// Adds an exemplar. `Ok(false)`: it is there already, or none are kept.
    pub(super) fn add(&mut self, series: u64, exemplar: &Exemplar) -> Result<bool, Refusal> {
        if self.capacity == 0 {
            return Ok(false);
        }
        check_labels(&exemplar.labels)?;
        let newest = self.chains.get(&series).and_then(|chain| self.entry(chain.newest));
        if let Some(newest) = newest.map(|entry| &entry.exemplar) {
            if same(newest, exemplar) {
                return Ok(false);
            }
            if precedes(exemplar, newest, self.window) {
                return Err(Refusal::OutOfOrder);
            }
        }
        let older = self.place_behind(series, exemplar.t);
        // Of equal times within the chain, the first stays.
        let taken = self.entry(older).is_some_and(|entry| entry.exemplar.t == exemplar.t);
        if taken && self.entry(older).is_some_and(|entry| entry.newer != NONE) {
            return Ok(false);
        }
        self.drop_at(self.next);
        let older = self.place_behind(series, exemplar.t);
        self.link(series, exemplar.clone(), older);
        Ok(true)
    }

    /// The newest exemplar of a series that is not after `t` (ms).
    fn place_behind(&self, series: u64, t: Timestamp) -> u32 {
        let mut place = self.chains.get(&series).map_or(NONE, |chain| chain.newest);
        while let Some(entry) = self.entry(place).filter(|entry| entry.exemplar.t > t) {
            place = entry.older;
        }
        place
    }

    /// Puts an exemplar at the next place and into its chain, behind `older`.
    fn link(&mut self, series: u64, exemplar: Exemplar, older: u32) {
        let place = self.next;
        let newer = match self.entry(older) {
            Some(entry) => entry.newer,
            None => self.chains.get(&series).map_or(NONE, |chain| chain.oldest),
        };
        let chain = self.chains.entry(series).or_insert(Chain {
            oldest: place,
            newest: place,
        });
        if older == NONE {
            chain.oldest = place;
        }
        if newer == NONE {
            chain.newest = place;
        }
        self.with(older, |entry| entry.newer = place);
        self.with(newer, |entry| entry.older = place);
        let entry = Some(Entry {
            series,
            exemplar,
            older,
            newer,
        });
        match self.ring.get_mut(place as usize) {
            Some(slot) => *slot = entry,
            None => self.ring.push(entry),
        }
        self.next = (place + 1) % self.capacity;
    }

    /// Takes the exemplar at a place out of its chain.
    fn drop_at(&mut self, place: u32) {
        let Some(entry) = self.ring.get_mut(place as usize).and_then(Option::take) else {
            return;
        };
        self.with(entry.older, |older| older.newer = entry.newer);
        self.with(entry.newer, |newer| newer.older = entry.older);
        if entry.older == NONE && entry.newer == NONE {
            self.chains.remove(&entry.series);
        } else if let Some(chain) = self.chains.get_mut(&entry.series) {
            if entry.older == NONE {
                chain.oldest = entry.newer;
            }
            if entry.newer == NONE {
                chain.newest = entry.older;
            }
        }
    }

    fn entry(&self, place: u32) -> Option<&Entry> {
        self.ring.get(place as usize).and_then(Option::as_ref)
    }

    fn with(&mut self, place: u32, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.ring.get_mut(place as usize).and_then(Option::as_mut) {
            change(entry);
        }
    }

    /// The exemplars of a series with `mint <= t <= maxt` (ms), by time.
    pub(super) fn of(&self, series: u64, mint: Timestamp, maxt: Timestamp) -> Vec<Exemplar> {
        let mut place = self.chains.get(&series).map_or(NONE, |chain| chain.oldest);
        let mut found = Vec::new();
        while let Some(entry) = self.entry(place).filter(|entry| entry.exemplar.t <= maxt) {
            if entry.exemplar.t >= mint {
                found.push(entry.exemplar.clone());
            }
            place = entry.newer;
        }
        found
    }

    /// All exemplars in the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Exemplar)> {
        let (newer, older) = self.ring.split_at((self.next as usize).min(self.ring.len()));
        let all = older.iter().chain(newer).flatten();
        all.map(|entry| (entry.series, &entry.exemplar))
    }

    /// Drops the exemplars of series that are gone.
    pub(super) fn remove(&mut self, gone: impl IntoIterator<Item = u64>) {
        for series in gone {
            while let Some(chain) = self.chains.get(&series).copied() {
                self.drop_at(chain.oldest);
            }
        }
    }

    /// Number of exemplars and of series that have some.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.ring.iter().flatten().count(), self.chains.len())
    }
}

/// Refuses labels that are too long together.
fn check_labels(labels: &Labels) -> Result<(), Refusal> {
    let characters: usize = labels
        .iter()
        .map(|(name, value)| name.chars().count() + value.chars().count())
        .sum();
    if characters > MAX_LABEL_CHARACTERS {
        return Err(Refusal::Invalid);
    }
    Ok(())
}

fn same(a: &Exemplar, b: &Exemplar) -> bool {
    a.t == b.t && a.v.to_bits() == b.v.to_bits() && a.labels == b.labels
}

/// Whether an exemplar comes too late behind the newest one. Of equal times values must grow, and of equal values labels,
/// so that two scrapes of the same exemplars do not add them twice.
fn precedes(exemplar: &Exemplar, newest: &Exemplar, window: i64) -> bool {
    if exemplar.t != newest.t {
        return exemplar.t < newest.t && exemplar.t <= newest.t.saturating_sub(window);
    }
    exemplar.v < newest.v || (exemplar.v == newest.v && exemplar.labels < newest.labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn exemplar(t: Timestamp, v: f64) -> Exemplar {
        Exemplar {
            labels: Labels::from_pairs([("trace_id", "a")]),
            t,
            v,
        }
    }

    fn times(ring: &Exemplars, series: u64) -> Vec<Timestamp> {
        ring.of(series, i64::MIN, i64::MAX).iter().map(|e| e.t).collect()
    }

    #[test]
    fn the_one_that_was_added_longest_ago_makes_room() {
        let mut ring = Exemplars::new(3, 0);
        for (series, t) in [(1, 10), (2, 5), (1, 20), (1, 30), (2, 6)] {
            assert_eq!(ring.add(series, &exemplar(t, 1.0)), Ok(true));
        }
        assert_eq!((times(&ring, 1), times(&ring, 2)), (vec![20, 30], vec![6]));
        assert_eq!(ring.of(1, 21, 30).len(), 1);
        assert_eq!(ring.counts(), (3, 2));
        let order: Vec<_> = ring.iter().map(|(series, e)| (series, e.t)).collect();
        assert_eq!(order, [(1, 20), (1, 30), (2, 6)]);
        ring.remove([1]);
        assert_eq!((times(&ring, 1), ring.counts()), (vec![], (1, 1)));
    }

    #[test]
    fn what_is_there_is_not_added_again_and_what_is_too_late_is_refused() {
        let mut ring = Exemplars::new(9, 0);
        assert_eq!(ring.add(1, &exemplar(10, 2.0)), Ok(true));
        for (t, v, added) in [
            (10, 2.0, Ok(false)),
            (10, 1.0, Err(Refusal::OutOfOrder)),
            (9, 3.0, Err(Refusal::OutOfOrder)),
            (10, 3.0, Ok(true)),
            (11, 0.0, Ok(true)),
        ] {
            assert_eq!(ring.add(1, &exemplar(t, v)), added, "{t} {v}");
        }
        let long = Exemplar {
            labels: Labels::from_pairs([("trace_id", "ü".repeat(121).as_str())]),
            t: 20,
            v: 1.0,
        };
        assert_eq!(ring.add(1, &long), Err(Refusal::Invalid));
        assert_eq!(times(&ring, 1), [10, 10, 11]);
        assert_eq!(Exemplars::new(0, 0).add(1, &exemplar(1, 1.0)), Ok(false));
    }

    #[test]
    fn another_limit_keeps_what_was_added_last() {
        let mut ring = Exemplars::new(4, 100);
        for (series, t) in [(1, 10), (2, 5), (1, 20), (1, 15), (2, 6)] {
            assert_eq!(ring.add(series, &exemplar(t, 1.0)), Ok(true));
        }
        let order = |ring: &Exemplars| ring.iter().map(|(series, e)| (series, e.t)).collect::<Vec<_>>();
        ring.limit(6, 0);
        assert_eq!(order(&ring), [(2, 5), (1, 20), (1, 15), (2, 6)]);
        assert_eq!(
            ring.add(1, &exemplar(18, 1.0)),
            Err(Refusal::OutOfOrder),
            "the window is another"
        );
        assert_eq!(
            (ring.add(3, &exemplar(1, 1.0)), times(&ring, 1)),
            (Ok(true), vec![15, 20])
        );
        ring.limit(3, 0);
        assert_eq!(order(&ring), [(1, 15), (2, 6), (3, 1)]);
        assert_eq!(ring.add(3, &exemplar(2, 1.0)), Ok(true));
        assert_eq!((order(&ring), ring.counts()), (vec![(2, 6), (3, 1), (3, 2)], (3, 2)));
        ring.limit(0, 0);
        assert_eq!((ring.add(3, &exemplar(3, 1.0)), ring.counts()), (Ok(false), (0, 0)));
    }

    proptest! {
        #[test]
        fn a_ring_holds_what_was_added_last_by_series_and_time(
            added in prop::collection::vec((0u64..4, 0i64..40), 0..60),
            capacity in 1u32..12,
            window in 0i64..30,
        ) {
            let mut ring = Exemplars::new(capacity, window);
            let mut all: Vec<(u64, Timestamp)> = Vec::new();
            for (series, t) in added {
                let kept = all.len().saturating_sub(capacity as usize);
                let newest = all[kept..].iter().filter(|e| e.0 == series).map(|e| e.1).max();
                let there = all[kept..].contains(&(series, t));
                let late = newest.is_some_and(|newest| t < newest && t <= newest - window);
                match ring.add(series, &exemplar(t, 1.0)) {
                    Ok(true) => all.push((series, t)),
                    Ok(false) => prop_assert!(there),
                    Err(_) => prop_assert!(late),
                }
                prop_assert!(!late || !all.ends_with(&[(series, t)]) || there);
            }
            let mut want: BTreeMap<u64, Vec<Timestamp>> = BTreeMap::new();
            for (series, t) in &all[all.len().saturating_sub(capacity as usize)..] {
                want.entry(*series).or_default().push(*t);
            }
            for series in 0..4 {
                let mut want = want.remove(&series).unwrap_or_default();
                want.sort_unstable();
                prop_assert_eq!(times(&ring, series), want);
            }
        }
    }
}
