//! The engine as others use it: plans and provenance behind the port, limits, requests that make no sense.

#[path = "support/fronted.rs"]
mod fronted;
mod support;

use fronted::{Front, Fronted};

use leadline_model::port::{
    ActiveQueries, Evaluate, EvaluateError, Generation, QueryError, Queryable, SeriesSet, Shape,
};
use leadline_model::provenance::Provenance;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Matcher, STALE_NAN, Timestamp};
use leadline_promql::engine::{Engine, Options, Watchers};
use leadline_promql::error::Error;
use leadline_promql::settings::Settings;
use leadline_promql::value::Value;
use parking_lot::{Condvar, Mutex};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::MemoryStore;

fn labels(text: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(text.iter().copied())
}

/// Ten pods of two series each, one sample every 15 s from 15 s on; owner = pod.
fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for pod in 0..10u32 {
        for code in ["200", "500"] {
            let name = format!("pod-{pod}");
            let series = labels(&[("__name__", "http_requests_total"), ("pod", &name), ("code", code)]);
            store.add(pod, &series, (1..=40).map(|i| (i * 15_000, i as f64 * 15.0)));
        }
    }
    store
}

fn engine(settings: Settings) -> Arc<Engine> {
    Engine::new(store(), settings)
}

async fn instant(engine: &Engine, text: &str, at: Timestamp) -> Result<Value, Error> {
    engine
        .instant(&engine.parse(text)?, at, Options::default())
        .await
        .map(|r| r.value)
}

#[tokio::test]
async fn a_plan_tells_what_it_reads_and_its_values_where_they_come_from() {
    let engine = engine(Settings::default());
    let plan = engine
        .prepare("sum  by(pod)(rate(http_requests_total[1m]))", &[])
        .unwrap();
    assert_eq!(
        (plan.text.as_str(), plan.shape),
        ("sum by (pod) (rate(http_requests_total[1m]))", Shape::Vector)
    );
    assert_eq!(
        (plan.selectors.len(), plan.selectors[0].window_ms, plan.moves_with_time),
        (1, 60_000, true)
    );
    let evaluation = engine.evaluate(&plan, 600_000).await.unwrap();
    assert_eq!(
        (evaluation.generation, evaluation.at, evaluation.values.len()),
        (Generation(7), 600_000, 10)
    );
    let wanted = labels(&[("pod", "pod-3")]);
    let value = evaluation.values.iter().find(|v| v.labels == wanted).unwrap();
    assert!((value.value - 2.0).abs() < 1e-9, "{}", value.value);
    let provenance = Provenance {
        oldest: 555_000,
        stalest: 600_000,
        series: 2,
        owners: vec![OwnerId(3)],
    };
    assert_eq!(value.provenance, provenance);
}

#[tokio::test]
async fn provenance_follows_values_through_every_kind_of_node() {
    let store = store();
    let late = labels(&[("__name__", "limit"), ("pod", "pod-1")]);
    store.add(77, &late, [(300_000, 4.0)]);
    let engine = Engine::new(store, Settings::default());
    for (text, oldest, stalest, series, owners) in [
        (
            "scalar(sum(http_requests_total{pod=\"pod-1\"}))",
            600_000,
            600_000,
            2,
            vec![1],
        ),
        (
            "sum(http_requests_total{pod=\"pod-1\"}) / on() limit",
            300_001,
            300_000,
            3,
            vec![1, 77],
        ),
        (
            "limit * 2 and on (pod) http_requests_total",
            300_000,
            300_000,
            3,
            vec![1, 77],
        ),
        ("limit unless on (pod) up", 300_000, 300_000, 1, vec![77]),
        ("limit or up", 300_000, 300_000, 1, vec![77]),
        ("topk(1, limit)", 300_000, 300_000, 1, vec![77]),
        ("max_over_time(sum(limit)[2m:1m])", 300_000, 300_000, 1, vec![77]),
        (
            "quantile(0.5, limit) > scalar(limit) - 1",
            300_000,
            300_000,
            2,
            vec![77],
        ),
        ("vector(scalar(limit))", 300_000, 300_000, 1, vec![77]),
        ("time()", Timestamp::MAX, Timestamp::MAX, 0, vec![]),
    ] {
        let plan = engine.prepare(text, &[]).unwrap();
        let evaluation = engine.evaluate(&plan, 600_000 - 1).await.unwrap();
        let [value] = evaluation.values.as_slice() else {
            panic!("{text}: {:?}", evaluation.values)
        };
        // At 599.999 s the newest sample of the counters is that of 585 s.
        let oldest = if oldest == 600_000 {
            585_000
        } else if oldest == 300_001 {
            300_000
        } else {
            oldest
        };
        let stalest = if stalest == 600_000 { 585_000 } else { stalest };
        let owners = owners.into_iter().map(OwnerId).collect();
        assert_eq!(
            value.provenance,
            Provenance {
                oldest,
                stalest,
                series,
                owners
            },
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_injected_matcher_reaches_every_selector_and_no_text() {
    let engine = engine(Settings::default());
    let inject = [Matcher::equal("pod", "pod-2")];
    let plan = engine
        .prepare("sum(http_requests_total) + sum(rate(http_requests_total[1m]))", &inject)
        .unwrap();
    assert!(
        plan.selectors.iter().all(|s| s.matchers.contains(&inject[0])),
        "{:?}",
        plan.selectors
    );
    let evaluation = engine.evaluate(&plan, 600_000).await.unwrap();
    assert_eq!(evaluation.values[0].provenance.owners, [OwnerId(2)]);
    assert_ne!(plan.text, engine.prepare("sum(http_requests_total)", &[]).unwrap().text);
}

#[tokio::test]
async fn plans_that_read_different_series_have_different_texts() {
    let settings = Settings {
        features: leadline_promql::syntax::Features::LANGUAGE,
        ..Settings::default()
    };
    let engine = engine(settings);
    let text = r#"info(label_replace(vector(1), "job", "api", "", ""))"#;
    let of = |pod: &str| engine.prepare(text, &[Matcher::equal("pod", pod)]).unwrap();
    assert_eq!(of("a").text, of("a").text);
    assert_ne!(of("a").text, of("b").text);
    assert_ne!(of("a").text, engine.prepare(text, &[]).unwrap().text);
}

#[tokio::test]
async fn label_values_that_grow_without_bound_are_refused() {
    let engine = engine(Settings::default());
    let grow = |inner: &str, from: &str| {
        format!(
            r#"label_replace({inner}, "a", "{}", "{from}", "(.+)")"#,
            "$1".repeat(1_000)
        )
    };
    let (one, joined) = (grow("http_requests_total", "pod"), vec![r#""a""#; 1_000].join(","));
    assert!(instant(&engine, &one, 600_000).await.is_ok());
    for query in [grow(&one, "a"), format!(r#"label_join({one}, "b", ",", {joined})"#)] {
        let error = instant(&engine, &query, 600_000).await.unwrap_err().to_string();
        assert!(error.contains("bytes, at most 1048576 are allowed"), "{error}");
    }
    // Three of them are more than one label set may have, though no value is.
    let long = format!(r#"label_join({one}, "a", "", {})"#, vec![r#""a""#; 100].join(","));
    let copy = |inner: &str, to: &str| format!(r#"label_join({inner}, "{to}", "", "a")"#);
    assert!(instant(&engine, &copy(&long, "b"), 600_000).await.is_ok());
    let error = instant(&engine, &copy(&copy(&long, "b"), "c"), 600_000)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("bytes, at most 1048576 are allowed"),
        "{error}"
    );
    // And many of them more than the samples of a query.
    let few = Settings {
        max_samples: 100_000,
        ..Settings::default()
    };
    let error = instant(&Engine::new(store(), few), &long, 600_000).await.unwrap_err();
    assert!(matches!(error, Error::TooManySamples(_)), "{error}");
}

#[tokio::test]
async fn label_sets_count_as_samples_for_as_long_as_they_live() {
    // 100,000 samples are labels of 1.6 MB.
    let engine = engine(Settings {
        max_samples: 100_000,
        features: leadline_promql::syntax::Features::LANGUAGE,
        ..Settings::default()
    });
    let x = |n: usize| "x".repeat(n);
    let labelled = |bytes: usize| format!(r#"label_replace(http_requests_total, "big", "{}", "", "")"#, x(bytes));
    let joined = |to: &str| format!(r#"label_join({}, "{to}", "", "big")"#, labelled(10_000));
    let (once, many) = (
        labelled(50_000),
        [0, 1, 2, 3].map(|to| joined(&format!("to{to}"))).join(" or "),
    );
    let bucket = format!(r#"label_replace({}, "le", "$1", "code", "(.*)")"#, labelled(20_000));
    let copied = |bytes: usize| {
        let one = format!(r#"label_replace(vector(1), "big", "{}", "", "")"#, x(bytes));
        format!("http_requests_total * on () group_left (big) {one}")
    };
    let values = |by: &str| {
        format!(
            r#"sum by ({by}) (count_values without () ("value", {}))"#,
            labelled(3_000)
        )
    };
    for (query, fits) in [
        (once.clone(), true),
        (format!("{once} or vector(1)"), true),
        (format!("{once} or -{once}"), false),
        (joined("to"), true),
        (many, false),
        (copied(10_000), true),
        (copied(100_000), false),
        (format!(r#"histogram_quantiles({bucket}, "q", 0.5, 0.9)"#), true),
        (
            format!(
                r#"histogram_quantiles({bucket}, "q", {})"#,
                "0.5, 0.6, 0.7, 0.8, 0.9, ".repeat(2).trim_end_matches(", ")
            ),
            false,
        ),
        (values("pod"), false),
        (values("pod").replace(&x(3_000), "short"), true),
    ] {
        // 30 values of each series.
        let query = engine.parse(&query).unwrap();
        let result = engine
            .range(&query, (150_000, 600_000, 15_000), Options::default())
            .await;
        let refused = matches!(result, Err(Error::TooManySamples(_)));
        let text = query.text().replace(&"x".repeat(100), "");
        assert_eq!((result.is_ok(), refused), (fits, !fits), "{text}: {:?}", result.err());
    }
}

#[tokio::test]
async fn a_quantile_that_moves_takes_room_for_the_values_that_there_are() {
    // Thirty histograms, one after the other, each there at one step.
    let store = MemoryStore::new();
    for pod in 0..30_u32 {
        for (le, count) in [("1", 1.0), ("+Inf", 2.0)] {
            let series = labels(&[("__name__", "b"), ("pod", &pod.to_string()), ("le", le)]);
            store.add(pod, &series, [(i64::from(pod) * 600_000, count)]);
        }
    }
    let settings = Settings {
        // A row of every histogram for each of the thirty quantiles were 27,000.
        max_samples: 10_000,
        features: leadline_promql::syntax::Features::LANGUAGE,
        ..Settings::default()
    };
    let engine = Engine::new(store, settings);
    let query = engine.parse(r#"histogram_quantiles(b, "q", time() / 1e6)"#).unwrap();
    let result = engine
        .range(&query, (0, 29 * 600_000, 600_000), Options::default())
        .await;
    let Value::Matrix(matrix) = result.unwrap().value else {
        panic!("no matrix");
    };
    assert_eq!(matrix.len(), 30);
}

#[tokio::test]
async fn what_cannot_be_prepared_points_at_its_place() {
    let engine = engine(Settings::default());
    for (text, line, column) in [("sum(", 1, 5), ("1 +\n  rate(up)", 2, 8), ("info(up)", 1, 1)] {
        let error = engine.prepare(text, &[]).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    }
    let plan = engine.prepare("http_requests_total[1m]", &[]).unwrap();
    let error = engine.evaluate(&plan, 0).await.unwrap_err().to_string();
    assert!(error.contains("range vector"), "{error}");
}

#[tokio::test]
async fn more_samples_than_allowed_are_refused_in_prometheus_words() {
    let settings = Settings {
        max_samples: 100,
        ..Settings::default()
    };
    let engine = engine(settings);
    // 20 series with 4 samples each fit: what was decoded is not held.
    assert!(
        instant(&engine, "sum(rate(http_requests_total[1m]))", 600_000)
            .await
            .is_ok()
    );
    let text = "query processing would load too many samples into memory in query execution";
    for query in [
        "http_requests_total[10m]",
        "sum_over_time(http_requests_total[10m:15s])",
        "vector(0)[2000s:1s]",
    ] {
        assert_eq!(
            instant(&engine, query, 600_000).await.unwrap_err().to_string(),
            text,
            "{query}"
        );
    }
    for query in [
        "1",
        "http_requests_total",
        "rate(http_requests_total[1m])",
        "time() + 1",
    ] {
        let query = engine.parse(query).unwrap();
        let error = engine
            .range(&query, (0, i64::MAX, 1), Options::default())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), text, "{}", query.text());
    }
    let plan = engine
        .prepare("sum(sum_over_time(http_requests_total[10m:15s]))", &[])
        .unwrap();
    let error = engine.evaluate(&plan, 600_000).await.unwrap_err();
    assert!(
        matches!(&error, EvaluateError::TooManySamples(_)) && error.to_string() == text,
        "{error}"
    );
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let engine = engine(Settings::default());
    for (text, times, expected) in [
        ("1", (0, 10, 0), "the step of a range query must be greater than 0"),
        ("1", (10, 0, 1), "end timestamp must not be before start time"),
        (
            "up[1m]",
            (0, 1, 1),
            "invalid expression type \"range vector\" for range query",
        ),
        ("\"a\"", (0, 1, 1), "invalid expression type \"string\" for range query"),
    ] {
        let query = engine.parse(text).unwrap();
        let error = engine.range(&query, times, Options::default()).await.unwrap_err();
        assert!(
            matches!(error, Error::BadRequest(_)) && error.to_string().starts_with(expected),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_query_out_of_time_is_stopped() {
    let engine = engine(Settings::default());
    let query = engine.parse("sum(http_requests_total)").unwrap();
    let timeout = Some(leadline_model::duration::Duration::from_millis(0));
    let error = engine
        .instant(
            &query,
            600_000,
            Options {
                timeout,
                ..Options::default()
            },
        )
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "query timed out in expression evaluation");
}

#[tokio::test]
async fn the_lookback_of_a_request_counts() {
    let engine = engine(Settings::default());
    let query = engine.parse("count(http_requests_total)").unwrap();
    for (lookback_ms, there) in [(None, true), (Some(60_000), false), (Some(60_001), true)] {
        let options = Options {
            lookback_ms,
            ..Options::default()
        };
        let result = engine.instant(&query, 660_000, options).await.unwrap();
        let Value::Vector(v) = result.value else {
            panic!("{:?}", result.value)
        };
        assert_eq!(!v.is_empty(), there, "{lookback_ms:?}");
    }
}

#[tokio::test]
async fn a_stale_marker_hides_the_series_at_once_and_is_not_in_ranges() {
    let store = MemoryStore::new();
    let series = labels(&[("__name__", "up"), ("pod", "a")]);
    store.add(1, &series, [(1_000, 1.0), (2_000, 2.0), (3_000, STALE_NAN)]);
    let engine = Engine::new(store, Settings::default());
    for (text, at, expected) in [
        ("up", 2_999, Some(2.0)),
        ("up", 3_000, None),
        ("count_over_time(up[1m])", 3_000, Some(2.0)),
        ("last_over_time(up[1m])", 60_000, Some(2.0)),
        ("absent(up)", 3_000, Some(1.0)),
    ] {
        let Value::Vector(v) = instant(&engine, text, at).await.unwrap() else {
            panic!("{text}")
        };
        assert_eq!(v.first().and_then(|s| s.value.float()), expected, "{text} at {at}");
    }
}

/// A store whose selections wait until they are let through, and tell on which thread they came.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    threads: Mutex<Vec<std::thread::ThreadId>>,
    /// How many series an index would tell.
    bound: Option<usize>,
    inner: MemoryStore,
}

impl Gate {
    fn let_through(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }

    async fn wait_for_selections(&self, count: usize) {
        while self.threads.lock().len() < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Front for Arc<Gate> {
    fn store(&self) -> &dyn Queryable {
        &self.inner
    }

    fn at_most(&self) -> Option<usize> {
        self.bound
    }

    fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.threads.lock().push(std::thread::current().id());
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
        self.inner.select(matchers, mint, maxt, sorted)
    }
}

fn behind(gate: &Arc<Gate>, settings: Settings) -> Arc<Engine> {
    Engine::new(Arc::new(Fronted(Arc::clone(gate))), settings)
}

#[tokio::test]
async fn queries_wait_for_their_turn_and_the_queue_is_bounded() {
    let gate = Arc::new(Gate::default());
    let settings = Settings {
        max_concurrency: 1,
        max_waiting: 1,
        ..Settings::default()
    };
    let engine = behind(&gate, settings);
    let query = engine.parse("up").unwrap();
    let first = {
        let (engine, query) = (Arc::clone(&engine), query.clone());
        tokio::spawn(async move { engine.instant(&query, 0, Options::default()).await })
    };
    gate.wait_for_selections(1).await;
    let timeout = Some(leadline_model::duration::Duration::from_millis(1));
    let error = engine
        .instant(
            &query,
            0,
            Options {
                timeout,
                ..Options::default()
            },
        )
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "query timed out in query queue");
    // Polled once, the second is in the queue.
    let mut second = std::pin::pin!(engine.instant(&query, 0, Options::default()));
    let waker = std::task::Waker::noop();
    assert!(
        second
            .as_mut()
            .poll(&mut std::task::Context::from_waker(waker))
            .is_pending()
    );
    let third = engine.instant(&query, 0, Options::default()).await.unwrap_err();
    assert!(matches!(third, Error::Overloaded), "{third}");
    assert_eq!(gate.threads.lock().len(), 1);
    gate.let_through();
    assert!(first.await.unwrap().is_ok() && second.await.is_ok());
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_gives_its_turn_back() {
    let gate = Arc::new(Gate::default());
    let settings = Settings {
        max_concurrency: 1,
        ..Settings::default()
    };
    let engine = behind(&gate, settings);
    let query = engine.parse("up").unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(1), engine.instant(&query, 0, Options::default())).await;
    assert!(dropped.is_err());
    gate.let_through();
    assert!(engine.instant(&query, 0, Options::default()).await.is_ok());
}

#[tokio::test]
async fn a_query_that_was_cheap_runs_on_the_callers_thread() {
    let gate = Arc::new(Gate::default());
    gate.let_through();
    let engine = behind(&gate, Settings::default());
    let query = engine.parse("up").unwrap();
    let here = std::thread::current().id();
    engine.instant(&query, 0, Options::default()).await.unwrap();
    assert_ne!(gate.threads.lock()[0], here, "the first run is of unknown cost");
    // A busy machine may make single runs look dear.
    loop {
        engine.instant(&query, 0, Options::default()).await.unwrap();
        if gate.threads.lock().last() == Some(&here) {
            break;
        }
    }
}

/// Sends a text at a time (ms), as who keeps no query does; whether it ran on this thread.
async fn ran_here(gate: &Gate, engine: &Engine, at: Timestamp) -> bool {
    assert!(instant(engine, "sum(up)", at).await.is_ok());
    gate.threads.lock().last() == Some(&std::thread::current().id())
}

#[tokio::test]
async fn a_text_that_was_cheap_runs_on_the_callers_thread_when_it_is_sent_again_for_about_that_time() {
    for bound in [None, Some(5_000)] {
        let gate = Arc::new(Gate {
            bound,
            ..Gate::default()
        });
        gate.let_through();
        let engine = behind(&gate, Settings::default());
        assert!(!ran_here(&gate, &engine, 0).await, "the first run is of unknown cost");
        // A busy machine may make single runs look dear.
        while !ran_here(&gate, &engine, 600_000).await {}
        // There may be more to read then.
        assert!(!ran_here(&gate, &engine, 1_200_001).await, "{bound:?}");
        let counts = engine.counts();
        let (asked, kept) = (
            counts.asked.load(Ordering::Relaxed),
            counts.kept.load(Ordering::Relaxed),
        );
        assert!(asked >= 3 && kept == asked - 1, "{asked} {kept}");
    }
}

#[tokio::test]
async fn that_a_query_was_cheap_is_not_trusted_where_the_index_tells_of_many_series() {
    let gate = Arc::new(Gate {
        bound: Some(20_000),
        ..Gate::default()
    });
    gate.let_through();
    let engine = behind(&gate, Settings::default());
    for _ in 0..20 {
        assert!(!ran_here(&gate, &engine, 0).await);
    }
}

#[tokio::test]
async fn a_query_that_the_index_bounds_to_little_runs_on_the_callers_thread_at_once() {
    for (bound, at_once) in [(Some(3), true), (Some(100_000), false), (None, false)] {
        let gate = Arc::new(Gate {
            bound,
            ..Gate::default()
        });
        gate.let_through();
        let engine = behind(&gate, Settings::default());
        let query = engine.parse("sum(up)").unwrap();
        engine.instant(&query, 0, Options::default()).await.unwrap();
        let times = (0, 60_000, 30_000);
        engine.range(&query, times, Options::default()).await.unwrap();
        let here = std::thread::current().id();
        let ran: Vec<_> = gate.threads.lock().iter().map(|thread| *thread == here).collect();
        // The instant query is known when the range is asked, which says nothing of the range.
        assert_eq!(ran, [at_once, at_once], "{bound:?}");
    }
}

/// Notes queries and how they end.
#[derive(Default)]
struct Notes {
    began: Mutex<Vec<String>>,
    ended: Mutex<Vec<u32>>,
}

impl ActiveQueries for Notes {
    fn begin(&self, query: &str) -> Option<u32> {
        let mut began = self.began.lock();
        began.push(query.to_owned());
        (query != "-up").then_some(began.len() as u32)
    }

    fn end(&self, place: u32) {
        self.ended.lock().push(place);
    }
}

#[tokio::test]
async fn running_queries_are_noted_until_they_end() {
    let notes = Arc::new(Notes::default());
    let watchers = Watchers {
        active: Some(notes.clone()),
        ..Watchers::default()
    };
    let engine = Engine::watched(store(), Settings::default(), watchers);
    for text in [
        "up",
        "-up",
        "sum(up)",
        "http_requests_total / on (pod) http_requests_total",
    ] {
        let query = engine.parse(text).unwrap();
        let result = engine.range(&query, (0, 60_000, 30_000), Options::default()).await;
        assert_eq!(result.is_err(), text.contains(" / "), "{text}");
    }
    assert_eq!(notes.began.lock().len(), 4);
    assert_eq!(
        *notes.ended.lock(),
        [1, 3, 4],
        "also those that fail, and none that had no place"
    );
}

#[tokio::test]
async fn the_deepest_expression_that_parses_is_evaluated() {
    let engine = engine(Settings::default());
    let depth = leadline_promql::syntax::MAX_DEPTH as usize;
    let deepest = |open: &str, inner: &str, close: &str| {
        let texts = (1..=depth)
            .rev()
            .map(|n| format!("{}{inner}{}", open.repeat(n), close.repeat(n)));
        texts.filter_map(|text| engine.parse(&text).ok()).next().unwrap()
    };
    for query in [
        deepest("(", "1", ")"),
        deepest("abs(", "http_requests_total", ")"),
        deepest("sum(", "http_requests_total", ")"),
        deepest("max_over_time(", "http_requests_total", "[1m:1m])"),
        deepest("1+(", "1", ")"),
    ] {
        // The second run is on this thread, where it was cheap.
        for _ in 0..2 {
            let result = engine.instant(&query, 600_000, Options::default()).await;
            assert!(result.is_ok(), "{}: {result:?}", query.text());
        }
    }
}

/// A store in which a sample comes in whenever something is selected.
struct Growing {
    store: Arc<MemoryStore>,
    selections: AtomicUsize,
}

impl Front for Arc<Growing> {
    fn store(&self) -> &dyn Queryable {
        &*self.store
    }

    fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let n = self.selections.fetch_add(1, Ordering::Relaxed) as i64 + 1;
        self.store.add(0, &labels(&[("__name__", "m")]), [(n, n as f64)]);
        self.store.select(matchers, mint, maxt, sorted)
    }
}

#[tokio::test]
async fn a_selector_that_stands_more_than_once_is_read_once_and_sees_one_moment() {
    for (text, selections, value) in [
        ("m - m", 1, 0.0),
        ("m - avg(m) + max(m)", 1, 1.0),
        ("count(rate(m[1m])) or m * 0 or vector(7)", 2, 0.0),
        ("m @ 0.5 - m", 2, -1.0),
        ("m - m offset 1s or vector(7)", 2, 7.0),
        ("m{a=\"\"} - m", 2, -1.0),
    ] {
        let growing = Arc::new(Growing {
            store: MemoryStore::new(),
            selections: AtomicUsize::new(0),
        });
        let engine = Engine::new(Arc::new(Fronted(Arc::clone(&growing))), Settings::default());
        let Value::Vector(samples) = instant(&engine, text, 1_000).await.unwrap() else {
            panic!("{text}");
        };
        let values: Vec<_> = samples.iter().map(|sample| sample.value.float()).collect();
        let seen = growing.selections.load(Ordering::Relaxed);
        assert_eq!((seen, values), (selections, vec![Some(value)]), "{text}");
    }
}
