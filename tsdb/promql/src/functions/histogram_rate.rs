//! Functions over the change of native histograms in a window (`histogramRate`, `instantValue` of
//! `promql/functions.go`).

use super::border::starts_anew;
use super::histogram_border;
use super::histogram_window::{MixedWindow, Sample, Value};
use super::rate::{Before, Kind, extrapolation};
use crate::error::Error;
use crate::eval::notes::Notes;
use crate::eval::{Cell, Combining, HistogramPoint};
use crate::syntax::ast::Border;
use leadline_model::histogram::{FloatHistogram, ResetHint};
use std::sync::Arc;

type Answer = Result<Option<Cell>, Error>;

/// `rate(m[r])`.
pub(crate) fn rate(w: &MixedWindow<'_>, notes: &mut Notes) -> Answer {
    extrapolated(w, notes, Kind::RATE)
}

/// `increase(m[r])`.
pub(crate) fn increase(w: &MixedWindow<'_>, notes: &mut Notes) -> Answer {
    extrapolated(w, notes, Kind::INCREASE)
}

/// `delta(m[r])`.
pub(crate) fn delta(w: &MixedWindow<'_>, notes: &mut Notes) -> Answer {
    extrapolated(w, notes, Kind::DELTA)
}

fn extrapolated(w: &MixedWindow<'_>, notes: &mut Notes, kind: Kind) -> Answer {
    if w.is_mixed(notes) {
        return Ok(None);
    }
    if w.floats.border != Border::Open {
        return histogram_border::change(w, notes, kind);
    }
    let (Some(first), Some(last)) = (w.histograms.first(), w.histograms.last()) else {
        return Ok(None);
    };
    let gaps = w.histograms.len() - 1;
    let began = kind.began(&w.floats, first.st, first.t);
    let mut change = match (gaps, began) {
        (0, None) => return Ok(None),
        (0, Some(_)) => (*first.h).clone(),
        _ => match change(w, notes, kind.counter)? {
            Some(change) => change,
            None => return Ok(None),
        },
    };
    let before = Before {
        began,
        share: (kind.counter && change.count > 0.0 && first.h.count >= 0.0).then(|| first.h.count / change.count),
    };
    if gaps > 0 && began.is_some() {
        match change.add(&first.h) {
            Ok((sum, what)) => {
                change = sum;
                if what.bounds_differ {
                    notes.bounds_differ(w.span, Combining::Addition);
                }
            }
            Err(error) => return w.refuse(error, notes),
        }
    }
    let factor = extrapolation(&w.floats, (first.t, last.t), gaps, before, kind.per_second);
    Ok(Some(Cell::Histogram(Arc::new(change.scaled(factor)))))
}

/// Whether a counter began again between two neighbours.
fn reset_between(before: &HistogramPoint, after: &HistogramPoint) -> bool {
    starts_anew(before.st, before.t, after.st, after.t)
}

/// The change from the first to the last histogram, what resets took away added back.
fn change(w: &MixedWindow<'_>, notes: &mut Notes, counter: bool) -> Result<Option<FloatHistogram>, Error> {
    let Some(base) = base(w, notes, counter) else {
        return Ok(None);
    };
    match sum_of_changes(w, notes, counter, &base) {
        Ok(mut change) => {
            change.reset = ResetHint::Gauge;
            Ok(Some(change.compacted()))
        }
        Err(error) => w.refuse(error, notes),
    }
}

/// What the window began with: its first histogram, or nothing where the second begins again. None where histograms do
/// not go together.
fn base(w: &MixedWindow<'_>, notes: &mut Notes, counter: bool) -> Option<FloatHistogram> {
    let ([first, second, ..], Some(last)) = (w.histograms, w.histograms.last()) else {
        return None;
    };
    let gauge = |p: &HistogramPoint| p.h.reset == ResetHint::Gauge;
    if counter && (gauge(first) || gauge(last)) {
        notes.not_a_counter(w.span, w.metric);
    }
    let base = if counter && (reset_between(first, second) || second.h.began_again(&first.h)) {
        FloatHistogram {
            schema: second.h.schema,
            custom_values: Arc::clone(&second.h.custom_values),
            ..FloatHistogram::default()
        }
    } else {
        (*first.h).clone()
    };
    let between = &w.histograms[1..w.histograms.len() - 1];
    if counter && between.iter().any(gauge) {
        notes.not_a_counter(w.span, w.metric);
    }
    let odd = |p: &HistogramPoint| p.h.is_custom() != base.is_custom();
    if odd(last) || (counter && between.iter().any(odd)) {
        notes.mixed_bounds(w.span, w.metric);
        return None;
    }
    Some(base)
}

fn sum_of_changes(
    w: &MixedWindow<'_>,
    notes: &mut Notes,
    counter: bool,
    base: &FloatHistogram,
) -> Result<FloatHistogram, leadline_model::histogram::CombineError> {
    let (first, last) = (&w.histograms[0], &w.histograms[w.histograms.len() - 1]);
    let between = &w.histograms[1..w.histograms.len() - 1];
    let schemas = between.iter().filter(|_| counter).map(|p| p.h.schema);
    let coarsest = schemas.fold(last.h.schema.min(base.schema), i32::min);
    let coarse = last.h.reduce_resolution(coarsest);
    let (mut change, reconciled) = coarse.as_ref().unwrap_or(&last.h).sub(base)?;
    if reconciled.bounds_differ {
        notes.bounds_differ(w.span, Combining::Subtraction);
    }
    if !counter {
        if [first, last].iter().any(|p| p.h.reset != ResetHint::Gauge) {
            notes.not_a_gauge(w.span, w.metric);
        }
        return Ok(change);
    }
    let (mut before, mut overlaps) = (base, false);
    for pair in w.histograms.windows(2) {
        let point = &pair[1];
        overlaps |= point.st != 0 && point.st < pair[0].t && point.st != pair[0].st;
        if reset_between(&pair[0], point) || point.h.began_again(before) {
            let (sum, reconciled) = change.add(before)?;
            change = sum;
            if reconciled.bounds_differ {
                notes.bounds_differ(w.span, Combining::Addition);
            }
        }
        before = &point.h;
    }
    if overlaps {
        notes.start_overlaps(w.span, w.metric);
    }
    Ok(change)
}

/// `irate(m[r])`.
pub(crate) fn irate(w: &MixedWindow<'_>, notes: &mut Notes) -> Answer {
    last_change(w, notes, true)
}

/// `idelta(m[r])`.
pub(crate) fn idelta(w: &MixedWindow<'_>, notes: &mut Notes) -> Answer {
    last_change(w, notes, false)
}

/// The change between the last two samples, per second of a counter.
fn last_change(w: &MixedWindow<'_>, notes: &mut Notes, counter: bool) -> Answer {
    let mut last_two = [None, None];
    for sample in w.merged() {
        last_two = [last_two[1], Some(sample)];
    }
    let [Some(from), Some(to)] = last_two else {
        return Ok(None);
    };
    let seconds = (to.t - from.t) as f64 / 1000.0;
    let anew = counter && starts_anew(from.st, from.t, to.st, to.t);
    match (from.value, to.value) {
        (Value::Float(before), Value::Float(after)) => {
            let change = if anew || (counter && after < before) {
                after
            } else {
                after - before
            };
            Ok(Some(Cell::Float(if counter { change / seconds } else { change })))
        }
        (Value::Histogram(before), Value::Histogram(after)) => {
            let change = last_difference(w, notes, (before, after), (counter, anew))?;
            Ok(change.map(|change| Cell::Histogram(Arc::new(if counter { change.divided(seconds) } else { change }))))
        }
        _ => {
            notes.mixed_samples(w.span, w.metric);
            Ok(None)
        }
    }
}

/// The difference of two histograms; of a `counter` that began again, which may be known (`anew`), the second.
fn last_difference(
    w: &MixedWindow<'_>,
    notes: &mut Notes,
    (before, after): (&FloatHistogram, &FloatHistogram),
    (counter, anew): (bool, bool),
) -> Result<Option<FloatHistogram>, Error> {
    let gauges = [before, after].map(|h| h.reset == ResetHint::Gauge);
    if counter && gauges.contains(&true) {
        notes.not_a_counter(w.span, w.metric);
    }
    if !counter && gauges.contains(&false) {
        notes.not_a_gauge(w.span, w.metric);
    }
    let mut change = after.clone();
    if !(anew || (counter && after.began_again(before))) {
        match after.sub(before) {
            Ok((difference, what)) => {
                change = difference;
                if what.bounds_differ {
                    notes.bounds_differ(w.span, Combining::Subtraction);
                }
            }
            Err(error) => return w.refuse(error, notes),
        }
    }
    change.reset = ResetHint::Gauge;
    Ok(Some(change.compacted()))
}

/// How many pairs of neighbours differ; a number and a histogram always do.
fn count_pairs(w: &MixedWindow<'_>, differ: impl Fn(Sample<'_>, Sample<'_>) -> bool) -> Answer {
    let Some(samples) = w.compared() else {
        return Ok(None);
    };
    let count = samples.windows(2).filter(|pair| differ(pair[0], pair[1])).count();
    Ok(Some(Cell::Float(count as f64)))
}

/// `resets(m[r])`.
pub(crate) fn resets(w: &MixedWindow<'_>, _: &mut Notes) -> Answer {
    count_pairs(w, |a, b| match (a.value, b.value) {
        (Value::Float(x), Value::Float(y)) => y < x || starts_anew(a.st, a.t, b.st, b.t),
        (Value::Histogram(x), Value::Histogram(y)) => y.began_again(x) || starts_anew(a.st, a.t, b.st, b.t),
        _ => true,
    })
}

/// `changes(m[r])`.
pub(crate) fn changes(w: &MixedWindow<'_>, _: &mut Notes) -> Answer {
    count_pairs(w, |a, b| match (a.value, b.value) {
        (Value::Float(x), Value::Float(y)) => x != y && !(x.is_nan() && y.is_nan()),
        (Value::Histogram(x), Value::Histogram(y)) => !y.same(x),
        _ => true,
    })
}
