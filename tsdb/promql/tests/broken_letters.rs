//! Texts that are not UTF-8 (`"\\xff"`): no label has one, so that matchers of them are as Prometheus 3.16 answers, and what is
//! written with one is what a client reads of its answer.

mod support;

use leadline_model::Labels;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use leadline_promql::syntax::Features;
use leadline_promql::value::Value;
use std::sync::Arc;
use support::MemoryStore;

fn engine() -> Arc<Engine> {
    let store = MemoryStore::new();
    for (pod, zone) in [("1", "a"), ("2", "\u{fffd}"), ("3", "")] {
        let labels = Labels::from_pairs([("__name__", "m"), ("pod", pod), ("zone", zone)]);
        store.add(0, &labels, [(0, 1.0)]);
    }
    let settings = Settings {
        features: Features::LANGUAGE,
        ..Settings::default()
    };
    Engine::new(store, settings)
}

/// The labels of the answer, or the error.
async fn answer(engine: &Engine, text: &str) -> String {
    let query = match engine.parse(text) {
        Ok(query) => query,
        Err(error) => return error.to_string(),
    };
    match engine.instant(&query, 0, Options::default()).await.map(|r| r.value) {
        Ok(Value::Vector(samples)) => {
            let labels: Vec<String> = samples.iter().map(|s| s.labels.to_string()).collect();
            labels.join(" ")
        }
        Ok(Value::String(text)) => text,
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn texts_that_are_no_utf8_are_taken_as_prometheus_takes_them() {
    let engine = engine();
    let all = "1 2 3";
    for (text, expected) in [
        (r#"sum by (pod) (m{zone="\xff"})"#, ""),
        (r#"sum by (pod) (m{zone!="\xff"})"#, all),
        (r#"sum by (pod) (m{zone=~"\xff"})"#, ""),
        (r#"sum by (pod) (m{zone=~"\xff|a"})"#, "1"),
        (r#"sum by (pod) (m{zone=~"\xff|"})"#, "3"),
        (r#"sum by (pod) (m{zone!~"\xff|a"})"#, "2 3"),
        (r#"sum by (pod) (m{"\xff"="a"})"#, ""),
        (r#"sum by (pod) (m{"\xff"=""})"#, all),
        (r#"{"\xff"}"#, ""),
        (r#"absent(m{zone="\xff"})"#, "{zone=\"\u{fffd}\"}"),
        (r#"absent(m{"\xff"="a",zone="b",zone="\xff"})"#, "{\"\u{fffd}\"=\"a\"}"),
        (
            r#"label_replace(vector(1), "a", "<\xe2\x82>", "", "")"#,
            "{a=\"<\u{fffd}\u{fffd}>\"}",
        ),
        (r#"label_replace(vector(1), "a", "x", "\xff", "")"#, "{a=\"x\"}"),
        (r#"label_join(vector(1), "a", "\xff", "b", "c")"#, "{a=\"\u{fffd}\"}"),
        (r#"sort_by_label(vector(1), "\xff")"#, "{}"),
        (r#""a\xe2\x82b""#, "a\u{fffd}\u{fffd}b"),
        (
            r#"label_replace(vector(1), "\xff", "x", "", "")"#,
            "invalid destination label name in label_replace(): \u{fffd}",
        ),
        (
            r#"label_replace(vector(1), "a", "x", "", "\xff")"#,
            "invalid regular expression in label_replace(): \u{fffd}",
        ),
        (
            r#"label_join(vector(1), "a", "x", "\xff")"#,
            "invalid source label name in label_join(): \u{fffd}",
        ),
        (r#"count_values("\xff", vector(1))"#, "invalid label name \"\\xff\""),
    ] {
        let found = answer(&engine, text).await;
        let pods = found.replace("{pod=\"", "").replace("\"}", "");
        assert!(
            found == expected || pods == expected,
            "{text}\n  found:    {found}\n  expected: {expected}"
        );
    }
}
