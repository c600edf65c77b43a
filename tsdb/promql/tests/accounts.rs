//! What is told of a query beside its value: the samples it consumed, and how it ended.

mod support;

use leadline_model::port::{Generation, QueryError, Queryable, SeriesSet};
use leadline_model::{Labels, Matcher, Timestamp};
use leadline_promql::engine::{Engine, Options, Watchers};
use leadline_promql::log::{Ended, Origin, QueryLog};
use leadline_promql::settings::Settings;
use leadline_promql::stats::{Counting, QueryStats};
use leadline_promql::syntax::Features;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use support::MemoryStore;

/// Six series of a sample every 15 s from 15 s to 600 s.
fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for pod in ["pod-0", "pod-1", "pod-2"] {
        for code in ["200", "500"] {
            let series = Labels::from_pairs([("__name__", "m"), ("pod", pod), ("code", code)]);
            store.add(1, &series, (1..=40).map(|i| (i * 15_000, i as f64 * 15.0)));
        }
    }
    store
}

fn settings() -> Settings {
    Settings {
        features: Features::LANGUAGE,
        ..Settings::default()
    }
}

fn counting(counting: Counting) -> Options {
    Options {
        counting,
        ..Options::default()
    }
}

/// An expression; total and read samples and series at 300 s; total and read samples of each step from 60 s to 240 s, 45 s
/// apart, and the series, where it has such a value.
type Case = (&'static str, (u64, u64, u64), Option<([u64; 5], [u64; 5], u64)>);

/// As Prometheus 3.16 counts them with `promql-per-step-stats` on the same data.
const CASES: &[Case] = &[
    ("m{pod=\"pod-1\"}", (2, 2, 2), Some(([2; 5], [2; 5], 2))),
    ("m{pod=\"pod-1\"} offset 30s", (2, 2, 2), Some(([2; 5], [2; 5], 2))),
    ("m @ 100", (6, 6, 6), Some(([6; 5], [6, 0, 0, 0, 0], 6))),
    ("sum(m) + sum(m)", (12, 12, 12), Some(([12; 5], [12; 5], 12))),
    ("timestamp(m)", (6, 6, 6), Some(([6; 5], [6; 5], 6))),
    ("vector(1)", (0, 0, 0), Some(([0; 5], [0; 5], 0))),
    ("rate(m[1m])", (24, 24, 6), Some(([24; 5], [24, 18, 18, 18, 18], 6))),
    (
        "rate(m[1m] offset 1m)",
        (24, 24, 6),
        Some(([0, 18, 24, 24, 24], [0, 18, 18, 18, 18], 6)),
    ),
    ("rate(m[1m] @ 200)", (24, 24, 6), Some(([24; 5], [24, 0, 0, 0, 0], 6))),
    (
        "rate(m[1m]) + rate(m[1m] @ 200)",
        (48, 48, 12),
        Some(([48; 5], [48, 18, 18, 18, 18], 12)),
    ),
    (
        "sum_over_time(m[2m:30s])",
        (24, 24, 6),
        Some(([12, 18, 24, 24, 24], [12, 6, 12, 6, 12], 6)),
    ),
    (
        "sum_over_time(rate(m[1m])[2m:30s])",
        (96, 60, 6),
        Some(([36, 60, 96, 96, 96], [24, 12, 24, 12, 24], 6)),
    ),
    (
        "max_over_time(m[1m:10s] @ 120)",
        (36, 36, 6),
        Some(([36; 5], [36, 0, 0, 0, 0], 6)),
    ),
    (
        "sum_over_time(sum_over_time(m[1m:30s])[2m:1m])",
        (24, 24, 6),
        Some(([12, 12, 24, 24, 24], [12, 0, 12, 12, 12], 6)),
    ),
    ("sum_over_time(m[20s:10s])", (12, 12, 6), Some(([12; 5], [12; 5], 6))),
    ("absent_over_time(m[30s])", (12, 12, 6), Some(([12; 5], [12; 5], 6))),
    (
        "rate(m[1m] anchored)",
        (120, 120, 6),
        Some(([24, 42, 60, 78, 96], [24, 18, 18, 18, 18], 6)),
    ),
    (
        "rate(m[1m] smoothed)",
        (240, 240, 6),
        Some(([144, 162, 180, 198, 216], [144, 18, 18, 18, 18], 6)),
    ),
    ("m smoothed", (0, 0, 6), Some(([0; 5], [0; 5], 6))),
    (
        "sum_over_time((m @ 100)[1m:30s])",
        (12, 6, 6),
        Some(([12; 5], [6, 0, 0, 0, 0], 6)),
    ),
    (
        "predict_linear(m[1m] @ 100, 10)",
        (24, 24, 6),
        Some(([24; 5], [24, 0, 0, 0, 0], 6)),
    ),
    (
        "max_over_time(m[1m:10s] offset 25s)",
        (36, 36, 6),
        Some(([12, 36, 36, 36, 36], [12, 30, 24, 30, 24], 6)),
    ),
    ("m[1m]", (24, 24, 6), None),
    ("m[1m:15s]", (24, 24, 6), None),
    ("m[1m] offset 10s", (24, 24, 6), None),
    ("m[1m:15s] @ 100", (24, 24, 6), None),
    ("topk(1, m)", (6, 6, 6), Some(([6; 5], [6; 5], 6))),
    ("info(m)", (6, 6, 6), Some(([6; 5], [6; 5], 6))),
];

#[tokio::test]
async fn consumed_samples_are_counted_as_prometheus_counts_them() {
    let engine = Engine::new(store(), settings());
    let mut wrong = Vec::new();
    for (text, at_once, steps) in CASES {
        let query = engine.parse(text).unwrap();
        let sums = |stats: &QueryStats| {
            let consumed = stats.consumed.as_ref().unwrap();
            (consumed.total, consumed.read, stats.series_read)
        };
        let result = engine.instant(&query, 300_000, counting(Counting::Sums)).await.unwrap();
        if sums(&result.stats) != *at_once {
            wrong.push(format!("{text}: {:?} for {at_once:?}", sums(&result.stats)));
        }
        assert!(result.stats.consumed.unwrap().steps.is_empty(), "{text}");
        let Some((total, read, series)) = steps else { continue };
        let times = (60_000, 240_000, 45_000);
        let result = engine.range(&query, times, counting(Counting::Steps)).await.unwrap();
        let expected = (total.iter().sum(), read.iter().sum(), *series);
        let told = result.stats.consumed.as_ref().unwrap().steps.iter();
        let told: Vec<_> = told.map(|step| (step.t, step.total, step.read)).collect();
        let each: Vec<_> = (0..5)
            .map(|i| (60_000 + i as i64 * 45_000, total[i], read[i]))
            .collect();
        if (sums(&result.stats), &told) != (expected, &each) {
            wrong.push(format!(
                "{text}: {:?} {told:?} for {expected:?} {each:?}",
                sums(&result.stats)
            ));
        }
        let uncounted = engine.range(&query, times, Options::default()).await.unwrap();
        assert_eq!(uncounted.stats.consumed, None, "{text}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A store whose selections wait until they are let through.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    selections: AtomicUsize,
    inner: Arc<MemoryStore>,
}

impl Gate {
    fn let_through(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

impl Queryable for Gate {
    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.selections.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
        self.inner.select(matchers, mint, maxt, sorted)
    }

    fn label_names(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    fn generation(&self) -> Generation {
        Generation(1)
    }
}

/// Keeps a line of what it is told.
#[derive(Default)]
struct Lines {
    off: AtomicBool,
    lines: Mutex<Vec<String>>,
}

impl QueryLog for Lines {
    fn is_on(&self) -> bool {
        !self.off.load(Ordering::Relaxed)
    }

    fn ended(&self, ended: &Ended<'_>) {
        let Ended {
            query,
            start,
            end,
            step_ms,
            stats,
            ..
        } = ended;
        let read = stats.consumed.as_ref().map(|consumed| consumed.read);
        let error = ended.error.map(ToString::to_string).unwrap_or_default();
        let line = format!("{query} {start}-{end}/{step_ms} {read:?} {error}");
        self.lines.lock().push(line.trim_end().to_owned());
    }
}

impl Lines {
    /// Waits for so many lines: one whose query was given up comes late.
    async fn until(&self, count: usize) -> Vec<String> {
        let told = async {
            while self.lines.lock().len() < count {
                tokio::task::yield_now().await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), told).await;
        assert!(told.is_ok(), "{count} lines, and not {:#?}", self.lines.lock());
        self.lines.lock().clone()
    }
}

fn asked() -> Options {
    Options {
        origin: Some(Origin::Http {
            client: None,
            method: "GET",
            path: "/",
        }),
        ..Options::default()
    }
}

#[tokio::test]
async fn each_query_with_an_origin_is_told_once_however_it_ends() {
    let lines = Arc::new(Lines::default());
    let gate = Arc::new(Gate {
        inner: store(),
        ..Gate::default()
    });
    let settings = Settings {
        max_concurrency: 1,
        max_waiting: 1,
        ..settings()
    };
    let watchers = Watchers {
        log: Some(lines.clone()),
        ..Watchers::default()
    };
    let engine = Engine::watched(gate.clone(), settings, watchers);
    let parse = |text: &str| engine.parse(text).unwrap();
    let m = parse("m");
    // It has its turn when it is given up, and keeps it until it has noticed: long before its end.
    let long = parse(&["m"; 200].join(" + "));
    let given_up = {
        let (engine, long) = (Arc::clone(&engine), long.clone());
        tokio::spawn(async move { engine.instant(&long, 3, asked()).await })
    };
    while gate.selections.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    given_up.abort();
    assert!(given_up.await.is_err_and(|error| error.is_cancelled()));
    {
        // Polled once it is in the queue, where it is given up.
        let query = parse("m + 1");
        let mut waiting = std::pin::pin!(engine.instant(&query, 1, asked()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    // Its time is over in the queue.
    let short = Options {
        timeout: Some(leadline_model::duration::Duration::from_millis(1)),
        ..asked()
    };
    assert!(engine.instant(&parse("m + 2"), 2, short).await.is_err());
    gate.let_through();
    assert!(
        engine
            .range(&parse("m"), (60_000, 240_999, 45_000), asked())
            .await
            .is_ok()
    );
    assert!(
        engine
            .instant(&parse("m * on (pod) m"), 300_000, asked())
            .await
            .is_err()
    );
    // The second run of a cheap query is where it was asked.
    for _ in 0..2 {
        assert!(engine.instant(&m, 300_000, asked()).await.is_ok());
    }
    assert!(
        engine.instant(&m, 300_000, Options::default()).await.is_ok(),
        "without an origin"
    );
    lines.off.store(true, Ordering::Relaxed);
    assert!(engine.instant(&m, 300_000, asked()).await.is_ok(), "while it is off");
    let told = lines.until(7).await;
    let (canceled, many, rest) = (&told[2], &told[4], [&told[..2], &told[3..4], &told[5..]].concat());
    assert_eq!(
        rest,
        [
            "m + 1 1-1/0 None query was canceled in query queue",
            "m + 2 2-2/0 None query timed out in query queue",
            "m 60000-240999/45000 Some(30)",
            "m 300000-300000/0 Some(6)",
            "m 300000-300000/0 Some(6)",
        ]
    );
    assert!(
        canceled.starts_with(long.text())
            && canceled.ends_with(" 3-3/0 Some(0) query was canceled in expression evaluation"),
        "{canceled}"
    );
    assert!(
        many.starts_with("m * on (pod) m 300000-300000/0 Some(12) found duplicate series"),
        "{many}"
    );
}
