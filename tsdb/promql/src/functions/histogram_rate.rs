//! Functions over the change of native histograms in a window (`histogramRate`, `instantValue` of
//! `promql/functions.go`).

use super::histogram_window::{MixedWindow, Value};
use super::rate::{Kind, extrapolation};
use crate::error::Error;
use crate::eval::notes::Notes;
use crate::eval::{Cell, Combining, HistogramPoint};
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
    let [first, .., last] = w.histograms else {
        return Ok(None);
    };
    let Some(change) = change(w, notes, kind.counter)? else {
        return Ok(None);
    };
    // A counter cannot have been below zero: its count says where it began.
    let start = (kind.counter && change.count > 0.0 && first.h.count >= 0.0).then(|| first.h.count / change.count);
    let gaps = w.histograms.len() - 1;
    let factor = extrapolation(&w.floats, (first.t, last.t), gaps, start, kind.per_second);
    Ok(Some(Cell::Histogram(Arc::new(change.mul(factor)))))
}

/// The change from the first to the last histogram, what resets took away added back.
fn change(w: &MixedWindow<'_>, notes: &mut Notes, counter: bool) -> Result<Option<FloatHistogram>, Error> {
    let Some(base) = base(w, notes, counter) else {
        return Ok(None);
    };
    match sum_of_changes(w, notes, counter, base) {
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
    let base = if counter && second.h.began_again(&first.h) {
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
    base: FloatHistogram,
) -> Result<FloatHistogram, leadline_model::histogram::CombineError> {
    let (first, last) = (&w.histograms[0], &w.histograms[w.histograms.len() - 1]);
    let between = &w.histograms[1..w.histograms.len() - 1];
    let schemas = between.iter().filter(|_| counter).map(|p| p.h.schema);
    let coarsest = schemas.fold(last.h.schema.min(base.schema), i32::min);
    let coarse = last.h.reduce_resolution(coarsest);
    let (mut change, reconciled) = coarse.as_ref().unwrap_or(&last.h).sub(&base)?;
    if reconciled.bounds_differ {
        notes.bounds_differ(w.span, Combining::Subtraction);
    }
    if !counter {
        if [first, last].iter().any(|p| p.h.reset != ResetHint::Gauge) {
            notes.not_a_gauge(w.span, w.metric);
        }
        return Ok(change);
    }
    let mut before = &base;
    for point in &w.histograms[1..] {
        if point.h.began_again(before) {
            let (sum, reconciled) = change.add(before)?;
            change = sum;
            if reconciled.bounds_differ {
                notes.bounds_differ(w.span, Combining::Addition);
            }
        }
        before = &point.h;
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
    let [Some((from, before)), Some((to, after))] = last_two else {
        return Ok(None);
    };
    let seconds = (to - from) as f64 / 1000.0;
    match (before, after) {
        (Value::Float(before), Value::Float(after)) => {
            let change = if counter && after < before {
                after
            } else {
                after - before
            };
            Ok(Some(Cell::Float(if counter { change / seconds } else { change })))
        }
        (Value::Histogram(before), Value::Histogram(after)) => {
            let both_gauges = before.reset == ResetHint::Gauge && after.reset == ResetHint::Gauge;
            let any_gauge = before.reset == ResetHint::Gauge || after.reset == ResetHint::Gauge;
            if counter && any_gauge {
                notes.not_a_counter(w.span, w.metric);
            }
            if !counter && !both_gauges {
                notes.not_a_gauge(w.span, w.metric);
            }
            let mut change = if counter && after.began_again(before) {
                (**after).clone()
            } else {
                match after.sub(before) {
                    Ok((change, reconciled)) => {
                        if reconciled.bounds_differ {
                            notes.bounds_differ(w.span, Combining::Subtraction);
                        }
                        change
                    }
                    Err(error) => return w.refuse(error, notes),
                }
            };
            change.reset = ResetHint::Gauge;
            let change = change.compacted();
            Ok(Some(Cell::Histogram(Arc::new(if counter {
                change.div(seconds)
            } else {
                change
            }))))
        }
        _ => {
            notes.mixed_samples(w.span, w.metric);
            Ok(None)
        }
    }
}

/// How many pairs of neighbours `differ`; a number and a histogram always do.
fn count_pairs(
    w: &MixedWindow<'_>,
    floats: impl Fn(f64, f64) -> bool,
    histograms: impl Fn(&FloatHistogram, &FloatHistogram) -> bool,
) -> Answer {
    let mut count = 0u32;
    let mut before: Option<Value<'_>> = None;
    for (_, sample) in w.merged() {
        let differs = match (before, sample) {
            (None, _) => false,
            (Some(Value::Float(a)), Value::Float(b)) => floats(a, b),
            (Some(Value::Histogram(a)), Value::Histogram(b)) => histograms(a, b),
            _ => true,
        };
        count += u32::from(differs);
        before = Some(sample);
    }
    Ok(Some(Cell::Float(f64::from(count))))
}

/// `resets(m[r])`.
pub(crate) fn resets(w: &MixedWindow<'_>, _: &mut Notes) -> Answer {
    count_pairs(w, |a, b| b < a, |a, b| b.began_again(a))
}

/// `changes(m[r])`.
pub(crate) fn changes(w: &MixedWindow<'_>, _: &mut Notes) -> Answer {
    count_pairs(w, |a, b| a != b && !(a.is_nan() && b.is_nan()), |a, b| !b.same(a))
}
