//! Instant selectors: the newest sample within the lookback, at every step.

use super::grid::{Frame, Grid, Row};
use super::histogram_points::HistogramPoints;
use super::mixed_selector::{self, Looks, Mixed};
use super::start_times::StartTimes;
use super::trace::Trace;
use super::{Context, Moved};
use crate::error::Error;
use crate::functions::border::smoothed_at;
use crate::syntax::ast::{Border, Selector, Span};
use leadline_model::sample::Samples;
use leadline_model::{Timestamp, is_stale};

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
    let mut grid = Grid::with_capacity(frame.steps, set.len());
    let (mut samples, mut starts) = (Samples::default(), StartTimes::default());
    let mut histograms = HistogramPoints::default();
    let looks = Looks {
        frame,
        moved,
        lookback_ms: cx.lookback_ms,
    };
    for i in 0..set.len() {
        if frame.steps == 1 && !smoothed {
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
        let used = if !histograms.points.is_empty() {
            let mixed = Mixed {
                samples: &samples,
                histograms: &histograms.points,
            };
            if smoothed {
                let labels = set.labels(i);
                mixed_selector::fill_smoothed(cx, &mut grid, mixed, looks, (span, labels.name()))?
            } else {
                mixed_selector::fill(&mut grid, mixed, looks, read)
            }
        } else if smoothed {
            fill_smoothed(&samples, frame, moved, cx.lookback_ms, cells, present)
        } else {
            fill(&samples, frame, moved, cx.lookback_ms, read, cells, present)
        };
        starts.read(cx, (&*set, i), (mint, maxt), read == Read::Start)?;
        if read == Read::Start {
            for cell in grid.opened() {
                *cell = starts.of(*cell as Timestamp) as f64 / 1000.0;
            }
        }
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
        cells[step] = match read {
            Read::Value => v,
            Read::Time | Read::FloatTime => t as f64 / 1000.0,
            // Still the sample's time, ms, by which its start is found.
            Read::Start => t as f64,
        };
        present[step] = true;
        used = Some(used.map_or((t, t), |(oldest, _)| (oldest, t)));
    }
    used
}

/// As [`fill`], of a smoothed selector: the value between the samples around each time, up to the lookback away. Stale
/// markers are passed over.
fn fill_smoothed(
    samples: &Samples,
    frame: Frame,
    moved: Moved,
    lookback_ms: i64,
    cells: &mut [f64],
    present: &mut [bool],
) -> Option<(Timestamp, Timestamp)> {
    let (t, v): (Vec<_>, Vec<_>) = samples.t.iter().zip(&samples.v).filter(|(_, v)| !is_stale(**v)).unzip();
    let mut used: Option<(Timestamp, Timestamp)> = None;
    for step in 0..frame.steps {
        let at = moved.time(frame.at(step));
        let from = t.partition_point(|t| *t <= at.saturating_sub(lookback_ms));
        let to = t.partition_point(|t| *t <= at.saturating_add(lookback_ms));
        let Some(value) = smoothed_at(&t[from..to], &v[from..to], at) else {
            continue;
        };
        cells[step] = value;
        present[step] = true;
        used = Some(used.map_or((t[from], t[to - 1]), |(oldest, _)| (oldest, t[to - 1])));
    }
    used
}
