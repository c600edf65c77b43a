//! What a query may cost, with the feature `query-cost` (upstream's `promql/engine_test.go` has such cases).

#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod support;

use leadline_model::Labels;
use leadline_model::duration::Duration;
use leadline_promql::cost::CostLimits;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::error::Error;
use leadline_promql::settings::Settings;
use leadline_promql::stats::Counting;
use leadline_promql::syntax::Features;
use leadline_promql::value::QueryResult;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::MemoryStore;

const MINUTE: i64 = 60_000;

/// An engine on 10 series `m` and 3 series `n` of 60 samples each, a minute apart.
fn engine(query_cost: bool) -> Arc<Engine> {
    let store = MemoryStore::new();
    for (name, count) in [("m", 10), ("n", 3)] {
        for pod in 0..count {
            let pod = pod.to_string();
            let labels = Labels::from_pairs([("__name__", name), ("pod", &pod)]);
            store.add(0, &labels, (0..60).map(|i| (i * MINUTE, i as f64)));
        }
    }
    let features = Features {
        query_cost,
        ..Features::LANGUAGE
    };
    let settings = Settings {
        features,
        timeout: Duration::from_millis(60_000),
        ..Settings::default()
    };
    Engine::new(store, settings)
}

/// The answer at minute 30, or at the minutes 10 to 50 where `over_time`.
async fn ask(engine: &Engine, text: &str, over_time: bool, cost: CostLimits) -> Result<QueryResult, Error> {
    let query = engine.parse(text).unwrap();
    let options = Options {
        counting: Counting::Sums,
        cost,
        ..Options::default()
    };
    match over_time {
        true => engine.range(&query, (10 * MINUTE, 50 * MINUTE, MINUTE), options).await,
        false => engine.instant(&query, 30 * MINUTE, options).await,
    }
}

fn limits(series: u64, samples_read: u64) -> CostLimits {
    CostLimits {
        series,
        samples_read,
        duration: None,
    }
}

/// Expressions, how many series they read, and how many samples at one time and at 41 times.
const COSTS: [(&str, u64, [u64; 2]); 9] = [
    ("m", 10, [10, 410]),
    ("sum(m)", 10, [10, 410]),
    ("m + on (pod) group_left () n", 13, [13, 533]),
    ("m[5m]", 10, [50, 0]),
    ("sum(rate(m[5m]))", 10, [50, 450]),
    ("rate(m[5m] @ 1800)", 10, [50, 50]),
    ("m @ 1800", 10, [10, 10]),
    ("sum_over_time(n[10m:1m])", 3, [30, 150]),
    ("vector(1) unless n", 3, [3, 123]),
];

#[tokio::test]
async fn a_query_may_cost_as_much_as_its_limits_and_no_more() {
    let engine = engine(true);
    for (text, series, samples) in COSTS {
        for (over_time, samples) in [false, true]
            .into_iter()
            .zip(samples)
            .filter(|(_, samples)| *samples > 0)
        {
            let cost = ask(&engine, text, over_time, CostLimits::default())
                .await
                .unwrap()
                .stats;
            let consumed = cost.consumed.unwrap();
            assert_eq!(
                (cost.series_read, consumed.read),
                (series, samples),
                "{text}, over time: {over_time}"
            );
            assert!(
                ask(&engine, text, over_time, limits(series, samples)).await.is_ok(),
                "{text}"
            );
            let refused = ask(&engine, text, over_time, limits(series - 1, 0)).await.unwrap_err();
            let expected = "query would load too many series into memory in query execution";
            assert_eq!(refused.to_string(), expected, "{text}");
            let refused = ask(&engine, text, over_time, limits(0, samples - 1)).await.unwrap_err();
            assert_eq!(
                refused.to_string(),
                "query would read too many samples in query execution",
                "{text}"
            );
        }
    }
    let counts = engine.counts();
    let refused = [&counts.refused_series, &counts.refused_samples].map(|n| n.load(Ordering::Relaxed));
    assert_eq!(refused, [17, 17]);
}

#[tokio::test]
async fn limits_are_those_of_the_operator_unless_a_request_asks_for_less() {
    let engine = engine(true);
    engine.set_cost_limits(limits(10, 0));
    assert!(ask(&engine, "m", false, CostLimits::default()).await.is_ok());
    assert!(ask(&engine, "m + n", false, CostLimits::default()).await.is_err());
    assert!(ask(&engine, "m", false, limits(9, 0)).await.is_err());
    let above = ask(&engine, "m", false, limits(11, 0)).await.unwrap_err();
    let text = "requested max_series of 11 exceeds the server limit of 10";
    assert!(
        matches!(above, Error::BadRequest(_)) && above.to_string() == text,
        "{above}"
    );
    engine.set_cost_limits(limits(9, 0));
    assert!(ask(&engine, "m", false, CostLimits::default()).await.is_err());
}

#[tokio::test]
async fn limits_say_nothing_without_the_feature() {
    let engine = engine(false);
    engine.set_cost_limits(limits(1, 1));
    assert!(ask(&engine, "m", true, limits(1, 1)).await.is_ok());
    assert!(ask(&engine, "m", true, limits(5, 0)).await.is_ok());
}

#[tokio::test]
async fn a_limit_of_time_stands_for_the_timeout() {
    let engine = engine(true);
    let duration = |ms| CostLimits {
        duration: Some(Duration::from_millis(ms)),
        ..CostLimits::default()
    };
    engine.set_cost_limits(duration(90_000));
    assert!(
        ask(&engine, "m", false, duration(80_000)).await.is_ok(),
        "longer than the timeout"
    );
    let timed_out = ask(&engine, "m", false, duration(0)).await;
    assert!(matches!(timed_out, Err(Error::Timeout(_))), "{timed_out:?}");
    assert_eq!(engine.counts().refused_duration.load(Ordering::Relaxed), 1);
    // A timeout that is shorter than the limit is the client's own.
    let query = engine.parse("m").unwrap();
    let options = Options {
        timeout: Some(Duration::from_millis(0)),
        ..Options::default()
    };
    assert!(engine.instant(&query, 0, options).await.is_err());
    assert_eq!(engine.counts().refused_duration.load(Ordering::Relaxed), 1);
}
