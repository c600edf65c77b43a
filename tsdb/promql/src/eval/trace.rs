//! Provenance while it is being collected.

use leadline_model::Timestamp;
use leadline_model::provenance::Provenance;
use leadline_model::target::OwnerId;
use smallvec::SmallVec;

/// From this many owners on, repeated ones are removed before the list grows.
const SETTLE_FROM: usize = 64;

/// What went into a row, without an allocation for rows of few owners.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    oldest: Timestamp,
    stalest: Timestamp,
    series: u32,
    owners: SmallVec<[OwnerId; 4]>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            oldest: Timestamp::MAX,
            stalest: Timestamp::MAX,
            series: 0,
            owners: SmallVec::new(),
        }
    }
}

impl Trace {
    /// Of one series that was read from `oldest` to `newest` (ms).
    pub(crate) fn of_series(oldest: Timestamp, newest: Timestamp, owner: Option<OwnerId>) -> Self {
        Self {
            oldest,
            stalest: newest,
            series: 1,
            owners: owner.into_iter().collect(),
        }
    }

    /// Adds what went into another row.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.oldest = self.oldest.min(other.oldest);
        self.stalest = self.stalest.min(other.stalest);
        self.series = self.series.saturating_add(other.series);
        for owner in &other.owners {
            self.add_owner(*owner);
        }
    }

    /// Adds one series that was read from `oldest` to `newest` (ms).
    #[inline]
    pub(crate) fn add_series(&mut self, oldest: Timestamp, newest: Timestamp, owner: Option<OwnerId>) {
        self.oldest = self.oldest.min(oldest);
        self.stalest = self.stalest.min(newest);
        self.series = self.series.saturating_add(1);
        if let Some(owner) = owner {
            self.add_owner(owner);
        }
    }

    #[inline]
    fn add_owner(&mut self, owner: OwnerId) {
        // Series of one target stand next to each other as a rule.
        if self.owners.last() == Some(&owner) {
            return;
        }
        if self.owners.len() == self.owners.capacity() && self.owners.len() >= SETTLE_FROM {
            self.owners.sort_unstable();
            self.owners.dedup();
        }
        self.owners.push(owner);
    }

    /// The finished provenance.
    pub(crate) fn finish(self) -> Provenance {
        let mut provenance = Provenance {
            oldest: self.oldest,
            stalest: self.stalest,
            series: self.series,
            owners: self.owners.into_vec(),
        };
        provenance.settle();
        provenance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_series_of_few_owners_stay_a_short_list() {
        let mut trace = Trace::default();
        for i in 0..10_000u32 {
            trace.absorb(&Trace::of_series(
                i64::from(i),
                20_000 - i64::from(i),
                Some(OwnerId(i % 70)),
            ));
        }
        assert!(trace.owners.len() < 300, "{}", trace.owners.len());
        let mut one_by_one = Trace::default();
        for i in 0..10_000u32 {
            let (oldest, newest) = (i64::from(i), 20_000 - i64::from(i));
            one_by_one.add_series(oldest, newest, Some(OwnerId(i % 70)));
        }
        assert_eq!(one_by_one.finish(), trace.clone().finish());
        let done = trace.finish();
        assert_eq!(
            (done.oldest, done.stalest, done.series, done.owners.len()),
            (0, 10_001, 10_000, 70)
        );
        assert!(done.owners.is_sorted());
    }
}
