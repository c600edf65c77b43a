//! Reading Prometheus' XOR2 chunk (`tsdb/chunkenc/xor2.go`), in which one prefix tells of time and value together.
//!
//! ```text
//! n u16 | start times u8 | t0 varint | v0 64 bits | t1-t0 uvarint | value(v1) | joint(2) | joint(3) | ...
//! joint '0'                  same delta, value as before
//!       '10' changed         same delta
//!       '110' '1110' '11110' dod of 13, 20, 64 bits in two's complement, then value
//!       '11111'              same delta, stale marker
//! value '0' as before, '10' within the window, '110' window, '111' stale marker
//! changed '0' within the window, '1' window
//! window  5 bits leading zeros, 6 bits significant (0: 64), these bits
//! ```
//! A stale marker leaves the value that the next one is compared with as it was. Start times follow each sample.

use super::bits::BitReader;
use super::start::StartTimes;
use super::value::{BadWindow, XorValue};
use super::xor;
use crate::error::ChunkError;
use leadline_model::sample::{STALE_NAN_BITS, Samples, Timestamp, is_stale};

/// Bytes of the header.
const HEADER: usize = xor::HEADER + 1;

/// Appends the samples of `chunk` with `mint <= t <= maxt` (ms) to `into`. Decoding ends behind `maxt`.
pub(super) fn decode(chunk: &[u8], mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), ChunkError> {
    each(chunk, mint, maxt, |t, v, _| into.push(t, v))
}

/// Hands the time, the value and the start time (ms, 0 where unknown) of the samples of `chunk` with `mint <= t <= maxt` (ms)
/// to `take`. Decoding ends behind `maxt`.
pub(super) fn each(
    chunk: &[u8],
    mint: Timestamp,
    maxt: Timestamp,
    mut take: impl FnMut(Timestamp, f64, Timestamp),
) -> Result<(), ChunkError> {
    let [a, b, start, body @ ..] = chunk else {
        return Err(ChunkError::NoHeader {
            len: chunk.len(),
            expected: HEADER,
        });
    };
    let samples = u16::from_be_bytes([*a, *b]);
    let mut at = Decoder {
        bits: BitReader::new(body),
        start: StartTimes::new(*start),
        t: 0,
        delta: 0,
        value: XorValue::default(),
        v: 0,
    };
    for sample in 0..samples {
        at.sample(sample).map_err(|fault| fault.at(sample))?;
        if at.bits.overrun() {
            return Err(ChunkError::Truncated {
                len: chunk.len(),
                sample,
                samples,
            });
        }
        if at.t > maxt {
            break;
        }
        if at.t >= mint {
            take(at.t, f64::from_bits(at.v), at.start.start);
        }
    }
    Ok(())
}

enum Fault {
    Overflow,
    Window(BadWindow),
}

impl Fault {
    fn at(self, sample: u16) -> ChunkError {
        match self {
            Self::Overflow => ChunkError::Overflow { sample },
            Self::Window(BadWindow { leading, significant }) => ChunkError::Window {
                sample,
                leading,
                significant,
            },
        }
    }
}

struct Decoder<'a> {
    bits: BitReader<'a>,
    start: StartTimes,
    t: Timestamp,
    delta: u64,
    /// The newest value that was no stale marker.
    value: XorValue,
    /// The newest value's bits.
    v: u64,
}

impl Decoder<'_> {
    /// Goes on by one sample, which has this number.
    fn sample(&mut self, sample: u16) -> Result<(), Fault> {
        let before = self.t;
        match sample {
            0 => self.first()?,
            1 => {
                self.delta = self.bits.uvarint().ok_or(Fault::Overflow)?;
                self.t = self.t.wrapping_add(self.delta as i64);
                self.value()?;
            }
            _ => self.joint()?,
        }
        let times = (before, self.t);
        self.start.read(&mut self.bits, sample, times).ok_or(Fault::Overflow)
    }

    fn first(&mut self) -> Result<(), Fault> {
        self.t = self.bits.varint().ok_or(Fault::Overflow)?;
        self.v = self.bits.read(64);
        if !is_stale(f64::from_bits(self.v)) {
            self.value = XorValue::new(self.v);
        }
        Ok(())
    }

    fn joint(&mut self) -> Result<(), Fault> {
        let ones = (!self.bits.peek()).leading_zeros().min(5);
        self.bits.skip((ones + 1).min(5));
        let dod = match ones {
            2 => self.signed(13),
            3 => self.signed(20),
            4 => self.signed(64),
            _ => 0,
        };
        self.delta = self.delta.wrapping_add(dod as u64);
        self.t = self.t.wrapping_add(self.delta as i64);
        match ones {
            0 => self.v = self.value.bits,
            1 => {
                if self.bits.read(1) == 0 {
                    self.value.reuse(&mut self.bits);
                } else {
                    self.value.window(&mut self.bits).map_err(Fault::Window)?;
                }
                self.v = self.value.bits;
            }
            2..=4 => self.value()?,
            _ => self.v = STALE_NAN_BITS,
        }
        Ok(())
    }

    fn signed(&mut self, width: u32) -> i64 {
        (self.bits.read(width) << (64 - width)) as i64 >> (64 - width)
    }

    fn value(&mut self) -> Result<(), Fault> {
        let ones = (!self.bits.peek()).leading_zeros().min(3);
        self.bits.skip((ones + 1).min(3));
        match ones {
            1 => self.value.reuse(&mut self.bits),
            2 => self.value.window(&mut self.bits).map_err(Fault::Window)?,
            3 => {
                self.v = STALE_NAN_BITS;
                return Ok(());
            }
            _ => {}
        }
        self.v = self.value.bits;
        Ok(())
    }
}
