//! One run of a query: the synchronous core between the engine's queue and its answer.

use crate::cost::CostLimits;
use crate::error::Error;
use crate::eval::remembered::Remembered;
use crate::eval::{self, Cell, Consumption, Context, Frame, Grid, Out, Profile, QueryRange, Row, SAME_LABELSET, Until};
use crate::log::Pending;
use crate::query::Query;
use crate::settings::Settings;
use crate::stats::{Counting, QueryStats};
use crate::syntax::ast::{Expr, ExprKind};
use crate::value::{InstantSample, QueryResult, RangeSeries, SampleValue, Value};
use leadline_model::port::{Queryable, Shape};
use leadline_model::provenance::Provenance;
use leadline_model::{Labels, Timestamp};
use rapidhash::RapidHashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What a run needs; owned, so that it can move to another thread.
pub(crate) struct Job {
    pub(crate) store: Arc<dyn Queryable>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) query: Query,
    pub(crate) times: QueryRange,
    /// Whether a matrix is asked for, as range queries do.
    pub(crate) over_time: bool,
    /// Whether to tell what each node costs.
    pub(crate) explain: bool,
    /// Whether nobody reads where the values of a vector come from.
    pub(crate) untraced: bool,
    /// What is counted of the samples that it consumes.
    pub(crate) counting: Counting,
    /// What it may cost.
    pub(crate) limits: CostLimits,
    pub(crate) lookback_ms: i64,
    /// Whether the start times of samples are used.
    pub(crate) start_timestamps: bool,
    /// Distance (ms) of the steps of a subquery that names none.
    pub(crate) subquery_step_ms: i64,
    /// How long it waited for its turn.
    pub(crate) queued_us: u64,
    pub(crate) deadline: Instant,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Tells the log, where it is to be told.
    pub(crate) pending: Option<Pending>,
}

/// Microseconds since `began`.
fn micros_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Job {
    /// Evaluates the query, and tells the log.
    pub(crate) fn run(mut self) -> Result<QueryResult, Error> {
        let began = Instant::now();
        let mut stats = QueryStats::default();
        let mut result = self.evaluate(began, &mut stats);
        stats.eval_us = micros_since(began);
        stats.queued_us = self.queued_us;
        if !self.over_time {
            self.query.took(stats.eval_us, self.times.start);
        }
        if let Some(pending) = self.pending.take() {
            pending.ended(result.as_ref().err(), &stats);
        }
        if let Ok(result) = &mut result {
            result.stats = stats;
        }
        result
    }

    /// The answer without its stats, which are there though it fails.
    fn evaluate(&self, began: Instant, stats: &mut QueryStats) -> Result<QueryResult, Error> {
        let patience = Until {
            deadline: self.deadline,
            cancelled: &self.cancelled,
        };
        let remembered = Remembered::new(&*self.store, self.query.repeated());
        let store: &dyn Queryable = if self.query.repeated().is_empty() {
            &*self.store
        } else {
            &remembered
        };
        let mut cx = Context::new(store, &self.settings, self.lookback_ms, self.times, &patience);
        (cx.subquery_step_ms, cx.limits) = (self.subquery_step_ms, self.limits);
        cx.start_timestamps = self.start_timestamps;
        (cx.ordered, cx.fixes) = (self.query.is_ordered(), self.query.fixes_times());
        cx.profile = (self.explain).then(|| Profile::new(Some(remembered.shared()), self.query.folded_spans()));
        let value = self.counted(&mut cx, began);
        *stats = std::mem::take(&mut cx.stats);
        // Where that may be limited, all that was read is told, also what no step saw (`promql/engine.go`, execEvalStmt).
        let charged = self.settings.features.query_cost.then(|| cx.consumption.charged());
        stats.consumed = cx.consumption.finish();
        if let (Some(consumed), Some(charged)) = (&mut stats.consumed, charged) {
            consumed.read = charged;
        }
        let (value, provenance) = value?;
        let (warnings, infos) = cx.notes.render(self.query.text());
        Ok(QueryResult {
            value,
            provenance,
            warnings,
            infos,
            nodes: cx.profile.map(Profile::into_nodes).unwrap_or_default(),
            stats: QueryStats::default(),
        })
    }

    fn counted(&self, cx: &mut Context<'_>, began: Instant) -> Result<(Value, Option<Provenance>), Error> {
        cx.check()?;
        let frame = self.times.frame();
        cx.must_fit(frame.steps)?;
        cx.consumption = Consumption::new(self.counting, frame);
        let expr = self.query.at(self.times).map_err(Error::BadRequest)?;
        cx.stats.prepare_us = micros_since(began);
        let evaluating = Instant::now();
        let made = self.made(cx, expr.as_ref(), frame);
        cx.stats.inner_us = micros_since(evaluating);
        let made = made?;
        cx.check_cost()?;
        let sorting = Instant::now();
        let value = self.settled(made, frame);
        cx.stats.sort_us = micros_since(sorting);
        value
    }

    /// The tree's value as it is evaluated.
    fn made(&self, cx: &mut Context<'_>, expr: &Expr, frame: Frame) -> Result<Made, Error> {
        if self.query.shape() == Shape::Matrix {
            return eval::range_vector(cx, expr, frame).map(Made::Ranges);
        }
        eval::evaluate(cx, expr, frame).map(Made::Out)
    }

    /// The value as it is answered.
    fn settled(&self, made: Made, frame: Frame) -> Result<(Value, Option<Provenance>), Error> {
        let value = match made {
            Made::Ranges(rows) => Value::Matrix(ranges(rows)?),
            Made::Out(Out::Scalar(s)) if self.over_time => {
                let points = frame.times().zip(s.values).collect();
                Value::Matrix(vec![RangeSeries {
                    points,
                    ..RangeSeries::default()
                }])
            }
            Made::Out(Out::Scalar(s)) => {
                let value = s.values.first().copied().unwrap_or(f64::NAN);
                return Ok((Value::Scalar(value), Some(s.trace.finish())));
            }
            Made::Out(Out::Vector(grid)) if self.over_time => Value::Matrix(matrix(grid, frame)?),
            Made::Out(Out::Vector(grid)) => Value::Vector(self.vector(grid)?),
            Made::Out(Out::String(text)) => Value::String(text),
        };
        Ok((value, None))
    }

    fn vector(&self, grid: Grid) -> Result<Vec<InstantSample>, Error> {
        // To hash all labels takes as long as to read them.
        let distinct = !self.settings.features.delayed_name_removal && is_distinct(self.query.expr());
        let room = if distinct { 0 } else { grid.len() };
        let mut seen: RapidHashSet<Labels> = RapidHashSet::with_capacity_and_hasher(room, Default::default());
        let mut out = Vec::with_capacity(grid.len());
        let values: Vec<_> = (0..grid.len()).map(|i| grid.cell(i, 0)).collect();
        for (mut row, value) in grid.rows.into_iter().zip(values) {
            let value = match value {
                Some(Cell::Float(value)) => SampleValue::Float(value),
                Some(Cell::Histogram(histogram)) => SampleValue::Histogram(histogram),
                None => continue,
            };
            row.settle_name();
            if !distinct && !seen.insert(row.labels.clone()) {
                return Err(Error::execution(SAME_LABELSET));
            }
            out.push(InstantSample {
                labels: row.labels,
                value,
                provenance: if self.untraced {
                    Provenance::none()
                } else {
                    row.trace.finish()
                },
            });
        }
        Ok(out)
    }
}

/// What an evaluation makes.
enum Made {
    /// Of a range vector.
    Ranges(Vec<eval::RangeRow>),
    /// Of everything else.
    Out(Out),
}

/// Whether the series of a node are those of one selector, which differ; where names go, they were joined already.
fn is_distinct(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Selector(_) => true,
        ExprKind::Paren(inner) => is_distinct(inner),
        ExprKind::Call(call) => call.args.iter().any(|arg| matches!(arg.kind, ExprKind::Matrix { .. })),
        _ => false,
    }
}

fn matrix(mut grid: Grid, frame: Frame) -> Result<Vec<RangeSeries>, Error> {
    grid.rows.iter_mut().for_each(Row::settle_name);
    let grid = grid.merge_equal()?;
    let mut out: Vec<RangeSeries> = Vec::with_capacity(grid.len());
    for (i, row) in grid.rows.iter().enumerate() {
        let (values, present) = grid.row(i);
        let there = present.iter().filter(|p| **p).count();
        let mut points = Vec::with_capacity(there);
        let cells = frame.times().zip(values.iter().copied());
        if there == present.len() {
            points.extend(cells);
        } else {
            points.extend(
                cells
                    .zip(present)
                    .filter(|(_, present)| **present)
                    .map(|(cell, _)| cell),
            );
        }
        let mut histograms = Vec::new();
        if grid.has_histograms() {
            histograms.extend((0..grid.steps).filter_map(|s| Some((frame.at(s), Arc::clone(grid.histogram(i, s)?)))));
        }
        out.push(RangeSeries {
            labels: row.labels.clone(),
            points,
            histograms,
        });
    }
    out.retain(|s| !s.points.is_empty() || !s.histograms.is_empty());
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(out)
}

/// Joins series that became equal when their names went, where their samples allow it.
fn ranges(rows: Vec<eval::RangeRow>) -> Result<Vec<RangeSeries>, Error> {
    let settle = |row: eval::RangeRow| RangeSeries {
        labels: if row.drop_name {
            eval::key::nameless(&row.labels)
        } else {
            row.labels
        },
        points: row.points,
        histograms: row.histograms,
    };
    let mut all: Vec<RangeSeries> = rows.into_iter().map(settle).collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut out: Vec<RangeSeries> = Vec::with_capacity(all.len());
    for next in all {
        match out.last_mut() {
            Some(last) if last.labels == next.labels => join(last, next)?,
            _ => out.push(next),
        }
    }
    Ok(out)
}

fn join(into: &mut RangeSeries, more: RangeSeries) -> Result<(), Error> {
    into.points.extend(more.points);
    into.histograms.extend(more.histograms);
    into.points.sort_by_key(|p| p.0);
    into.histograms.sort_by_key(|p| p.0);
    let floats = into.points.iter().map(|p| p.0);
    let mut times: Vec<Timestamp> = floats.chain(into.histograms.iter().map(|p| p.0)).collect();
    times.sort_unstable();
    if times.windows(2).any(|w| w[0] == w[1]) {
        Err(Error::execution(SAME_LABELSET))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_known_to_differ_only_where_each_is_one_of_a_selector() {
        for (text, distinct) in [
            ("m", true),
            ("(m)", true),
            ("rate(m[1m])", true),
            ("label_replace(m, \"a\", \"b\", \"c\", \"d\")", false),
            ("max_over_time(m[5m:1m])", false),
            ("abs(m)", false),
            ("m + m", false),
            ("sum by (a) (m)", false),
        ] {
            assert_eq!(is_distinct(Query::parse(text).unwrap().expr()), distinct, "{text}");
        }
    }
}
