//! Where values come from: the age of a value is that of the stalest series that had a part in it.

mod support;

use leadline_model::Labels;
use leadline_model::port::{Evaluate, Shape};
use leadline_model::provenance::Provenance;
use leadline_model::target::OwnerId;
use leadline_promql::check::signatures;
use leadline_promql::engine::Engine;
use leadline_promql::settings::Settings;
use leadline_promql::syntax::Features;
use std::collections::BTreeSet;
use std::sync::Arc;
use support::MemoryStore;

/// Sees the samples up to 585 s.
const AT: i64 = 599_999;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// `v` and the buckets `b` of owner 1, a sample every 15 s; `limit` of owner 77, one sample at 300 s.
fn engine() -> Arc<Engine> {
    let store = MemoryStore::new();
    let times = || (1i64..=40).map(|i| i * 15_000);
    store.add(1, &labels(&[("__name__", "v")]), times().map(|t| (t, t as f64)));
    for (le, count) in [("1", 1.0), ("5", 4.0), ("+Inf", 6.0)] {
        let series = labels(&[("__name__", "b"), ("le", le)]);
        store.add(1, &series, times().map(|t| (t, count)));
    }
    store.add(77, &labels(&[("__name__", "limit")]), [(300_000, 4.0)]);
    let settings = Settings {
        features: Features::LANGUAGE,
        ..Settings::default()
    };
    Engine::new(store, settings)
}

/// The provenance of the one value of an expression.
async fn provenance(engine: &Engine, text: &str) -> Result<Provenance, String> {
    let plan = engine.prepare(text, &[]).map_err(|error| error.to_string())?;
    let evaluation = engine.evaluate(&plan, AT).await.map_err(|error| error.to_string())?;
    match evaluation.values.as_slice() {
        [value] => Ok(value.provenance.clone()),
        other => Err(format!("{text}: {other:?}")),
    }
}

/// Calls of functions, `L` for the scalar whose provenance must not get lost.
const CALLS: [&str; 21] = [
    "clamp(v, L, 9)",
    "clamp(v, 0, L)",
    "clamp_max(v, L)",
    "clamp_min(v, L)",
    "double_exponential_smoothing(v[1m], L / 10, 0.5)",
    "double_exponential_smoothing(v[1m], 0.5, L / 10)",
    "histogram_fraction(L, 9, b)",
    "histogram_fraction(0, L, b)",
    "histogram_quantile(L / 10, b)",
    "histogram_quantiles(b, \"q\", L / 10)",
    "integral(v[1m], L - 4)",
    "max_of(L, 3)",
    "max_of(3, L)",
    "min_of(L, 3)",
    "min_of(3, L)",
    "predict_linear(v[1m], L)",
    "quantile_over_time(L / 10, v[1m])",
    "round(v, L)",
    "round(sum(v), -L)",
    "vector(L)",
    "quantile_over_time(L / 10, sum(v)[1m:15s])",
];

#[tokio::test]
async fn what_went_into_a_scalar_argument_went_into_the_result() {
    let engine = engine();
    let operations = [
        "topk(L, v)",
        "bottomk(L, v)",
        "limitk(L, v)",
        "limit_ratio(L / 4, v)",
        "quantile(L / 10, v)",
        "v * L",
        "L - v",
        "v > L",
        "L <bool v",
        "-(L + 1)",
        "abs(sum(topk(L, v)))",
    ];
    for text in CALLS.iter().chain(&operations) {
        let got = provenance(&engine, &text.replace('L', "scalar(limit)")).await.unwrap();
        assert_eq!(got.stalest, 300_000, "{text}: {got:?}");
        assert!(got.owners.contains(&OwnerId(77)), "{text}: {got:?}");
        let others = if text.contains(['v', 'b']) && !text.starts_with("vector") {
            2
        } else {
            1
        };
        let others = if text.contains("_of(") || text.starts_with("-(") {
            1
        } else {
            others
        };
        assert_eq!(got.owners.len(), others, "{text}: {got:?}");
    }
}

#[tokio::test]
async fn each_of_several_quantiles_comes_from_its_own_argument() {
    let engine = engine();
    let plan = engine
        .prepare("histogram_quantiles(b, \"q\", scalar(limit) / 10, 0.5)", &[])
        .unwrap();
    let values = engine.evaluate(&plan, AT).await.unwrap().values;
    let mut stalest: Vec<_> = values
        .iter()
        .map(|v| (v.labels.to_string(), v.provenance.stalest))
        .collect();
    stalest.sort();
    let expected = [
        (r#"{q="0.4"}"#.to_owned(), 300_000),
        (r#"{q="0.5"}"#.to_owned(), 585_000),
    ];
    assert_eq!(stalest, expected);
}

#[test]
fn every_function_with_a_scalar_argument_is_looked_at() {
    let called: BTreeSet<&str> = CALLS.iter().filter_map(|text| text.split('(').next()).collect();
    let takes_scalars = signatures().iter().filter(|s| s.args.contains(&Shape::Scalar));
    let all: BTreeSet<&str> = takes_scalars.map(|s| s.name).collect();
    assert_eq!(called, all);
}

#[tokio::test]
async fn a_value_between_samples_is_as_old_as_its_neighbours() {
    let engine = engine();
    for (text, oldest, stalest) in [
        ("v smoothed", 585_000, 600_000),
        ("v smoothed offset 1m", 525_000, 540_000),
        ("v smoothed offset 59999ms", 540_000, 540_000),
        ("v smoothed offset -3m", 600_000, 600_000),
        ("increase(v[1m] smoothed offset 1m)", 465_000, 540_000),
        ("increase(v[1m] anchored)", 525_000, 585_000),
        ("increase(v[1m] anchored offset 1m)", 465_000, 525_000),
        ("changes(v[1m] anchored)", 525_000, 585_000),
        ("increase(v[1m] offset 1m)", 480_000, 525_000),
        ("v offset 1m", 525_000, 525_000),
    ] {
        let got = provenance(&engine, text).await.unwrap();
        assert_eq!((got.oldest, got.stalest), (oldest, stalest), "{text}");
    }
}
