//! What is written: a function of the series and the time, so that whatever is read can be told right from wrong.

use crate::dice::mix;
use leadline_model::histogram::{AnyHistogram, FloatHistogram, Histogram, ResetHint, Span};
use leadline_model::sample::{STALE_NAN, Timestamp, is_stale};
use std::sync::Arc;

/// What a series is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Constant,
    Histogram,
    FloatHistogram,
    /// Floats and histograms in turn, a minute each.
    Mixed,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Counter,
        Self::Gauge,
        Self::Constant,
        Self::Histogram,
        Self::FloatHistogram,
        Self::Mixed,
    ];
}

/// What is appended.
#[derive(Debug, Clone)]
pub(crate) enum Sample {
    Float(f64),
    Histogram(AnyHistogram),
}

/// What a sample says, whichever way it is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// The bits.
    Float(u64),
    Histogram(Box<Buckets>),
    /// The end of the series; whoever stores it may choose the kind.
    Stale,
}

/// A histogram's populated buckets with their counts; numbers by their bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buckets {
    float: bool,
    schema: i32,
    zero: (u64, u64),
    count: u64,
    sum: u64,
    positive: Vec<(i64, u64)>,
    negative: Vec<(i64, u64)>,
}

impl Value {
    pub(crate) fn of(sample: &Sample) -> Self {
        match sample {
            Sample::Float(v) => Self::of_float(*v),
            Sample::Histogram(h) => Self::of_histogram(h),
        }
    }

    pub(crate) fn of_float(v: f64) -> Self {
        if is_stale(v) {
            Self::Stale
        } else {
            Self::Float(v.to_bits())
        }
    }

    pub(crate) fn of_histogram(h: &AnyHistogram) -> Self {
        let float: FloatHistogram;
        let (h, is_float) = match h {
            AnyHistogram::Float(h) => (&**h, true),
            AnyHistogram::Int(h) => {
                float = widened(h);
                (&float, false)
            }
        };
        if is_stale(h.sum) {
            return Self::Stale;
        }
        Self::Histogram(Box::new(Buckets {
            float: is_float,
            schema: h.schema,
            zero: (h.zero_threshold.to_bits(), h.zero_count.to_bits()),
            count: h.count.to_bits(),
            sum: h.sum.to_bits(),
            positive: populated(&h.positive_spans, &h.positive_buckets),
            negative: populated(&h.negative_spans, &h.negative_buckets),
        }))
    }
}

fn widened(h: &Histogram) -> FloatHistogram {
    let absolute = |deltas: &[i64]| {
        let mut count = 0;
        let counts = deltas.iter().map(|delta| {
            count += delta;
            count as f64
        });
        counts.collect()
    };
    FloatHistogram {
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count: h.zero_count as f64,
        count: h.count as f64,
        sum: h.sum,
        positive_spans: h.positive_spans.clone(),
        negative_spans: h.negative_spans.clone(),
        positive_buckets: absolute(&h.positive_buckets),
        negative_buckets: absolute(&h.negative_buckets),
        ..FloatHistogram::default()
    }
}

fn populated(spans: &[Span], counts: &[f64]) -> Vec<(i64, u64)> {
    let (mut found, mut index, mut counts) = (Vec::new(), 0, counts.iter());
    for span in spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            match counts.next() {
                Some(count) if *count != 0.0 => found.push((index, count.to_bits())),
                _ => {}
            }
            index += 1;
        }
    }
    found
}

/// What a series has at a time.
pub(crate) fn sample(id: u64, kind: Kind, t: Timestamp) -> Sample {
    let seconds = t / 1000 - 1_600_000_000;
    let chaos = mix(id ^ (t as u64).rotate_left(20));
    match kind {
        Kind::Counter => Sample::Float(((seconds % 100_000) * (id as i64 % 7 + 1)) as f64),
        Kind::Constant => Sample::Float(id as f64),
        Kind::Gauge => Sample::Float(match chaos % 40 {
            0 => f64::INFINITY,
            1 => -0.0,
            2 => f64::NAN,
            _ => (chaos >> 40) as f64 / 8.0 - 500_000.0,
        }),
        Kind::Histogram => Sample::Histogram(AnyHistogram::Int(Arc::new(histogram(id, t)))),
        Kind::FloatHistogram => Sample::Histogram(AnyHistogram::Float(Arc::new(float_histogram(id, t)))),
        Kind::Mixed if t / 60_000 % 2 == 0 => sample(id, Kind::Gauge, t),
        Kind::Mixed => sample(id, Kind::Histogram, t),
    }
}

/// What marks the end of a series.
pub(crate) fn stale(kind: Kind) -> Sample {
    match kind {
        Kind::Histogram => Sample::Histogram(AnyHistogram::Int(Arc::new(Histogram {
            sum: STALE_NAN,
            ..Histogram::default()
        }))),
        Kind::FloatHistogram => Sample::Histogram(AnyHistogram::Float(Arc::new(FloatHistogram {
            sum: STALE_NAN,
            ..FloatHistogram::default()
        }))),
        _ => Sample::Float(STALE_NAN),
    }
}

/// Grows with time, begins again every few minutes, and changes its buckets every half minute.
fn histogram(id: u64, t: Timestamp) -> Histogram {
    let grown = (t / 1000 % 300) as u64 + 1;
    let layout = mix(id ^ (t / 30_000) as u64);
    let spans = vec![
        Span {
            offset: (layout % 5) as i32 - 2,
            length: 2 + (layout >> 8 & 0xff) as u32 % 3,
        },
        Span {
            offset: 1 + (layout >> 16 & 0xff) as i32 % 4,
            length: 1 + (layout >> 24 & 0xff) as u32 % 2,
        },
    ];
    let populated: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    let counts: Vec<i64> = (1..=populated as i64).map(|i| grown as i64 * i).collect();
    let deltas = counts
        .iter()
        .scan(0, |last, count| Some(count - std::mem::replace(last, *count)));
    Histogram {
        reset: if id.is_multiple_of(5) {
            ResetHint::Gauge
        } else {
            ResetHint::Unknown
        },
        schema: (id % 4) as i32,
        zero_threshold: 0.001,
        zero_count: grown / 3,
        count: counts.iter().sum::<i64>() as u64 + grown / 3,
        sum: grown as f64 * 1.25,
        positive_buckets: deltas.collect(),
        positive_spans: spans,
        ..Histogram::default()
    }
}

fn float_histogram(id: u64, t: Timestamp) -> FloatHistogram {
    let whole = histogram(id, t);
    let mut h = widened(&whole);
    h.reset = whole.reset;
    for count in h.positive_buckets.iter_mut().chain([&mut h.zero_count, &mut h.count]) {
        *count /= 2.0;
    }
    h
}
