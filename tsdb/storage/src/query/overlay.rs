//! Samples of one series from several stores in one order of time, each time once.

use crate::points::forget_reset;
use leadline_model::histogram::HistogramSample;
use leadline_model::sample::{Samples, Timestamp};

/// Joins `parts` into `into`, which is empty. Of samples at one time that of the earliest part stays.
pub(super) fn floats(mut parts: Vec<Samples>, into: &mut Samples) {
    parts.retain(|part| !part.is_empty());
    // What a store holds begins, mostly, behind the end of what an older one holds.
    if in_a_row(&mut parts, |part| (part.t.first().copied(), part.t.last().copied())) {
        for part in parts {
            into.t.extend_from_slice(&part.t);
            into.v.extend_from_slice(&part.v);
        }
        return;
    }
    let columns = parts.into_iter().enumerate();
    let mut all: Vec<(Timestamp, usize, f64)> = columns
        .flat_map(|(rank, part)| part.t.into_iter().zip(part.v).map(move |(t, v)| (t, rank, v)))
        .collect();
    all.sort_unstable_by_key(|&(t, rank, _)| (t, rank));
    all.dedup_by_key(|&mut (t, _, _)| t);
    into.t.extend(all.iter().map(|&(t, _, _)| t));
    into.v.extend(all.iter().map(|&(_, _, v)| v));
}

/// The same of histograms; none at a time (ms) in `taken`, which is sorted. One behind a sample of another part says
/// nothing about it any more (`storage/merge.go`, `chainSampleIterator.AtHistogram`).
pub(super) fn histograms(parts: Vec<Vec<HistogramSample>>, taken: &[Timestamp], into: &mut Vec<HistogramSample>) {
    let ranked = parts.into_iter().enumerate();
    let mut all: Vec<(usize, HistogramSample)> = ranked
        .flat_map(|(rank, part)| part.into_iter().map(move |sample| (rank, sample)))
        .filter(|(_, sample)| taken.binary_search(&sample.t).is_err())
        .collect();
    all.sort_by_key(|(rank, sample)| (sample.t, *rank));
    all.dedup_by_key(|(_, sample)| sample.t);
    let mut last: Option<(usize, Timestamp)> = None;
    for (rank, sample) in &mut all {
        let follows = last.is_some_and(|(before, t)| {
            let floats = taken.partition_point(|&float| float < t) < taken.partition_point(|&float| float < sample.t);
            before == *rank && !floats
        });
        if !follows {
            forget_reset(&mut sample.h);
        }
        last = Some((*rank, sample.t));
    }
    into.extend(all.into_iter().map(|(_, sample)| sample));
}

/// Whether the parts, sorted by their begin if they are, follow each other without overlapping. Parts that do overlap are
/// left in their order.
fn in_a_row<T>(parts: &mut [T], ends: impl Fn(&T) -> (Option<Timestamp>, Option<Timestamp>)) -> bool {
    let mut spans: Vec<_> = parts.iter().map(&ends).collect();
    spans.sort_unstable();
    let apart = spans.windows(2).all(|pair| pair[0].1 < pair[1].0);
    if apart {
        parts.sort_by_key(|part| ends(part).0);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::histogram::{AnyHistogram, Histogram, ResetHint};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn samples(times: &[(i64, f64)]) -> Samples {
        Samples {
            t: times.iter().map(|s| s.0).collect(),
            v: times.iter().map(|s| s.1).collect(),
        }
    }

    fn counter(t: Timestamp, reset: ResetHint) -> HistogramSample {
        let h = AnyHistogram::Int(Arc::new(Histogram {
            reset,
            ..Histogram::default()
        }));
        HistogramSample { t, h }
    }

    #[test]
    fn a_histogram_behind_one_of_another_part_says_nothing_about_resets() {
        use ResetHint::{Gauge, NotReset, Unknown};
        let part = |samples: &[(i64, ResetHint)]| samples.iter().map(|&(t, hint)| counter(t, hint)).collect::<Vec<_>>();
        let older = part(&[
            (10, Unknown),
            (20, NotReset),
            (40, NotReset),
            (50, NotReset),
            (70, NotReset),
            (80, Gauge),
        ]);
        let late = part(&[(20, NotReset), (30, NotReset), (75, Unknown)]);
        let mut joined = Vec::new();
        histograms(vec![older, late], &[60], &mut joined);
        let hints: Vec<_> = joined
            .iter()
            .map(|sample| match &sample.h {
                AnyHistogram::Int(h) => (sample.t, h.reset),
                AnyHistogram::Float(h) => (sample.t, h.reset),
            })
            .collect();
        let expected = [
            (10, Unknown),
            (20, NotReset),
            (30, Unknown),
            (40, Unknown),
            (50, NotReset),
            (70, Unknown),
            (75, Unknown),
            (80, Gauge),
        ];
        assert_eq!(hints, expected);
    }

    proptest! {
        #[test]
        fn every_time_comes_once_with_the_value_of_the_earliest_part(
            parts in proptest::collection::vec(proptest::collection::btree_map(0i64..40, 0i32..1000, 0..12), 0..4)
        ) {
            let mut model: BTreeMap<i64, f64> = BTreeMap::new();
            for (&t, &v) in parts.iter().flatten() {
                model.entry(t).or_insert(f64::from(v));
            }
            let of = |part: &BTreeMap<i64, i32>| part.iter().map(|(&t, &v)| (t, f64::from(v))).collect::<Vec<_>>();
            let mut joined = Samples::default();
            floats(parts.iter().map(|part| samples(&of(part))).collect(), &mut joined);
            prop_assert_eq!(joined.t, model.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(joined.v, model.values().copied().collect::<Vec<_>>());
        }
    }
}
