//! Instant selectors: the newest sample within the lookback, at every step.

use super::ahead::ahead;
use super::grid::{Frame, Grid, Row};
use super::histogram_points::HistogramPoints;
use super::mixed_selector::{self, Looks, Mixed};
use super::regular::Regular;
use super::start_times::StartTimes;
use super::trace::Trace;
use super::{Context, Moved, spanned};
use crate::error::Error;
use crate::functions::border::{around, smoothed_at};
use crate::syntax::ast::{Border, Selector, Span};
use leadline_model::port::SeriesSet;
use leadline_model::sample::Samples;
use leadline_model::{Timestamp, is_stale};
use std::ops::Range;

/// What is read of the newest sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Its value.
    Value,
    /// Its time in seconds (`timestamp()`).
    Time,
    /// Of a number its time in seconds; a histogram stays what it is.
    FloatTime,
    /// When its counter began, in seconds, 0 when that is unknown (`start_timestamp()`).
    Start,
}

/// Evaluates a selector at all times of `frame`: the newest sample in `(t - lookback, t]`, unless it is a stale
/// marker.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(
    cx: &mut Context<'_>,
    (s, span): (&Selector, Span),
    frame: Frame,
    read: Read,
) -> Result<Grid, Error> {
    if frame.steps == 0 {
        return Ok(Grid::with_capacity(0, 0));
    }
    let moved = Moved::of(cx, s.shift);
    // A smoothed value stands between two samples, of which the second may be ahead.
    let smoothed = s.border == Border::Smoothed && read == Read::Value;
    let ahead_ms = if smoothed { cx.lookback_ms } else { 0 };
    let (mint, maxt) = (
        first_instant(moved.time(frame.start), cx.lookback_ms),
        moved.time(frame.last()).saturating_add(ahead_ms),
    );
    let set = cx.store.select(&s.matchers, mint, maxt, cx.ordered)?;
    // One step sees the newest sample alone, which is not decoded.
    let set = if frame.steps > 1 { ahead(set, (mint, maxt)) } else { set };
    let mut grid = Grid::with_capacity(frame.steps, set.len());
    let reading = Reading {
        set: &*set,
        bounds: (mint, maxt),
        looks: Looks {
            frame,
            moved,
            lookback_ms: cx.lookback_ms,
        },
        smoothed,
        read,
        span,
    };
    let mut found = Found::default();
    for i in 0..set.len() {
        reading.load(cx, i, &mut found)?;
        if found.samples.is_empty() && found.histograms.points.is_empty() {
            continue;
        }
        cx.hold(frame.steps)?;
        match reading.fill(cx, i, &mut found, &mut grid)? {
            Some((oldest, newest)) => {
                let trace = Trace::of_series(oldest, newest, set.owner(i));
                grid.keep(Row {
                    labels: set.labels(i),
                    drop_name: false,
                    trace,
                });
                // What stands between two samples is none that was consumed.
                if !smoothed {
                    cx.consumption.consume_instants(&grid, moved.fixed.is_some());
                }
                cx.hold(grid.last_histogram_weight())?;
            }
            None => {
                grid.discard();
                cx.release(frame.steps);
            }
        }
    }
    Ok(grid)
}

/// The samples of one series, and room for the next.
#[derive(Default)]
pub(super) struct Found {
    pub(super) samples: Samples,
    pub(super) histograms: HistogramPoints,
    starts: StartTimes,
}

/// A selector that is being read.
pub(super) struct Reading<'a> {
    pub(super) set: &'a dyn SeriesSet,
    /// All that it looks at lies within, ms, both included.
    pub(super) bounds: (Timestamp, Timestamp),
    pub(super) looks: Looks,
    pub(super) smoothed: bool,
    pub(super) read: Read,
    /// Where notes point.
    pub(super) span: Span,
}

impl Reading<'_> {
    /// Reads the samples of series i.
    pub(super) fn load(&self, cx: &mut Context<'_>, i: usize, found: &mut Found) -> Result<(), Error> {
        let (mint, maxt) = self.bounds;
        let samples = &mut found.samples;
        if self.looks.frame.steps == 1 && !self.smoothed {
            // One step sees the newest sample alone, which a store has at hand.
            samples.clear();
            if let Some(newest) = self.set.newest(i, mint, maxt)? {
                samples.push(newest.t, newest.v);
            }
            found.histograms.read(cx, (self.set, i), self.bounds)?;
        } else {
            found.histograms.read_with(cx, (self.set, i), self.bounds, samples)?;
        }
        cx.decoded(samples.len())
    }

    /// Writes what is seen of series i to a new row; the times of the oldest and newest sample that were seen.
    fn fill(
        &self,
        cx: &mut Context<'_>,
        i: usize,
        found: &mut Found,
        grid: &mut Grid,
    ) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        // Each step looks for its sample.
        cx.spend(self.looks.frame.steps)?;
        let (cells, present) = grid.open();
        let mixed = Mixed {
            samples: &found.samples,
            histograms: &found.histograms.points,
        };
        let used = match (found.histograms.points.is_empty(), self.smoothed) {
            (true, false) => fill(&found.samples, self.looks, self.read, cells, present),
            (true, true) => fill_smoothed(&found.samples, self.looks, cells, present),
            (false, false) => mixed_selector::fill(grid, mixed, self.looks, self.read),
            (false, true) => {
                let labels = self.set.labels(i);
                mixed_selector::fill_smoothed(cx, grid, mixed, self.looks, (self.span, labels.name()))?
            }
        };
        if self.read == Read::Start {
            found.starts.read(cx, (self.set, i), self.bounds, true)?;
            for cell in grid.opened() {
                *cell = found.starts.of(*cell as Timestamp) as f64 / 1000.0;
            }
        }
        Ok(used)
    }
}

/// The first millisecond of the left-open window of `length` ms before `t`.
pub(crate) fn first_instant(t: Timestamp, length: i64) -> Timestamp {
    t.saturating_sub(length).saturating_add(1)
}

/// Writes a value for each step that sees one and returns the times of the oldest and newest sample that were seen.
pub(super) fn fill(
    samples: &Samples,
    looks: Looks,
    read: Read,
    cells: &mut [f64],
    present: &mut [bool],
) -> Option<(Timestamp, Timestamp)> {
    if let (&[t], &[v], [cell], [there]) = (&*samples.t, &*samples.v, &mut *cells, &mut *present) {
        return look_at_one((t, v), looks, read, (cell, there));
    }
    let steps = 0..looks.frame.steps;
    let even = (read == Read::Value)
        .then(|| copy_even(samples, looks, cells))
        .flatten();
    let Some((within, span)) = even else {
        return look(samples, looks, read, steps, (cells, present));
    };
    present[within.clone()].fill(true);
    let before = look(samples, looks, read, 0..within.start, (cells, present));
    let behind = look(samples, looks, read, within.end..steps.end, (cells, present));
    spanned(spanned(before, Some(span)), behind)
}

/// Writes the values of samples at equal distances; the steps that see one of them, and the times of the first and last
/// of these.
fn copy_even(samples: &Samples, looks: Looks, cells: &mut [f64]) -> Option<(Range<usize>, (Timestamp, Timestamp))> {
    let regular = Regular::of(&samples.t, looks.frame, looks.moved)?;
    let (steps, first, _) = regular.seen(0)?;
    let last = first + (steps.len() - 1) * regular.stride;
    let (oldest, newest) = (*samples.t.get(first)?, *samples.t.get(last)?);
    let at = looks.moved.time(looks.frame.at(steps.start));
    if oldest <= at.saturating_sub(looks.lookback_ms) {
        return None;
    }
    let (cells, values) = (cells.get_mut(steps.clone())?, samples.v.get(first..=last)?);
    match regular.stride {
        1 => cells.copy_from_slice(values),
        stride => {
            for (cell, value) in cells.iter_mut().zip(values.iter().step_by(stride)) {
                *cell = *value;
            }
        }
    }
    let stale = cells.iter().fold(false, |any, v| any | is_stale(*v));
    (!stale).then_some((steps, (oldest, newest)))
}

/// [`fill`] of one step that has one sample to look at, as that of an instant query has.
fn look_at_one(
    (t, v): (Timestamp, f64),
    looks: Looks,
    read: Read,
    (cell, there): (&mut f64, &mut bool),
) -> Option<(Timestamp, Timestamp)> {
    let at = looks.moved.time(looks.frame.start);
    if t > at || !is_seen((t, v), at, looks.lookback_ms) {
        return None;
    }
    (*cell, *there) = (seen((t, v), read), true);
    Some((t, t))
}

/// Whether the newest sample at a time (ms) is seen then.
fn is_seen((t, v): (Timestamp, f64), at: Timestamp, lookback_ms: i64) -> bool {
    t > at.saturating_sub(lookback_ms) && !is_stale(v)
}

/// What is read of a sample that is seen.
fn seen((t, v): (Timestamp, f64), read: Read) -> f64 {
    match read {
        Read::Value => v,
        Read::Time | Read::FloatTime => t as f64 / 1000.0,
        // Still the sample's time, ms, by which its start is found.
        Read::Start => t as f64,
    }
}

/// [`fill`] of some steps, of which each looks for its sample.
fn look(
    samples: &Samples,
    looks: Looks,
    read: Read,
    steps: Range<usize>,
    (cells, present): (&mut [f64], &mut [bool]),
) -> Option<(Timestamp, Timestamp)> {
    if steps.is_empty() {
        return None;
    }
    let t = samples.t.as_slice();
    let v = samples.v.get(..t.len())?;
    let mut behind = 0;
    let (mut oldest, mut newest) = (None, None);
    let cells = cells
        .get_mut(steps.clone())?
        .iter_mut()
        .zip(present.get_mut(steps.clone())?);
    for (step, (cell, there)) in steps.zip(cells) {
        let at = looks.moved.time(looks.frame.at(step));
        while behind < t.len() && t[behind] <= at {
            behind += 1;
        }
        let Some(last) = behind.checked_sub(1) else { continue };
        let (t, v) = (t[last], v[last]);
        if !is_seen((t, v), at, looks.lookback_ms) {
            continue;
        }
        (*cell, *there) = (seen((t, v), read), true);
        oldest = oldest.or(Some(t));
        newest = Some(t);
    }
    oldest.zip(newest)
}

/// As [`fill`], of a smoothed selector: the value between the samples around each time, up to the lookback away. Stale
/// markers are passed over.
fn fill_smoothed(
    samples: &Samples,
    looks: Looks,
    cells: &mut [f64],
    present: &mut [bool],
) -> Option<(Timestamp, Timestamp)> {
    let (t, v): (Vec<_>, Vec<_>) = samples.t.iter().zip(&samples.v).filter(|(_, v)| !is_stale(**v)).unzip();
    let mut used: Option<(Timestamp, Timestamp)> = None;
    for (step, at) in looks.times() {
        let near = looks.near(&t, |t| *t, at);
        let (t, v) = (&t[near.clone()], &v[near]);
        if let Some(value) = smoothed_at(t, v, at) {
            (cells[step], present[step]) = (value, true);
            used = spanned(used, around(t, |t| *t, at).map(|(a, b)| (t[a], t[b])));
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::STALE_NAN;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn what_is_copied_is_what_each_step_finds(
            (first, gap, len) in (0i64..200, 1i64..30, prop_oneof![3 => 1i64..60, 1 => Just(1)]),
            stale in prop_oneof![3 => Just(None), 1 => (0i64..60).prop_map(Some)],
            (start, stride, steps) in (0i64..400, 1i64..4, prop_oneof![3 => 1usize..40, 1 => Just(1)]),
            (lookback_ms, offset_ms) in (1i64..60, -20i64..20),
        ) {
            let mut samples = Samples::default();
            for i in 0..len {
                samples.push(first + i * gap, if stale == Some(i) { STALE_NAN } else { i as f64 });
            }
            let frame = Frame { start, step: gap * stride, steps, over_time: true };
            let looks = Looks { frame, moved: Moved { fixed: None, offset_ms }, lookback_ms };
            let (mut cells, mut present) = (vec![0.0; steps], vec![false; steps]);
            let used = fill(&samples, looks, Read::Value, &mut cells, &mut present);
            let (mut alone, mut there) = (vec![0.0; steps], vec![false; steps]);
            let expected = look(&samples, looks, Read::Value, 0..steps, (&mut alone, &mut there));
            // What stands where no number is present means nothing.
            let seen = |cells: &[f64], present: &[bool]| {
                cells.iter().zip(present).map(|(x, there)| there.then_some(x.to_bits())).collect::<Vec<_>>()
            };
            prop_assert_eq!((used, seen(&cells, &present)), (expected, seen(&alone, &there)));
        }
    }
}
