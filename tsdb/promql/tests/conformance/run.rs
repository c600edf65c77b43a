//! Runs the commands of one file on the real head and the real engine.

use crate::compare;
use crate::fronted::Fronted;
use crate::histograms::{self, Written};
use crate::script::{Command, CommandKind, Eval, Load, Times};
use crate::series::{Point, SeriesLine};
use crate::starts::HeadWithStarts;
use leadline_model::clock::ManualClock;
use leadline_model::histogram::AnyHistogram;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, HistogramEntry, Slot};
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Timestamp};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::error::Error;
use leadline_promql::query::Query;
use leadline_promql::settings::Settings;
use leadline_promql::syntax::ast::{At, Expr, ExprKind};
use leadline_promql::syntax::{Features, parse_with};
use leadline_promql::value::{QueryResult, RangeSeries, SampleValue, Value};
use leadline_storage::Head;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What became of a file.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    /// Line, expression and what is wrong.
    pub(crate) failed: Vec<String>,
    /// The lines of those that failed.
    pub(crate) failed_lines: Vec<usize>,
    /// Evaluations that were not run.
    pub(crate) outside: usize,
    /// Aggregations that were answered from groups of the store.
    pub(crate) streamed: u64,
}

impl Report {
    /// Prints the counts of what was run, which has this name.
    pub(crate) fn print(&self, name: &str) {
        let Self { passed, outside, .. } = self;
        println!(
            "conformance: {name}: {passed} passed, {} failed, {outside} outside",
            self.failed.len()
        );
    }

    /// Adds what became of another file.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.outside += other.outside;
        self.streamed += other.streamed;
    }

    /// What is wrong, if anything failed or was left out.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.failed.is_empty() && self.outside == 0 {
            return None;
        }
        Some(format!("{}\n{} were not run", self.failed.join("\n"), self.outside))
    }
}

/// What upstream runs its scripts with, of what changes answers.
pub(crate) const UPSTREAM: Features = Features {
    start_timestamps: true,
    delayed_name_removal: true,
    ..Features::LANGUAGE
};

/// Runs every evaluation.
pub(crate) fn run(commands: &[Command]) -> Result<Report, String> {
    run_with(commands, UPSTREAM)
}

/// The same with other parts of the language. Where start times are not read, evaluations of series that have some are left
/// out.
pub(crate) fn run_with(commands: &[Command], features: Features) -> Result<Report, String> {
    let mut bench = Bench::new(features)?;
    let mut report = Report::default();
    let mut starts = false;
    for command in commands {
        match &command.kind {
            CommandKind::Clear => {
                report.streamed += bench.streamed.get();
                bench = Bench::new(features)?;
                starts = false;
            }
            CommandKind::Load(load) => {
                bench.load(load).map_err(|e| format!("line {}: {e}", command.line))?;
                starts |= !load.starts.is_empty();
            }
            CommandKind::Eval(_) if starts && !features.start_timestamps => report.outside += 1,
            CommandKind::Eval(eval) => match bench.eval(eval) {
                Ok(()) => report.passed += 1,
                Err(error) => {
                    report
                        .failed
                        .push(format!("line {}: {}: {error}", command.line, eval.expr));
                    report.failed_lines.push(command.line);
                }
            },
        }
    }
    report.streamed += bench.streamed.get();
    Ok(report)
}

/// The number that an expression has at a time (ms), with what a script loads, where its request says so of start times.
pub(crate) fn instant_with_starts(
    commands: &[Command],
    features: Features,
    (text, at): (&str, Timestamp),
    start_timestamps: Option<bool>,
) -> Result<f64, String> {
    let bench = Bench::new(features)?;
    for command in commands {
        if let CommandKind::Load(load) = &command.kind {
            bench.load(load)?;
        }
    }
    let query = Query::parse_with(text, features).map_err(|error| error.to_string())?;
    let options = Options {
        start_timestamps,
        ..Options::default()
    };
    let answer = bench.runtime.block_on(bench.engine.instant(&query, at, options));
    match answer.map(|result| result.value) {
        Ok(Value::Vector(samples)) => match samples.as_slice() {
            [one] => one.value.float().ok_or_else(|| format!("{text} is a histogram")),
            other => Err(format!("{text} has {} series", other.len())),
        },
        Ok(other) => Err(format!("{text} is {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// An empty store and an engine on it.
struct Bench {
    store: Arc<Head>,
    starts: Arc<HeadWithStarts>,
    engine: Arc<Engine>,
    runtime: Runtime,
    /// Aggregations that were answered from groups of the store.
    streamed: Cell<u64>,
}

impl Bench {
    fn new(features: Features) -> Result<Self, String> {
        // Scripts begin at time 0; nothing they load is too old or too far ahead.
        let settings = leadline_storage::Settings {
            retention_ms: i64::MAX / 4,
            ..leadline_storage::Settings::default()
        };
        let clock = Arc::new(ManualClock::at(i64::MAX / 8));
        let store = Head::new(settings, clock).map_err(|error| error.to_string())?;
        let settings = Settings {
            max_samples: 10_000,
            features,
            ..Settings::default()
        };
        let starts = HeadWithStarts::new(Arc::clone(&store));
        let engine = Engine::new(Arc::new(Fronted(Arc::clone(&starts))), settings);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self {
            store,
            starts,
            engine,
            runtime,
            streamed: Cell::new(0),
        })
    }

    fn load(&self, load: &Load) -> Result<(), String> {
        for (labels, offsets) in &load.starts {
            self.starts.note(labels, load.step_ms, offsets);
        }
        // Of lines with equal labels the last counts, as upstream.
        let last: HashMap<&Labels, &SeriesLine> = load.series.iter().map(|series| (&series.labels, series)).collect();
        let owner = self.store.new_owner();
        for series in last.values() {
            let points = series.values.iter().enumerate();
            let points: Vec<_> = points.filter_map(|(i, p)| Some((i, p.clone()?))).collect();
            self.append(owner, &series.labels, load.step_ms, &points)?;
        }
        if load.with_nhcb {
            let floats = |line: &SeriesLine| {
                let values = line.values.iter().enumerate();
                values
                    .filter_map(|(i, point)| Some((i, point.as_ref()?.float()?)))
                    .collect()
            };
            let classic = last.values().map(|line| (&line.labels, floats(line)));
            for (labels, samples) in histograms::from_classic(classic)? {
                let written = |histogram| {
                    Point::Histogram(Box::new(Written {
                        histogram,
                        hint_set: false,
                    }))
                };
                let points: Vec<_> = samples.into_iter().map(|(i, h)| (i, written(h))).collect();
                self.append(owner, &labels, load.step_ms, &points)?;
            }
        }
        Ok(())
    }

    /// Adds the samples of a series: those of one kind that follow each other in one commit.
    fn append(&self, owner: OwnerId, labels: &Labels, step_ms: i64, points: &[(usize, Point)]) -> Result<(), String> {
        for points in points.chunk_by(|a, b| a.1.float().is_some() == b.1.float().is_some()) {
            let series = Slot::New(0);
            let mut batch = Batch {
                owner,
                slot: 0,
                attempt: Attempt::Good,
                created: vec![labels.clone()],
                entries: vec![],
                extras: Extras::default(),
            };
            for (i, point) in points {
                let t = *i as i64 * step_ms;
                match point {
                    Point::Float(v) => batch.entries.push(Entry { series, t, v: *v }),
                    Point::Histogram(written) => batch.extras.histograms.push(HistogramEntry {
                        series,
                        t,
                        h: AnyHistogram::Float(Arc::new(written.histogram.clone())),
                    }),
                }
            }
            let outcome = self.store.commit(&batch).map_err(|error| error.to_string())?;
            if let Some((entry, why)) = outcome.refused.iter().chain(&outcome.refused_histograms).next() {
                return Err(format!("sample {entry} of {labels} was refused: {}", why.as_str()));
            }
        }
        Ok(())
    }

    fn eval(&self, eval: &Eval) -> Result<(), String> {
        match eval.times {
            Times::Range { start, end, step } => match self.range(&eval.expr, (start, end, step)) {
                Ok(result) => not_to_fail(eval).and_then(|()| compare::compare(eval, &result)),
                Err(error) => compare::failure(&eval.expect, &error),
            },
            Times::Instant(at) => {
                // The times of an expected range vector name the evaluation's time too.
                let at = eval.expect.range_vector.map_or(at, |(_, end, _)| end);
                self.instant(eval, &eval.expr, at)?;
                for (text, at) in step_invariant(&eval.expr, at, self.engine.settings().features) {
                    self.instant(eval, &text, at)
                        .map_err(|error| format!("as {text} at {at}: {error}"))?;
                }
                Ok(())
            }
        }
    }

    /// An instant evaluation, and the same in the middle of a range query.
    fn instant(&self, eval: &Eval, text: &str, at: Timestamp) -> Result<(), String> {
        let answer = Query::parse_with(text, self.engine.settings().features)
            .map_err(|error| error.to_string())
            .and_then(|query| {
                let answer = self
                    .runtime
                    .block_on(self.engine.instant(&query, at, Options::default()));
                self.counted(answer)
            });
        let result = match answer {
            Ok(result) => result,
            Err(error) => return compare::failure(&eval.expect, &error),
        };
        not_to_fail(eval)?;
        compare::compare(eval, &result)?;
        let only_instant = eval.expect.range_vector.is_some() || eval.expect.string.is_some();
        let about_the_range = ["start()", "end()", "range()", "step()"]
            .iter()
            .any(|call| text.contains(call));
        if only_instant || about_the_range {
            return Ok(());
        }
        self.in_range_mode(eval, text, at, &result)
            .map_err(|error| format!("in range mode: {error}"))
    }

    fn in_range_mode(&self, eval: &Eval, text: &str, at: Timestamp, instant: &QueryResult) -> Result<(), String> {
        let result = self.range(text, (at - 60_000, at + 60_000, 60_000))?;
        if eval.expect.ordered {
            return Ok(());
        }
        let Value::Matrix(series) = &result.value else {
            return Err(format!("got a {}", result.value.type_name()));
        };
        compare::sorted(series)?;
        let value_at = |s: &RangeSeries| {
            let float = s
                .points
                .iter()
                .find(|(t, _)| *t == at)
                .map(|(_, v)| SampleValue::Float(*v));
            let histogram = s.histograms.iter().find(|(t, _)| *t == at);
            float.or_else(|| histogram.map(|(_, h)| SampleValue::Histogram(Arc::clone(h))))
        };
        let middle: Vec<(Labels, SampleValue)> = series
            .iter()
            .filter_map(|s| Some((s.labels.clone(), value_at(s)?)))
            .collect();
        match (&instant.value, middle.first()) {
            (Value::Scalar(_), Some((_, SampleValue::Float(value)))) => compare::scalar(&eval.expect, *value),
            (Value::Scalar(_), _) => Err("a scalar has no value in the middle".to_owned()),
            _ => compare::vector(&eval.expect, &middle),
        }
    }

    fn range(&self, text: &str, times: (Timestamp, Timestamp, i64)) -> Result<QueryResult, String> {
        let query = Query::parse_with(text, self.engine.settings().features).map_err(|error| error.to_string())?;
        let answer = self
            .runtime
            .block_on(self.engine.range(&query, times, Options::default()));
        self.counted(answer)
    }

    /// The answer, of which is counted how it came about.
    fn counted(&self, answer: Result<QueryResult, Error>) -> Result<QueryResult, String> {
        let result = answer.map_err(|error| error.to_string())?;
        self.streamed.set(self.streamed.get() + result.stats.streamed);
        Ok(result)
    }
}

fn not_to_fail(eval: &Eval) -> Result<(), String> {
    match eval.expect.fail {
        Some(_) => Err("an error was expected".to_owned()),
        None => Ok(()),
    }
}

/// The expression with every selector pinned to `at` by `@`, and times at which it must answer the same. None when the
/// expression depends on the evaluation time itself.
fn step_invariant(text: &str, at: Timestamp, features: Features) -> Vec<(String, Timestamp)> {
    let Ok(mut expr) = parse_with(text, features) else {
        return Vec::new();
    };
    if pin(&mut expr, at) {
        return Vec::new();
    }
    let times = if at == 0 {
        vec![-1000, 0, 1000]
    } else {
        vec![-10 * at, 0, at / 5, at, 10 * at]
    };
    let pinned = expr.to_string();
    times.into_iter().map(|at| (pinned.clone(), at)).collect()
}

/// Functions whose value depends on the evaluation time although their arguments do not (upstream's
/// `AtModifierUnsafeFunctions`).
const UNSAFE: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
];

/// Sets `@ at` where no time is named; whether the value still depends on the evaluation time.
fn pin(expr: &mut Expr, at: Timestamp) -> bool {
    let nail = |place: &mut Option<At>| {
        if !matches!(place, Some(At::Time(_))) {
            *place = Some(At::Time(at));
        }
    };
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) | ExprKind::Bytes(_) => false,
        ExprKind::Selector(selector) | ExprKind::Matrix { selector, .. } => {
            nail(&mut selector.shift.at);
            false
        }
        ExprKind::Subquery(subquery) => {
            nail(&mut subquery.shift.at);
            false
        }
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => pin(inner, at),
        ExprKind::Binary(binary) => pin(&mut binary.left, at) | pin(&mut binary.right, at),
        ExprKind::Aggregate(aggregate) => {
            aggregate.param.as_mut().is_some_and(|param| pin(param, at)) | pin(&mut aggregate.expr, at)
        }
        ExprKind::Call(call) => {
            let own = UNSAFE.contains(&call.function.as_str());
            call.args.iter_mut().fold(own, |depends, arg| depends | pin(arg, at))
        }
    }
}
