//! Which buckets the histograms of a chunk have (`tsdb/chunkenc/histogram_meta.go`).
//!
//! ```text
//! zero threshold  0: 0; 1..254: 2^(byte-244); 255: 64 bits of a float follow
//! schema          varbit
//! spans above 0, spans below 0: count varbit unsigned, then of each length varbit unsigned and offset varbit
//! bounds, of schema -53 alone: count varbit unsigned, then of each
//!   bound*1000+1 varbit unsigned where that is whole and at most 33554431, else '0' and 64 bits of a float
//! ```

use super::bits::{BitReader, BitWriter};
use super::varbit;
use leadline_model::histogram::{CUSTOM_BUCKETS, Span};
use std::sync::Arc;

/// The buckets of a histogram, without their counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive: Vec<Span>,
    pub(super) negative: Vec<Span>,
    pub(super) custom_values: Arc<[f64]>,
}

/// What is wrong with a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadLayout {
    /// It ends behind the chunk.
    Truncated,
    /// The schema is not known, or does not fit into 32 bits.
    Schema(i64),
    /// A span's length or offset does not fit into 32 bits, or there are far more spans than buckets.
    Spans,
}

/// Spans without a bucket that a side may have besides two for each bucket. They cost nothing on the disk but memory in
/// each sample that is read.
const IDLE_SPANS: usize = 16;

impl Layout {
    /// Writes the layout.
    pub(super) fn put(&self, out: &mut BitWriter) {
        put_zero_threshold(out, self.zero_threshold);
        varbit::put_int(out, i64::from(self.schema));
        for spans in [&self.positive, &self.negative] {
            varbit::put_uint(out, spans.len() as u64);
            for span in spans {
                varbit::put_uint(out, u64::from(span.length));
                varbit::put_int(out, i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS {
            varbit::put_uint(out, self.custom_values.len() as u64);
            self.custom_values.iter().for_each(|&bound| put_bound(out, bound));
        }
    }

    /// Reads a layout.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self, BadLayout> {
        let zero_threshold = zero_threshold(bits);
        let raw = varbit::int(bits);
        let positive = spans(bits)?;
        let negative = spans(bits)?;
        if bits.overrun() {
            return Err(BadLayout::Truncated);
        }
        // Those up to 52 are reserved for finer ones, down to -9 for coarser ones.
        let schema = match i32::try_from(raw) {
            Ok(schema @ (CUSTOM_BUCKETS | -9..=52)) => schema,
            _ => return Err(BadLayout::Schema(raw)),
        };
        let custom_values = if schema == CUSTOM_BUCKETS {
            bounds(bits)?
        } else {
            Arc::default()
        };
        Ok(Self {
            schema,
            zero_threshold,
            positive,
            negative,
            custom_values,
        })
    }
}

/// The number of buckets in `spans`.
pub(super) fn buckets(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

fn put_zero_threshold(out: &mut BitWriter, threshold: f64) {
    let bits = threshold.to_bits();
    // A power of two has no fraction bits and no sign.
    let byte = (bits >> 52).checked_sub(779).filter(|byte| (1..=254).contains(byte));
    match byte {
        _ if threshold == 0.0 => out.push(0, 8),
        Some(byte) if bits << 12 == 0 => out.push(byte, 8),
        _ => {
            out.push(255, 8);
            out.push(bits, 64);
        }
    }
}

fn zero_threshold(bits: &mut BitReader<'_>) -> f64 {
    match bits.read(8) {
        0 => 0.0,
        255 => f64::from_bits(bits.read(64)),
        byte => f64::from_bits((byte + 779) << 52),
    }
}

fn spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, BadLayout> {
    let count = varbit::uint(bits);
    // Each takes at least two bits.
    if count > bits.left() as u64 / 2 {
        return Err(BadLayout::Truncated);
    }
    let mut all = Vec::new();
    for _ in 0..count {
        let length = u32::try_from(varbit::uint(bits)).map_err(|_| BadLayout::Spans)?;
        let offset = i32::try_from(varbit::int(bits)).map_err(|_| BadLayout::Spans)?;
        all.push(Span { offset, length });
    }
    match usize::try_from(buckets(&all)) {
        Ok(buckets) if all.len() <= buckets.saturating_mul(2).saturating_add(IDLE_SPANS) => Ok(all),
        _ => Err(BadLayout::Spans),
    }
}

fn put_bound(out: &mut BitWriter, bound: f64) {
    let scaled = bound * 1000.0;
    let whole = scaled.round();
    if (0.0..=33_554_430.0).contains(&scaled) && whole / 1000.0 == bound {
        varbit::put_uint(out, whole as u64 + 1);
    } else {
        out.push(0, 1);
        out.push(bound.to_bits(), 64);
    }
}

fn bounds(bits: &mut BitReader<'_>) -> Result<Arc<[f64]>, BadLayout> {
    let count = varbit::uint(bits);
    // Each takes at least five bits.
    if count > bits.left() as u64 / 5 {
        return Err(BadLayout::Truncated);
    }
    let bound = |_| match varbit::uint(bits) {
        0 => f64::from_bits(bits.read(64)),
        scaled => (scaled - 1) as f64 / 1000.0,
    };
    Ok((0..count).map(bound).collect())
}
