//! Float counts (`tsdb/chunkenc/float_histogram.go`).
//!
//! ```text
//! sample 0   count, zero count, sum, buckets above zero, buckets below zero: 64 bits each
//! sample n   the xor of each, with a window of its own
//! ```
//! A stale marker has counts of 0, its sum, and no bucket.

use super::sealed::Sealed;
use super::{BadCounts, Common, Counts, ResetHeader, Side, any_fell, place};
use crate::chunk::bits::{BitReader, BitWriter};
use crate::chunk::layout::Layout;
use crate::chunk::union::Union;
use crate::chunk::value::XorValue;
use leadline_model::histogram::{AnyHistogram, FloatHistogram, ResetHint, Span};
use leadline_model::sample::{STALE_NAN, is_stale};
use std::sync::Arc;

/// The newest sample of a chunk of float counts.
#[derive(Debug, Clone, Default)]
pub struct State {
    count: XorValue,
    zero_count: XorValue,
    sum: XorValue,
    positive: Vec<XorValue>,
    negative: Vec<XorValue>,
}

impl State {
    fn side(&self, side: Side) -> &[XorValue] {
        side.pick(&self.positive, &self.negative)
    }
}

fn put(out: &mut BitWriter, value: f64) -> XorValue {
    out.push(value.to_bits(), 64);
    XorValue::new(value.to_bits())
}

fn values(buckets: &[XorValue]) -> impl Iterator<Item = f64> {
    buckets.iter().map(XorValue::get)
}

impl Counts for FloatHistogram {}

#[expect(private_interfaces, reason = "the trait cannot be named outside")]
impl Sealed for FloatHistogram {
    type State = State;

    fn common(&self) -> Common<'_> {
        Common {
            reset: self.reset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans: &self.positive_spans,
            negative_spans: &self.negative_spans,
            custom_values: &self.custom_values,
        }
    }

    fn stale(reset: ResetHint) -> Self {
        Self {
            reset,
            sum: STALE_NAN,
            ..Self::default()
        }
    }

    fn wrap(self) -> AnyHistogram {
        AnyHistogram::Float(Arc::new(self))
    }

    fn put_first(&self, out: &mut BitWriter) -> State {
        State {
            count: put(out, self.count),
            zero_count: put(out, self.zero_count),
            sum: put(out, self.sum),
            positive: self.positive_buckets.iter().map(|&bucket| put(out, bucket)).collect(),
            negative: self.negative_buckets.iter().map(|&bucket| put(out, bucket)).collect(),
        }
    }

    fn put_next(&self, state: &mut State, out: &mut BitWriter) {
        if is_stale(self.sum) {
            state.count.put(out, 0.0);
            state.zero_count.put(out, 0.0);
            return state.sum.put(out, self.sum);
        }
        state.count.put(out, self.count);
        state.zero_count.put(out, self.zero_count);
        state.sum.put(out, self.sum);
        let old = state.positive.iter_mut().zip(&self.positive_buckets);
        let old = old.chain(state.negative.iter_mut().zip(&self.negative_buckets));
        old.for_each(|(old, &new)| old.put(out, new));
    }

    fn read_first(bits: &mut BitReader<'_>, buckets: (u64, u64)) -> Result<State, BadCounts> {
        let mut state = State {
            count: XorValue::new(bits.read(64)),
            zero_count: XorValue::new(bits.read(64)),
            sum: XorValue::new(bits.read(64)),
            ..State::default()
        };
        if buckets.0.saturating_add(buckets.1) > bits.left() as u64 / 64 {
            return Err(BadCounts::Truncated);
        }
        state
            .positive
            .extend((0..buckets.0).map(|_| XorValue::new(bits.read(64))));
        state
            .negative
            .extend((0..buckets.1).map(|_| XorValue::new(bits.read(64))));
        Ok(state)
    }

    fn read_next(state: &mut State, bits: &mut BitReader<'_>) -> Result<(), BadCounts> {
        state.count.read(bits)?;
        state.zero_count.read(bits)?;
        state.sum.read(bits)?;
        if !is_stale(state.sum.get()) {
            let mut buckets = state.positive.iter_mut().chain(&mut state.negative);
            buckets.try_for_each(|bucket| bucket.read(bits))?;
        }
        Ok(())
    }

    fn from_state(state: &State, layout: &Layout, reset: ResetHint) -> Self {
        Self {
            reset,
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            zero_count: state.zero_count.get(),
            count: state.count.get(),
            sum: state.sum.get(),
            positive_spans: layout.positive.clone(),
            negative_spans: layout.negative.clone(),
            positive_buckets: values(&state.positive).collect(),
            negative_buckets: values(&state.negative).collect(),
            custom_values: layout.custom_values.clone(),
        }
    }

    fn sum(state: &State) -> f64 {
        state.sum.get()
    }

    fn buckets(&self, side: Side) -> usize {
        side.pick(&self.positive_buckets, &self.negative_buckets).len()
    }

    fn newest_buckets(state: &State, side: Side) -> usize {
        state.side(side).len()
    }

    fn count_fell(&self, state: &State) -> bool {
        self.count < state.count.get()
    }

    fn zero_count_fell(&self, state: &State) -> bool {
        self.zero_count < state.zero_count.get()
    }

    fn bucket_fell(&self, state: &State, side: Side, union: Option<&Union>) -> bool {
        let new = side.pick(&self.positive_buckets, &self.negative_buckets);
        any_fell(values(state.side(side)), new.iter().copied(), union)
    }

    fn spread(&mut self, side: Side, spans: Vec<Span>, places: &[usize], len: usize) {
        let buckets = side.pick(&mut self.positive_buckets, &mut self.negative_buckets);
        *buckets = place(buckets.iter().copied(), places, len);
        self.set_spans(side, spans);
    }

    fn set_spans(&mut self, side: Side, spans: Vec<Span>) {
        *side.pick(&mut self.positive_spans, &mut self.negative_spans) = spans;
    }

    // Prometheus notes less of float histograms than of integer ones, and differently in the two cases.

    fn header_of_break(verdict: ResetHeader) -> ResetHeader {
        match verdict {
            ResetHeader::Reset => ResetHeader::Reset,
            _ => ResetHeader::Unknown,
        }
    }

    fn header_of_cut(verdict: ResetHeader) -> ResetHeader {
        match verdict {
            ResetHeader::Reset => ResetHeader::Reset,
            _ => ResetHeader::NotReset,
        }
    }
}
