//! Aggregations of the samples of a window: `avg_over_time`, `quantile_over_time`, ...

use super::number::{self, Kahan, Mean};
use super::window::Window;

/// `avg_over_time`.
pub(crate) fn avg(w: &Window<'_>) -> Option<f64> {
    Mean::of_all(w.v).map(Mean::total)
}

/// `sum_over_time`.
pub(crate) fn sum(w: &Window<'_>) -> Option<f64> {
    let mut sum = Kahan::default();
    for &x in w.v {
        sum.add(x);
    }
    Some(if sum.sum.is_infinite() { sum.sum } else { sum.total() })
}

/// The place of the value that `beats` all before it; NaN is beaten by everything.
fn best(w: &Window<'_>, beats: impl Fn(f64, f64) -> bool) -> Option<usize> {
    if w.v.is_empty() {
        return None;
    }
    let mut at = 0;
    for (i, &x) in w.v.iter().enumerate() {
        if beats(x, w.v[at]) || w.v[at].is_nan() {
            at = i;
        }
    }
    Some(at)
}

/// The value that `beats` all others. Which of several that are equal makes no difference but for zeros, and who comes first
/// but for NaN: all others are compared side by side.
#[inline(always)]
fn extreme(w: &Window<'_>, beats: impl Fn(f64, f64) -> bool + Copy) -> Option<f64> {
    let better = |x: f64, y: f64| if beats(x, y) { x } else { y };
    let (rows, rest) = w.v.as_chunks::<8>();
    let mut lanes = [*w.v.first()?; 8];
    for row in rows {
        for (lane, &x) in lanes.iter_mut().zip(row) {
            *lane = better(x, *lane);
        }
    }
    let found = rest.iter().chain(&lanes[1..]).fold(lanes[0], |y, &x| better(x, y));
    if found.is_nan() || found == 0.0 {
        return best(w, beats).map(|i| w.v[i]);
    }
    Some(found)
}

/// `max_over_time`.
pub(crate) fn max(w: &Window<'_>) -> Option<f64> {
    extreme(w, |x, y| x > y)
}

/// `min_over_time`.
pub(crate) fn min(w: &Window<'_>) -> Option<f64> {
    extreme(w, |x, y| x < y)
}

/// `ts_of_max_over_time`: the last time (s) of the largest value.
pub(crate) fn ts_of_max(w: &Window<'_>) -> Option<f64> {
    best(w, |x, y| x >= y).map(|i| w.t[i] as f64 / 1000.0)
}

/// `ts_of_min_over_time`: the last time (s) of the smallest value.
pub(crate) fn ts_of_min(w: &Window<'_>) -> Option<f64> {
    best(w, |x, y| x <= y).map(|i| w.t[i] as f64 / 1000.0)
}

/// `quantile_over_time(q, m[r])`.
pub(crate) fn quantile(w: &Window<'_>) -> Option<f64> {
    Some(number::quantile(*w.args.first()?, &mut w.v.to_vec()))
}

/// `mad_over_time`: the median of the distances from the median.
pub(crate) fn mad(w: &Window<'_>) -> Option<f64> {
    if w.v.iter().any(|x| x.is_nan()) {
        return Some(f64::NAN);
    }
    let mut values = w.v.to_vec();
    let median = number::quantile(0.5, &mut values);
    for x in &mut values {
        *x = (*x - median).abs();
    }
    Some(number::quantile(0.5, &mut values))
}

/// `stdvar_over_time` (Welford's method with Kahan sums).
pub(crate) fn stdvar(w: &Window<'_>) -> Option<f64> {
    let (mut count, mut mean, mut squares) = (0.0, Kahan::default(), Kahan::default());
    for &x in w.v {
        count += 1.0;
        let delta = x - mean.total();
        mean.add(delta / count);
        squares.add(delta * (x - mean.total()));
    }
    Some(squares.total() / count)
}

/// `stddev_over_time`.
pub(crate) fn stddev(w: &Window<'_>) -> Option<f64> {
    stdvar(w).map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::number::almost_equal;
    use crate::functions::window::lookup;
    use proptest::prelude::*;

    /// Numbers of which several are equal, zeros of both signs, and such as sums and comparisons treat apart.
    fn number() -> impl Strategy<Value = f64> {
        const APART: [f64; 8] = [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            -f64::MAX,
            0.1,
        ];
        prop_oneof![
            4 => (-3i8..4).prop_map(f64::from),
            4 => any::<i8>().prop_map(f64::from),
            1 => prop::sample::select(&APART[..]),
            1 => prop::sample::select(&APART[..2]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn what_is_compared_side_by_side_is_what_is_found_one_after_the_other(
            v in prop::collection::vec(number(), 0..40),
        ) {
            let w = Window { v: &v, ..Window::default() };
            let one_by_one = |beats: fn(f64, f64) -> bool| best(&w, beats).map(|i| v[i].to_bits());
            prop_assert_eq!(max(&w).map(f64::to_bits), one_by_one(|x, y| x > y));
            prop_assert_eq!(min(&w).map(f64::to_bits), one_by_one(|x, y| x < y));
        }

        #[test]
        fn a_mean_of_all_is_the_mean_of_one_after_the_other(v in prop::collection::vec(number(), 0..40)) {
            let mut one_by_one = v.first().map(|x| Mean::of(*x));
            for x in v.iter().skip(1) {
                one_by_one.iter_mut().for_each(|mean| mean.add(*x));
            }
            let w = Window { v: &v, ..Window::default() };
            prop_assert_eq!(avg(&w).map(f64::to_bits), one_by_one.map(|mean| mean.total().to_bits()));
        }
    }

    #[test]
    fn aggregations_of_a_window() {
        let t = [1_000, 2_000, 3_000, 4_000];
        let v = [4.0, f64::NAN, 1.0, 4.0];
        let w = Window {
            t: &t,
            v: &v,
            start: 0,
            end: 4_000,
            at: 4_000,
            args: &[0.5],
            ..Window::default()
        };
        let call = |name: &str, w: &Window<'_>| lookup(name).and_then(|f| f(w)).unwrap();
        assert_eq!((call("max_over_time", &w), call("min_over_time", &w)), (4.0, 1.0));
        assert_eq!(
            (call("ts_of_max_over_time", &w), call("ts_of_min_over_time", &w)),
            (4.0, 3.0)
        );
        assert_eq!((call("first_over_time", &w), call("count_over_time", &w)), (4.0, 4.0));
        assert!(call("mad_over_time", &w).is_nan() && call("sum_over_time", &w).is_nan());
        let w = Window {
            v: &[2.0, 4.0, 4.0, 10.0],
            ..w
        };
        for (name, value) in [
            ("sum_over_time", 20.0),
            ("avg_over_time", 5.0),
            ("quantile_over_time", 4.0),
            ("mad_over_time", 1.0),
            ("stdvar_over_time", 9.0),
            ("stddev_over_time", 3.0),
            ("last_over_time", 10.0),
            ("ts_of_first_over_time", 1.0),
            ("ts_of_last_over_time", 4.0),
        ] {
            assert!(almost_equal(call(name, &w), value, 1e-12), "{name}: {}", call(name, &w));
        }
    }
}
