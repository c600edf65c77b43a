//! Instant queries of the kind that autoscaling asks, on a store in memory.
//!
//! `cargo bench -p leadline-promql`; Prometheus 2.42 answers the first in 3.7 ms (p50, through HTTP).

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use leadline_model::Labels;
use leadline_model::clock::ManualClock;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_promql::engine::{Engine, Options};
use leadline_promql::settings::Settings;
use leadline_storage::Head;
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

/// The labels of one of 20 counters of a pod.
fn counter(pod: u32, path: u32) -> Labels {
    Labels::from_pairs([
        ("__name__", "m"),
        ("container", "app"),
        ("endpoint", "metrics"),
        ("instance", &format!("10.0.0.{pod}:8080")),
        ("job", "shop"),
        ("namespace", "production"),
        ("path", &format!("/api/v1/resource/{path}")),
        ("pod", &format!("shop-6f7d8c9b5-{pod:05}")),
        ("service", "shop"),
    ])
}

/// The head of the real store with 1,000 of 20,000 series called `m`, 20 of each of 50 targets, scraped 116 times 5 s
/// apart, so that the open chunk is nearly full: the longest way to the newest minute.
fn head() -> Option<Arc<Head>> {
    let clock = Arc::new(ManualClock::at(0));
    let head = Head::new(leadline_storage::Settings::default(), clock.clone()).ok()?;
    let owners: Vec<_> = (0..50).map(|_| head.new_owner()).collect();
    for step in NOW / 5_000 - 115..=NOW / 5_000 {
        let t = step * 5_000;
        clock.set(t);
        for (pod, owner) in (0..50).zip(&owners) {
            let other = |i: u32| Labels::from_pairs([("__name__", format!("other_{i}")), ("pod", format!("{pod}"))]);
            let value = |i: u32| (step * i64::from(pod + i % 37) + (step * 7 + i64::from(i)) % 5) as f64;
            let batch = Batch {
                owner: *owner,
                slot: t,
                attempt: Attempt::Good,
                created: (0..400)
                    .map(|i| if i % 20 == 0 { counter(pod, i / 20) } else { other(i) })
                    .collect(),
                entries: (0..400)
                    .map(|i| Entry {
                        series: Slot::New(i),
                        t,
                        v: value(i),
                    })
                    .collect(),
                extras: Extras::default(),
            };
            head.commit(&batch).ok()?;
        }
    }
    Some(head)
}

/// Asks the real store.
fn stored(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let Some(head) = head() else { return };
    let engine = Engine::new(head, Settings::default());
    let mut group = c.benchmark_group("head");
    for text in ["sum by (pod) (rate(m[1m]))", "sum by (pod) (m)", "m"] {
        let Ok(query) = engine.parse(text) else { return };
        let ask = || runtime.block_on(engine.instant(&query, NOW, Options::default()));
        assert!(ask().is_ok_and(|r| r.stats.series_read == 1_000), "{text}");
        group.bench_function(text, |b| b.iter(|| black_box(ask())));
    }
    group.finish();
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

criterion_group!(benches, stored, instant);
criterion_main!(benches);
