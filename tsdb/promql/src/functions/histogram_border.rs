//! `anchored` and `smoothed` windows of native histograms (`extendedHistogramRate` of `promql/functions.go` and what it
//! calls).

use super::histogram_window::MixedWindow;
use super::rate::Kind;
use crate::error::Error;
use crate::eval::notes::Notes;
use crate::eval::{Cell, Combining, HistogramPoint};
use crate::syntax::ast::{Border, Span};
use leadline_model::Timestamp;
use leadline_model::histogram::{CombineError, FloatHistogram, ResetHint};
use std::sync::Arc;

/// What values at borders are made for.
#[derive(Clone, Copy)]
pub(crate) struct Borders {
    /// The selector, for notes.
    pub(crate) span: Span,
    /// Whether falling counts are resets.
    pub(crate) counter: bool,
}

/// The histogram at `t` on the line between two; a counter that began again in between began at nothing.
///
/// # Errors
/// [`CombineError`].
pub(crate) fn between(
    before: &HistogramPoint,
    after: &HistogramPoint,
    t: Timestamp,
    borders: Borders,
    notes: &mut Notes,
) -> Result<FloatHistogram, CombineError> {
    if t == before.t {
        return Ok((*before.h).clone());
    }
    if t == after.t {
        return Ok((*after.h).clone());
    }
    if before.h.is_custom() != after.h.is_custom() {
        return Err(CombineError::Schemas);
    }
    let fraction = (t - before.t) as f64 / (after.t - before.t) as f64;
    if borders.counter && after.h.began_again(&before.h) {
        return Ok((*after.h).clone().scaled(fraction));
    }
    let change = sub(&after.h, &before.h, borders.span, notes)?;
    add(&change.scaled(fraction), &before.h, borders.span, notes)
}

fn add(a: &FloatHistogram, b: &FloatHistogram, span: Span, notes: &mut Notes) -> Result<FloatHistogram, CombineError> {
    let (sum, what) = a.add(b)?;
    if what.bounds_differ {
        notes.bounds_differ(span, Combining::Addition);
    }
    Ok(sum)
}

fn sub(a: &FloatHistogram, b: &FloatHistogram, span: Span, notes: &mut Notes) -> Result<FloatHistogram, CombineError> {
    let (difference, what) = a.sub(b)?;
    if what.bounds_differ {
        notes.bounds_differ(span, Combining::Subtraction);
    }
    Ok(difference)
}

/// The samples of a window that matter, and its borders.
struct Extended<'a> {
    points: &'a [HistogramPoint],
    start: Timestamp,
    end: Timestamp,
    smoothed: bool,
    borders: Borders,
}

/// The change between the borders of a window with borders.
///
/// # Errors
/// When a histogram is damaged.
pub(super) fn change(w: &MixedWindow<'_>, notes: &mut Notes, kind: Kind) -> Result<Option<Cell>, Error> {
    let smoothed = w.floats.border == Border::Smoothed;
    let Some(newest) = w.histograms.len().checked_sub(1) else {
        return Ok(None);
    };
    let (start, end) = (w.floats.start, w.floats.end);
    let inside = &w.histograms[..newest];
    let first = inside.partition_point(|p| p.t <= start).saturating_sub(1);
    let last = if smoothed {
        inside.partition_point(|p| p.t < end)
    } else {
        newest
    };
    if w.histograms[last].t <= start || (smoothed && w.histograms[first].t > end) {
        return Ok(None);
    }
    let extended = Extended {
        points: &w.histograms[first..=last],
        start,
        end,
        smoothed,
        borders: Borders {
            span: w.span,
            counter: kind.counter,
        },
    };
    let gauges = |gauge: bool| {
        let of = |p: &HistogramPoint| (p.h.reset == ResetHint::Gauge) == gauge;
        extended.points.iter().any(of)
    };
    let custom = extended.points[0].h.is_custom();
    if extended.points.iter().any(|p| p.h.is_custom() != custom) {
        notes.mixed_bounds(w.span, w.metric);
        return Ok(None);
    }
    if kind.counter && gauges(true) {
        notes.not_a_counter(w.span, w.metric);
    }
    match extended.change(notes, w.metric) {
        Ok(mut change) => {
            if kind.per_second {
                change = change.divided((end - start) as f64 / 1000.0);
            }
            change.reset = ResetHint::Gauge;
            Ok(Some(Cell::Histogram(Arc::new(change.compacted()))))
        }
        Err(error) => w.refuse(error, notes),
    }
}

impl Extended<'_> {
    fn change(&self, notes: &mut Notes, metric: &str) -> Result<FloatHistogram, CombineError> {
        let span = self.borders.span;
        let left = self.left(notes)?;
        let right = self.right(notes)?;
        if !self.borders.counter && (left.reset != ResetHint::Gauge || right.reset != ResetHint::Gauge) {
            notes.not_a_gauge(span, metric);
        }
        let change = sub(&right, &left, span, notes)?;
        if !self.borders.counter {
            return Ok(change);
        }
        match self.lost_to_resets(&left, &right, notes)? {
            Some(lost) => add(&change, &lost, span, notes),
            None => Ok(change),
        }
    }

    /// The histogram at the window's start: of a smoothed one between the samples around it.
    fn left(&self, notes: &mut Notes) -> Result<FloatHistogram, CombineError> {
        match self.points {
            [first, second, ..] if self.smoothed && first.t < self.start => {
                between(first, second, self.start, self.borders, notes)
            }
            [first, ..] => Ok((*first.h).clone()),
            [] => Ok(FloatHistogram::default()),
        }
    }

    /// The histogram at the window's end.
    fn right(&self, notes: &mut Notes) -> Result<FloatHistogram, CombineError> {
        match self.points {
            [.., previous, last] if self.smoothed && last.t > self.end => {
                between(previous, last, self.end, self.borders, notes)
            }
            [.., last] => Ok((*last.h).clone()),
            [] => Ok(FloatHistogram::default()),
        }
    }

    /// What resets between the borders took away. The last sample is `right` or made it, so that it is not looked at.
    fn lost_to_resets(
        &self,
        left: &FloatHistogram,
        right: &FloatHistogram,
        notes: &mut Notes,
    ) -> Result<Option<FloatHistogram>, CombineError> {
        let last = self.points.len() - 1;
        let mut first = 1;
        let mut before = left;
        if let [a, b, ..] = self.points
            && self.smoothed
            && a.t < self.start
            && b.h.began_again(&a.h)
        {
            // The value at the start lies behind this reset already.
            before = &b.h;
            first = 2;
        }
        if first > last {
            return Ok(None);
        }
        let mut lost: Option<FloatHistogram> = None;
        let between = self.points[first..last].iter().map(|p| &*p.h);
        for now in between.chain([right]) {
            if now.began_again(before) {
                lost = Some(match lost {
                    Some(lost) => add(&lost, before, self.borders.span, notes)?,
                    None => before.clone(),
                });
            }
            before = now;
        }
        Ok(lost)
    }
}
