//! Samples as bytes: the encodings of Prometheus' chunks, bit for bit.

mod appender;
mod bits;
mod counts;
mod decode;
mod decoded;
mod ends;
mod histogram;
mod layout;
mod mark;
mod start;
mod union;
mod value;
mod varbit;
mod xor;
mod xor2;

pub use appender::{Appender, FloatHistogramAppender, HistogramAppender, SealedChunk};
pub use counts::Counts;
pub(crate) use decode::decode_since;
pub use decode::{decode, decode_xor, sample_count};
pub(crate) use decoded::Decoded;
pub(crate) use ends::ends;
pub use histogram::decode_histograms;
pub(crate) use mark::Mark;
pub use start::decode_starts;
pub use xor::XorAppender;
pub(crate) use xor::may_be_full;

/// How a chunk is encoded; the numbers are those of Prometheus (`tsdb/chunkenc/chunk.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Native histograms of integer counts.
    Histogram = 2,
    /// Native histograms of float counts.
    FloatHistogram = 3,
    /// Floats with start times (read only).
    Xor2 = 4,
    /// Histograms with start times (read only).
    HistogramSt = 5,
    /// Float histograms with start times (read only).
    FloatHistogramSt = 6,
}

impl Encoding {
    /// The encoding with this number; `None` for one that is not known.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Xor,
            2 => Self::Histogram,
            3 => Self::FloatHistogram,
            4 => Self::Xor2,
            5 => Self::HistogramSt,
            6 => Self::FloatHistogramSt,
            _ => return None,
        })
    }

    /// Whether its samples are floats and not histograms.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::Xor | Self::Xor2)
    }
}
