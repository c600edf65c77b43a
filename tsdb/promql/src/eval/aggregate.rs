//! Aggregations: many series to one for each group.

use super::certain_sum::CertainSum;
use super::extent::Extent;
use super::key::{Numbering, Selection, is_metadata};
use super::names::Reader;
use super::{
    Context, Frame, Grid, Out, Row, Scalar, Trace, aggregate_histogram, count_values, evaluate as evaluate_node,
    evaluate_for, rank, streamed,
};
use crate::error::Error;
use crate::functions::number::{Mean, quantile};
use crate::syntax::ast::{Aggregate, AggregateOp, Span};

/// Evaluates an aggregation at all times of `frame`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, a: &Aggregate, span: Span, frame: Frame) -> Result<Grid, Error> {
    match a.op {
        AggregateOp::CountValues => count_values::evaluate(cx, a, frame),
        AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
            let parameter = parameter(cx, a, frame)?;
            // Which series are sampled depends on all of their labels.
            let reader = if a.op == AggregateOp::LimitRatio {
                Reader::Any
            } else {
                reader(a)
            };
            let input = operand(cx, a, frame, reader)?;
            rank::evaluate(cx, (a, span), &input, &parameter)
        }
        AggregateOp::Quantile => quantiles(cx, a, frame),
        _ => {
            if let Some(grid) = streamed::evaluate(cx, a, frame)? {
                return Ok(grid);
            }
            let input = operand(cx, a, frame, reader(a))?;
            if input.has_histograms() {
                aggregate_histogram::fold(cx, a, input)
            } else {
                fold(cx, a, &input)
            }
        }
    }
}

/// How an aggregation looks at names: they count only where its groups are made by them.
pub(super) fn reader(a: &Aggregate) -> Reader {
    if !a.without && a.labels.iter().any(|name| is_metadata(name)) {
        Reader::Any
    } else {
        Reader::Blind
    }
}

/// The vector that is aggregated.
pub(super) fn operand(cx: &mut Context<'_>, a: &Aggregate, frame: Frame, reader: Reader) -> Result<Grid, Error> {
    match evaluate_for(cx, &a.expr, frame, reader)? {
        Out::Vector(grid) => Ok(grid),
        Out::Scalar(_) | Out::String(_) => Err(Error::execution("an aggregation takes an instant vector")),
    }
}

/// The parameter in front of the vector.
fn parameter(cx: &mut Context<'_>, a: &Aggregate, frame: Frame) -> Result<Scalar, Error> {
    let missing = || Error::execution("the aggregation lacks its parameter");
    match evaluate_node(cx, a.param.as_ref().ok_or_else(missing)?.unwrapped(), frame)? {
        Out::Scalar(scalar) => Ok(scalar),
        Out::Vector(_) | Out::String(_) => Err(Error::execution("the parameter of an aggregation must be a scalar")),
    }
}

/// The labels that make the groups.
pub(crate) fn selection(a: &Aggregate) -> Selection {
    if a.without {
        Selection::without(&a.labels)
    } else {
        Selection::by(&a.labels)
    }
}

/// Which group each row is in.
pub(crate) struct Groups {
    /// For each row its group.
    pub(crate) of_row: Vec<usize>,
    /// For each group what its result is about.
    pub(crate) rows: Vec<Row>,
}

impl Groups {
    /// Sorts the rows of a vector into groups.
    pub(crate) fn of(selection: Selection, input: &Grid) -> Self {
        let mut numbers = Numbering::new(selection);
        let mut of_row = Vec::with_capacity(input.len());
        let mut rows: Vec<Row> = Vec::new();
        for row in &input.rows {
            let group = numbers.number(&row.labels);
            if group == rows.len() {
                let labels = numbers.selection().pick(&row.labels);
                rows.push(Row {
                    labels,
                    drop_name: false,
                    trace: Trace::default(),
                });
            }
            // One member whose name is about to go takes the group's name with it.
            rows[group].drop_name |= row.drop_name;
            rows[group].trace.absorb(&row.trace);
            of_row.push(group);
        }
        Self { of_row, rows }
    }

    /// The rows of each group.
    pub(crate) fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.rows.len()];
        for (row, group) in self.of_row.iter().enumerate() {
            members[*group].push(row);
        }
        members
    }
}

/// What has been seen of one group at one step.
#[derive(Clone, Copy, Default)]
pub(super) enum Tally {
    #[default]
    Nothing,
    Sum(CertainSum),
    Mean(Mean),
    /// Count, or 1 of `group`; the smallest; the largest.
    Number(f64),
    /// The smallest or largest, of which there are 0 and -0.
    Zeros(f64),
    /// Welford's: count, mean, sum of squares.
    Spread(f64, f64, f64),
}

impl Tally {
    fn first(op: AggregateOp, x: f64) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(CertainSum::at(x)),
            AggregateOp::Avg => Self::Mean(Mean::of(x)),
            AggregateOp::Count | AggregateOp::Group => Self::Number(1.0),
            // An infinite or NaN value has no distance to any mean.
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                Self::Spread(1.0, x, if x.is_finite() { 0.0 } else { f64::NAN })
            }
            _ => Self::Number(x),
        }
    }

    /// Adds a number.
    #[inline]
    pub(super) fn add(&mut self, op: AggregateOp, x: f64) {
        match self {
            Self::Nothing => *self = Self::first(op, x),
            Self::Sum(sum) => sum.add(x),
            Self::Mean(mean) => mean.add(x),
            Self::Number(n) => match op {
                AggregateOp::Count => *n += 1.0,
                AggregateOp::Min if *n > x || n.is_nan() => *n = x,
                AggregateOp::Max if *n < x || n.is_nan() => *n = x,
                AggregateOp::Min | AggregateOp::Max if *n == x && n.is_sign_negative() != x.is_sign_negative() => {
                    *self = Self::Zeros(*n);
                }
                _ => {}
            },
            Self::Zeros(_) if op == AggregateOp::Min && x < 0.0 || op == AggregateOp::Max && x > 0.0 => {
                *self = Self::Number(x);
            }
            Self::Zeros(_) => {}
            Self::Spread(count, mean, squares) => {
                *count += 1.0;
                let delta = x - *mean;
                *mean += delta / *count;
                *squares += delta * (x - *mean);
            }
        }
    }

    /// Adds the numbers that are `present`, each to the tally of its step.
    #[inline]
    pub(super) fn add_row(op: AggregateOp, tallies: &mut [Self], cells: &[f64], present: &[bool]) {
        for (tally, (x, there)) in tallies.iter_mut().zip(cells.iter().zip(present)) {
            if !*there {
                continue;
            }
            // By far the most frequent.
            if let Self::Sum(sum) = tally {
                sum.add(*x);
            } else {
                tally.add(op, *x);
            }
        }
    }

    /// Whether every order of the numbers, which are at most so many, makes this value. What is read in the order of labels
    /// anyway is not looked at (`order_shows` of `query.rs`).
    pub(super) fn is_certain(self, terms: usize) -> bool {
        match self {
            Self::Sum(sum) => sum.is_certain(terms),
            Self::Zeros(_) => false,
            Self::Nothing | Self::Mean(_) | Self::Number(_) | Self::Spread(..) => true,
        }
    }

    /// The group's value; none where nothing was seen.
    pub(super) fn result(self, op: AggregateOp) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::Sum(sum) => Some(sum.total()),
            Self::Mean(mean) => Some(mean.total()),
            Self::Number(n) | Self::Zeros(n) => Some(n),
            Self::Spread(count, _, squares) => {
                let variance = squares / count;
                Some(if op == AggregateOp::Stddev {
                    variance.sqrt()
                } else {
                    variance
                })
            }
        }
    }
}

/// Aggregations that need to see each value once.
pub(super) fn fold(cx: &mut Context<'_>, a: &Aggregate, input: &Grid) -> Result<Grid, Error> {
    let groups = Groups::of(selection(a), input);
    let steps = input.steps;
    cx.hold(groups.rows.len().saturating_mul(steps))?;
    let mut tallies = tallied(cx, a.op, (input, &groups), 0..input.len())?;
    if !cx.ordered && !tallies.iter().all(|tally| tally.is_certain(input.len())) {
        let order = in_order(cx, input, (0..input.len()).collect())?;
        tallies = tallied(cx, a.op, (input, &groups), order.into_iter())?;
    }
    Ok(results(a.op, steps, groups.rows, tallies))
}

/// The tallies of all groups, to which the rows are added in the given order.
fn tallied(
    cx: &mut Context<'_>,
    op: AggregateOp,
    (input, groups): (&Grid, &Groups),
    rows: impl Iterator<Item = usize>,
) -> Result<Vec<Tally>, Error> {
    let steps = input.steps;
    let mut tallies = vec![Tally::Nothing; groups.rows.len() * steps];
    for i in rows {
        cx.spend(steps)?;
        cx.tick()?;
        let (values, present) = input.row(i);
        let group = groups.of_row[i];
        let tallies = &mut tallies[group * steps..(group + 1) * steps];
        Tally::add_row(op, tallies, values, present);
    }
    Ok(tallies)
}

/// Rows of a vector in the order of their labels, in which nothing shows of the order in which a store gave them out.
pub(super) fn in_order(cx: &mut Context<'_>, input: &Grid, mut rows: Vec<usize>) -> Result<Vec<usize>, Error> {
    cx.spend(rows.len().saturating_mul(8))?;
    rows.sort_by(|&a, &b| input.rows[a].labels.cmp(&input.rows[b].labels));
    Ok(rows)
}

/// The values of groups, of which each has `steps` tallies.
pub(super) fn results(op: AggregateOp, steps: usize, rows: Vec<Row>, tallies: Vec<Tally>) -> Grid {
    let (mut cells, mut present) = (Vec::with_capacity(tallies.len()), Vec::with_capacity(tallies.len()));
    for tally in tallies {
        let value = tally.result(op);
        cells.push(value.unwrap_or(0.0));
        present.push(value.is_some());
    }
    let mut out = Grid::of_floats(steps, rows, cells, present);
    out.prune();
    out
}

/// `quantile(q, v)`.
fn quantiles(cx: &mut Context<'_>, a: &Aggregate, frame: Frame) -> Result<Grid, Error> {
    let q = parameter(cx, a, frame)?;
    let span = a.param.as_ref().map(|p| p.unwrapped().span).unwrap_or_default();
    let mut input = operand(cx, a, frame, reader(a))?;
    if input.drop_histograms() {
        cx.notes.histogram_ignored(a.expr.unwrapped().span, a.op.as_str());
    }
    // Once for all steps, as upstream (`promql/engine.go`, rangeEvalAgg).
    let extent = Extent::of(&q.values);
    let told = [
        (extent.has_nan, f64::NAN),
        (extent.max > 1.0, extent.max),
        (extent.min < 0.0, extent.min),
    ];
    for (_, q) in told.into_iter().filter(|(bad, _)| *bad) {
        cx.notes.check_quantile(q, span);
    }
    let groups = Groups::of(selection(a), &input);
    let members = groups.members();
    let mut out = Grid::with_capacity(input.steps, groups.rows.len());
    let mut values = Vec::new();
    for (mut row, members) in groups.rows.into_iter().zip(&members) {
        cx.hold(input.steps)?;
        row.trace.absorb(&q.trace);
        let (cells, present) = out.open();
        for step in 0..input.steps {
            // The values are put in order.
            cx.spend(members.len().saturating_mul(4))?;
            values.clear();
            values.extend(members.iter().filter_map(|&m| input.get(m, step)));
            present[step] = !values.is_empty();
            cells[step] = quantile(q.values[step], &mut values);
        }
        out.keep(row);
    }
    out.prune();
    Ok(out)
}
