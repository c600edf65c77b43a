//! `anchored` and `smoothed`: values at the borders of a window come from the samples around it, so that nothing has to
//! be extrapolated (`promql/functions.go`, `extendedRate` and what it calls).

use super::window::Window;
use crate::syntax::ast::Border;
use leadline_model::Timestamp;

/// A value at a time (ms).
type Point = (Timestamp, f64);

/// Whether a counter began anew between two samples, by their start times (ms, 0 unknown).
pub(crate) fn starts_anew(prev_st: Timestamp, prev_t: Timestamp, st: Timestamp, t: Timestamp) -> bool {
    // An unchanged, unknown or impossible start says nothing.
    if prev_st == st || st == 0 || st >= t || st < prev_t {
        return false;
    }
    // A start at the previous sample is how deltas are told, but also how OpenTelemetry tells an unknown start.
    st > prev_t || (prev_st != 0 && prev_st < prev_t)
}

/// Whether a sample's counter began after `since`.
fn starts_after(since: Timestamp, st: Timestamp, t: Timestamp) -> bool {
    st > since && t > since && starts_anew(since, since, st, t)
}

/// The value at `t` on the line between two samples; a counter that fell in between began at 0.
fn between(before: Point, after: Point, t: Timestamp, counter: bool) -> f64 {
    let from = if counter && after.1 < before.1 { 0.0 } else { before.1 };
    from + (after.1 - from) * (t - before.0) as f64 / (after.0 - before.0) as f64
}

/// The samples around a window with borders, and which of them matter.
struct Extended<'a> {
    w: &'a Window<'a>,
    counter: bool,
    smoothed: bool,
    /// The newest sample up to the window's start, or the first.
    first: usize,
    /// `smoothed`: the first sample from the window's end on, or the last.
    last: usize,
}

impl<'a> Extended<'a> {
    /// Nothing when no sample lies behind the window's start.
    fn of(w: &'a Window<'a>, counter: bool) -> Option<Self> {
        let smoothed = w.border == Border::Smoothed;
        let newest = w.t.len().checked_sub(1)?;
        let first = w.t[..newest].partition_point(|t| *t <= w.start).saturating_sub(1);
        let last = if smoothed {
            w.t[..newest].partition_point(|t| *t < w.end)
        } else {
            newest
        };
        (w.t[last] > w.start).then_some(Self {
            w,
            counter,
            smoothed,
            first,
            last,
        })
    }

    fn point(&self, i: usize) -> Point {
        (self.w.t[i], self.w.v[i])
    }

    fn lookback_start(&self) -> Timestamp {
        self.w.start.saturating_sub(self.w.lookback_ms)
    }

    /// The value at a border for which there is no sample on its far side: what `i`, the nearest sample, has, or for
    /// a counter that began in sight what follows from that.
    fn without_neighbour(&self, i: usize, border: Timestamp) -> f64 {
        let (t, v) = self.point(i);
        let st = self.w.start_of(i);
        if !self.counter || !starts_after(self.lookback_start(), st, t) {
            v
        } else if !starts_after(border, st, t) && self.smoothed {
            between((st, 0.0), (t, v), border, true)
        } else {
            0.0
        }
    }

    /// (value, start of its counter) at the window's start.
    fn left(&self) -> (f64, Timestamp) {
        let (start, i) = (self.w.start, self.first);
        let (t, v) = self.point(i);
        let st = self.w.start_of(i);
        let known = if st > start { 0 } else { st };
        if t == start {
            return (v, st);
        }
        if t > start {
            return (self.without_neighbour(i, start), known);
        }
        let (mut before, mut after, mut known) = ((t, v), self.point(i + 1), known);
        let next_st = self.w.start_of(i + 1);
        if self.counter && starts_after(start, next_st, after.0) {
            after = (next_st, 0.0);
        } else if self.counter && starts_anew(st, t, next_st, after.0) {
            before = (next_st, 0.0);
            known = next_st;
        }
        let value = if self.smoothed {
            between(before, after, start, self.counter)
        } else {
            before.1
        };
        (value, known)
    }

    /// (value, start of its counter) at the window's end.
    fn right(&self) -> (f64, Timestamp) {
        let (end, i) = (self.w.end, self.last);
        let (t, v) = self.point(i);
        let st = self.w.start_of(i);
        let known = if st > end { 0 } else { st };
        if t <= end {
            return (v, known);
        }
        let Some(previous) = i.checked_sub(1) else {
            return (self.without_neighbour(i, end), known);
        };
        let (mut before, mut after, mut known) = (self.point(previous), (t, v), known);
        let prev_st = self.w.start_of(previous);
        if self.counter && starts_after(end, st, t) {
            after = (st, 0.0);
            known = prev_st;
        } else if self.counter && starts_anew(prev_st, before.0, st, t) {
            before = (st, 0.0);
        }
        let value = if self.smoothed {
            between(before, after, end, self.counter)
        } else {
            before.1
        };
        (value, known)
    }

    /// The samples strictly between the borders.
    fn inner(&self) -> std::ops::Range<usize> {
        let from = self.first + usize::from(self.w.t[self.first] <= self.w.start);
        let to = self.last + usize::from(self.w.t[self.last] < self.w.end);
        from..to.max(from)
    }

    /// What resets between the borders took away.
    fn lost_to_resets(&self, left: (f64, Timestamp), right: (f64, Timestamp)) -> f64 {
        let mut lost = 0.0;
        let (mut prev, mut prev_t, mut prev_st) = (left.0, self.w.start, left.1);
        let inner = self.inner().map(|i| (self.w.t[i], self.w.v[i], self.w.start_of(i)));
        for (t, v, st) in inner.chain([(self.w.end, right.0, right.1)]) {
            if v < prev || starts_anew(prev_st, prev_t, st, t) {
                lost += prev;
            }
            (prev, prev_t, prev_st) = (v, t, st);
        }
        lost
    }

    /// Whether all samples come after the window, and none tells that its counter began within.
    fn begins_too_late(&self) -> bool {
        let (t, st) = (self.w.t[self.first], self.w.start_of(self.first));
        self.smoothed
            && t > self.w.end
            && (!self.counter || !starts_after(self.lookback_start(), st, t) || starts_after(self.w.end, st, t))
    }
}

/// The change between the borders; of a counter the increase.
pub(crate) fn change(w: &Window<'_>, counter: bool) -> Option<f64> {
    let extended = Extended::of(w, counter).filter(|e| !e.begins_too_late())?;
    let (left, right) = (extended.left(), extended.right());
    let change = right.0 - left.0;
    Some(if counter {
        change + extended.lost_to_resets(left, right)
    } else {
        change
    })
}

/// The samples of a window with a value at either border: what a selector answers as it stands.
pub(crate) fn bordered(w: &Window<'_>) -> Vec<Point> {
    let Some(extended) = Extended::of(w, false) else {
        return Vec::new();
    };
    let inner = extended.inner().map(|i| extended.point(i));
    [(w.start, extended.left().0)]
        .into_iter()
        .chain(inner)
        .chain([(w.end, extended.right().0)])
        .collect()
}

/// The places of the samples between which a smoothed selector's value at `at` stands; twice the same where it is that of
/// one sample. `time` tells when (ms) one was.
pub(crate) fn around<T>(samples: &[T], time: impl Fn(&T) -> Timestamp, at: Timestamp) -> Option<(usize, usize)> {
    let next = samples.partition_point(|sample| time(sample) < at);
    match (next.checked_sub(1), samples.get(next)) {
        (_, Some(sample)) if time(sample) == at => Some((next, next)),
        (Some(previous), Some(_)) => Some((previous, next)),
        (previous, _) => previous.map(|last| (last, last)),
    }
}

/// The value of a smoothed instant selector at `at`: on the line between the samples around it, else the last one.
pub(crate) fn smoothed_at(t: &[Timestamp], v: &[f64], at: Timestamp) -> Option<f64> {
    let (previous, next) = around(t, |t| *t, at)?;
    Some(if previous == next {
        v[next]
    } else {
        between((t[previous], v[previous]), (t[next], v[next]), at, false)
    })
}

/// The times (ms) of the first and the last of `samples`, which are those of a window, that matter: with a border, what is
/// read around the window lies within the lookback, but only its neighbours are looked at.
pub(crate) fn seen<T>(w: &Window<'_>, samples: &[T], time: impl Fn(&T) -> Timestamp) -> Option<(Timestamp, Timestamp)> {
    let newest = samples.len().checked_sub(1)?;
    let first = match w.border {
        Border::Open => 0,
        Border::Anchored | Border::Smoothed => samples.partition_point(|s| time(s) <= w.start).saturating_sub(1),
    };
    let last = match w.border {
        Border::Open | Border::Anchored => newest,
        Border::Smoothed => samples.partition_point(|s| time(s) < w.end).min(newest),
    };
    Some((time(&samples[first]), time(&samples[last])))
}

/// The samples that `resets` and `changes` compare: of an anchored window from the newest up to its start on. Nothing
/// when none lies behind its start.
pub(crate) fn compared(w: &Window<'_>) -> Option<std::ops::Range<usize>> {
    if w.border == Border::Open {
        return Some(0..w.t.len());
    }
    let inside = w.t.partition_point(|t| *t <= w.start);
    (inside < w.t.len()).then_some(inside.saturating_sub(1)..w.t.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(t: &'a [i64], v: &'a [f64], border: Border) -> Window<'a> {
        Window {
            t,
            v,
            start: 100,
            end: 200,
            at: 200,
            border,
            lookback_ms: 100,
            ..Window::default()
        }
    }

    #[test]
    fn values_at_the_borders_come_from_the_samples_around() {
        let (t, v) = ([90, 130, 170, 210], [9.0, 13.0, 17.0, 21.0]);
        let anchored = window(&t[..3], &v[..3], Border::Anchored);
        assert_eq!(change(&anchored, true), Some(8.0));
        let smoothed = window(&t, &v, Border::Smoothed);
        assert_eq!(change(&smoothed, true), Some(10.0));
        let points = [(100, 10.0), (130, 13.0), (170, 17.0), (200, 20.0)];
        assert_eq!(bordered(&smoothed), points);
        assert_eq!(smoothed_at(&t, &v, 150), Some(15.0));
        assert_eq!((smoothed_at(&t, &v, 80), smoothed_at(&t, &v, 300)), (None, Some(21.0)));
    }

    #[test]
    fn of_what_is_read_around_a_window_only_the_neighbours_matter() {
        let t = [20, 90, 130, 210, 290];
        for (border, expected) in [
            (Border::Open, (20, 290)),
            (Border::Anchored, (90, 290)),
            (Border::Smoothed, (90, 210)),
        ] {
            assert_eq!(seen(&window(&t, &[], border), &t, |t| *t), Some(expected), "{border:?}");
        }
        for (at, expected) in [
            (10, None),
            (20, Some((0, 0))),
            (100, Some((1, 2))),
            (290, Some((4, 4))),
            (300, Some((4, 4))),
        ] {
            assert_eq!(around(&t, |t| *t, at), expected, "{at}");
        }
    }

    #[test]
    fn resets_at_and_between_the_borders_are_added_back() {
        let smoothed = window(&[90, 110, 150, 210], &[10.0, 4.0, 8.0, 6.0], Border::Smoothed);
        // 2 at the start, 8 before and 5 behind the second reset.
        assert_eq!(change(&smoothed, true), Some(11.0));
        let of_gauge = change(&smoothed, false).unwrap();
        assert!((of_gauge + 2.0 / 3.0).abs() < 1e-12, "{of_gauge}");
    }

    #[test]
    fn a_window_without_samples_behind_its_start_has_no_change() {
        assert_eq!(change(&window(&[50, 100], &[1.0, 2.0], Border::Anchored), true), None);
        assert_eq!(change(&window(&[210, 220], &[1.0, 2.0], Border::Smoothed), true), None);
        assert_eq!(compared(&window(&[50, 100], &[1.0, 2.0], Border::Anchored)), None);
        assert_eq!(
            compared(&window(&[50, 90, 110], &[1.0; 3], Border::Anchored)),
            Some(1..3)
        );
    }

    #[test]
    fn a_start_time_tells_a_reset_unless_it_is_unknown_or_impossible() {
        for (prev, now, expected) in [
            ((0, 10), (15, 20), true),
            ((5, 10), (5, 20), false),
            ((5, 10), (0, 20), false),
            ((5, 10), (20, 20), false),
            ((5, 10), (8, 20), false),
            ((5, 10), (10, 20), true),
            ((0, 10), (10, 20), false),
            ((10, 10), (10, 20), false),
            ((11, 10), (10, 20), false),
        ] {
            assert_eq!(starts_anew(prev.0, prev.1, now.0, now.1), expected, "{prev:?} {now:?}");
        }
    }
}
