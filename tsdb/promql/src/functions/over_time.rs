//! Aggregations of the samples of a window: `avg_over_time`, `quantile_over_time`, ...

use super::number::{self, Kahan, Mean};
use super::window::Window;

/// `avg_over_time`.
pub(crate) fn avg(w: &Window<'_>) -> Option<f64> {
    let (first, rest) = w.v.split_first()?;
    let mut mean = Mean::of(*first);
    for &x in rest {
        mean.add(x);
    }
    Some(mean.total())
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

/// `max_over_time`.
pub(crate) fn max(w: &Window<'_>) -> Option<f64> {
    best(w, |x, y| x > y).map(|i| w.v[i])
}

/// `min_over_time`.
pub(crate) fn min(w: &Window<'_>) -> Option<f64> {
    best(w, |x, y| x < y).map(|i| w.v[i])
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
