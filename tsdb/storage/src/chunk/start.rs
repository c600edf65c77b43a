//! When a counter began to count, which encodings 4 to 6 store behind each sample (`tsdb/chunkenc/st.go`).
//!
//! ```text
//! header u8   bit 7: the first sample has one; bits 0-6: the number of the first sample that changes it, 0 for none
//! sample 0    varint t - start, where bit 7 is set
//! that number varbit, the time of the sample before - start
//! behind it   varbit, by how much that difference grew
//! ```

use super::bits::BitReader;
use super::{Encoding, histogram, varbit, xor2};
use crate::error::ChunkError;
use leadline_model::sample::Timestamp;

/// The start times of the samples of a chunk, one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StartTimes {
    header: u8,
    /// Of the newest sample, ms; 0 where it is unknown.
    pub(super) start: Timestamp,
    /// How long (ms) the start is before what it is told by.
    before: i64,
}

impl StartTimes {
    /// From the header's byte.
    pub(super) fn new(header: u8) -> Self {
        Self {
            header,
            ..Self::default()
        }
    }

    /// Reads the start time of the sample with this number, from 0; `times` (ms) are those of the sample before and of its
    /// own. `None` when it has more than 64 bits.
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>, sample: u16, times: (Timestamp, Timestamp)) -> Option<()> {
        let (first, changes) = (self.header & 0x80 != 0, u16::from(self.header & 0x7f));
        if sample == 0 && first {
            self.start = times.1.wrapping_sub(bits.varint()?);
        }
        if sample > 0 && changes > 0 && sample >= changes {
            let read = varbit::int(bits);
            self.before = if sample == changes {
                read
            } else {
                self.before.wrapping_add(read)
            };
            self.start = times.0.wrapping_sub(self.before);
        }
        Some(())
    }
}

impl Encoding {
    /// Whether its samples may tell when their counter began.
    pub(crate) fn has_starts(self) -> bool {
        matches!(self, Self::Xor2 | Self::HistogramSt | Self::FloatHistogramSt)
    }
}

/// Appends (time, start), ms, of those samples of `chunk` with `mint <= t <= maxt` (ms) to `into` whose start is known;
/// none of an encoding without start times. Decoding ends behind `maxt`.
///
/// # Errors
/// [`ChunkError`]; what is before the damage may be in `into` then.
pub fn decode_starts(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    into: &mut Vec<(Timestamp, Timestamp)>,
) -> Result<(), ChunkError> {
    let take = |t: Timestamp, start: Timestamp| {
        if start != 0 {
            into.push((t, start));
        }
    };
    match encoding {
        Encoding::Xor2 => {
            let mut take = take;
            xor2::each(chunk, mint, maxt, |t, _, start| take(t, start))
        }
        Encoding::HistogramSt | Encoding::FloatHistogramSt => histogram::starts(encoding, chunk, mint, maxt, take),
        Encoding::Xor | Encoding::Histogram | Encoding::FloatHistogram => Ok(()),
    }
}
