//! Bits, most significant first, through 64-bit words.

/// Takes bits in and gives whole words out. At most 63 bits wait in it.
///
/// Packed to nine bytes, because each open series holds one.
#[derive(Debug, Clone, Copy, Default)]
#[repr(Rust, packed)]
pub(crate) struct Pending {
    /// The waiting bits, from the top.
    acc: u64,
    /// How many wait.
    len: u8,
}

impl Pending {
    /// Adds the low `n` bits of `value` (1 to 64; higher bits must be 0) and returns a word when one is full.
    #[inline]
    pub(crate) fn push(&mut self, value: u64, n: u32) -> Option<u64> {
        let total = u32::from(self.len) + n;
        if total < 64 {
            self.acc |= value << (64 - total);
            self.len = total as u8;
            return None;
        }
        let spill = total - 64;
        let word = self.acc | (value >> spill);
        self.acc = if spill == 0 { 0 } else { value << (64 - spill) };
        self.len = spill as u8;
        Some(word)
    }

    /// How many bits wait.
    pub(crate) fn waiting(self) -> u16 {
        u16::from(self.len)
    }

    /// The waiting bits as bytes, padded with zero bits, and how many bytes they take.
    #[inline]
    pub(crate) fn bytes(self) -> ([u8; 8], usize) {
        (self.acc.to_be_bytes(), usize::from(self.len).div_ceil(8))
    }
}

/// Bits that are being written to a buffer of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct BitWriter {
    words: Vec<u8>,
    pending: Pending,
}

impl BitWriter {
    /// Adds the low `n` bits of `value` (1 to 64; higher bits must be 0).
    #[inline]
    pub(super) fn push(&mut self, value: u64, n: u32) {
        if let Some(word) = self.pending.push(value, n) {
            self.words.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// Length in bytes; the last may have room left.
    pub(super) fn len(&self) -> usize {
        self.words.len() + self.pending.bytes().1
    }

    /// Bytes of memory that the buffer takes.
    pub(super) fn capacity(&self) -> usize {
        self.words.capacity()
    }

    /// Appends all bits, padded with zero bits, to `out`.
    pub(super) fn copy_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.words);
        let (tail, n) = self.pending.bytes();
        out.extend_from_slice(&tail[..n]);
    }
}

/// How many bits one look shows at least: those of eight bytes behind a position within the first.
pub(crate) const PEEKED: u32 = 57;

/// Looks at bits at any position. Beyond the end everything reads as 0; [`Self::overrun`] tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    /// Position in bits.
    pos: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0 }
    }

    /// The next bits, from the top; at least [`PEEKED`] of them are meant.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u64 {
        let at = self.pos >> 3;
        let word = match self.data.get(at..at + 8).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => tail(self.data, at),
        };
        word << (self.pos & 7)
    }

    /// What [`Self::peek`] shows, where it is all there.
    #[inline(always)]
    pub(crate) fn look(&self) -> Option<u64> {
        let at = self.pos >> 3;
        let bytes = self.data.get(at..at + 8)?.first_chunk()?;
        Some(u64::from_be_bytes(*bytes) << (self.pos & 7))
    }

    /// All 64 bits that begin `ahead` bits from here, where nine bytes are left there.
    #[inline(always)]
    pub(crate) fn look_ahead(&self, ahead: u32) -> Option<u64> {
        let pos = self.pos + ahead as usize;
        let (at, within) = (pos >> 3, pos & 7);
        let bytes: &[u8; 9] = self.data.get(at..at + 9)?.first_chunk()?;
        let [word @ .., next] = *bytes;
        Some(u64::from_be_bytes(word) << within | u64::from(next) >> (8 - within))
    }

    /// Goes on by `n` bits.
    #[inline]
    pub(crate) fn skip(&mut self, n: u32) {
        self.pos += n as usize;
    }

    /// Reads `n` bits (1 to 64).
    #[inline(always)]
    pub(crate) fn read(&mut self, n: u32) -> u64 {
        if n <= PEEKED {
            let value = self.peek() >> (64 - n);
            self.skip(n);
            return value;
        }
        if let Some(word) = self.look_ahead(0) {
            self.skip(n);
            return word >> (64 - n);
        }
        let high = self.peek() >> 32;
        self.skip(32);
        let low = self.peek() >> (96 - n);
        self.skip(n - 32);
        high << (n - 32) | low
    }

    /// How many bits are left.
    pub(super) fn left(&self) -> usize {
        (self.data.len() * 8).saturating_sub(self.pos)
    }

    /// Reads an unsigned LEB128 number; `None` for one of more than 64 bits.
    #[inline(always)]
    pub(super) fn uvarint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.read(8);
            if shift == 63 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Reads a zig-zag LEB128 number; `None` for one of more than 64 bits.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Option<i64> {
        self.uvarint().map(|raw| (raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Whether more bits were taken than there are.
    #[inline]
    pub(crate) fn overrun(&self) -> bool {
        self.pos > self.data.len() * 8
    }
}

/// The word at byte `at` where fewer than eight bytes are left: the last word, moved up. It takes no reader, so that a
/// reader can stay in registers.
#[cold]
fn tail(data: &[u8], at: usize) -> u64 {
    if let Some(last) = data.last_chunk() {
        let missing = (at + 8 - data.len()) * 8;
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        return u64::from_be_bytes(*last).checked_shl(missing).unwrap_or(0);
    }
    let mut bytes = [0u8; 8];
    if let Some(rest) = data.get(at..) {
        bytes[..rest.len()].copy_from_slice(rest);
    }
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_at_every_width_and_offset() {
        for offset in 1..64u32 {
            for width in 1..=64u32 {
                let value = 0xa5a5_f00d_1234_8765u64 >> (64 - width);
                let mut out = Vec::new();
                let mut pending = Pending::default();
                for (v, n) in [(1, offset), (value, width), (1, 3)] {
                    if let Some(word) = pending.push(v, n) {
                        out.extend_from_slice(&word.to_be_bytes());
                    }
                }
                let (tail, n) = pending.bytes();
                out.extend_from_slice(&tail[..n]);
                let mut r = BitReader::new(&out);
                assert_eq!(
                    (r.read(offset), r.read(width), r.read(3)),
                    (1, value, 1),
                    "{offset} {width}"
                );
                assert!(!r.overrun());
                assert_eq!(r.look(), None);
                // The same with as many bytes behind it as whoever looks ahead wants to see.
                out.resize(out.len() + 16, 0xff);
                let mut r = BitReader::new(&out);
                assert_eq!(
                    r.look_ahead(offset).map(|word| word >> (64 - width)),
                    Some(value),
                    "{offset} {width}"
                );
                assert_eq!(r.look(), Some(r.peek()));
                assert_eq!((r.read(offset), r.read(width), r.read(3)), (1, value, 1));
                let mut r = BitReader::new(&out[..out.len() - 16]);
                r.skip(offset + width + 3);
                r.skip(8);
                assert!(r.overrun());
                assert_eq!(r.peek(), 0);
            }
        }
    }
}
