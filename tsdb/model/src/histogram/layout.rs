//! The same histogram with other buckets: fewer spans, or coarser ones
//! (`model/histogram/generic.go`, `compactBuckets`, `reduceResolution`).

use super::buckets::{absolute, deltas, indices};
use super::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, Span};
use std::ops::AddAssign;
use std::sync::Arc;

impl Histogram {
    /// Leaves empty buckets out at both ends of spans, and within where there are more than `max_empty` in a row; fills
    /// gaps of at most as many between spans.
    pub fn compact(&mut self, max_empty: usize) {
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            let (new, counts) = compact(spans, absolute(buckets), max_empty);
            (*spans, *buckets) = (new, deltas(counts));
        }
    }

    /// The same at a coarser schema; `None` for one that is not coarser, for bounds of its own, and where the spans do
    /// not fit the buckets.
    #[must_use]
    pub fn reduce_resolution(&self, schema: i32) -> Option<Self> {
        let shift = shift(self.schema, schema)?;
        let positive = reduce(&self.positive_spans, absolute(&self.positive_buckets), shift)?;
        let negative = reduce(&self.negative_spans, absolute(&self.negative_buckets), shift)?;
        Some(Self {
            schema,
            positive_spans: positive.0,
            positive_buckets: deltas(positive.1),
            negative_spans: negative.0,
            negative_buckets: deltas(negative.1),
            ..self.clone()
        })
    }

    /// Whether it is the end of its series.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        crate::sample::is_stale(self.sum)
    }
}

impl FloatHistogram {
    /// Leaves empty buckets out at both ends of spans, and within where there are more than `max_empty` in a row; fills
    /// gaps of at most as many between spans.
    pub fn compact(&mut self, max_empty: usize) {
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            let (new, counts) = compact(spans, buckets.iter().copied(), max_empty);
            (*spans, *buckets) = (new, counts);
        }
    }

    /// The same at a coarser schema; `None` for one that is not coarser, for bounds of its own, and where the spans do
    /// not fit the buckets.
    #[must_use]
    pub fn reduce_resolution(&self, schema: i32) -> Option<Self> {
        let shift = shift(self.schema, schema)?;
        let positive = reduce(&self.positive_spans, self.positive_buckets.iter().copied(), shift)?;
        let negative = reduce(&self.negative_spans, self.negative_buckets.iter().copied(), shift)?;
        Some(Self {
            schema,
            positive_spans: positive.0,
            positive_buckets: positive.1,
            negative_spans: negative.0,
            negative_buckets: negative.1,
            ..self.clone()
        })
    }

    /// Whether it is the end of its series.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        crate::sample::is_stale(self.sum)
    }
}

impl AnyHistogram {
    /// The same at a coarser schema; see [`Histogram::reduce_resolution`].
    #[must_use]
    pub fn reduce_resolution(&self, schema: i32) -> Option<Self> {
        match self {
            Self::Int(h) => h.reduce_resolution(schema).map(|h| Self::Int(Arc::new(h))),
            Self::Float(h) => h.reduce_resolution(schema).map(|h| Self::Float(Arc::new(h))),
        }
    }

    /// Whether it is the end of its series.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Int(h) => h.is_stale(),
            Self::Float(h) => h.is_stale(),
        }
    }

    /// The same with float counts.
    #[must_use]
    pub fn to_float(&self) -> Arc<FloatHistogram> {
        match self {
            Self::Int(h) => Arc::new(h.to_float()),
            Self::Float(h) => h.clone(),
        }
    }

    /// Checks that its parts go together.
    ///
    /// # Errors
    /// [`super::HistogramError`] names the first that does not.
    pub fn validate(&self) -> Result<(), super::HistogramError> {
        match self {
            Self::Int(h) => h.validate(),
            Self::Float(h) => h.validate(),
        }
    }
}

fn shift(from: i32, to: i32) -> Option<u32> {
    if from == CUSTOM_BUCKETS || to == CUSTOM_BUCKETS || to >= from {
        return None;
    }
    u32::try_from(from - to).ok()
}

/// Spans and counts that are built bucket by bucket.
struct Side<C> {
    spans: Vec<Span>,
    counts: Vec<C>,
    /// The index behind the last bucket.
    next: i32,
}

impl<C: Copy> Side<C> {
    fn new() -> Self {
        Self {
            spans: Vec::new(),
            counts: Vec::new(),
            next: 0,
        }
    }

    fn push(&mut self, index: i32, count: C) {
        match self.spans.last_mut() {
            Some(span) if index == self.next => span.length += 1,
            _ => self.spans.push(Span {
                offset: index.wrapping_sub(self.next),
                length: 1,
            }),
        }
        self.next = index.wrapping_add(1);
        self.counts.push(count);
    }
}

/// `None` where spans and counts are not as many.
fn reduce<C: Copy + AddAssign>(
    spans: &[Span],
    mut counts: impl Iterator<Item = C>,
    shift: u32,
) -> Option<(Vec<Span>, Vec<C>)> {
    let mut side = Side::new();
    for index in indices(spans) {
        let count = counts.next()?;
        // The bucket that ends at the same bound is the last of those that become one.
        let coarse = (index.checked_sub(1)?)
            .checked_shr(shift)
            .unwrap_or(if index > 0 { 0 } else { -1 })
            + 1;
        match side.counts.last_mut() {
            Some(last) if side.next == coarse.wrapping_add(1) => *last += count,
            _ => side.push(coarse, count),
        }
    }
    counts.next().is_none().then_some((side.spans, side.counts))
}

fn compact<C: Copy + PartialEq + Default>(
    spans: &[Span],
    counts: impl Iterator<Item = C>,
    max_empty: usize,
) -> (Vec<Span>, Vec<C>) {
    let mut side = Side::new();
    let mut first = true;
    let full = indices(spans).zip(counts).filter(|(_, count)| *count != C::default());
    for (index, count) in full {
        let gap = i64::from(index) - i64::from(side.next);
        if !first && gap <= max_empty as i64 {
            for index in side.next..index {
                side.push(index, C::default());
            }
        }
        side.push(index, count);
        first = false;
    }
    (side.spans, side.counts)
}
