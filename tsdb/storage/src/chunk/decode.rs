//! From the bytes of an XOR chunk (see [`super::xor`]) back to samples.
//!
//! Nearly all of a query's time can go by here, so: the position in bits is the only thing that one field hands to the
//! next, and it grows by what the branches already know, so that the loads of several samples overlap. The columns get
//! their final size once. What is before the window is decoded (each sample builds on the one before it) but not written.

use super::bits::{BitReader, PEEKED};
use super::histogram::ST_SAMPLES;
use super::mark::Mark;
use super::xor::HEADER;
use super::{Encoding, xor2};
use crate::error::ChunkError;
use leadline_model::sample::{Samples, Timestamp};

/// The number of samples that a chunk's header promises; 0 where there is no header.
#[must_use]
pub fn sample_count(encoding: Encoding, chunk: &[u8]) -> u16 {
    match encoding {
        // The top bits are something else.
        Encoding::HistogramSt | Encoding::FloatHistogramSt => count(chunk) & ST_SAMPLES,
        Encoding::Xor | Encoding::Histogram | Encoding::FloatHistogram | Encoding::Xor2 => count(chunk),
    }
}

/// The first two bytes as a number; 0 where there are fewer.
pub(super) fn count(chunk: &[u8]) -> u16 {
    match chunk {
        [a, b, ..] => u16::from_be_bytes([*a, *b]),
        _ => 0,
    }
}

/// Appends the floats of `chunk` with `mint <= t <= maxt` (ms) to `into`. Decoding ends behind `maxt`.
///
/// # Errors
/// [`ChunkError`]; samples before the damage may be in `into` then. [`ChunkError::Kind`] for a chunk of histograms, which
/// [`super::decode_histograms`] reads.
pub fn decode(
    encoding: Encoding,
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    into: &mut Samples,
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => decode_xor(chunk, mint, maxt, into),
        Encoding::Xor2 => xor2::decode(chunk, mint, maxt, into),
        Encoding::Histogram | Encoding::FloatHistogram | Encoding::HistogramSt | Encoding::FloatHistogramSt => {
            Err(ChunkError::Kind {
                encoding: encoding as u8,
                expected: "floats",
            })
        }
    }
}

/// [`decode`] of [`Encoding::Xor`].
///
/// # Errors
/// [`ChunkError`]; samples before the damage may be in `into` then.
pub fn decode_xor(chunk: &[u8], mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), ChunkError> {
    let Some(mut at) = Decoder::open(chunk)? else {
        return Ok(());
    };
    if at.t >= mint && at.t <= maxt {
        into.push(at.t, f64::from_bits(at.v));
    }
    if at.left == 0 || at.t > maxt {
        return Ok(());
    }
    at.second()?;
    go_on(at, mint, maxt, into)
}

/// [`decode_xor`] of bits that were copied with `mark`, of what is behind it.
///
/// # Errors
/// [`ChunkError`]; samples before the damage may be in `into` then.
pub(crate) fn decode_since(
    mark: &Mark,
    bits: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    into: &mut Samples,
) -> Result<(), ChunkError> {
    let at = Decoder {
        bits: mark.reader(bits),
        t: mark.t,
        v: mark.v,
        delta: mark.delta,
        width: u32::from(mark.window.0),
        trailing: u32::from(mark.window.1),
        left: mark.left,
        chunk: bits,
    };
    go_on(at, mint, maxt, into)
}

/// Appends the sample that `at` stands on, which is not the first, and all behind it, as far as they are in time.
fn go_on(mut at: Decoder<'_>, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), ChunkError> {
    while at.t < mint {
        if at.left == 0 {
            return Ok(());
        }
        at.next()?;
    }
    if at.t > maxt {
        return Ok(());
    }
    into.push(at.t, f64::from_bits(at.v));
    let (before, room) = (into.len(), usize::from(at.left));
    into.t.resize(before + room, 0);
    into.v.resize(before + room, 0.0);
    let (written, result) = at.fill(maxt, &mut into.t[before..], &mut into.v[before..]);
    into.t.truncate(before + written);
    into.v.truncate(before + written);
    result
}

/// Stands on one sample of a chunk.
#[derive(Debug, Clone, Copy)]
struct Decoder<'a> {
    bits: BitReader<'a>,
    t: Timestamp,
    v: u64,
    delta: u64,
    /// Significant bits of the window. It is all 64 until one is set: Prometheus uses it before when it goes on with a
    /// chunk whose values were all equal until it was restarted.
    width: u32,
    /// Insignificant bits below the window.
    trailing: u32,
    /// Samples behind this one.
    left: u16,
    chunk: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// On the first sample; `None` where the header promises none.
    fn open(chunk: &'a [u8]) -> Result<Option<Self>, ChunkError> {
        let Some(body) = chunk.get(HEADER..) else {
            return Err(ChunkError::NoHeader {
                len: chunk.len(),
                expected: HEADER,
            });
        };
        let Some(left) = count(chunk).checked_sub(1) else {
            return Ok(None);
        };
        let mut first = Self {
            bits: BitReader::new(body),
            t: 0,
            v: 0,
            delta: 0,
            width: 64,
            trailing: 0,
            left,
            chunk,
        };
        first.t = first.bits.varint().ok_or_else(|| overflow(chunk, left))?;
        first.v = first.bits.read(64);
        first.check_end()?;
        Ok(Some(first))
    }

    /// Goes from the first sample to the second.
    fn second(&mut self) -> Result<(), ChunkError> {
        self.left -= 1;
        self.delta = self.bits.uvarint().ok_or_else(|| overflow(self.chunk, self.left))?;
        self.t = self.t.wrapping_add(self.delta as i64);
        self.value(self.bits.peek(), 0)?;
        self.check_end()
    }

    /// Goes on by one sample, behind the second. There must be one.
    #[inline(always)]
    fn next(&mut self) -> Result<(), ChunkError> {
        self.left -= 1;
        if self.usual() {
            #[cfg(feature = "planted")]
            leadline_model::planted::trap(self.t < 0 && self.width == 64);
            return Ok(());
        }
        let window = self.bits.peek();
        if window >> 63 == 0 {
            self.t = self.t.wrapping_add(self.delta as i64);
            self.value(window << 1, 1)?;
        } else {
            let (dod, taken, window) = self.dod(window);
            self.delta = self.delta.wrapping_add(dod as u64);
            self.t = self.t.wrapping_add(self.delta as i64);
            self.value(window, taken)?;
        }
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(self.t < 0 && self.width == 64);
        self.check_end()
    }

    /// Takes the next sample where it is as most are, which one look at its bits tells: as far behind the one before it as
    /// that was, with a value that is the same, fits the window, or sets one. Enough bytes are left then that it cannot lie
    /// behind the end.
    #[inline(always)]
    fn usual(&mut self) -> bool {
        let Some(word) = self.bits.look() else {
            return false;
        };
        if word >> 62 == 0 {
            self.bits.skip(2);
        } else if word >> 61 == 0b010 {
            let shown = if 3 + self.width <= PEEKED {
                word << 3
            } else if let Some(word) = self.bits.look_ahead(3) {
                word
            } else {
                return false;
            };
            self.v ^= shown >> (64 - self.width) << self.trailing;
            self.bits.skip(3 + self.width);
        } else if word >> 61 == 0b011 {
            let (leading, width) = ((word >> 56 & 31) as u32, (word >> 50 & 63) as u32);
            if width == 0 || 14 + width > PEEKED || leading + width > 64 {
                return false;
            }
            (self.width, self.trailing) = (width, 64 - leading - width);
            self.v ^= word << 14 >> (64 - width) << self.trailing;
            self.bits.skip(14 + width);
        } else {
            return false;
        }
        self.t = self.t.wrapping_add(self.delta as i64);
        true
    }

    /// Goes on while times are at most `maxt` and columns have room. Returns how many samples it wrote.
    fn fill(mut self, maxt: Timestamp, t: &mut [Timestamp], v: &mut [f64]) -> (usize, Result<(), ChunkError>) {
        let mut written = 0;
        for (t, v) in t.iter_mut().zip(v) {
            if let Err(damage) = self.next() {
                return (written, Err(damage));
            }
            if self.t > maxt {
                break;
            }
            (*t, *v) = (self.t, f64::from_bits(self.v));
            written += 1;
        }
        (written, Ok(()))
    }

    /// The change of the delta that `window` begins with and that is not '0', how many bits are still to be skipped
    /// for it, and the window behind it.
    #[inline(always)]
    fn dod(&mut self, window: u64) -> (i64, u32, u64) {
        let ones = (!window).leading_zeros();
        if ones > 3 {
            self.bits.skip(4);
            let dod = self.bits.read(64) as i64;
            return (dod, 0, self.bits.peek());
        }
        // One to three ones, a zero, and 14, 17 or 20 bits.
        let bits = 11 + 3 * ones;
        let raw = window << (ones + 1) >> (64 - bits);
        // 2^(bits-1) is the highest number that means itself: it is the sign of what is one below.
        let dod = (raw.wrapping_sub(1) << (64 - bits)) as i64 >> (64 - bits);
        let taken = ones + 1 + bits;
        (dod + 1, taken, window << taken)
    }

    /// Takes the next value. `window` holds what follows `taken` bits that are not skipped yet.
    #[inline(always)]
    fn value(&mut self, window: u64, taken: u32) -> Result<(), ChunkError> {
        if window >> 63 == 0 {
            self.bits.skip(taken + 1);
            return Ok(());
        }
        if window >> 62 == 0b10 {
            let head = taken + 2;
            if head + self.width <= PEEKED {
                // All of it was looked at already.
                self.v ^= (window << 2 >> (64 - self.width)) << self.trailing;
                self.bits.skip(head + self.width);
                return Ok(());
            }
            self.bits.skip(head);
        } else {
            self.bits.skip(taken + 13);
            let (leading, width) = (window >> 57 & 31, window >> 51 & 63);
            self.width = if width == 0 { 64 } else { width as u32 };
            let used = leading as u32 + self.width;
            if used > 64 {
                return Err(bad_window(self.chunk, self.left, leading as u8, self.width as u8));
            }
            self.trailing = 64 - used;
        }
        self.v ^= self.bits.read(self.width) << self.trailing;
        Ok(())
    }

    /// Refuses a sample that lies behind the end in part.
    #[inline(always)]
    fn check_end(&self) -> Result<(), ChunkError> {
        if self.bits.overrun() {
            return Err(truncated(self.chunk, self.left));
        }
        Ok(())
    }
}

// What follows takes values and no decoder, so that a decoder can stay in registers.

/// The number of the sample behind which `left` are, from 0.
fn sample(chunk: &[u8], left: u16) -> u16 {
    // Behind a mark there is no header to count from.
    count(chunk).saturating_sub(left).saturating_sub(1)
}

#[cold]
fn overflow(chunk: &[u8], left: u16) -> ChunkError {
    ChunkError::Overflow {
        sample: sample(chunk, left),
    }
}

#[cold]
fn bad_window(chunk: &[u8], left: u16, leading: u8, significant: u8) -> ChunkError {
    ChunkError::Window {
        sample: sample(chunk, left),
        leading,
        significant,
    }
}

#[cold]
fn truncated(chunk: &[u8], left: u16) -> ChunkError {
    ChunkError::Truncated {
        len: chunk.len(),
        sample: sample(chunk, left),
        samples: count(chunk),
    }
}
