//! Where a value comes from: what the autoscaling side needs to decide whether it may be believed.

use crate::sample::Timestamp;
use crate::target::OwnerId;

/// What went into one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Time (ms) of the oldest sample that was used.
    pub oldest: Timestamp,
    /// Time (ms) of the newest sample of the *stalest* series: the age that counts.
    pub stalest: Timestamp,
    /// Number of series that were read.
    pub series: u32,
    /// The owners (targets, rules, pushes) whose series were read; sorted, unique.
    pub owners: Vec<OwnerId>,
}

impl Provenance {
    /// Of a value that read no series (a literal, `time()`).
    #[must_use]
    pub fn none() -> Self {
        Self {
            oldest: Timestamp::MAX,
            stalest: Timestamp::MAX,
            series: 0,
            owners: Vec::new(),
        }
    }

    /// Of one series that was read from `oldest` to `newest` (ms).
    #[must_use]
    pub fn of_series(oldest: Timestamp, newest: Timestamp, owner: Option<OwnerId>) -> Self {
        Self {
            oldest,
            stalest: newest,
            series: 1,
            owners: owner.into_iter().collect(),
        }
    }

    /// Adds what went into another value. Owners are appended; call [`Self::settle`] once all are in.
    pub fn absorb(&mut self, other: &Self) {
        self.oldest = self.oldest.min(other.oldest);
        self.stalest = self.stalest.min(other.stalest);
        self.series = self.series.saturating_add(other.series);
        self.owners.extend_from_slice(&other.owners);
    }

    /// Sorts the owners and removes repeated ones.
    pub fn settle(&mut self) {
        self.owners.sort_unstable();
        self.owners.dedup();
    }

    /// Whether any series was read.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.series > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absorbing_keeps_the_oldest_sample_and_the_stalest_series() {
        let mut p = Provenance::none();
        p.absorb(&Provenance::of_series(10, 50, Some(OwnerId(2))));
        p.absorb(&Provenance::of_series(20, 40, Some(OwnerId(1))));
        p.absorb(&Provenance::of_series(30, 60, Some(OwnerId(2))));
        p.settle();
        assert_eq!(
            p,
            Provenance {
                oldest: 10,
                stalest: 40,
                series: 3,
                owners: vec![OwnerId(1), OwnerId(2)]
            }
        );
    }
}
