//! What a commit of known series and a window over a thousand series cost. Run: `cargo bench -p leadline-storage`.
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at the first surprise")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Queryable, Slot};
use leadline_model::sample::Samples;
use leadline_storage::chunk::{XorAppender, decode_xor};
use leadline_storage::{Head, Settings};
use std::hint::black_box;
use std::sync::Arc;

const SERIES: u32 = 2_000;
const STEP: i64 = 5_000;

/// A counter that grows by a few every step: neither constant nor random.
fn value(series: u32, step: i64) -> f64 {
    (step * i64::from(series % 37 + 1) + (step * 7 + i64::from(series)) % 5) as f64
}

fn labels(target: u32, series: u32) -> Labels {
    let texts = [
        format!("metric_{}", series / 4),
        format!("10.0.0.{target}:8080"),
        format!("{}", series % 4),
    ];
    Labels::from_pairs([
        ("__name__", texts[0].as_str()),
        ("instance", &texts[1]),
        ("job", "bench"),
        ("shard", &texts[2]),
    ])
}

struct Filled {
    head: Arc<Head>,
    clock: Arc<ManualClock>,
    batches: Vec<Batch>,
    step: i64,
}

impl Filled {
    fn new(targets: u32) -> Self {
        let clock = Arc::new(ManualClock::at(0));
        let head = Head::new(Settings::default(), clock.clone()).unwrap();
        let mut batches = Vec::new();
        for target in 0..targets {
            let owner = head.new_owner();
            let created = (0..SERIES).map(|i| labels(target, i)).collect();
            let entries = (0..SERIES)
                .map(|i| Entry {
                    series: Slot::New(i),
                    t: 0,
                    v: value(i, 0),
                })
                .collect();
            let batch = Batch {
                owner,
                slot: 0,
                attempt: Attempt::Good,
                created,
                entries,
                extras: Extras::default(),
            };
            let refs = head.commit(&batch).unwrap().refs;
            let entries = refs
                .iter()
                .map(|r| Entry {
                    series: Slot::Known(r.unwrap()),
                    t: 0,
                    v: 0.0,
                })
                .collect();
            batches.push(Batch {
                owner,
                slot: 0,
                attempt: Attempt::Good,
                created: vec![],
                entries,
                extras: Extras::default(),
            });
        }
        Self {
            head,
            clock,
            batches,
            step: 0,
        }
    }

    /// Sets the next batch's times and values.
    fn prepare(&mut self, target: usize) {
        let t = self.step * STEP;
        self.clock.set(t);
        for (i, entry) in self.batches[target].entries.iter_mut().enumerate() {
            (entry.t, entry.v) = (t, value(i as u32, self.step));
        }
    }

    fn run(&mut self, steps: i64) {
        for _ in 0..steps {
            self.step += 1;
            for target in 0..self.batches.len() {
                self.prepare(target);
                self.head.commit(&self.batches[target]).unwrap();
            }
        }
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("commit");
    group.throughput(Throughput::Elements(u64::from(SERIES)));
    for targets in [1, 50] {
        let mut filled = Filled::new(targets);
        filled.run(20);
        // The last target, so that the first iteration begins a new step.
        let mut target = targets as usize - 1;
        let state = std::cell::RefCell::new(filled);
        group.bench_function(format!("2000 known series, {targets} targets"), |b| {
            b.iter_batched(
                || {
                    let mut filled = state.borrow_mut();
                    target = (target + 1) % targets as usize;
                    if target == 0 || targets == 1 {
                        filled.step += 1;
                        if filled.step % 500 == 0 {
                            filled.head.maintain();
                        }
                    }
                    filled.prepare(target);
                    target
                },
                |target| {
                    let filled = state.borrow();
                    assert_eq!(
                        filled.head.commit(&filled.batches[target]).unwrap().appended,
                        SERIES as usize
                    );
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut filled = Filled::new(50);
    filled.run(115);
    let now = filled.step * STEP;
    let matchers = [Matcher::new("__name__", leadline_model::MatchOp::Regex, "metric_(1|2|3|4|5)").unwrap()];
    let count = filled.head.select(&matchers, now - 60_000, now, false).unwrap().len();
    assert_eq!(count, 1_000);
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("select 1000 series", |b| {
        b.iter(|| filled.head.select(&matchers, now - 60_000, now, false).unwrap().len());
    });
    group.bench_function("select 1000 series and decode 1 minute of each", |b| {
        let mut samples = Samples::default();
        b.iter(|| {
            let set = filled.head.select(&matchers, now - 60_000, now, false).unwrap();
            for i in 0..set.len() {
                set.read(i, now - 60_000, now, &mut samples).unwrap();
                black_box(&samples);
            }
        });
    });
    group.finish();
}

fn xor(c: &mut Criterion) {
    let mut open = XorAppender::default();
    (0..120).for_each(|i| open.append(1_700_000_000_000 + i * STEP, value(17, i)));
    let chunk = open.seal(&mut Vec::new());
    let mut group = c.benchmark_group("xor");
    group.throughput(Throughput::Elements(120));
    let mut samples = Samples::default();
    group.bench_function("decode 120 samples", |b| {
        b.iter(|| {
            samples.clear();
            decode_xor(black_box(&chunk), i64::MIN, i64::MAX, &mut samples).unwrap();
        });
    });
    group.bench_function("encode 120 samples", |b| {
        b.iter(|| {
            let mut open = XorAppender::default();
            (0..120).for_each(|i| open.append(1_700_000_000_000 + i * STEP, value(17, i)));
            black_box(open)
        });
    });
    group.finish();
}

criterion_group!(benches, append, read, xor);
criterion_main!(benches);
