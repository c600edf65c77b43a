//! Runs the commands of one file on the real head and the real engine.

use crate::compare;
use crate::script::{Command, CommandKind, Eval, Load, Times};
use crate::series::SeriesLine;
use crate::starts::HeadWithStarts;
use leadline_model::clock::ManualClock;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_model::{Labels, Timestamp};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::query::Query;
use leadline_promql::settings::Settings;
use leadline_promql::syntax::ast::{At, Expr, ExprKind};
use leadline_promql::syntax::{Features, parse};
use leadline_promql::value::{QueryResult, Value};
use leadline_storage::Head;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What became of a file.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) outside: usize,
    /// Evaluations outside that are answered rightly all the same, native histograms left out of the store.
    pub(crate) outside_right: usize,
    /// What the others outside answer; of no consequence.
    pub(crate) outside_wrong: Vec<String>,
    /// Line, expression and what is wrong.
    pub(crate) failed: Vec<String>,
}

/// Runs every evaluation that is `inside`.
pub(crate) fn run(commands: &[Command], inside: &[bool]) -> Result<Report, String> {
    let mut bench = Bench::new()?;
    let mut report = Report::default();
    for (command, &inside) in commands.iter().zip(inside) {
        match &command.kind {
            CommandKind::Clear => bench = Bench::new()?,
            CommandKind::Load(load) => bench.load(load).map_err(|e| format!("line {}: {e}", command.line))?,
            CommandKind::Eval(eval) => {
                let verdict = bench
                    .eval(eval)
                    .map_err(|e| format!("line {}: {}: {e}", command.line, eval.expr));
                report.note(inside, verdict, parse(&eval.expr).is_ok());
            }
        }
    }
    Ok(report)
}

impl Report {
    fn note(&mut self, inside: bool, verdict: Result<(), String>, parses: bool) {
        match (inside, verdict) {
            (true, Ok(())) => self.passed += 1,
            (true, Err(error)) => self.failed.push(error),
            (false, verdict) => {
                self.outside += 1;
                match verdict {
                    // An expected failure is no merit where the grammar is not even known.
                    Ok(()) if parses => self.outside_right += 1,
                    Ok(()) => {}
                    Err(error) => self.outside_wrong.push(error),
                }
            }
        }
    }
}

/// An empty store and an engine on it.
struct Bench {
    store: Arc<Head>,
    starts: Arc<HeadWithStarts>,
    engine: Arc<Engine>,
    runtime: Runtime,
}

impl Bench {
    fn new() -> Result<Self, String> {
        // Scripts begin at time 0; nothing they load is too old or too far ahead.
        let settings = leadline_storage::Settings {
            retention_ms: i64::MAX / 4,
            ..leadline_storage::Settings::default()
        };
        let clock = Arc::new(ManualClock::at(i64::MAX / 8));
        let store = Head::new(settings, clock).map_err(|error| error.to_string())?;
        let settings = Settings {
            max_samples: 10_000,
            features: Features {
                start_timestamps: true,
                ..Features::LANGUAGE
            },
            ..Settings::default()
        };
        let starts = HeadWithStarts::new(Arc::clone(&store));
        let engine = Engine::new(Arc::clone(&starts) as _, settings);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Self {
            store,
            starts,
            engine,
            runtime,
        })
    }

    fn load(&self, load: &Load) -> Result<(), String> {
        for (labels, offsets) in &load.starts {
            self.starts.note(labels, load.step_ms, offsets);
        }
        // Of lines with equal labels the last counts, as upstream.
        let last: HashMap<&Labels, &SeriesLine> = load.series.iter().map(|series| (&series.labels, series)).collect();
        let mut batch = Batch {
            owner: self.store.new_owner(),
            slot: 0,
            attempt: Attempt::Good,
            created: vec![],
            entries: vec![],
            extras: Extras::default(),
        };
        for (slot, series) in (0u32..).zip(last.into_values()) {
            batch.created.push(series.labels.clone());
            for (t, v) in (0i64..).map(|i| i * load.step_ms).zip(&series.values) {
                if let Some(v) = *v {
                    batch.entries.push(Entry {
                        series: Slot::New(slot),
                        t,
                        v,
                    });
                }
            }
        }
        let outcome = self.store.commit(&batch).map_err(|error| error.to_string())?;
        match outcome.refused.first() {
            Some((entry, why)) => Err(format!("sample {entry} was refused: {}", why.as_str())),
            None => Ok(()),
        }
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
                for (text, at) in step_invariant(&eval.expr, at) {
                    self.instant(eval, &text, at)
                        .map_err(|error| format!("as {text} at {at}: {error}"))?;
                }
                Ok(())
            }
        }
    }

    /// An instant evaluation, and the same in the middle of a range query.
    fn instant(&self, eval: &Eval, text: &str, at: Timestamp) -> Result<(), String> {
        let answer = Query::parse(text).map_err(|error| error.to_string()).and_then(|query| {
            let answer = self
                .runtime
                .block_on(self.engine.instant(&query, at, Options::default()));
            answer.map_err(|error| error.to_string())
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
        let middle: Vec<(Labels, f64)> = series
            .iter()
            .filter_map(|s| {
                s.points
                    .iter()
                    .find(|(t, _)| *t == at)
                    .map(|(_, v)| (s.labels.clone(), *v))
            })
            .collect();
        match (&instant.value, middle.first()) {
            (Value::Scalar(_), Some((_, value))) => compare::scalar(&eval.expect, *value),
            (Value::Scalar(_), None) => Err("a scalar has no value in the middle".to_owned()),
            _ => compare::vector(&eval.expect, &middle),
        }
    }

    fn range(&self, text: &str, times: (Timestamp, Timestamp, i64)) -> Result<QueryResult, String> {
        let query = Query::parse(text).map_err(|error| error.to_string())?;
        let answer = self
            .runtime
            .block_on(self.engine.range(&query, times, Options::default()));
        answer.map_err(|error| error.to_string())
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
fn step_invariant(text: &str, at: Timestamp) -> Vec<(String, Timestamp)> {
    let Ok(mut expr) = parse(text) else {
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
