//! Integers and texts as Prometheus' formats write them: big-endian fixed numbers, LEB128 variable ones, zig-zag signs.
//!
//! [`Cursor`] reads them from bytes that may be anything: it never reads outside, and no length that it hands out is
//! longer than the bytes that are there.

use crate::error::StorageError;
use std::fmt;
use std::path::Path;

/// Appends `v` as LEB128 (Go's `binary.PutUvarint`).
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends `v` in zig-zag as LEB128 (Go's `binary.PutVarint`).
#[inline]
pub fn put_varint(out: &mut Vec<u8>, v: i64) {
    put_uvarint(out, ((v << 1) ^ (v >> 63)) as u64);
}

/// Appends two bytes, big-endian.
pub fn put_u16(out: &mut Vec<u8>, v: u16) {
    out.extend_from_slice(&v.to_be_bytes());
}

/// Appends four bytes, big-endian.
pub fn put_u32(out: &mut Vec<u8>, v: u32) {
    out.extend_from_slice(&v.to_be_bytes());
}

/// Appends eight bytes, big-endian.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, v: u64) {
    out.extend_from_slice(&v.to_be_bytes());
}

/// Appends eight bytes, big-endian, two's complement.
#[inline]
pub fn put_i64(out: &mut Vec<u8>, v: i64) {
    out.extend_from_slice(&v.to_be_bytes());
}

/// Appends the eight bytes of the number's pattern, big-endian.
#[inline]
pub fn put_f64(out: &mut Vec<u8>, v: f64) {
    put_u64(out, v.to_bits());
}

/// Appends the text behind its length as LEB128, bytes.
pub fn put_str(out: &mut Vec<u8>, s: &str) {
    put_uvarint(out, s.len() as u64);
    out.extend_from_slice(s.as_bytes());
}

/// Appends the CRC-32C of `out[from..]`, big-endian; of nothing when `from` is behind the end.
pub fn put_crc(out: &mut Vec<u8>, from: usize) {
    let crc = crc32c::crc32c(out.get(from..).unwrap_or_default());
    put_u32(out, crc);
}

/// Why bytes do not hold what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed at byte {offset}: expected {expected}, got {got}")]
pub struct Malformed {
    /// Where, bytes from where the cursor began.
    pub offset: usize,
    /// What should be there.
    pub expected: &'static str,
    /// What is there.
    pub got: Got,
}

impl Malformed {
    /// The same as an error of the file that holds these bytes from `base` (bytes) on.
    #[must_use]
    #[cold]
    pub fn in_file(self, path: &Path, base: u64) -> StorageError {
        StorageError::damaged(
            path,
            base.saturating_add(self.offset as u64),
            self.expected,
            self.got.to_string(),
        )
    }
}

/// What is there instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// This many bytes and then the end.
    Bytes(usize),
    /// A number that cannot be.
    Number(u64),
    /// A variable-length integer of more than 64 bits.
    Overflow,
    /// Bytes that are no UTF-8.
    NotText,
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(0) => f.write_str("the end"),
            Self::Bytes(n) => write!(f, "{n} bytes before the end"),
            Self::Number(n) => write!(f, "{n}"),
            Self::Overflow => f.write_str("an integer of more than 64 bits"),
            Self::NotText => f.write_str("bytes that are not UTF-8"),
        }
    }
}

/// Reads from the front of bytes. After an error it stands where it stood.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Stands before the first of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    #[must_use]
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[must_use]
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether none is left.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What is left, without reading it.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads all that is left, so that the cursor is empty.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let rest = self.rest();
        self.at = self.bytes.len();
        rest
    }

    /// The error "`expected` should be here, but `got` is".
    #[must_use]
    #[cold]
    pub fn malformed(&self, expected: &'static str, got: Got) -> Malformed {
        Malformed {
            offset: self.at,
            expected,
            got,
        }
    }

    #[cold]
    fn short(&self, expected: &'static str) -> Malformed {
        self.malformed(expected, Got::Bytes(self.remaining()))
    }

    #[inline]
    fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Malformed> {
        match self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
            Some(&bytes) => {
                self.at += N;
                Ok(bytes)
            }
            None => Err(self.short(expected)),
        }
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>("a byte").map(|[b]| b)
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn be_u16(&mut self) -> Result<u16, Malformed> {
        self.array("2 bytes").map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn be_u32(&mut self) -> Result<u32, Malformed> {
        self.array("4 bytes").map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn be_u64(&mut self) -> Result<u64, Malformed> {
        self.array("8 bytes").map(u64::from_be_bytes)
    }

    /// Eight bytes, big-endian, two's complement.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn be_i64(&mut self) -> Result<i64, Malformed> {
        self.array("8 bytes").map(i64::from_be_bytes)
    }

    /// A number's pattern, eight bytes, big-endian.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        self.array("the 8 bytes of a number")
            .map(|b| f64::from_bits(u64::from_be_bytes(b)))
    }

    /// A LEB128 integer (Go's `binary.Uvarint`).
    ///
    /// # Errors
    /// [`Malformed`] when it does not end, or has more than 64 bits.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u64, Malformed> {
        match self.bytes.get(self.at) {
            Some(&b) if b < 0x80 => {
                self.at += 1;
                Ok(u64::from(b))
            }
            _ => self.long_uvarint(),
        }
    }

    #[inline]
    fn long_uvarint(&mut self) -> Result<u64, Malformed> {
        let (mut v, mut shift) = (0u64, 0u32);
        for (i, &b) in self.rest().iter().enumerate() {
            let bits = u64::from(b & 0x7f);
            if shift == 63 && b > 1 {
                return Err(self.malformed("a variable-length integer", Got::Overflow));
            }
            v |= bits << shift;
            if b < 0x80 {
                self.at += i + 1;
                return Ok(v);
            }
            shift += 7;
        }
        Err(self.short("a variable-length integer"))
    }

    /// A LEB128 integer in zig-zag (Go's `binary.Varint`).
    ///
    /// # Errors
    /// [`Malformed`] when it does not end, or has more than 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<i64, Malformed> {
        self.uvarint().map(|u| (u >> 1) as i64 ^ -((u & 1) as i64))
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        match self.rest().get(..n) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => Err(self.short("as many bytes as their length says")),
        }
    }

    /// Bytes behind their length as LEB128.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    #[inline]
    pub fn sized_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let len = self.uvarint()?;
        // A length beyond the address space is longer than any bytes are.
        let read = self.bytes(usize::try_from(len).unwrap_or(usize::MAX));
        if read.is_err() {
            self.at = start;
        }
        read
    }

    /// A text behind its length as LEB128, bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left or they are not UTF-8.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        match std::str::from_utf8(self.sized_bytes()?) {
            Ok(text) => Ok(text),
            Err(_) => {
                self.at = start;
                Err(self.malformed("text", Got::NotText))
            }
        }
    }

    /// A LEB128 number of things of which each takes at least `least` bytes (1 or more): never more than the bytes that
    /// are left can hold, so it is safe to make room for them.
    ///
    /// # Errors
    /// [`Malformed`] when they cannot be there.
    pub fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let start = self.at;
        let n = self.uvarint()?;
        match usize::try_from(n) {
            Ok(n) if n <= self.remaining() / least.max(1) => Ok(n),
            _ => {
                self.at = start;
                Err(self.malformed("a count of what follows", Got::Number(n)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_have_the_bytes_that_go_gives_them() {
        // Go: binary.PutUvarint, binary.PutVarint.
        for (v, bytes) in [
            (0u64, &[0u8][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let mut out = Vec::new();
            put_uvarint(&mut out, v);
            assert_eq!(out, bytes, "{v}");
        }
        for (v, bytes) in [
            (0i64, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            let mut out = Vec::new();
            put_varint(&mut out, v);
            assert_eq!(out, bytes, "{v}");
        }
    }

    #[test]
    fn an_error_says_where_and_leaves_the_cursor_there() {
        type Read = fn(&mut Cursor<'_>) -> Result<(), Malformed>;
        let overflow = [0xffu8; 11];
        let cases: [(&[u8], Read, usize, Got); 9] = [
            (b"", |c| c.u8().map(drop), 0, Got::Bytes(0)),
            (b"abc", |c| c.be_u32().map(drop), 0, Got::Bytes(3)),
            (b"abcdefg", |c| c.be_u64().map(drop), 0, Got::Bytes(7)),
            (b"\x80\x80", |c| c.uvarint().map(drop), 0, Got::Bytes(2)),
            (&overflow, |c| c.uvarint().map(drop), 0, Got::Overflow),
            // The length is fine, what is behind it is short.
            (b"\x05abc", |c| c.str().map(drop), 1, Got::Bytes(3)),
            (b"\x02\xff\xfe", |c| c.str().map(drop), 0, Got::NotText),
            (b"\x03abcdef", |c| c.count(4).map(drop), 0, Got::Number(3)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
                |c| c.sized_bytes().map(drop),
                10,
                Got::Bytes(1),
            ),
        ];
        for (bytes, read, offset, got) in cases {
            let mut cursor = Cursor::new(bytes);
            let error = read(&mut cursor).unwrap_err();
            assert_eq!((error.offset, error.got), (offset, got), "{bytes:?}");
            assert_eq!(cursor.position(), 0, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(u in any::<u64>(), i in any::<i64>(), text in ".{0,300}", v in any::<u64>()) {
            let mut out = Vec::new();
            put_uvarint(&mut out, u);
            put_varint(&mut out, i);
            put_str(&mut out, &text);
            put_f64(&mut out, f64::from_bits(v));
            put_u16(&mut out, u as u16);
            put_u32(&mut out, u as u32);
            put_i64(&mut out, i);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.uvarint(), Ok(u));
            prop_assert_eq!(cursor.varint(), Ok(i));
            prop_assert_eq!(cursor.str(), Ok(text.as_str()));
            prop_assert_eq!(cursor.f64().map(f64::to_bits), Ok(v));
            prop_assert_eq!(cursor.be_u16(), Ok(u as u16));
            prop_assert_eq!(cursor.be_u32(), Ok(u as u32));
            prop_assert_eq!(cursor.be_i64(), Ok(i));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor::new(&bytes);
            while cursor.str().is_ok() && !cursor.is_empty() {}
            let mut cursor = Cursor::new(&bytes);
            while cursor.varint().is_ok() {}
            prop_assert!(cursor.position() <= bytes.len());
        }
    }
}
