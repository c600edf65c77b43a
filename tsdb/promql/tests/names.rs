//! When names go: at once, or with `promql-delayed-name-removal` at the end. What Prometheus 3.16 answers to the same
//! questions on the same samples, without and with it.

mod support;

use leadline_model::Labels;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use leadline_promql::syntax::Features;
use leadline_promql::value::{QueryResult, Value};
use std::sync::Arc;
use support::MemoryStore;

const SAME: &str = "vector cannot contain metrics with the same labelset";

/// Expression, answer without the feature, answer with it.
const ANSWERS: [(&str, &str, &str); 59] = [
    ("count by (__name__) (x * 2)", "{} 2", "{} 2"),
    (
        r#"label_replace(x * 2, "was", "$1", "__name__", "(.+)")"#,
        r#"{pod="a"} 6; {pod="b"} 14"#,
        r#"{pod="a", was="x"} 6; {pod="b", was="x"} 14"#,
    ),
    (
        r#"label_replace(x * 2, "__name__", "double_$1", "__name__", "(.+)")"#,
        r#"{pod="a"} 6; {pod="b"} 14"#,
        r#"double_x{pod="a"} 6; double_x{pod="b"} 14"#,
    ),
    (
        r#"label_replace(x * 2, "__name__", "w", "", "")"#,
        r#"w{pod="a"} 6; w{pod="b"} 14"#,
        r#"w{pod="a"} 6; w{pod="b"} 14"#,
    ),
    (
        r#"label_join(x * 2, "was", "-", "__name__", "pod")"#,
        r#"{pod="a", was="-a"} 6; {pod="b", was="-b"} 14"#,
        r#"{pod="a", was="x-a"} 6; {pod="b", was="x-b"} 14"#,
    ),
    (
        "delta(x[2m]) or y",
        r#"{pod="a"} 2; {pod="b"} 2"#,
        r#"{pod="a"} 2; {pod="b"} 2"#,
    ),
    (r#"sum(abs({__name__=~"x|y"}))"#, SAME, "{} 45"),
    (r#"sum(delta({__name__=~"x|y"}[2m]))"#, SAME, "{} 34"),
    (
        r#"sum by (pod) ({__name__=~"x|y"} * 2)"#,
        SAME,
        r#"{pod="a"} 76; {pod="b"} 14"#,
    ),
    (r#"sum(-{__name__=~"x|y"})"#, SAME, "{} -45"),
    (r#"sum(round({__name__=~"x|y"}))"#, SAME, "{} 45"),
    (r#"sum(clamp_min({__name__=~"x|y"}, 0))"#, SAME, "{} 45"),
    (r#"sum(hour({__name__=~"x|y"}))"#, SAME, "{} 0"),
    (r#"sum(timestamp({__name__=~"x|y"}))"#, SAME, "{} 3360"),
    (r#"sum({__name__=~"x|y"} > bool 3)"#, SAME, "{} 2"),
    (r#"max(max_over_time({__name__=~"x|y"}[2m]))"#, SAME, "{} 35"),
    (r#"abs({__name__=~"x|y"})"#, SAME, SAME),
    (r#"count(last_over_time({__name__=~"x|y"}[2m]))"#, "{} 3", "{} 3"),
    ("count by (__name__) (last_over_time((x * 2)[2m:1m]))", "{} 2", "{} 2"),
    (
        "(x * 2) or on (__name__, pod) y",
        r#"y{pod="a"} 35; {pod="a"} 6; {pod="b"} 14"#,
        r#"y{pod="a"} 35; {pod="a"} 6; {pod="b"} 14"#,
    ),
    (
        "(x + on (pod) y) or x",
        r#"x{pod="b"} 7; {pod="a"} 38"#,
        r#"x{pod="b"} 7; {pod="a"} 38"#,
    ),
    ("x > bool on (pod) group_left () y", r#"{pod="a"} 0"#, r#"{pod="a"} 0"#),
    (
        "x > bool on (pod) group_left (__name__) y",
        r#"y{pod="a"} 0"#,
        r#"{pod="a"} 0"#,
    ),
    (
        r#"{__name__=~"x|y"} > bool on (pod) group_left () y"#,
        "multiple matches for labels: grouping labels must ensure unique matches",
        SAME,
    ),
    (
        "x * on (pod) group_left (__name__) y",
        r#"y{pod="a"} 105"#,
        r#"y{pod="a"} 105"#,
    ),
    ("(x * 2) > on (pod) (y - 100)", r#"{pod="a"} 6"#, r#"{pod="a"} 6"#),
    ("sum((x * 2) > 5)", "{} 20", "{} 20"),
    ("topk(1, x * 2)", r#"{pod="b"} 14"#, r#"{pod="b"} 14"#),
    (
        r#"topk by (__name__) (1, {__name__=~"x|y"} * 2)"#,
        SAME,
        r#"{pod="a"} 70; {pod="b"} 14"#,
    ),
    ("quantile by (__name__) (0.5, x * 2)", "{} 10", "{} 10"),
    (
        r#"count_values by (__name__) ("v", x * 2)"#,
        r#"{v="14"} 1; {v="6"} 1"#,
        r#"x{v="14"} 1; x{v="6"} 1"#,
    ),
    ("limit_ratio(0.5, x * 2)", r#"{pod="b"} 14"#, r#"{pod="a"} 6"#),
    (
        r#"count({__name__=~"x|y"} + 0) by (pod)"#,
        SAME,
        r#"{pod="a"} 2; {pod="b"} 1"#,
    ),
    ("(x * 2) * on (__name__, pod) x", "", r#"{pod="a"} 18; {pod="b"} 98"#),
    ("(x * 2) and on (__name__, pod) x", "", r#"{pod="a"} 6; {pod="b"} 14"#),
    (
        "(x * 2) unless on (__name__, pod) x",
        r#"{pod="a"} 6; {pod="b"} 14"#,
        "",
    ),
    (
        "info(z)",
        r#"z{instance="i", job="j", v="1"} 4"#,
        r#"z{instance="i", job="j", v="1"} 4"#,
    ),
    (
        "info(z * 2)",
        r#"{instance="i", job="j", v="1"} 8"#,
        r#"{instance="i", job="j", v="1"} 8"#,
    ),
    (
        "info(target_info * 2)",
        r#"{instance="i", job="j", v="1"} 2"#,
        r#"{instance="i", job="j", v="1"} 2"#,
    ),
    (
        r#"histogram_quantiles(b, "__name__", 0.5)"#,
        r#"{"0.5"} 0.8333333333333334"#,
        "{} 0.8333333333333334",
    ),
    (
        "histogram_quantile(0.5, b * 1)",
        "{} 0.8333333333333334",
        "{} 0.8333333333333334",
    ),
    ("sum by (__name__) (x * 2)", "{} 20", "{} 20"),
    (
        r#"count_values("__name__", x * 2)"#,
        r#"{"14"} 1; {"6"} 1"#,
        r#"{"14"} 1; {"6"} 1"#,
    ),
    (
        r#"label_join(x, "__name__", "-", "pod")"#,
        r#"a{pod="a"} 3; b{pod="b"} 7"#,
        r#"a{pod="a"} 3; b{pod="b"} 7"#,
    ),
    (
        r#"sum by (pod) (last_over_time({__name__=~"x|y"}[2m]) * 1)"#,
        SAME,
        r#"{pod="a"} 38; {pod="b"} 7"#,
    ),
    ("absent_over_time(nope[1m])", "{} 1", "{} 1"),
    (
        "(x * 2) + on (nothing) group_left () (x * 2)",
        r#"found duplicate series for the match group {} on the right hand-side of the operation: [{pod="a"}, {pod="b"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
        r#"found duplicate series for the match group {} on the right hand-side of the operation: [{__name__="x", pod="a"}, {__name__="x", pod="b"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
    ),
    (
        "(x * 2) + on (nothing) (x * 2)",
        r#"found duplicate series for the match group {} on the right hand-side of the operation: [{pod="a"}, {pod="b"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
        r#"found duplicate series for the match group {} on the right hand-side of the operation: [{__name__="x", pod="a"}, {__name__="x", pod="b"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
    ),
    (
        "(x * 2) + on (pod) group_left () (y * 2)",
        r#"{pod="a"} 76"#,
        r#"{pod="a"} 76"#,
    ),
    (
        "(x * 2) + on (pod) group_left (__name__) (y * 2)",
        r#"{pod="a"} 76"#,
        r#"y{pod="a"} 76"#,
    ),
    (
        "(x * 2) >= bool (x * 2)",
        r#"{pod="a"} 1; {pod="b"} 1"#,
        r#"{pod="a"} 1; {pod="b"} 1"#,
    ),
    (
        "(x * 2) + fill (7) (y * 2)",
        r#"{pod="a"} 76; {pod="b"} 21"#,
        r#"{pod="a"} 76; {pod="b"} 21"#,
    ),
    (
        "(y * 2) - ignoring (nothing) fill_left (7) (x * 2)",
        r#"{pod="a"} 64; {pod="b"} -7"#,
        r#"{pod="a"} 64; {pod="b"} -7"#,
    ),
    (
        "(x * 2) * ignoring (__name__) (x * 2)",
        r#"{pod="a"} 36; {pod="b"} 196"#,
        r#"{pod="a"} 36; {pod="b"} 196"#,
    ),
    ("(x * 2) unless (y * 2)", r#"{pod="b"} 14"#, r#"{pod="b"} 14"#),
    (
        "(x * 2) or (y * 2)",
        r#"{pod="a"} 6; {pod="b"} 14"#,
        r#"{pod="a"} 6; {pod="b"} 14"#,
    ),
    (
        "(x * 2) or on (nothing) (y * 2)",
        r#"{pod="a"} 6; {pod="b"} 14"#,
        r#"{pod="a"} 6; {pod="b"} 14"#,
    ),
    (
        "(y * 2) or (x * 2)",
        r#"{pod="a"} 70; {pod="b"} 14"#,
        r#"{pod="a"} 70; {pod="b"} 14"#,
    ),
    ("sum((x * 2) / (x * 2))", "{} 2", "{} 2"),
];

fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    for (name, labels, values) in [
        ("x", vec![("pod", "a")], vec![1.0, 2.0, 3.0]),
        ("x", vec![("pod", "b")], vec![5.0, 6.0, 7.0]),
        ("y", vec![("pod", "a")], vec![10.0, 20.0, 35.0]),
        ("b", vec![("le", "1")], vec![3.0; 3]),
        ("b", vec![("le", "nope")], vec![3.0; 3]),
        ("b", vec![("le", "2")], vec![2.0; 3]),
        ("b", vec![("le", "+Inf")], vec![5.0; 3]),
        (
            "target_info",
            vec![("job", "j"), ("instance", "i"), ("v", "1")],
            vec![1.0; 3],
        ),
        ("z", vec![("job", "j"), ("instance", "i")], vec![4.0; 3]),
    ] {
        let labels = Labels::from_pairs(labels.into_iter().chain([("__name__", name)]));
        store.add(0, &labels, (0i64..).map(|i| 1_000_000 + i * 60_000).zip(values));
    }
    store
}

fn engine(delayed_name_removal: bool) -> Arc<Engine> {
    let features = Features {
        delayed_name_removal,
        ..Features::LANGUAGE
    };
    let settings = Settings {
        features,
        ..Settings::default()
    };
    Engine::new(store(), settings)
}

async fn ask(engine: &Engine, text: &str) -> Result<QueryResult, leadline_promql::error::Error> {
    let query = engine.parse(text)?;
    engine.instant(&query, 1_120_000, Options::default()).await
}

/// The answer in one line.
async fn answer(engine: &Engine, text: &str) -> String {
    match ask(engine, text).await {
        Err(error) => error.to_string(),
        Ok(QueryResult {
            value: Value::Vector(samples),
            ..
        }) => {
            let shown = |labels: &Labels| match labels.to_string() {
                name if !name.ends_with('}') => name + "{}",
                all => all,
            };
            let rows = samples
                .iter()
                .map(|s| format!("{} {}", shown(&s.labels), s.value.float().unwrap_or(f64::NAN)));
            let mut rows: Vec<_> = rows.collect();
            rows.sort();
            rows.join("; ")
        }
        Ok(other) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn names_go_at_once_or_with_the_feature_at_the_end() {
    let (at_once, late) = (engine(false), engine(true));
    let mut wrong = Vec::new();
    for (text, expected_at_once, expected_late) in ANSWERS {
        for (engine, expected) in [(&at_once, expected_at_once), (&late, expected_late)] {
            let got = answer(engine, text).await;
            if got != expected {
                wrong.push(format!("{text}: {got}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn series_that_lost_their_names_are_one_where_their_samples_allow_it() {
    let store = store();
    let later = Labels::from_pairs([("__name__", "y"), ("pod", "b")]);
    store.add(0, &later, [(2_000_000, 1.0)]);
    let query = r#"{__name__=~"x|y",pod="b"} * 2"#;
    let engine = Engine::new(store, Settings::default());
    let query = engine.parse(query).unwrap();
    for (end, expected) in [(2_000_000, 1), (1_120_000, 1)] {
        let result = engine.range(&query, (1_000_000, end, 60_000), Options::default()).await;
        let Value::Matrix(series) = result.unwrap().value else {
            panic!("no matrix")
        };
        assert_eq!(series.len(), expected);
        assert_eq!(series[0].labels.to_string(), r#"{pod="b"}"#);
    }
}

#[tokio::test]
async fn notes_tell_a_metrics_name_only_while_it_is_there() {
    for (delayed, count) in [(false, 0), (true, 2)] {
        let result = ask(&engine(delayed), "histogram_quantile(0.5, b)").await.unwrap();
        let notes = [result.warnings, result.infos].concat();
        assert_eq!(notes.len(), 2, "{notes:?}");
        let named = notes.iter().filter(|note| note.contains(r#" for metric name "b""#));
        assert_eq!(named.count(), count, "{notes:?}");
    }
}
