//! What a chunk holds of each histogram besides time and layout: integer counts or float counts.

mod float;
mod int;

use super::bits::{BitReader, BitWriter};
use super::layout::Layout;
use super::union::Union;
use super::value::BadWindow;
use leadline_model::histogram::{AnyHistogram, ResetHint, Span};
use std::fmt;
use std::sync::Arc;

/// What a chunk's header says about counter resets (`tsdb/chunkenc/histogram.go`, `CounterResetHeader`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ResetHeader {
    /// Has to be found out by comparing with the chunk before.
    #[default]
    Unknown = 0b0000_0000,
    /// The counter did not begin again here.
    NotReset = 0b0100_0000,
    /// It did.
    Reset = 0b1000_0000,
    /// Gauge histograms.
    Gauge = 0b1100_0000,
}

impl ResetHeader {
    /// From the top two bits of a header's byte.
    pub(super) fn from_byte(byte: u8) -> Self {
        match byte >> 6 {
            0 => Self::Unknown,
            1 => Self::NotReset,
            2 => Self::Reset,
            _ => Self::Gauge,
        }
    }
}

/// What both kinds of histograms have.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    pub(super) reset: ResetHint,
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) sum: f64,
    pub(super) positive_spans: &'a [Span],
    pub(super) negative_spans: &'a [Span],
    pub(super) custom_values: &'a Arc<[f64]>,
}

/// Above or below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above.
    Positive,
    /// Below.
    Negative,
}

impl Side {
    /// What one has for each side.
    pub(super) fn pick<T>(self, positive: T, negative: T) -> T {
        match self {
            Self::Positive => positive,
            Self::Negative => negative,
        }
    }
}

/// What is wrong with the bits of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCounts {
    /// They end behind the chunk.
    Truncated,
    /// A window of significant bits is impossible.
    Window(BadWindow),
}

impl From<BadWindow> for BadCounts {
    fn from(bad: BadWindow) -> Self {
        Self::Window(bad)
    }
}

/// One kind of histogram as [`super::Appender`] and the decoder see it. Sealed: there are two.
pub trait Counts: Clone + Default + fmt::Debug + sealed::Sealed {}

pub(super) mod sealed {
    use super::*;

    /// What [`Counts`] really asks for.
    #[expect(private_interfaces, reason = "the trait cannot be named outside")]
    pub trait Sealed: Sized {
        /// The newest sample, which the next is compared with.
        type State: Clone + Default + fmt::Debug + Send + Sync;

        /// What both kinds have.
        fn common(&self) -> Common<'_>;
        /// A stale marker.
        fn stale(reset: ResetHint) -> Self;
        /// The kind of any histogram.
        fn wrap(self) -> AnyHistogram;

        /// Writes the first sample.
        fn put_first(&self, out: &mut BitWriter) -> Self::State;
        /// Writes a sample whose buckets are those of the chunk's layout.
        fn put_next(&self, state: &mut Self::State, out: &mut BitWriter);
        /// Reads the first sample, with so many buckets above and below zero.
        fn read_first(bits: &mut BitReader<'_>, buckets: (u64, u64)) -> Result<Self::State, BadCounts>;
        /// Reads the next sample.
        fn read_next(state: &mut Self::State, bits: &mut BitReader<'_>) -> Result<(), BadCounts>;
        /// The newest sample with its layout.
        fn from_state(state: &Self::State, layout: &Layout, reset: ResetHint) -> Self;

        /// The newest sum.
        fn sum(state: &Self::State) -> f64;
        /// Number of buckets of one side.
        fn buckets(&self, side: Side) -> usize;
        /// Number of buckets of one side in the newest sample.
        fn newest_buckets(state: &Self::State, side: Side) -> usize;
        /// Whether fewer observations were counted than in the newest sample.
        fn count_fell(&self, state: &Self::State) -> bool;
        /// Whether fewer were in the zero bucket.
        fn zero_count_fell(&self, state: &Self::State) -> bool;
        /// Whether fewer were in a bucket of one side. `union` is that of the chunk's buckets and of these, `None`
        /// where they are the same. A bucket that is not there any more had to be empty.
        fn bucket_fell(&self, state: &Self::State, side: Side, union: Option<&Union>) -> bool;
        /// Gives one side other spans: its buckets are then `len`, of which those it has are at `places`.
        fn spread(&mut self, side: Side, spans: Vec<Span>, places: &[usize], len: usize);
        /// Gives one side other spans of the same number of buckets.
        fn set_spans(&mut self, side: Side, spans: Vec<Span>);

        /// The header of a chunk that begins because `verdict` ended the one before.
        fn header_of_break(verdict: ResetHeader) -> ResetHeader;
        /// The header of a chunk that begins because the one before was long enough.
        fn header_of_cut(verdict: ResetHeader) -> ResetHeader;
    }
}

/// Moves values to their places among `len`, with zeros between.
fn place<T: Copy + Default>(values: impl Iterator<Item = T>, places: &[usize], len: usize) -> Vec<T> {
    let mut all = vec![T::default(); len];
    for (value, &at) in values.zip(places) {
        if let Some(slot) = all.get_mut(at) {
            *slot = value;
        }
    }
    all
}

/// Whether a bucket of `old` is not as full in `new`; see [`sealed::Sealed::bucket_fell`].
fn any_fell<T: Copy + PartialOrd + Default>(
    old: impl Iterator<Item = T>,
    new: impl Iterator<Item = T>,
    union: Option<&Union>,
) -> bool {
    let Some(union) = union else {
        return old.zip(new).any(|(old, new)| old > new);
    };
    let mut new = union.right().iter().copied().zip(new).peekable();
    old.zip(union.left()).any(|(old, &at)| {
        while new.next_if(|n| n.0 < at).is_some() {}
        match new.peek() {
            Some(&(same, new)) if same == at => old > new,
            _ => old != T::default(),
        }
    })
}
