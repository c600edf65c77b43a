//! Ranges of time that were deleted.

use leadline_model::sample::{Samples, Timestamp};

/// A range of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// First time (ms) within.
    pub mint: Timestamp,
    /// Last time (ms) within.
    pub maxt: Timestamp,
}

impl Interval {
    /// Whether `t` (ms) is within.
    #[must_use]
    pub fn contains(&self, t: Timestamp) -> bool {
        self.mint <= t && t <= self.maxt
    }

    /// Whether the range from `mint` to `maxt` (ms, both included) has a time in common with this one.
    #[must_use]
    pub fn overlaps(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        self.mint <= maxt && mint <= self.maxt
    }
}

/// Deleted ranges: ascending, neither overlapping nor adjacent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intervals(Vec<Interval>);

impl Intervals {
    /// Adds a range and joins it with those it meets (`tsdb/tombstones/tombstones.go`, `Intervals.Add`).
    pub fn add(&mut self, new: Interval) {
        // Adjacent counts as meeting; the ends of time have no neighbour.
        let from = self
            .0
            .partition_point(|i| i.maxt < new.mint && i.maxt.saturating_add(1) < new.mint);
        let to = self.0.partition_point(|i| i.mint <= new.maxt.saturating_add(1));
        let joined = self.0[from..to.max(from)].iter().fold(new, |joined, i| Interval {
            mint: joined.mint.min(i.mint),
            maxt: joined.maxt.max(i.maxt),
        });
        self.0.splice(from..to.max(from), [joined]);
    }

    /// Whether `t` (ms) was deleted.
    #[must_use]
    pub fn contains(&self, t: Timestamp) -> bool {
        let at = self.0.partition_point(|i| i.maxt < t);
        self.0.get(at).is_some_and(|i| i.contains(t))
    }

    /// Whether everything from `mint` to `maxt` (ms, both included) was deleted.
    #[must_use]
    pub fn covers(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        let at = self.0.partition_point(|i| i.maxt < mint);
        self.0.get(at).is_some_and(|i| i.contains(mint) && i.contains(maxt))
    }

    /// Whether anything from `mint` to `maxt` (ms, both included) was deleted.
    #[must_use]
    pub fn overlap(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        let at = self.0.partition_point(|i| i.maxt < mint);
        self.0.get(at).is_some_and(|i| i.overlaps(mint, maxt))
    }

    /// Takes deleted samples out.
    pub fn cut(&self, samples: &mut Samples) {
        let ends = samples.t.first().zip(samples.t.last());
        if !ends.is_some_and(|(&first, &last)| self.overlap(first, last)) {
            return;
        }
        let mut kept = 0;
        for i in 0..samples.t.len() {
            if !self.contains(samples.t[i]) {
                (samples.t[kept], samples.v[kept]) = (samples.t[i], samples.v[i]);
                kept += 1;
            }
        }
        samples.t.truncate(kept);
        samples.v.truncate(kept);
    }

    /// Whether nothing was deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Interval] {
        &self.0
    }
}

impl FromIterator<Interval> for Intervals {
    fn from_iter<I: IntoIterator<Item = Interval>>(ranges: I) -> Self {
        let mut all = Self::default();
        for range in ranges {
            all.add(range);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_behave_as_a_set_of_times(ranges in proptest::collection::vec((0i64..60, 0i64..12), 0..12)) {
            let mut times = BTreeSet::new();
            let mut all = Intervals::default();
            for (mint, len) in ranges {
                times.extend(mint..=mint + len);
                all.add(Interval { mint, maxt: mint + len });
            }
            for t in -1..80 {
                prop_assert_eq!(all.contains(t), times.contains(&t), "{} in {:?}", t, all);
                prop_assert_eq!(all.covers(t, t + 3), (t..=t + 3).all(|t| times.contains(&t)));
                prop_assert_eq!(all.overlap(t, t + 3), (t..=t + 3).any(|t| times.contains(&t)));
            }
            for pair in all.as_slice().windows(2) {
                prop_assert!(pair[0].maxt + 1 < pair[1].mint, "{:?}", all);
            }
        }
    }

    #[test]
    fn the_ends_of_time_can_be_deleted() {
        let all = Interval {
            mint: i64::MIN,
            maxt: i64::MAX,
        };
        let mut ranges: Intervals = [
            Interval {
                mint: 5,
                maxt: i64::MAX,
            },
            Interval {
                mint: i64::MIN,
                maxt: 3,
            },
        ]
        .into_iter()
        .collect();
        assert_eq!(ranges.as_slice().len(), 2);
        ranges.add(all);
        assert_eq!(ranges.as_slice(), [all]);
    }
}
