//! Aggregations of vectors with native histograms among their values.

use super::aggregate::{Groups, Tally, fold as fold_floats, in_order, selection};
use super::histogram_points::weight;
use super::notes::Notes;
use super::{Cell, Combining, Context, Grid};
use crate::error::Error;
use crate::functions::histogram_mean::{Hints, HistogramMean};
use crate::syntax::ast::{Aggregate, AggregateOp, Span};
use leadline_model::histogram::{CombineError, FloatHistogram, HistogramSum, Reconciled};
use std::sync::Arc;

/// Evaluates an aggregation that sees each value once.
///
/// # Errors
/// [`Error`].
pub(super) fn fold(cx: &mut Context<'_>, a: &Aggregate, mut input: Grid) -> Result<Grid, Error> {
    match a.op {
        AggregateOp::Sum | AggregateOp::Avg => totals(cx, a, &input),
        AggregateOp::Count | AggregateOp::Group => {
            // A histogram counts as any number does.
            for i in 0..input.len() {
                for step in 0..input.steps {
                    if input.histogram(i, step).is_some() {
                        input.set(i, step, Cell::Float(0.0));
                    }
                }
            }
            fold_floats(cx, a, &input)
        }
        _ => {
            if input.drop_histograms() {
                cx.notes.histogram_ignored(a.expr.unwrapped().span, a.op.as_str());
            }
            fold_floats(cx, a, &input)
        }
    }
}

/// A sum or mean of histograms.
#[derive(Debug)]
enum Total {
    Sum(HistogramSum),
    Mean(HistogramMean),
}

impl Total {
    fn of(op: AggregateOp, h: &FloatHistogram) -> Result<Self, CombineError> {
        Ok(match op {
            AggregateOp::Sum => Self::Sum(HistogramSum::of(h)?),
            _ => Self::Mean(HistogramMean::of(h)?),
        })
    }

    fn add(&mut self, h: &FloatHistogram) -> Result<Reconciled, CombineError> {
        match self {
            Self::Sum(sum) => sum.add(h),
            Self::Mean(mean) => mean.add(h),
        }
    }

    fn finish(self) -> FloatHistogram {
        match self {
            Self::Sum(sum) => sum.total(),
            Self::Mean(mean) => mean.total(),
        }
        .compacted()
    }
}

/// What has been seen of one group at one step.
#[derive(Default)]
struct MixedTally {
    floats: Tally,
    has_float: bool,
    has_histogram: bool,
    /// The histograms' total, unless a number came first.
    total: Option<Total>,
    /// Computed bounds and bounds of their own met.
    incompatible: bool,
    hints: Hints,
}

impl MixedTally {
    fn add(&mut self, op: AggregateOp, value: &Cell, told: (&mut Notes, Span, &str)) -> Result<(), Error> {
        if self.incompatible {
            return Ok(());
        }
        match value {
            Cell::Float(x) => {
                self.has_float = true;
                self.floats.add(op, *x);
                Ok(())
            }
            Cell::Histogram(h) => self.add_histogram(op, h, told),
        }
    }

    fn add_histogram(
        &mut self,
        op: AggregateOp,
        h: &FloatHistogram,
        (notes, span, metric): (&mut Notes, Span, &str),
    ) -> Result<(), Error> {
        let first = !self.has_float && !self.has_histogram;
        self.has_histogram = true;
        let added = match &mut self.total {
            None if first => Total::of(op, h).map(|total| {
                self.total = Some(total);
                Reconciled::default()
            }),
            // The group mixes numbers and histograms: there will be no result.
            None => return Ok(()),
            Some(total) => total.add(h),
        };
        self.hints.see(h);
        match added {
            Ok(reconciled) => self.hints.reconciled |= reconciled,
            Err(CombineError::Schemas) => {
                notes.mixed_bounds(span, metric);
                self.incompatible = true;
            }
            Err(CombineError::Layout(error)) => return Err(Error::execution(error.to_string())),
        }
        Ok(())
    }

    fn finish(self, op: AggregateOp, notes: &mut Notes, span: Span) -> Option<Cell> {
        if self.hints.reconciled.bounds_differ {
            notes.bounds_differ(span, Combining::Aggregation);
        }
        if self.has_float && self.has_histogram {
            notes.mixed_group(span);
            return None;
        }
        if self.incompatible {
            return None;
        }
        self.hints.tell(notes, span, Combining::Aggregation);
        match self.total {
            Some(total) => Some(Cell::Histogram(Arc::new(total.finish()))),
            None => self.floats.result(op).map(Cell::Float),
        }
    }
}

/// `sum` and `avg`.
fn totals(cx: &mut Context<'_>, a: &Aggregate, input: &Grid) -> Result<Grid, Error> {
    let span = a.expr.unwrapped().span;
    let groups = Groups::of(selection(a), input);
    let members = groups.members();
    let mut out = Grid::with_capacity(input.steps, groups.rows.len());
    for (number, (row, members)) in groups.rows.into_iter().zip(members).enumerate() {
        cx.hold(input.steps)?;
        // Sums of buckets do not tell whether their order shows.
        let members = if cx.ordered {
            members
        } else {
            in_order(cx, input, members)?
        };
        out.open();
        for step in 0..input.steps {
            let mut tally = MixedTally::default();
            for &member in &members {
                if let Some(value) = input.cell(member, step) {
                    if let Cell::Histogram(h) = &value {
                        cx.spend(weight(h))?;
                    }
                    let metric = input.rows[member].labels.name();
                    tally.add(a.op, &value, (&mut cx.notes, span, metric))?;
                }
            }
            cx.spend(members.len())?;
            if let Some(value) = tally.finish(a.op, &mut cx.notes, span) {
                out.set(number, step, value);
            }
        }
        out.keep(row);
        cx.hold(out.last_histogram_weight())?;
    }
    out.prune();
    Ok(out)
}
