//! Integer counts (`tsdb/chunkenc/histogram.go`).
//!
//! ```text
//! sample 0   count, zero count varbit unsigned | sum 64 bits | buckets above, below zero: varbit
//! sample n   dod(count) dod(zero count) xor(sum) dod(buckets above, below zero)...
//! ```
//! A bucket is the difference to the one before it; that of the first sample to nothing, and dod of sample 1 is its delta.
//! A stale marker has dod 0, its sum, and no bucket.

use super::sealed::Sealed;
use super::{BadCounts, Common, Counts, ResetHeader, Side, any_fell, place};
use crate::chunk::bits::{BitReader, BitWriter};
use crate::chunk::layout::Layout;
use crate::chunk::union::Union;
use crate::chunk::value::XorValue;
use crate::chunk::varbit;
use leadline_model::histogram::{AnyHistogram, Histogram, ResetHint, Span};
use leadline_model::sample::{STALE_NAN, is_stale};
use std::sync::Arc;

/// A number with its last change.
#[derive(Debug, Clone, Copy, Default)]
struct Dod {
    value: i64,
    delta: i64,
}

impl Dod {
    fn new(value: i64) -> Self {
        Self { value, delta: 0 }
    }

    fn put(&mut self, out: &mut BitWriter, value: i64) {
        let delta = value.wrapping_sub(self.value);
        varbit::put_int(out, delta.wrapping_sub(self.delta));
        *self = Self { value, delta };
    }

    fn read(&mut self, bits: &mut BitReader<'_>) {
        self.delta = self.delta.wrapping_add(varbit::int(bits));
        self.value = self.value.wrapping_add(self.delta);
    }
}

/// The newest sample of a chunk of integer counts.
#[derive(Debug, Clone, Default)]
pub struct State {
    count: Dod,
    zero_count: Dod,
    sum: XorValue,
    positive: Vec<Dod>,
    negative: Vec<Dod>,
}

impl State {
    fn side(&self, side: Side) -> &[Dod] {
        side.pick(&self.positive, &self.negative)
    }
}

/// Counts from differences.
fn sums(deltas: impl Iterator<Item = i64>) -> impl Iterator<Item = i64> {
    deltas.scan(0i64, |sum, delta| {
        *sum = sum.wrapping_add(delta);
        Some(*sum)
    })
}

fn values(dods: &[Dod]) -> impl Iterator<Item = i64> {
    dods.iter().map(|bucket| bucket.value)
}

impl Counts for Histogram {}

#[expect(private_interfaces, reason = "the trait cannot be named outside")]
impl Sealed for Histogram {
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
        AnyHistogram::Int(Arc::new(self))
    }

    fn put_first(&self, out: &mut BitWriter) -> State {
        varbit::put_uint(out, self.count);
        varbit::put_uint(out, self.zero_count);
        out.push(self.sum.to_bits(), 64);
        let put = |&bucket: &i64| {
            varbit::put_int(out, bucket);
            Dod::new(bucket)
        };
        let mut buckets: Vec<Dod> = self
            .positive_buckets
            .iter()
            .chain(&self.negative_buckets)
            .map(put)
            .collect();
        let negative = buckets.split_off(self.positive_buckets.len());
        State {
            count: Dod::new(self.count as i64),
            zero_count: Dod::new(self.zero_count as i64),
            sum: XorValue::new(self.sum.to_bits()),
            positive: buckets,
            negative,
        }
    }

    fn put_next(&self, state: &mut State, out: &mut BitWriter) {
        if is_stale(self.sum) {
            out.push(0, 2);
            return state.sum.put(out, self.sum);
        }
        state.count.put(out, self.count as i64);
        state.zero_count.put(out, self.zero_count as i64);
        state.sum.put(out, self.sum);
        let old = state.positive.iter_mut().zip(&self.positive_buckets);
        let old = old.chain(state.negative.iter_mut().zip(&self.negative_buckets));
        old.for_each(|(old, &new)| old.put(out, new));
    }

    fn read_first(bits: &mut BitReader<'_>, buckets: (u64, u64)) -> Result<State, BadCounts> {
        let mut state = State {
            count: Dod::new(varbit::uint(bits) as i64),
            zero_count: Dod::new(varbit::uint(bits) as i64),
            sum: XorValue::new(bits.read(64)),
            ..State::default()
        };
        // Each takes at least one bit.
        if buckets.0.saturating_add(buckets.1) > bits.left() as u64 {
            return Err(BadCounts::Truncated);
        }
        state
            .positive
            .extend((0..buckets.0).map(|_| Dod::new(varbit::int(bits))));
        state
            .negative
            .extend((0..buckets.1).map(|_| Dod::new(varbit::int(bits))));
        Ok(state)
    }

    fn read_next(state: &mut State, bits: &mut BitReader<'_>) -> Result<(), BadCounts> {
        state.count.read(bits);
        state.zero_count.read(bits);
        state.sum.read(bits)?;
        if !is_stale(state.sum.get()) {
            let buckets = state.positive.iter_mut().chain(&mut state.negative);
            buckets.for_each(|bucket| bucket.read(bits));
        }
        Ok(())
    }

    fn from_state(state: &State, layout: &Layout, reset: ResetHint) -> Self {
        Self {
            reset,
            schema: layout.schema,
            zero_threshold: layout.zero_threshold,
            zero_count: state.zero_count.value as u64,
            count: state.count.value as u64,
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
        self.count < state.count.value as u64
    }

    fn zero_count_fell(&self, state: &State) -> bool {
        self.zero_count < state.zero_count.value as u64
    }

    fn bucket_fell(&self, state: &State, side: Side, union: Option<&Union>) -> bool {
        let new = side.pick(&self.positive_buckets, &self.negative_buckets);
        any_fell(sums(values(state.side(side))), sums(new.iter().copied()), union)
    }

    fn spread(&mut self, side: Side, spans: Vec<Span>, places: &[usize], len: usize) {
        let buckets = side.pick(&mut self.positive_buckets, &mut self.negative_buckets);
        let counts = place(sums(buckets.iter().copied()), places, len);
        let mut before = 0i64;
        *buckets = counts
            .into_iter()
            .map(|count| count.wrapping_sub(std::mem::replace(&mut before, count)))
            .collect();
        self.set_spans(side, spans);
    }

    fn set_spans(&mut self, side: Side, spans: Vec<Span>) {
        *side.pick(&mut self.positive_spans, &mut self.negative_spans) = spans;
    }

    fn header_of_break(verdict: ResetHeader) -> ResetHeader {
        verdict
    }

    fn header_of_cut(verdict: ResetHeader) -> ResetHeader {
        verdict
    }
}
