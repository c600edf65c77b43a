//! Functions over windows that hold native histograms, and maybe numbers too.

use super::border::seen;
use super::histogram_mean::{Hints, HistogramMean};
use super::window::{Window, WindowFn};
use crate::error::Error;
use crate::eval::notes::Notes;
use crate::eval::{Cell, Combining, HistogramPoint, spanned};
use crate::syntax::ast::{Border, Span};
use leadline_model::Timestamp;
use leadline_model::histogram::{CombineError, FloatHistogram, HistogramSum};
use std::sync::Arc;

/// The samples of one series in one window, one histogram at least among them.
pub(crate) struct MixedWindow<'a> {
    /// The numbers and the window's borders.
    pub(crate) floats: Window<'a>,
    /// The histograms, in the order of time.
    pub(crate) histograms: &'a [HistogramPoint],
    /// The metric's name, for notes.
    pub(crate) metric: &'a str,
    /// The range vector, for notes.
    pub(crate) span: Span,
}

/// A function from a window with histograms to a value, or to nothing.
pub(crate) type MixedFn = fn(&MixedWindow<'_>, &mut Notes) -> Result<Option<Cell>, Error>;

/// The function called `name`, if it makes something of histograms; the others leave them out.
pub(crate) fn lookup(name: &str) -> Option<MixedFn> {
    use super::histogram_rate as rate;
    Some(match name {
        "absent_over_time" | "present_over_time" => |_, _| Ok(Some(Cell::Float(1.0))),
        "avg_over_time" => avg,
        "changes" => rate::changes,
        "count_over_time" => |w, _| Ok(Some(Cell::Float((w.floats.t.len() + w.histograms.len()) as f64))),
        "delta" => rate::delta,
        "first_over_time" => |w, _| Ok(w.merged().next().map(|sample| sample.value.cell())),
        "idelta" => rate::idelta,
        "increase" => rate::increase,
        "irate" => rate::irate,
        "last_over_time" => last,
        "rate" => rate::rate,
        "resets" => rate::resets,
        "sum_over_time" => sum,
        "ts_of_first_over_time" => |w, _| Ok(w.times().0.map(|t| Cell::Float(t as f64 / 1000.0))),
        "ts_of_last_over_time" => |w, _| Ok(w.times().1.map(|t| Cell::Float(t as f64 / 1000.0))),
        _ => return None,
    })
}

/// Calls a function that sees numbers only, and tells that it left histograms out.
pub(crate) fn numbers_only(f: WindowFn, w: &MixedWindow<'_>, notes: &mut Notes) -> Option<Cell> {
    if w.floats.t.is_empty() {
        return None;
    }
    notes.histograms_ignored_in_window(w.span, w.metric);
    f(&w.floats).map(Cell::Float)
}

/// A number or a histogram.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// One sample of a window.
#[derive(Clone, Copy)]
pub(crate) struct Sample<'a> {
    /// Its time, ms.
    pub(crate) t: Timestamp,
    /// When (ms) its counter began, 0 when that is unknown.
    pub(crate) st: Timestamp,
    /// What was sampled.
    pub(crate) value: Value<'a>,
}

impl Value<'_> {
    fn cell(self) -> Cell {
        match self {
            Self::Float(value) => Cell::Float(value),
            Self::Histogram(h) => Cell::Histogram(Arc::clone(h)),
        }
    }
}

impl<'a> MixedWindow<'a> {
    /// All samples in the order of time.
    pub(crate) fn merged(&self) -> impl Iterator<Item = Sample<'a>> + use<'a> {
        let floats = self.floats;
        let mut numbers = (0..floats.t.len()).peekable();
        let mut histograms = self.histograms.iter().peekable();
        std::iter::from_fn(move || {
            let first = numbers.next_if(|&i| histograms.peek().is_none_or(|p| floats.t[i] < p.t));
            match first {
                Some(i) => Some(Sample {
                    t: floats.t[i],
                    st: floats.start_of(i),
                    value: Value::Float(floats.v[i]),
                }),
                None => histograms.next().map(|p| Sample {
                    t: p.t,
                    st: p.st,
                    value: Value::Histogram(&p.h),
                }),
            }
        })
    }

    /// The samples that `resets` and `changes` compare: of an anchored window from the newest up to its start on. Nothing
    /// when none lies behind its start.
    pub(crate) fn compared(&self) -> Option<Vec<Sample<'a>>> {
        let mut samples: Vec<_> = self.merged().collect();
        if self.floats.border != Border::Open {
            let inside = samples.partition_point(|sample| sample.t <= self.floats.start);
            if inside == samples.len() {
                return None;
            }
            samples.drain(..inside.saturating_sub(1));
        }
        Some(samples)
    }

    /// The times of the first and the last sample.
    pub(crate) fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let histograms = self.histograms.first().zip(self.histograms.last());
        let floats = self.floats.t.first().zip(self.floats.t.last());
        let firsts = [histograms.map(|h| h.0.t), floats.map(|f| *f.0)];
        let lasts = [histograms.map(|h| h.1.t), floats.map(|f| *f.1)];
        (firsts.into_iter().flatten().min(), lasts.into_iter().flatten().max())
    }

    /// The times of the first and the last sample that matter.
    pub(crate) fn seen(&self) -> Option<(Timestamp, Timestamp)> {
        let floats = seen(&self.floats, self.floats.t, |t| *t);
        spanned(floats, seen(&self.floats, self.histograms, |p| p.t))
    }

    /// Whether there are numbers too, which is told then.
    pub(crate) fn is_mixed(&self, notes: &mut Notes) -> bool {
        let mixed = !self.floats.t.is_empty();
        if mixed {
            notes.mixed_samples(self.span, self.metric);
        }
        mixed
    }

    /// Tells that histograms do not go together; whatever else is wrong with them fails the query.
    pub(crate) fn refuse<T>(&self, error: CombineError, notes: &mut Notes) -> Result<Option<T>, Error> {
        match error {
            CombineError::Schemas => {
                notes.mixed_bounds(self.span, self.metric);
                Ok(None)
            }
            CombineError::Layout(error) => Err(Error::execution(error.to_string())),
        }
    }
}

fn last(w: &MixedWindow<'_>, _: &mut Notes) -> Result<Option<Cell>, Error> {
    let Some(histogram) = w.histograms.last() else {
        return Ok(None);
    };
    Ok(Some(match w.floats.t.last().zip(w.floats.v.last()) {
        Some((t, v)) if *t > histogram.t => Cell::Float(*v),
        _ => Cell::Histogram(Arc::clone(&histogram.h)),
    }))
}

fn sum(w: &MixedWindow<'_>, notes: &mut Notes) -> Result<Option<Cell>, Error> {
    total(w, notes, |points, hints| {
        let Some((first, rest)) = points.split_first() else {
            return Ok(None);
        };
        let mut sum = HistogramSum::of(&first.h)?;
        hints.see(&first.h);
        for point in rest {
            hints.see(&point.h);
            hints.reconciled |= sum.add(&point.h)?;
        }
        Ok(Some(sum.total()))
    })
}

fn avg(w: &MixedWindow<'_>, notes: &mut Notes) -> Result<Option<Cell>, Error> {
    total(w, notes, |points, hints| {
        let Some((first, rest)) = points.split_first() else {
            return Ok(None);
        };
        let mut mean = HistogramMean::of(&first.h)?;
        hints.see(&first.h);
        for point in rest {
            hints.see(&point.h);
            hints.reconciled |= mean.add(&point.h)?;
        }
        Ok(Some(mean.total()))
    })
}

/// A sum or mean of all histograms; of a window with numbers there is none.
fn total(
    w: &MixedWindow<'_>,
    notes: &mut Notes,
    fold: impl FnOnce(&[HistogramPoint], &mut Hints) -> Result<Option<FloatHistogram>, CombineError>,
) -> Result<Option<Cell>, Error> {
    if w.is_mixed(notes) {
        return Ok(None);
    }
    let mut hints = Hints::default();
    match fold(w.histograms, &mut hints) {
        Ok(total) => {
            hints.tell(notes, w.span, Combining::Aggregation);
            Ok(total.map(|h| Cell::Histogram(Arc::new(h))))
        }
        Err(error) => w.refuse(error, notes),
    }
}
