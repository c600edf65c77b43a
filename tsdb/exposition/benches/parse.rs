//! Nanoseconds per line of both lanes.
#![expect(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use leadline_exposition::{Event, Kind, Parser, parse_series};
use std::hint::black_box;

const LINES: u64 = 2_000;

/// Lines of about 82 bytes, as application counters have them.
fn body() -> Vec<u8> {
    (0..LINES)
        .map(|i| format!("app_metric_{}_total{{path=\"/api/v1/items\",method=\"GET\",code=\"200\",shard=\"{i:04}\"}} {}\n", i % 20, i * 7919))
        .collect::<String>()
        .into_bytes()
}

fn parse(c: &mut Criterion) {
    let body = body();
    let mut group = c.benchmark_group("text");
    group.throughput(Throughput::Elements(LINES));
    group.bench_function("fast lane", |b| {
        b.iter(|| {
            let mut parser = Parser::new(black_box(&body));
            let mut sum = 0.0;
            while let Ok(Some(event)) = parser.next_event() {
                if let Event::Sample { series, value, .. } = event {
                    sum += value + series.len() as f64;
                }
            }
            sum
        });
    });
    group.bench_function("both lanes", |b| {
        let mut pairs = Vec::new();
        b.iter(|| {
            let mut parser = Parser::new(black_box(&body));
            let mut labels = 0;
            while let Ok(Some(event)) = parser.next_event() {
                if let Event::Sample { series, .. } = event {
                    pairs.clear();
                    if parse_series(series, Kind::Untyped, &mut pairs).is_ok() {
                        labels += pairs.len();
                    }
                }
            }
            labels
        });
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
