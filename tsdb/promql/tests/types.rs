//! What `rate` and `increase` say of metrics that may be no counters: by their names, or with `type-and-unit-labels` by the
//! label `__type__` (upstream's `promql/engine_test.go` has such cases).

mod support;

use leadline_model::Labels;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use leadline_promql::syntax::Features;
use std::sync::Arc;
use support::MemoryStore;

fn engine(type_and_unit_labels: bool) -> Arc<Engine> {
    let store = MemoryStore::new();
    let series = [
        ("requests", Some("counter")),
        ("latency", Some("histogram")),
        ("depth", Some("gauge")),
        ("seen_total", None),
        ("mixed_total", Some("counter")),
        ("mixed_total", Some("gauge")),
        ("plain", None),
    ];
    for (pod, (name, kind)) in series.into_iter().enumerate() {
        let kind = kind.map(|kind| ("__type__", kind));
        let pod = pod.to_string();
        let labels = Labels::from_pairs([("__name__", name), ("pod", &pod)].into_iter().chain(kind));
        store.add(0, &labels, (0..5).map(|i| (i * 60_000, i as f64)));
    }
    let features = Features {
        type_and_unit_labels,
        ..Features::LANGUAGE
    };
    let settings = Settings {
        features,
        ..Settings::default()
    };
    Engine::new(store, settings)
}

#[tokio::test]
async fn what_is_no_counter_is_told_by_its_name_or_by_the_label_of_its_type() {
    let name = "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: ";
    let kind =
        "PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got ";
    for (query, by_name, by_type) in [
        ("rate(requests[5m])", Some("\"requests\" (1:6)"), None),
        ("increase(latency[5m])", Some("\"latency\" (1:10)"), None),
        (
            "rate(depth[5m])",
            Some("\"depth\" (1:6)"),
            Some("\"gauge\": \"depth\" (1:6)"),
        ),
        (
            "rate(plain[5m])",
            Some("\"plain\" (1:6)"),
            Some("\"\": \"plain\" (1:6)"),
        ),
        ("rate(seen_total[5m])", None, Some("\"\": \"seen_total\" (1:6)")),
        ("sum(rate(seen_total[5m]))", None, Some("\"\": \"seen_total\" (1:10)")),
        (
            "sum(rate(mixed_total[5m]))",
            None,
            Some("\"gauge\": \"mixed_total\" (1:10)"),
        ),
        ("irate(depth[5m])", None, None),
        ("delta(depth[5m])", None, None),
    ] {
        for (feature, text, expected) in [(false, name, by_name), (true, kind, by_type)] {
            let engine = engine(feature);
            let parsed = engine.parse(query).unwrap();
            let result = engine.instant(&parsed, 240_000, Options::default()).await;
            let infos = result.unwrap().infos;
            let expected: Vec<String> = expected.map(|rest| format!("{text}{rest}")).into_iter().collect();
            assert_eq!(infos, expected, "{query}, by type: {feature}");
        }
    }
}
