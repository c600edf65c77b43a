//! Native histograms of every kind: counters with resets and changing layouts, gauges, bounds of their own, and series that
//! are floats for a while.

use crate::data::{Point, Series};
use crate::random::Random;
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, ResetHint, Span};
use std::sync::Arc;

/// Counts as a counter histogram has them: everything since the last reset.
struct Counted {
    positive: Vec<u64>,
    negative: Vec<u64>,
    zero: u64,
    sum: f64,
}

impl Counted {
    fn new(positive: usize, negative: usize) -> Self {
        Self {
            positive: vec![0; positive],
            negative: vec![0; negative],
            zero: 0,
            sum: 0.0,
        }
    }

    /// The next scrape.
    fn observe(&mut self, random: &Random) {
        if random.chance(1) {
            *self = Self::new(self.positive.len(), self.negative.len());
        }
        for (i, bucket) in self.positive.iter_mut().chain(&mut self.negative).enumerate() {
            let n = if random.chance(30) { 0 } else { random.below(7) as u64 };
            *bucket += n;
            self.sum += n as f64 * 0.21 * (i as f64 + 0.5);
        }
        self.zero += random.below(3) as u64;
    }

    fn count(&self) -> u64 {
        self.zero + self.positive.iter().chain(&self.negative).sum::<u64>()
    }
}

/// Counts as differences to the one before, with the one run of buckets that they are.
fn run(offset: i32, counts: &[u64]) -> (Vec<Span>, Vec<i64>) {
    if counts.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let length = counts.len() as u32;
    let before = std::iter::once(0).chain(counts.iter().copied());
    let deltas = counts.iter().zip(before).map(|(&n, b)| n as i64 - b as i64);
    (vec![Span { offset, length }], deltas.collect())
}

fn exponential(counted: &Counted, schema: i32, zero_threshold: f64) -> AnyHistogram {
    let (positive_spans, positive_buckets) = run(-3, &counted.positive);
    let (negative_spans, negative_buckets) = run(-1, &counted.negative);
    AnyHistogram::Int(Arc::new(Histogram {
        schema,
        zero_threshold,
        zero_count: counted.zero,
        count: counted.count(),
        sum: counted.sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..Histogram::default()
    }))
}

fn custom(counted: &Counted, bounds: &[f64]) -> AnyHistogram {
    let (positive_spans, positive_buckets) = run(0, &counted.positive);
    AnyHistogram::Int(Arc::new(Histogram {
        schema: CUSTOM_BUCKETS,
        count: counted.positive.iter().sum(),
        sum: counted.sum,
        positive_spans,
        positive_buckets,
        custom_values: Arc::from(bounds),
        ..Histogram::default()
    }))
}

fn gauge(random: &Random) -> AnyHistogram {
    let buckets: Vec<f64> = (0..4).map(|_| random.below(40) as f64 / 4.0).collect();
    let zero_count = random.unit();
    AnyHistogram::Float(Arc::new(FloatHistogram {
        reset: ResetHint::Gauge,
        schema: 1,
        zero_threshold: 0.001,
        zero_count,
        count: zero_count + buckets.iter().sum::<f64>(),
        sum: (random.unit() - 0.3) * 50.0,
        positive_spans: vec![Span { offset: -1, length: 2 }, Span { offset: 2, length: 2 }],
        positive_buckets: buckets,
        ..FloatHistogram::default()
    }))
}

/// Adds the histograms of the target with number `n`.
pub(crate) fn add(all: &mut Vec<Series>, random: &Random, target: &[(&str, &str)], times: &[i64], n: usize) {
    let labels = |name, more: &[(&'static str, &'static str)]| {
        let mut labels = vec![("__name__", name)];
        labels.extend_from_slice(target);
        labels.extend_from_slice(more);
        labels
    };
    let half = times.len() / 2;
    for path in ["/", "/login"] {
        let mut counted = Counted::new(6, if n % 2 == 0 { 2 } else { 0 });
        all.push(Series::new(&labels("latency_seconds", &[("path", path)]), times, |i| {
            if i == half {
                // More buckets from here on.
                counted.positive.push(0);
            }
            counted.observe(random);
            // One target's resolution is halved on the way, another's zero bucket grows.
            let schema = if n == 3 && i > half { 1 } else { 2 };
            let zero = if n == 4 && i > half { 0.01 } else { 0.001 };
            Point::Histogram(exponential(&counted, schema, zero))
        }));
    }
    let bounds: &[f64] = if n == 2 {
        &[0.5, 1.0, 4.0]
    } else {
        &[0.5, 1.0, 2.0, 4.0]
    };
    let mut counted = Counted::new(bounds.len() + 1, 0);
    all.push(Series::new(&labels("size_bytes", &[]), times, |_| {
        counted.observe(random);
        Point::Histogram(custom(&counted, bounds))
    }));
    all.push(Series::new(&labels("load_distribution", &[]), times, |_| {
        Point::Histogram(gauge(random))
    }));
    if n < 2 {
        let mut counted = Counted::new(3, 0);
        all.push(Series::new(&labels("mixed", &[]), times, |i| {
            counted.observe(random);
            match (i / 40) % 2 {
                0 => Point::Float(i as f64),
                _ => Point::Histogram(exponential(&counted, 0, 0.001)),
            }
        }));
    }
}
