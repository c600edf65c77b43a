//! From the text of a query to what an engine runs: what each request of an HPA, of KEDA or of a dashboard pays first.
//!
//! `cargo bench -p leadline-promql --bench parse`

use criterion::{Criterion, criterion_group, criterion_main};
use leadline_promql::query::Query;
use std::hint::black_box;

fn parse(c: &mut Criterion) {
    let pods: Vec<String> = (0..50).map(|i| format!("shop-6f7d8c9b5-{i:05}")).collect();
    let named = format!(
        "sum by (pod) (rate(http_requests_total{{pod=~\"{}\"}}[2m]))",
        pods.join("|")
    );
    for (name, text) in [
        ("constant", "vector(1)"),
        (
            "typical",
            r#"sum by (pod) (rate(http_requests_total{namespace="a",pod=~"x-.*"}[2m]))"#,
        ),
        (
            "quantile",
            r#"histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{job="shop",code!~"5.."}[5m])))"#,
        ),
        ("50 pods", named.as_str()),
    ] {
        c.bench_function(name, |b| b.iter(|| black_box(Query::parse(black_box(text)))));
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
