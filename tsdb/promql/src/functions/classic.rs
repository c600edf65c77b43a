//! Arithmetic of classic histograms: cumulative buckets with upper bounds (`promql/quantile.go`).

use super::number::almost_equal;

/// Relative differences up to here are rounding, not lost monotonicity.
const SMALL_DELTA: f64 = 1e-12;

/// A bucket: how many observations were at most `bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// Upper bound (`le`).
    pub(crate) bound: f64,
    /// Cumulative count.
    pub(crate) count: f64,
}

/// What was repaired in buckets that were not cumulative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Repaired {
    /// Smallest and largest bound of repaired buckets.
    pub(crate) bounds: (f64, f64),
    /// Largest difference that was removed.
    pub(crate) max_diff: f64,
}

/// Adds up buckets of equal bounds; `buckets` is sorted by bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Makes the counts cumulative again.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Repaired> {
    let mut repaired: Option<Repaired> = None;
    let mut before = buckets.first()?.count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if almost_equal(before, count, SMALL_DELTA) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let r = repaired.get_or_insert(Repaired {
                bounds: (f64::INFINITY, f64::NEG_INFINITY),
                max_diff: 0.0,
            });
            r.bounds = (r.bounds.0.min(bucket.bound), r.bounds.1.max(bucket.bound));
            r.max_diff = r.max_diff.max(before - count);
        } else {
            before = count;
        }
    }
    repaired
}

/// Whether the buckets, sorted by bound, end with +Inf.
fn is_complete(buckets: &[Bucket]) -> bool {
    buckets.last().is_some_and(|b| b.bound == f64::INFINITY)
}

/// The q-quantile of buckets that are sorted by bound, and what had to be repaired for it.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Repaired>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if !is_complete(buckets) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let repaired = make_monotonic(buckets);
    (interpolate(q, buckets), repaired)
}

fn interpolate(q: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return f64::NAN;
    }
    let mut rank = q * observations;
    // A NaN count reaches no rank, as in Go's search.
    let at = buckets[..last].partition_point(|b| b.count < rank || b.count.is_nan() || rank.is_nan());
    if at == last {
        return buckets[last - 1].bound;
    }
    let Bucket { bound: end, mut count } = buckets[at];
    if at == 0 && end <= 0.0 {
        return end;
    }
    let mut start = 0.0;
    if at > 0 {
        start = buckets[at - 1].bound;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    start + (end - start) * (rank / count)
}

/// The share of observations between `lower` and `upper`; the buckets are sorted by bound.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !is_complete(buckets) {
        return f64::NAN;
    }
    coalesce(buckets);
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, count) - rank_of(lower, buckets, count)) / count
}

/// How many observations are at most `value`, linear within a bucket.
fn rank_of(value: f64, buckets: &[Bucket], count: f64) -> f64 {
    // Buckets that start at or below 0 have no lower border that is known.
    let mut start = if buckets[0].bound <= 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    let mut rank = 0.0;
    for bucket in buckets {
        if start >= value {
            return clip(rank, count);
        }
        if bucket.bound > value {
            // Within a bucket without a lower border nothing can be told: all of it counts.
            let within = if start == f64::NEG_INFINITY {
                bucket.count
            } else {
                rank + (bucket.count - rank) * (value - start) / (bucket.bound - start)
            };
            return clip(within, count);
        }
        rank = bucket.count;
        start = bucket.bound;
    }
    count
}

fn clip(rank: f64, count: f64) -> f64 {
    if rank > count { count } else { rank }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(of: &[(f64, f64)]) -> Vec<Bucket> {
        of.iter().map(|&(bound, count)| Bucket { bound, count }).collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_are_linear_within_a_bucket() {
        for (q, of, expected) in [
            (0.5, &[(1.0, 2.0), (2.0, 4.0), (INF, 4.0)][..], 1.0),
            (0.75, &[(1.0, 2.0), (2.0, 4.0), (INF, 4.0)], 1.5),
            (0.99, &[(1.0, 2.0), (2.0, 4.0), (INF, 8.0)], 2.0),
            (0.1, &[(-1.0, 5.0), (2.0, 6.0), (INF, 6.0)], -1.0),
            (2.0, &[], INF),
            (0.5, &[(1.0, 1.0), (1.0, 1.0), (INF, 2.0)], 0.5),
        ] {
            assert_eq!(quantile(q, &mut buckets(of)), (expected, None), "{q} of {of:?}");
        }
        for of in [&[][..], &[(1.0, 2.0)], &[(INF, 2.0)], &[(1.0, 0.0), (INF, 0.0)]] {
            assert!(quantile(0.5, &mut buckets(of)).0.is_nan(), "{of:?}");
        }
    }

    #[test]
    fn falling_counts_are_repaired_and_rounding_is_not_told() {
        let (value, repaired) = quantile(1.0, &mut buckets(&[(1.0, 4.0), (2.0, 3.0), (3.0, 2.5), (INF, 4.0)]));
        assert_eq!(
            (value, repaired),
            (
                1.0,
                Some(Repaired {
                    bounds: (2.0, 3.0),
                    max_diff: 1.5
                })
            )
        );
        let (_, repaired) = quantile(0.5, &mut buckets(&[(1.0, 4.0), (2.0, 4.0 - 1e-13), (INF, 4.0)]));
        assert_eq!(repaired, None);
    }

    #[test]
    fn fractions_of_observations() {
        let of = buckets(&[(1.0, 2.0), (2.0, 4.0), (INF, 8.0)]);
        for (lower, upper, expected) in [
            (0.0, 1.0, 0.25),
            (1.0, 2.0, 0.25),
            (0.5, 1.5, 0.25),
            (-INF, INF, 1.0),
            (3.0, INF, 0.5),
            (2.0, 1.0, 0.0),
        ] {
            assert_eq!(fraction(lower, upper, &mut of.clone()), expected, "{lower}..{upper}");
        }
        assert!(fraction(f64::NAN, 1.0, &mut of.clone()).is_nan());
    }
}
