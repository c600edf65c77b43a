//! One run of a query: the synchronous core between the engine's queue and its answer.

use crate::error::Error;
use crate::eval::{self, Cell, Context, Frame, Grid, Out, Profile, QueryRange, Row, SAME_LABELSET, Until};
use crate::query::Query;
use crate::settings::Settings;
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
    pub(crate) lookback_ms: i64,
    pub(crate) deadline: Instant,
    pub(crate) cancelled: Arc<AtomicBool>,
}

impl Job {
    /// Evaluates the query.
    pub(crate) fn run(&self) -> Result<QueryResult, Error> {
        let began = Instant::now();
        let patience = Until {
            deadline: self.deadline,
            cancelled: &self.cancelled,
        };
        let mut cx = Context::new(&*self.store, &self.settings, self.lookback_ms, self.times, &patience);
        (cx.ordered, cx.fixes) = (self.query.is_ordered(), self.query.fixes_times());
        cx.profile = self.explain.then(Profile::default);
        cx.check()?;
        let frame = self.times.frame();
        let (value, provenance) = self.value(&mut cx, frame)?;
        let (warnings, infos) = cx.notes.render(self.query.text());
        let mut stats = cx.stats;
        stats.eval_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if !self.over_time {
            self.query.took(stats.eval_us);
        }
        Ok(QueryResult {
            value,
            provenance,
            warnings,
            infos,
            nodes: cx.profile.map(Profile::into_nodes).unwrap_or_default(),
            stats,
        })
    }

    fn value(&self, cx: &mut Context<'_>, frame: Frame) -> Result<(Value, Option<Provenance>), Error> {
        let expr = self.query.at(self.times).map_err(Error::BadRequest)?;
        let expr = expr.as_ref();
        if self.query.shape() == Shape::Matrix {
            return Ok((Value::Matrix(ranges(eval::range_vector(cx, expr, frame)?)?), None));
        }
        let value = match eval::evaluate(cx, expr, frame)? {
            Out::Scalar(s) if self.over_time => {
                let points = frame.times().zip(s.values).collect();
                Value::Matrix(vec![RangeSeries {
                    points,
                    ..RangeSeries::default()
                }])
            }
            Out::Scalar(s) => {
                let value = s.values.first().copied().unwrap_or(f64::NAN);
                return Ok((Value::Scalar(value), Some(s.trace.finish())));
            }
            Out::Vector(grid) if self.over_time => Value::Matrix(matrix(grid, frame)?),
            Out::Vector(grid) => Value::Vector(vector(grid)?),
            Out::String(text) => Value::String(text),
        };
        Ok((value, None))
    }
}

fn vector(grid: Grid) -> Result<Vec<InstantSample>, Error> {
    let mut seen: RapidHashSet<Labels> = RapidHashSet::with_capacity_and_hasher(grid.len(), Default::default());
    let mut out = Vec::with_capacity(grid.len());
    let values: Vec<_> = (0..grid.len()).map(|i| grid.cell(i, 0)).collect();
    for (mut row, value) in grid.rows.into_iter().zip(values) {
        let value = match value {
            Some(Cell::Float(value)) => SampleValue::Float(value),
            Some(Cell::Histogram(histogram)) => SampleValue::Histogram(histogram),
            None => continue,
        };
        row.settle_name();
        if !seen.insert(row.labels.clone()) {
            return Err(Error::execution(SAME_LABELSET));
        }
        out.push(InstantSample {
            labels: row.labels,
            value,
            provenance: row.trace.finish(),
        });
    }
    Ok(out)
}

fn matrix(mut grid: Grid, frame: Frame) -> Result<Vec<RangeSeries>, Error> {
    grid.rows.iter_mut().for_each(Row::settle_name);
    let grid = grid.merge_equal()?;
    let mut out: Vec<RangeSeries> = Vec::with_capacity(grid.len());
    for (i, row) in grid.rows.iter().enumerate() {
        let (values, present) = grid.row(i);
        let mut points = Vec::with_capacity(present.iter().filter(|p| **p).count());
        let cells = frame.times().zip(values).zip(present);
        points.extend(cells.filter(|(_, present)| **present).map(|((t, v), _)| (t, *v)));
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
