//! Prometheus' XOR chunk (`tsdb/chunkenc/xor.go`), after Facebook's Gorilla.
//!
//! ```text
//! n u16 | t0 varint | v0 64 bits | t1-t0 uvarint | xor(v1) | dod(t2) xor(v2) | dod(t3) xor(v3) | ...
//! dod   0               '0'
//!       -8191..8192     '10'   + 14 bits
//!       -65535..65536   '110'  + 17 bits
//!       -524287..524288 '1110' + 20 bits
//!       other           '1111' + 64 bits
//! xor   0               '0'
//!       fits the window '10' + the window's bits
//!       other           '11' + 5 bits leading zeros (at most 31) + 6 bits significant (0: 64) + these bits
//! ```
//! All bits run from the most significant down, and the last byte is padded with zero bits. The ranges of dod reach one
//! further up than down, so a k-bit number above 2^(k-1) means itself minus 2^k.

use super::bits::Pending;
use super::decode::count;
use super::mark::{self, Mark};
use leadline_model::sample::Timestamp;
use std::sync::Arc;

/// Bytes of the header.
pub(super) const HEADER: usize = 2;
/// Marks that no window of significant bits was set yet.
const NO_WINDOW: u8 = 0xff;
/// The most bytes one sample can add (145 bits).
const MAX_SAMPLE: usize = 19;
/// A chunk is closed when another sample might bring it over this many bytes
/// (`tsdb/chunkenc/chunk.go`, `MaxBytesPerXORChunk`).
const MAX_BYTES: usize = 1024;

/// Whether [`XorAppender::is_full`] may have been true of a sealed chunk: if not, it was closed for another reason.
pub(crate) fn may_be_full(chunk: &[u8], max_samples: u16) -> bool {
    // Up to eight bytes of one that is not full wait behind its words.
    count(chunk) >= max_samples || chunk.len() > (MAX_BYTES - MAX_SAMPLE) / 8 * 8
}

/// Encodes one chunk while it is open. 56 bytes, so that a series' hot row fits a cache line.
///
/// Completed words go to a buffer that grows with the chunk; the bits after them wait in a register, so that most
/// appends do not touch the buffer at all.
#[derive(Debug, Clone)]
pub struct XorAppender {
    last_t: Timestamp,
    last_v: u64,
    delta: u64,
    pending: Pending,
    buf: Box<[u8]>,
    len: u16,
    n: u16,
    leading: u8,
    trailing: u8,
}

impl Default for XorAppender {
    fn default() -> Self {
        Self {
            last_t: Timestamp::MIN,
            last_v: 0,
            delta: 0,
            pending: Pending::default(),
            buf: Box::default(),
            len: 0,
            n: 0,
            leading: NO_WINDOW,
            trailing: 0,
        }
    }
}

impl XorAppender {
    /// An empty chunk behind one whose last sample is at `t` (ms) and has the value with these bits.
    pub(crate) fn behind(t: Timestamp, bits: u64) -> Self {
        Self {
            last_t: t,
            last_v: bits,
            ..Self::default()
        }
    }

    /// Number of samples.
    #[inline]
    #[must_use]
    pub fn samples(&self) -> u16 {
        self.n
    }

    /// Time (ms) of the newest sample; it outlives [`Self::seal`]. `i64::MIN` before the first.
    #[inline]
    #[must_use]
    pub fn last_t(&self) -> Timestamp {
        self.last_t
    }

    /// Bit pattern of the newest sample's value; it outlives [`Self::seal`].
    #[inline]
    #[must_use]
    pub fn last_bits(&self) -> u64 {
        self.last_v
    }

    /// Bytes of memory that the buffer takes.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buf.len()
    }

    /// Whether the chunk should be closed before the next sample.
    #[inline]
    #[must_use]
    pub fn is_full(&self, max_samples: u16) -> bool {
        self.n >= max_samples || usize::from(self.len) + 8 > MAX_BYTES - MAX_SAMPLE
    }

    /// Bytes of the chunk but for the last few, which wait for a word to be full.
    #[inline]
    pub(crate) fn words(&self) -> u16 {
        self.len
    }

    /// Adds a sample; `t` must be later than [`Self::last_t`], and the chunk must not be full.
    #[inline]
    pub fn append(&mut self, t: Timestamp, v: f64) {
        let bits = v.to_bits();
        if self.n < 2 {
            self.append_early(t, bits);
        } else {
            let delta = t.wrapping_sub(self.last_t) as u64;
            self.put_dod(delta.wrapping_sub(self.delta) as i64);
            self.put_xor(bits);
            self.delta = delta;
        }
        self.last_t = t;
        self.last_v = bits;
        self.n += 1;
        if self.n.is_multiple_of(mark::EVERY) {
            self.mark();
        }
    }

    /// The first two samples, which are written in other ways.
    fn append_early(&mut self, t: Timestamp, bits: u64) {
        if self.n == 0 {
            self.leading = NO_WINDOW;
            self.put(0, 16);
            self.put_uvarint(((t << 1) ^ (t >> 63)) as u64);
            self.put(bits, 64);
        } else {
            self.delta = t.wrapping_sub(self.last_t) as u64;
            self.put_uvarint(self.delta);
            self.put_xor(bits);
        }
    }

    #[inline]
    fn put(&mut self, value: u64, n: u32) {
        if let Some(word) = self.pending.push(value, n) {
            let at = usize::from(self.len);
            let marks = usize::from(self.n / mark::EVERY) * mark::SIZE;
            if at + 8 + marks > self.buf.len() {
                self.grow(marks);
            }
            if let Some(place) = self.buf.get_mut(at..at + 8) {
                place.copy_from_slice(&word.to_be_bytes());
            }
            self.len += 8;
        }
    }

    fn put_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.put(value, 8);
    }

    #[inline]
    fn put_dod(&mut self, dod: i64) {
        let low = |bits: u32| dod as u64 & ((1 << bits) - 1);
        match dod {
            0 => self.put(0, 1),
            -8_191..=8_192 => self.put(0b10 << 14 | low(14), 16),
            -65_535..=65_536 => self.put(0b110 << 17 | low(17), 20),
            -524_287..=524_288 => self.put(0b1110 << 20 | low(20), 24),
            _ => {
                self.put(0b1111, 4);
                self.put(dod as u64, 64);
            }
        }
    }

    #[inline]
    fn put_xor(&mut self, bits: u64) {
        let x = bits ^ self.last_v;
        if x == 0 {
            return self.put(0, 1);
        }
        let leading = (x.leading_zeros() as u8).min(31);
        let trailing = x.trailing_zeros() as u8;
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            let width = 64 - u32::from(self.leading) - u32::from(self.trailing);
            return self.put_two(0b10, 2, x >> self.trailing, width);
        }
        self.leading = leading;
        self.trailing = trailing;
        let width = 64 - u32::from(leading) - u32::from(trailing);
        let head = 0b11 << 11 | u64::from(leading) << 6 | u64::from(width & 63);
        self.put_two(head, 13, x >> trailing, width);
    }

    /// Two fields in one go where they fit into one word.
    #[inline]
    fn put_two(&mut self, a: u64, a_bits: u32, b: u64, b_bits: u32) {
        if a_bits + b_bits <= 64 {
            self.put(a << b_bits | b, a_bits + b_bits);
        } else {
            self.put(a, a_bits);
            self.put(b, b_bits);
        }
    }

    /// A bigger buffer: small steps while small, then by a quarter, along the allocator's size classes. `marks`: how many
    /// bytes of marks are at the end.
    #[cold]
    fn grow(&mut self, marks: usize) {
        let size = match self.buf.len() {
            0 => 32,
            old @ ..=32 => old * 2,
            old @ ..=511 => old + 64,
            old => old + 128,
        };
        let mut bigger = vec![0u8; size].into_boxed_slice();
        let words = self.buf.len() - marks;
        bigger[..words].copy_from_slice(&self.buf[..words]);
        bigger[size - marks..].copy_from_slice(&self.buf[words..]);
        self.buf = bigger;
    }

    /// Notes at the end of the buffer, in front of earlier marks, what a decoder knows behind the newest sample.
    #[cold]
    fn mark(&mut self) {
        let before = usize::from(self.n / mark::EVERY - 1) * mark::SIZE;
        while usize::from(self.len) + before + mark::SIZE > self.buf.len() {
            self.grow(before);
        }
        let window = match self.leading {
            NO_WINDOW => (64, 0),
            leading => (64 - leading - self.trailing, self.trailing),
        };
        let mark = Mark {
            t: self.last_t,
            v: self.last_v,
            delta: self.delta,
            pos: self.len * 8 + self.pending.waiting(),
            window,
            left: 0,
        };
        let at = self.buf.len() - before - mark::SIZE;
        self.buf[at..at + mark::SIZE].copy_from_slice(&mark.bytes());
    }

    /// Reads a byte of each part of the buffer that [`Self::copy_since`] is going to need for the newest samples, without
    /// waiting for any of them.
    #[inline]
    pub(crate) fn look(&self) -> u8 {
        let len = usize::from(self.len);
        let byte = |at: usize| self.buf.get(at).copied().unwrap_or_default();
        byte(self.buf.len().wrapping_sub(mark::SIZE)) ^ byte(len.wrapping_sub(1)) ^ byte(len.saturating_sub(64))
    }

    /// Appends what is needed to read the samples from `from` (ms) on to `out`: the bytes behind the last mark before it,
    /// which is returned, or where there is none the whole chunk as [`Self::copy_to`] does.
    pub(crate) fn copy_since(&self, from: Timestamp, out: &mut Vec<u8>) -> Option<Mark> {
        for number in (1..=self.n / mark::EVERY).rev() {
            let at = self.buf.len().checked_sub(usize::from(number) * mark::SIZE)?;
            let mut found = Mark::read(self.buf.get(at..)?.first_chunk()?, self.n - number * mark::EVERY);
            if found.t < from {
                let first = (found.pos / 8).min(self.len);
                found.pos -= first * 8;
                out.extend_from_slice(&self.buf[usize::from(first)..usize::from(self.len)]);
                let (tail, n) = self.pending.bytes();
                out.extend_from_slice(&tail[..n]);
                return Some(found);
            }
        }
        self.copy_to(out);
        None
    }

    /// Appends the chunk as it is now (header, bits, padding) to `out` and returns its length in bytes.
    pub fn copy_to(&self, out: &mut Vec<u8>) -> usize {
        if self.n == 0 {
            return 0;
        }
        let start = out.len();
        out.extend_from_slice(&self.buf[..usize::from(self.len)]);
        let (tail, n) = self.pending.bytes();
        out.extend_from_slice(&tail[..n]);
        if let Some(header) = out.get_mut(start..start + HEADER) {
            header.copy_from_slice(&self.n.to_be_bytes());
        }
        out.len() - start
    }

    /// Closes the chunk: its bytes, exactly as Prometheus stores them. The appender is empty then, its buffer given
    /// back, and only remembers the newest sample. `scratch` is overwritten.
    pub fn seal(&mut self, scratch: &mut Vec<u8>) -> Arc<[u8]> {
        scratch.clear();
        self.copy_to(scratch);
        *self = Self {
            last_t: self.last_t,
            last_v: self.last_v,
            ..Self::default()
        };
        Arc::from(scratch.as_slice())
    }
}
