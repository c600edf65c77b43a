//! Tidying: what is too old goes, and with it the memory that names it.

use super::Head;
use super::postings::Id;
use super::stripe::{Stripe, make_ref, number_of, stripe_of};
use crate::stats::Counters;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;

/// What [`Head::maintain`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintenance {
    /// Samples older than this (ms) may be gone now.
    pub bound: Timestamp,
    /// Series that were dropped because their newest sample was older.
    pub series_removed: usize,
}

impl Head {
    /// Drops what is older than the retention: closed chunks, and series whose newest sample is older, with their
    /// label pairs and postings. For a head in memory alone; one with a directory is cut by [`Head::truncate`]. To be
    /// called every now and then (once a minute, say); one call at a time works, others wait. Stripes are locked one by
    /// one, so commits to others go on.
    pub fn maintain(&self) -> Maintenance {
        let _one = self.tidying.lock();
        let bound = self.clock.now().saturating_sub(self.settings.retention_ms);
        let series_removed = self.drop_before(bound);
        Maintenance { bound, series_removed }
    }

    /// Drops chunks that ended before `bound` (ms) and series whose newest sample is older; returns how many series.
    pub(super) fn drop_before(&self, bound: Timestamp) -> usize {
        let doomed = self.collect(|stripe| stripe.ended_before(bound));
        let removed = self.remove_series(&doomed, |_, stripe, may_go| stripe.expire(bound, may_go));
        self.sweep_sets();
        removed
    }

    /// Series of all stripes, ascending within each.
    pub(super) fn collect(&self, pick: impl Fn(&Stripe) -> Vec<u32>) -> Vec<SeriesRef> {
        let stripes = self.stripes.iter().enumerate();
        stripes
            .flat_map(|(at, stripe)| {
                let numbers = pick(&stripe.read());
                numbers.into_iter().map(move |number| make_ref(at, number))
            })
            .collect()
    }

    /// Removes of `doomed` (by stripe, ascending within each) the series that `remove` removes from their stripe, which
    /// is called once for each stripe with its numbers, from the index too. Within one stripe that happens in the same
    /// breath: nobody must find labels whose series is gone and take them for an existing one. The postings follow for
    /// all stripes at once.
    pub(super) fn remove_series(
        &self,
        doomed: &[SeriesRef],
        remove: impl Fn(usize, &mut Stripe, &[u32]) -> Vec<u32>,
    ) -> usize {
        let ids = self.ids_of(doomed);
        let mut removed = 0;
        for (at, stripe) in self.stripes.iter().enumerate() {
            let from = ids.partition_point(|(series, _)| stripe_of(*series) < at);
            let to = ids.partition_point(|(series, _)| stripe_of(*series) <= at);
            let numbers: Vec<u32> = ids[from..to]
                .iter()
                .filter_map(|(series, _)| number_of(*series))
                .collect();
            let mut stripe = stripe.write();
            let gone = remove(at, &mut stripe, &numbers);
            if gone.is_empty() {
                continue;
            }
            removed += gone.len();
            self.forget_extras(at, &gone);
            let went = |number: &u32| numbers.binary_search(number).ok().map(|i| ids[from + i].1);
            self.index.write().kill(gone.iter().filter_map(went));
        }
        if removed > 0 {
            let mut index = self.index.write();
            index.sweep(self.leases.none());
            drop(index);
            Counters::add(&self.counters.removed, removed);
            self.labels.write().clear();
            self.selections.clear();
        }
        removed
    }

    /// Forgets exemplars and metadata of series that are gone, while their stripe is held.
    fn forget_extras(&self, at: usize, gone: &[u32]) {
        let gone = || gone.iter().map(|&number| make_ref(at, number).0);
        self.exemplars.write().remove(gone());
        self.told.write().remove(gone());
    }

    /// The numbers in the index of series, in the order of stripes and then of references.
    fn ids_of(&self, series: &[SeriesRef]) -> Vec<(SeriesRef, Id)> {
        if series.is_empty() {
            return Vec::new();
        }
        let key = |series: SeriesRef| (stripe_of(series), series);
        let mut found: Vec<(SeriesRef, Id)> = {
            let index = self.index.read();
            let known = (0..index.universe() as Id).map(|id| (index.series(id), id));
            known
                .filter(|(s, _)| series.binary_search_by_key(&key(*s), |s| key(*s)).is_ok())
                .collect()
        };
        found.sort_unstable_by_key(|(series, _)| key(*series));
        found
    }

    /// Frees the sets of selectors that no series has any more.
    fn sweep_sets(&self) {
        if !self.selectors.read().cluttered() {
            return;
        }
        // All stripes at once: a set that moves from one series to another between two looks would be lost.
        let stripes: Vec<_> = self.stripes.iter().map(parking_lot::RwLock::read).collect();
        let used = stripes.iter().flat_map(|s| s.hot.iter().map(|h| h.set)).collect();
        self.selectors.write().sweep(&used);
    }
}
