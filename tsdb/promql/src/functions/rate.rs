//! Functions over the change of counters and gauges in a window: `rate`, `increase`, `delta`, `irate`, ...

use super::border::{self, starts_anew};
use super::window::Window;
use crate::syntax::ast::Border;
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

    /// When (ms) the counter began whose first sample in the window is `t` and says `start`, if that was within.
    pub(super) fn began(self, w: &Window<'_>, start: Timestamp, t: Timestamp) -> Option<Timestamp> {
        (self.counter && start != 0 && start > w.start && start < t).then_some(start)
    }
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
    if w.border != Border::Open {
        let change = border::change(w, kind.counter)?;
        let seconds = (w.end - w.start) as f64 / 1000.0;
        return Some(if kind.per_second { change / seconds } else { change });
    }
    let gaps = w.v.len().checked_sub(1)?;
    let began = kind.began(w, w.start_of(0), w.t[0]);
    if gaps == 0 && began.is_none() {
        return None;
    }
    let mut change = w.v[gaps] - w.v[0];
    if kind.counter {
        change = with_resets(w, change);
    }
    let before = Before {
        began,
        share: (kind.counter && change > 0.0 && w.v[0] >= 0.0).then(|| w.v[0] / change),
    };
    if began.is_some() {
        change += w.v[0];
    }
    Some(change * extrapolation(w, (w.t[0], w.t[gaps]), gaps, before, kind.per_second))
}

/// What is known of a counter before its first sample in a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// When (ms) it began, within the window.
    pub(super) began: Option<Timestamp>,
    /// Its first value as a share of the change. A counter cannot have been below zero: it is not carried back further
    /// than where the slope meets it.
    pub(super) share: Option<f64>,
}

/// What a change between the first and the last sample (`span`, ms) is multiplied by, so that it is carried on to the
/// borders of the window where samples are close to them, and by half a gap otherwise (`extrapolatedRate` of
/// `promql/functions.go`).
pub(super) fn extrapolation(
    w: &Window<'_>,
    span: (Timestamp, Timestamp),
    gaps: usize,
    before: Before,
    per_second: bool,
) -> f64 {
    let mut reach = Reach::of((span.0 - w.start, span.1 - span.0, w.end - span.1), gaps);
    let mut share = before.share;
    if let Some(began) = before.began {
        reach.sampled = seconds(span.1 - began);
        // It is known when the counter stood at 0: nothing is left to extrapolate.
        reach.to_start = 0.0;
        share = None;
    }
    reach.factor(share, per_second.then(|| seconds(w.end - w.start)))
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// How far, in seconds, samples reach in a window and are carried on from there.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    /// From the first to the last.
    sampled: f64,
    /// On to the start of the window.
    to_start: f64,
    /// On to its end.
    to_end: f64,
}

impl Reach {
    /// Of a window whose start is so long (ms) before its first sample, that before the last, with so many gaps in between,
    /// and that before its end.
    fn of((before, span, behind): (i64, i64, i64), gaps: usize) -> Self {
        let sampled = seconds(span);
        let (mut to_start, mut to_end) = (seconds(before), seconds(behind));
        let gap = if gaps > 0 { sampled / gaps as f64 } else { 0.0 };
        let threshold = gap * 1.1;
        if to_start >= threshold {
            to_start = gap / 2.0;
        }
        if to_end >= threshold {
            to_end = gap / 2.0;
        }
        Self {
            sampled,
            to_start,
            to_end,
        }
    }

    /// What the change is multiplied by. `share`: see [`Before::share`]; `window`: the length of the window, if the change
    /// per second is asked for.
    #[inline]
    fn factor(self, share: Option<f64>, window: Option<f64>) -> f64 {
        let to_start = match share {
            Some(share) => self.to_start.min(self.sampled * share),
            None => self.to_start,
        };
        let mut factor = if self.sampled == 0.0 {
            1.0
        } else {
            (self.sampled + to_start + self.to_end) / self.sampled
        };
        if let Some(window) = window {
            factor /= window;
        }
        factor
    }
}

/// `rate` or `increase` over windows of counters of which [`is_steady`] is known and no start time: what
/// depends on times alone is kept from one window to the next, which have the same as a rule.
#[derive(Debug)]
pub(crate) struct SteadyRate {
    /// Whether the change per second is asked for.
    per_second: bool,
    /// What the others were made of.
    times: (i64, i64, i64, usize),
    reach: Reach,
    /// Length of the window in seconds.
    window: f64,
    /// What the change is multiplied by where the counter's first value sets no bound.
    unbound: f64,
}

impl SteadyRate {
    /// Per second or not.
    pub(crate) fn new(per_second: bool) -> Self {
        Self {
            per_second,
            // No window has no gap.
            times: (0, 0, 0, 0),
            reach: Reach::default(),
            window: 0.0,
            unbound: 0.0,
        }
    }

    /// The value of the window from `start` to `end` (ms) whose first and last samples were at `first` and `last` and have
    /// the values `from` and `to`, with so many gaps, one at least, in between.
    #[inline]
    pub(crate) fn of(
        &mut self,
        (first, last): (Timestamp, Timestamp),
        (from, to): (f64, f64),
        gaps: usize,
        (start, end): (Timestamp, Timestamp),
    ) -> f64 {
        self.lie((first - start, last - first, end - last), gaps, (start, end));
        self.value(from, to)
    }

    /// The windows that follow lie like one from `start` to `end` (ms), which begins so long (ms) before its first sample, that
    /// before its last, and that before its end, with so many gaps in between.
    #[inline]
    pub(crate) fn lie(
        &mut self,
        (before, span, behind): (i64, i64, i64),
        gaps: usize,
        (start, end): (Timestamp, Timestamp),
    ) {
        let times = (before, span, behind, gaps);
        if times != self.times {
            self.times = times;
            self.reach = Reach::of((before, span, behind), gaps);
            self.window = seconds(end - start);
            self.unbound = self.factor(None);
        }
    }

    /// The values of windows that lie alike, of which `pairs` are the first and the last samples.
    pub(crate) fn row<'a>(&self, pairs: impl Iterator<Item = (&'a f64, &'a f64)> + Clone, cells: &mut [f64]) {
        let mut bound = false;
        for (cell, (from, to)) in cells.iter_mut().zip(pairs.clone()) {
            let change = to - from;
            bound |= (change > 0.0) & (*from >= 0.0) & !self.is_unbound(*from, change);
            *cell = change * self.unbound;
        }
        // Few series have one that has to be divided.
        if bound {
            for (cell, (from, to)) in cells.iter_mut().zip(pairs) {
                *cell = self.value(*from, *to);
            }
        }
    }

    #[inline]
    fn value(&self, from: f64, to: f64) -> f64 {
        let change = to - from;
        if !(change > 0.0 && from >= 0.0) || self.is_unbound(from, change) {
            return change * self.unbound;
        }
        change * self.factor(Some(from / change))
    }

    fn factor(&self, share: Option<f64>) -> f64 {
        self.reach.factor(share, self.per_second.then_some(self.window))
    }

    /// Whether a counter that grew by `change` from `from` on is carried back to the start for certain, as most are: that
    /// would take it to half of where it began at most, so that rounding cannot matter. Nothing is divided for that.
    #[inline]
    fn is_unbound(&self, from: f64, change: f64) -> bool {
        from * self.reach.sampled > 2.0 * change * self.reach.to_start
    }
}

/// A change with what the resets of the counter took away; added one after the other, as rounding depends on it.
#[inline]
fn with_resets(w: &Window<'_>, mut change: f64) -> f64 {
    if w.st.is_empty() {
        for pair in w.v.windows(2) {
            if pair[1] < pair[0] {
                change += pair[0];
            }
        }
    } else {
        for i in (1..w.v.len()).filter(|&i| is_reset(w, i)) {
            change += w.v[i - 1];
        }
    }
    change
}

/// Whether no value is below the one before it. Without a way out on the way, so that several are compared at once.
pub(crate) fn is_steady(values: &[f64]) -> bool {
    let (mut before, mut fell) = (f64::NAN, false);
    for &value in values {
        fell |= value < before;
        before = value;
    }
    !fell
}

/// Whether sample i (> 0) fell, or says that its counter began anew.
fn is_reset(w: &Window<'_>, i: usize) -> bool {
    w.v[i] < w.v[i - 1] || starts_anew(w.start_of(i - 1), w.t[i - 1], w.start_of(i), w.t[i])
}

/// Whether a counter of the window began before the sample in front of it was taken: two counters are mixed up
/// (`checkStartTimeOverlap`).
pub(crate) fn starts_overlap(w: &Window<'_>) -> bool {
    let overlaps = |i: usize| {
        let (before, st) = (w.start_of(i - 1), w.start_of(i));
        st != 0 && st < w.t[i - 1] && st != before
    };
    !w.st.is_empty() && (1..w.t.len()).any(overlaps)
}

/// `irate(m[r])`: the slope of the last two samples; after a reset that of the last alone.
pub(crate) fn irate(w: &Window<'_>) -> Option<f64> {
    let (before, after, interval) = last_two(w)?;
    let change = if is_reset(w, w.v.len() - 1) {
        after
    } else {
        after - before
    };
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

/// `resets(m[r])`: how often the value fell or its counter began anew.
pub(crate) fn resets(w: &Window<'_>) -> Option<f64> {
    let compared = border::compared(w)?;
    Some(compared.skip(1).filter(|&i| is_reset(w, i)).count() as f64)
}

/// `changes(m[r])`: how often the value changed; NaN after NaN is none.
pub(crate) fn changes(w: &Window<'_>) -> Option<f64> {
    let compared = &w.v[border::compared(w)?];
    let changed = |p: &&[f64]| p[0] != p[1] && !(p[0].is_nan() && p[1].is_nan());
    Some(compared.windows(2).filter(changed).count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::number::almost_equal;
    use proptest::prelude::*;

    /// What is known of a steady counter, in a window of two samples at least.
    fn of_steady(known: &mut SteadyRate, w: &Window<'_>) -> Option<u64> {
        let ([first, .., last], [from, .., to]) = (w.t, w.v) else {
            return None;
        };
        let value = known.of((*first, *last), (*from, *to), w.t.len() - 1, (w.start, w.end));
        Some(value.to_bits())
    }

    fn window<'a>(t: &'a [i64], v: &'a [f64], start: i64, end: i64) -> Window<'a> {
        Window {
            t,
            v,
            start,
            end,
            at: end,
            args: &[],
            ..Window::default()
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
    fn what_is_known_to_be_steady_has_the_same_rate() {
        let t = [15_000, 30_000, 45_000, 60_000];
        for (values, steady) in [
            ([100.0, 115.0, 115.0, 145.0], true),
            ([100.0, f64::NAN, 115.0, 145.0], true),
            ([100.0, 115.0, 5.0, 145.0], false),
            ([100.0, 115.0, 130.0, 129.0], false),
            ([-0.0, 0.0, -0.0, 1e300], true),
        ] {
            assert_eq!(is_steady(&values), steady, "{values:?}");
            for (f, per_second) in [(rate as fn(&Window<'_>) -> _, true), (increase, false)] {
                let mut known = SteadyRate::new(per_second);
                // The second time from what it keeps; fewer and other samples in between.
                for (from, end) in [
                    (0, 60_000),
                    (0, 60_000),
                    (1, 60_000),
                    (3, 60_000),
                    (1, 61_000),
                    (0, 60_000),
                ] {
                    let w = window(&t[from..], &values[from..], end - 60_000, end);
                    let found = of_steady(&mut known, &w);
                    assert!(!steady || found == f(&w).map(f64::to_bits), "{values:?} {from} {end}");
                }
            }
        }
        assert!(is_steady(&[]) && is_steady(&[1.0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_steady_counter_has_the_same_rate_wherever_it_began(
            first in 1i64..60_000, gap in 1i64..30_000, behind in 0i64..30_000, gaps in 1usize..4,
            // Around where the start is just reached, near 0, and where products leave the range of floats.
            from in prop_oneof![0.0..1e3f64, 0.0..1e-3f64, Just(0.0), Just(5e-324), Just(1e307), any::<f64>().prop_map(f64::abs)],
            slope in prop_oneof![0.0..1e3f64, 0.5..2.0f64, Just(5e-324), Just(5e307), 0.0..1e-300f64],
            relative: bool,
        ) {
            let slope = if relative { from * slope } else { slope };
            let t: Vec<i64> = (0..=gaps as i64).map(|i| first + i * gap).collect();
            let v: Vec<f64> = (0..=gaps).map(|i| from + i as f64 * slope).collect();
            prop_assume!(is_steady(&v));
            let w = window(&t, &v, 0, t[gaps] + behind);
            for (f, per_second) in [(rate as fn(&Window<'_>) -> _, true), (increase, false)] {
                let found = of_steady(&mut SteadyRate::new(per_second), &w);
                prop_assert_eq!(found, f(&w).map(f64::to_bits));
            }
        }
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
