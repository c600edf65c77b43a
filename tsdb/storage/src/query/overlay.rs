//! Samples of one series from several stores in one order of time, each time once.

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

/// The same of histograms; none at a time (ms) in `taken`, which is sorted.
pub(super) fn histograms(parts: Vec<Vec<HistogramSample>>, taken: &[Timestamp], into: &mut Vec<HistogramSample>) {
    let ranked = parts.into_iter().enumerate();
    let mut all: Vec<(usize, HistogramSample)> = ranked
        .flat_map(|(rank, part)| part.into_iter().map(move |sample| (rank, sample)))
        .filter(|(_, sample)| taken.binary_search(&sample.t).is_err())
        .collect();
    all.sort_by_key(|(rank, sample)| (sample.t, *rank));
    all.dedup_by_key(|(_, sample)| sample.t);
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
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn samples(times: &[(i64, f64)]) -> Samples {
        Samples {
            t: times.iter().map(|s| s.0).collect(),
            v: times.iter().map(|s| s.1).collect(),
        }
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
