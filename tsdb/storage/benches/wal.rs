//! The log: encoding a scrape's samples, decoding them, writing and reading records.
//!
//! Run it: `cargo bench -p leadline-storage --bench wal`
#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leadline_model::entropy::{Entropy, SeededEntropy};
use leadline_storage::disk::{Disk, RealDisk};
use leadline_storage::wal::record::{Record, SamplesEncoder};
use leadline_storage::wal::{Reader, SEGMENT_BYTES, Wal};
use std::hint::black_box;
use std::sync::Arc;

/// Samples of one scrape.
const SAMPLES: u64 = 2_000;

/// Values that change a little, a lot, and not at all.
fn values() -> Vec<f64> {
    let entropy = SeededEntropy::new(7);
    (0..SAMPLES)
        .map(|i| match i % 3 {
            0 => (entropy.next_u64() % 10_000) as f64,
            1 => entropy.next_u64() as f64 / 1e12,
            _ => 1.0,
        })
        .collect()
}

fn encode(values: &[f64], t: i64, out: &mut Vec<u8>) {
    let mut encoder = SamplesEncoder::default();
    for (i, &v) in values.iter().enumerate() {
        encoder.push(out, 1_000_000 + i as u64, t, v);
    }
}

fn records(c: &mut Criterion) {
    let values = values();
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(SAMPLES));
    let mut record = Vec::new();
    group.bench_function("encode", |b| {
        b.iter(|| {
            record.clear();
            encode(black_box(&values), 1_700_000_000_000, &mut record);
            record.len()
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let Record::Samples(entries) = Record::parse(black_box(&record)).unwrap() else {
                return 0.0;
            };
            entries
                .map(|e| e.unwrap())
                .map(|e| e.v + e.t as f64 + e.series as f64)
                .sum()
        });
    });
    group.finish();
}

fn log(c: &mut Criterion) {
    let values = values();
    let mut record = Vec::new();
    encode(&values, 1_700_000_000_000, &mut record);
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(SAMPLES));
    let mut wal = Wal::open(disk.clone(), folder.path(), SEGMENT_BYTES).unwrap();
    group.bench_function("write", |b| {
        b.iter(|| wal.log(&[black_box(&record)]).unwrap());
    });
    wal.close().unwrap();

    let one = tempfile::tempdir().unwrap();
    let mut wal = Wal::open(disk.clone(), one.path(), SEGMENT_BYTES).unwrap();
    for _ in 0..100 {
        wal.log(&[&record]).unwrap();
    }
    wal.close().unwrap();
    group.throughput(Throughput::Elements(100 * SAMPLES));
    group.bench_function("read", |b| {
        b.iter_batched(
            || Reader::open(disk.clone(), one.path(), ..).unwrap(),
            |mut reader| {
                let mut sum = 0.0;
                while let Some(record) = reader.next().unwrap() {
                    if let Record::Samples(entries) = Record::parse(record).unwrap() {
                        sum += entries.map(|e| e.unwrap().v).sum::<f64>();
                    }
                }
                sum
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, records, log);
criterion_main!(benches);
