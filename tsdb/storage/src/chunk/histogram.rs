//! Native histograms as chunks: encodings 2 and 3, and 5 and 6 with start times
//! (`tsdb/chunkenc/histogram.go`, `float_histogram.go`, `histogram_st.go`).
//!
//! ```text
//! 2, 3  n u16 | resets u8 (the top two bits: 10 began again, 01 did not, 00 unknown, 11 gauge)
//! 5, 6  resets 2 bits | n 14 bits | start times u8
//! then  layout | t0 varbit, counts(0) | dod(t1) counts(1) | dod(t2) counts(2) | ...
//! ```
//! See [`super::layout`] for the layout and [`super::counts`] for the counts. Where it has them, a start time follows each
//! sample.

use super::Encoding;
use super::bits::BitReader;
use super::counts::{BadCounts, Counts, ResetHeader};
use super::layout::{self, BadLayout, Layout};
use super::start::StartTimes;
use super::value::BadWindow;
use super::varbit;
use crate::error::ChunkError;
use leadline_model::histogram::{AnyHistogram, FloatHistogram, Histogram, HistogramSample, MAX_SCHEMA, ResetHint};
use leadline_model::sample::{Timestamp, is_stale};

/// Bytes of the header.
pub(super) const HEADER: usize = 3;
/// The samples that encodings 5 and 6 can count.
pub(super) const ST_SAMPLES: u16 = 0x3fff;

/// Appends the histograms of `chunk` with `mint <= t <= maxt` (ms) to `into`. Decoding ends behind `maxt`.
///
/// Histograms finer than schema 8, which no version writes yet, are brought down to it.
///
/// # Errors
/// [`ChunkError`]; samples before the damage may be in `into` then. [`ChunkError::Kind`] for a chunk of floats.
pub fn decode_histograms(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    into: &mut Vec<HistogramSample>,
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Histogram | Encoding::HistogramSt => decode::<Histogram>(encoding, chunk, mint, maxt, into),
        Encoding::FloatHistogram | Encoding::FloatHistogramSt => {
            decode::<FloatHistogram>(encoding, chunk, mint, maxt, into)
        }
        Encoding::Xor | Encoding::Xor2 => Err(ChunkError::Kind {
            encoding: encoding as u8,
            expected: "histograms",
        }),
    }
}

fn decode<K: Counts>(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    into: &mut Vec<HistogramSample>,
) -> Result<(), ChunkError> {
    let Some(mut at) = Reader::<K>::open(encoding, chunk)? else {
        return Ok(());
    };
    loop {
        if at.t > maxt {
            return Ok(());
        }
        if at.t >= mint {
            into.push(HistogramSample {
                t: at.t,
                h: at.histogram()?,
            });
        }
        if !at.advance()? {
            return Ok(());
        }
    }
}

/// The times (ms) of all samples of a chunk that [`decode_histograms`] reads as a whole, without building what it would.
pub(super) fn times(encoding: Encoding, chunk: &[u8]) -> Result<Vec<Timestamp>, ChunkError> {
    match encoding {
        Encoding::Histogram | Encoding::HistogramSt => times_of::<Histogram>(encoding, chunk),
        _ => times_of::<FloatHistogram>(encoding, chunk),
    }
}

fn times_of<K: Counts>(encoding: Encoding, chunk: &[u8]) -> Result<Vec<Timestamp>, ChunkError> {
    let mut times = Vec::new();
    let Some(mut at) = Reader::<K>::open(encoding, chunk)? else {
        return Ok(times);
    };
    loop {
        times.push(at.t);
        // Bringing it down to what is known may fail.
        if at.layout.schema > MAX_SCHEMA {
            at.histogram()?;
        }
        if !at.advance()? {
            return Ok(times);
        }
    }
}

/// Hands the time and the start time (ms, 0 where unknown) of the samples of `chunk` with `mint <= t <= maxt` (ms) to `take`.
pub(super) fn starts(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    take: impl FnMut(Timestamp, Timestamp),
) -> Result<(), ChunkError> {
    if encoding == Encoding::HistogramSt {
        starts_of::<Histogram>(encoding, chunk, mint, maxt, take)
    } else {
        starts_of::<FloatHistogram>(encoding, chunk, mint, maxt, take)
    }
}

fn starts_of<K: Counts>(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    mut take: impl FnMut(Timestamp, Timestamp),
) -> Result<(), ChunkError> {
    let Some(mut at) = Reader::<K>::open(encoding, chunk)? else {
        return Ok(());
    };
    while at.t <= maxt {
        if at.t >= mint {
            take(at.t, at.start.start);
        }
        if !at.advance()? {
            break;
        }
    }
    Ok(())
}

/// Stands on one sample of a chunk.
#[derive(Debug)]
pub(super) struct Reader<'a, K: Counts> {
    bits: BitReader<'a>,
    len: usize,
    header: ResetHeader,
    start: StartTimes,
    layout: Layout,
    state: K::State,
    pub(super) t: Timestamp,
    delta: i64,
    /// The number of the sample, from 0.
    sample: u16,
    samples: u16,
}

impl<'a, K: Counts> Reader<'a, K> {
    /// On the first sample; `None` where the header promises none.
    pub(super) fn open(encoding: Encoding, chunk: &'a [u8]) -> Result<Option<Self>, ChunkError> {
        let [a, b, c, body @ ..] = chunk else {
            return Err(ChunkError::NoHeader {
                len: chunk.len(),
                expected: HEADER,
            });
        };
        let count = u16::from_be_bytes([*a, *b]);
        let (samples, resets, start) = match encoding {
            Encoding::HistogramSt | Encoding::FloatHistogramSt => (count & ST_SAMPLES, *a, *c),
            _ => (count, *c, 0),
        };
        if samples == 0 {
            return Ok(None);
        }
        let mut bits = BitReader::new(body);
        let truncated = ChunkError::Truncated {
            len: chunk.len(),
            sample: 0,
            samples,
        };
        let layout = Layout::read(&mut bits).map_err(|bad| match bad {
            BadLayout::Truncated => truncated,
            BadLayout::Schema(schema) => ChunkError::Schema { schema },
            BadLayout::Spans => ChunkError::Spans { sample: 0 },
        })?;
        let t = varbit::int(&mut bits);
        let buckets = (layout::buckets(&layout.positive), layout::buckets(&layout.negative));
        let state = K::read_first(&mut bits, buckets).map_err(|_| truncated)?;
        let mut first = Self {
            bits,
            len: chunk.len(),
            header: ResetHeader::from_byte(resets),
            start: StartTimes::new(start),
            layout,
            state,
            t,
            delta: 0,
            sample: 0,
            samples,
        };
        first.end_sample(t)?;
        Ok(Some(first))
    }

    /// Goes to the next sample. `false` behind the last.
    pub(super) fn advance(&mut self) -> Result<bool, ChunkError> {
        if self.sample + 1 >= self.samples {
            return Ok(false);
        }
        self.sample += 1;
        self.delta = self.delta.wrapping_add(varbit::int(&mut self.bits));
        let before = self.t;
        self.t = self.t.wrapping_add(self.delta);
        K::read_next(&mut self.state, &mut self.bits).map_err(|bad| match bad {
            BadCounts::Truncated => self.truncated(),
            BadCounts::Window(BadWindow { leading, significant }) => ChunkError::Window {
                sample: self.sample,
                leading,
                significant,
            },
        })?;
        self.end_sample(before)?;
        Ok(true)
    }

    /// The sample, no finer than the finest schema that is known.
    fn histogram(&self) -> Result<AnyHistogram, ChunkError> {
        let h = self.get().wrap();
        match self.layout.schema > MAX_SCHEMA {
            true => h
                .reduce_resolution(MAX_SCHEMA)
                .ok_or(ChunkError::Spans { sample: self.sample }),
            false => Ok(h),
        }
    }

    /// The sample; a stale marker has nothing else.
    pub(super) fn get(&self) -> K {
        if is_stale(K::sum(&self.state)) {
            return K::stale(ResetHint::Unknown);
        }
        // What the header says of the first sample holds only where the chunk before it is still there.
        let reset = match (self.header, self.sample) {
            (ResetHeader::Gauge, _) => ResetHint::Gauge,
            (_, 0) => ResetHint::Unknown,
            _ => ResetHint::NotReset,
        };
        K::from_state(&self.state, &self.layout, reset)
    }

    /// Reads what stands behind a sample; the one before it was at `before`, ms.
    fn end_sample(&mut self, before: Timestamp) -> Result<(), ChunkError> {
        let times = (before, self.t);
        if self.start.read(&mut self.bits, self.sample, times).is_none() {
            return Err(ChunkError::Overflow { sample: self.sample });
        }
        if self.bits.overrun() {
            return Err(self.truncated());
        }
        Ok(())
    }

    fn truncated(&self) -> ChunkError {
        ChunkError::Truncated {
            len: self.len,
            sample: self.sample,
            samples: self.samples,
        }
    }
}
