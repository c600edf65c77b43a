//! Functions over the change of counters and gauges in a window: `rate`, `increase`, `delta`, `irate`, ...

use super::window::Window;
use leadline_model::Timestamp;

/// How `rate`, `increase` and `delta` differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Falling values are resets, and the value was 0 before the series began.
    pub(super) counter: bool,
    /// Per second.
    pub(super) per_second: bool,
}

impl Kind {
    /// `rate`.
    pub(super) const RATE: Self = Self {
        counter: true,
        per_second: true,
    };
    /// `increase`.
    pub(super) const INCREASE: Self = Self {
        counter: true,
        per_second: false,
    };
    /// `delta`.
    pub(super) const DELTA: Self = Self {
        counter: false,
        per_second: false,
    };
}

/// `rate(m[r])`: increase per second.
pub(crate) fn rate(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, Kind::RATE)
}

/// `increase(m[r])`.
pub(crate) fn increase(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, Kind::INCREASE)
}

/// `delta(m[r])`.
pub(crate) fn delta(w: &Window<'_>) -> Option<f64> {
    extrapolated(w, Kind::DELTA)
}

/// The change between the first and the last sample, extrapolated.
fn extrapolated(w: &Window<'_>, kind: Kind) -> Option<f64> {
    let gaps = w.v.len().checked_sub(1).filter(|&n| n > 0)?;
    let mut change = w.v[gaps] - w.v[0];
    if kind.counter {
        for pair in w.v.windows(2) {
            if pair[1] < pair[0] {
                change += pair[0];
            }
        }
    }
    // A counter cannot have been below zero: do not go back further than where the slope meets it.
    let start = (kind.counter && change > 0.0 && w.v[0] >= 0.0).then(|| w.v[0] / change);
    Some(change * extrapolation(w, (w.t[0], w.t[gaps]), gaps, start, kind.per_second))
}

/// What a change between the first and the last sample (ms) is multiplied by, so that it is carried on to the borders of
/// the window where samples are close to them, and by half a gap otherwise (`extrapolatedRate` of `promql/functions.go`).
/// `start`: the value at the first sample as a share of the change, beyond which it is not carried back.
pub(super) fn extrapolation(
    w: &Window<'_>,
    (first, last): (Timestamp, Timestamp),
    gaps: usize,
    start: Option<f64>,
    per_second: bool,
) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let sampled = seconds(last - first);
    let mut to_start = seconds(first - w.start);
    let mut to_end = seconds(w.end - last);
    let gap = sampled / gaps as f64;
    let threshold = gap * 1.1;
    if to_start >= threshold {
        to_start = gap / 2.0;
    }
    if let Some(start) = start {
        to_start = to_start.min(sampled * start);
    }
    if to_end >= threshold {
        to_end = gap / 2.0;
    }
    let mut factor = if sampled == 0.0 {
        1.0
    } else {
        (sampled + to_start + to_end) / sampled
    };
    if per_second {
        factor /= seconds(w.end - w.start);
    }
    factor
}

/// `irate(m[r])`: the slope of the last two samples; after a reset that of the last alone.
pub(crate) fn irate(w: &Window<'_>) -> Option<f64> {
    let (before, after, interval) = last_two(w)?;
    let change = if after < before { after } else { after - before };
    Some(change / (interval as f64 / 1000.0))
}

/// `idelta(m[r])`: the difference of the last two samples.
pub(crate) fn idelta(w: &Window<'_>) -> Option<f64> {
    last_two(w).map(|(before, after, _)| after - before)
}

fn last_two(w: &Window<'_>) -> Option<(f64, f64, i64)> {
    let n = w.v.len();
    if n < 2 {
        return None;
    }
    Some((w.v[n - 2], w.v[n - 1], w.t[n - 1] - w.t[n - 2]))
}

/// `resets(m[r])`: how often the value fell.
pub(crate) fn resets(w: &Window<'_>) -> Option<f64> {
    Some(w.v.windows(2).filter(|p| p[1] < p[0]).count() as f64)
}

/// `changes(m[r])`: how often the value changed; NaN after NaN is none.
pub(crate) fn changes(w: &Window<'_>) -> Option<f64> {
    let changed = |p: &&[f64]| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan());
    Some(w.v.windows(2).filter(changed).count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::number::almost_equal;

    fn window<'a>(t: &'a [i64], v: &'a [f64], start: i64, end: i64) -> Window<'a> {
        Window {
            t,
            v,
            start,
            end,
            at: end,
            args: &[],
        }
    }

    fn assert_close(found: [Option<f64>; 3], expected: [f64; 3]) {
        for (x, y) in found.into_iter().zip(expected) {
            assert!(almost_equal(x.unwrap(), y, 1e-12), "{x:?} instead of {y}");
        }
    }

    #[test]
    fn a_window_full_of_samples_is_extrapolated_to_both_borders() {
        // 15 s apart in (0, 60 s]: the first stands one gap from the border, which is within 1.1 gaps.
        let w = window(
            &[15_000, 30_000, 45_000, 60_000],
            &[100.0, 115.0, 130.0, 145.0],
            0,
            60_000,
        );
        assert_close([increase(&w), rate(&w), delta(&w)], [60.0, 1.0, 60.0]);
    }

    #[test]
    fn a_counter_is_not_carried_below_zero() {
        let w = window(&[30_000, 45_000, 60_000], &[1.0, 16.0, 31.0], 0, 60_000);
        // Half a gap (7.5 s) would be 7.5 units, but it stood at 1.
        assert_close([increase(&w), delta(&w), irate(&w)], [31.0, 37.5, 1.0]);
    }

    #[test]
    fn resets_are_added_back() {
        let w = window(&[15_000, 30_000, 45_000, 60_000], &[100.0, 110.0, 5.0, 15.0], 0, 60_000);
        assert_close([resets(&w), increase(&w), irate(&w)], [1.0, 100.0 / 3.0, 10.0 / 15.0]);
    }

    #[test]
    fn one_sample_has_no_rate() {
        let w = window(&[60_000], &[1.0], 0, 60_000);
        assert_eq!(
            (rate(&w), delta(&w), irate(&w), idelta(&w), resets(&w)),
            (None, None, None, None, Some(0.0))
        );
    }
}
