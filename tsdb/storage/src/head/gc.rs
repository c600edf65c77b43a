//! Tidying: retention by time, and the memory of what is gone.

use super::Head;
use super::stripe::{make_ref, stripe_of};
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
    /// label pairs and postings. To be called every now and then (once a minute, say); one call at a time works, others
    /// wait. Stripes are locked one by one, so commits to others go on.
    pub fn maintain(&self) -> Maintenance {
        let _one = self.tidying.lock();
        let bound = self.clock.now().saturating_sub(self.settings.retention_ms);
        let mut series_removed = 0;
        for (number, stripe) in self.stripes.iter().enumerate() {
            series_removed += self.expire(number, stripe, bound);
        }
        Counters::add(&self.counters.removed, series_removed);
        if series_removed > 0 {
            self.labels.write().clear();
        }
        self.sweep_sets();
        Maintenance { bound, series_removed }
    }

    /// Drops what ended before `bound` from one stripe, and from the index in the same breath: nobody must find labels
    /// whose series is gone and take them for an existing one.
    fn expire(&self, number: usize, stripe: &parking_lot::RwLock<super::stripe::Stripe>, bound: Timestamp) -> usize {
        let mut stripe = stripe.write();
        let gone: Vec<SeriesRef> = stripe.expire(bound).into_iter().map(|n| make_ref(number, n)).collect();
        let removed = gone.len();
        if removed > 0 {
            let gone = |series| stripe_of(series) == number && gone.binary_search(&series).is_ok();
            self.index.write().remove(gone);
        }
        removed
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
