//! Instant selectors: the newest sample within the lookback, at every step.

use super::grid::{Cell, Frame, Grid, Row};
use super::histogram_points::{HistogramPoint, HistogramPoints};
use super::trace::Trace;
use super::{Context, Moved};
use crate::error::Error;
use crate::syntax::ast::Selector;
use leadline_model::sample::Samples;
use leadline_model::{Timestamp, is_stale};
use std::sync::Arc;

/// What is read of the newest sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Its value.
    Value,
    /// Its time in seconds (`timestamp()`).
    Time,
}

/// Evaluates a selector at all times of `frame`: the newest sample in `(t - lookback, t]`, unless it is a stale
/// marker.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, s: &Selector, frame: Frame, read: Read) -> Result<Grid, Error> {
    if frame.steps == 0 {
        return Ok(Grid::with_capacity(0, 0));
    }
    let moved = Moved::of(cx, s.shift);
    let (mint, maxt) = (
        first_instant(moved.time(frame.start), cx.lookback_ms),
        moved.time(frame.last()),
    );
    let set = cx.store.select(&s.matchers, mint, maxt, false)?;
    let mut grid = Grid::with_capacity(frame.steps, set.len());
    let mut samples = Samples::default();
    let mut histograms = HistogramPoints::default();
    for i in 0..set.len() {
        if frame.steps == 1 {
            // One step sees the newest sample alone, which a store has at hand.
            samples.clear();
            if let Some(newest) = set.newest(i, mint, maxt)? {
                samples.push(newest.t, newest.v);
            }
        } else {
            set.read(i, mint, maxt, &mut samples)?;
        }
        cx.decoded(&samples)?;
        histograms.read(cx, (&*set, i), (mint, maxt))?;
        if samples.is_empty() && histograms.points.is_empty() {
            continue;
        }
        cx.hold(frame.steps)?;
        let (cells, present) = grid.open();
        let used = if histograms.points.is_empty() {
            fill(&samples, frame, moved, cx.lookback_ms, read, cells, present)
        } else {
            let times = (frame, moved, cx.lookback_ms);
            fill_mixed(&mut grid, (&samples, &histograms.points), times, read)
        };
        match used {
            Some((oldest, newest)) => {
                let trace = Trace::of_series(oldest, newest, set.owner(i));
                grid.keep(Row {
                    labels: set.labels(i),
                    drop_name: false,
                    trace,
                });
            }
            None => {
                grid.discard();
                cx.release(frame.steps);
            }
        }
    }
    Ok(grid)
}

/// The first millisecond of the left-open window of `length` ms before `t`.
pub(crate) fn first_instant(t: Timestamp, length: i64) -> Timestamp {
    t.saturating_sub(length).saturating_add(1)
}

/// Writes a value for each step that sees one and returns the times of the oldest and newest sample that were seen.
fn fill(
    samples: &Samples,
    frame: Frame,
    moved: Moved,
    lookback_ms: i64,
    read: Read,
    cells: &mut [f64],
    present: &mut [bool],
) -> Option<(Timestamp, Timestamp)> {
    let mut used: Option<(Timestamp, Timestamp)> = None;
    let mut behind = 0;
    for step in 0..frame.steps {
        let at = moved.time(frame.at(step));
        behind += samples.t[behind..].iter().take_while(|t| **t <= at).count();
        let Some(newest) = behind.checked_sub(1) else { continue };
        let (t, v) = (samples.t[newest], samples.v[newest]);
        if t <= at.saturating_sub(lookback_ms) || is_stale(v) {
            continue;
        }
        cells[step] = if read == Read::Time { t as f64 / 1000.0 } else { v };
        present[step] = true;
        used = Some(used.map_or((t, t), |(oldest, _)| (oldest, t)));
    }
    used
}

/// As [`fill`], of a series with histograms: the newer of the newest number and the newest histogram. The cells are those
/// of the opened row.
fn fill_mixed(
    grid: &mut Grid,
    (samples, histograms): (&Samples, &[HistogramPoint]),
    (frame, moved, lookback_ms): (Frame, Moved, i64),
    read: Read,
) -> Option<(Timestamp, Timestamp)> {
    let row = grid.len();
    let mut used: Option<(Timestamp, Timestamp)> = None;
    let (mut floats_behind, mut histograms_behind) = (0, 0);
    for step in 0..frame.steps {
        let at = moved.time(frame.at(step));
        floats_behind += samples.t[floats_behind..].iter().take_while(|t| **t <= at).count();
        histograms_behind += histograms[histograms_behind..].iter().take_while(|p| p.t <= at).count();
        let float = floats_behind.checked_sub(1).map(|i| (samples.t[i], samples.v[i]));
        let histogram = histograms_behind.checked_sub(1).map(|i| &histograms[i]);
        let (t, value) = match (float, histogram) {
            (Some((t, v)), histogram) if histogram.is_none_or(|h| h.t <= t) => {
                (t, (!is_stale(v)).then_some(Cell::Float(v)))
            }
            (_, Some(h)) => (h.t, (!h.h.is_stale()).then(|| Cell::Histogram(Arc::clone(&h.h)))),
            _ => continue,
        };
        let Some(value) = value.filter(|_| t > at.saturating_sub(lookback_ms)) else {
            continue;
        };
        let value = match read {
            Read::Time => Cell::Float(t as f64 / 1000.0),
            Read::Value => value,
        };
        grid.set(row, step, value);
        used = Some(used.map_or((t, t), |(oldest, _)| (oldest, t)));
    }
    used
}
