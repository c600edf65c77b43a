//! The bytes of a file of mapped chunks.

use crate::chunk::Encoding;
use crate::error::StorageError;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use std::ops::Range;
use std::path::Path;

/// First four bytes of a file.
const MAGIC: u32 = 0x0130_BC91;
const VERSION: u8 = 1;
/// Bytes before the first chunk.
pub(super) const HEADER_LEN: usize = 8;
/// Bytes before a chunk's length: series, times, encoding.
const FIXED: usize = 8 + 8 + 8 + 1;
/// The most bytes that a length takes (`MaxChunkLengthFieldSize`).
const MAX_VARINT: usize = 5;
const CRC: usize = 4;
/// The most bytes that a chunk takes besides its data.
pub(super) const OVERHEAD: usize = FIXED + MAX_VARINT + CRC;
/// Set in the encoding of a chunk of samples that came out of order.
const OUT_OF_ORDER: u8 = 0x80;
/// No chunk is longer; what says so is damaged.
pub(super) const MAX_DATA: usize = 16 * 1024 * 1024;

/// One chunk of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) series: SeriesRef,
    pub(super) mint: Timestamp,
    pub(super) maxt: Timestamp,
    pub(super) encoding: Encoding,
    pub(super) out_of_order: bool,
    /// Where its data is, from its first byte.
    pub(super) data: Range<usize>,
}

/// What is wrong at a place of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The bytes end too early.
    Short {
        /// Bytes that are there.
        got: usize,
    },
    /// Something else than it must be.
    Other {
        /// Bytes from the chunk's first.
        at: usize,
        expected: &'static str,
        got: String,
    },
    /// Whole, and of a kind that is not known.
    Newer {
        /// Bytes from the chunk's or file's first.
        at: usize,
        what: &'static str,
        found: u8,
        known: &'static str,
    },
}

impl Wrong {
    /// As an error of the chunk at `offset` of `path`.
    pub(super) fn at(self, path: &Path, offset: u64) -> StorageError {
        match self {
            Self::Newer { at, what, found, known } => StorageError::Unknown {
                path: path.to_owned(),
                offset: offset + at as u64,
                what,
                found: found.to_string(),
                known,
            },
            Self::Short { got } => StorageError::damaged(path, offset, "a chunk", format!("the end after {got} bytes")),
            Self::Other { at, expected, got } => StorageError::damaged(path, offset + at as u64, expected, got),
        }
    }
}

/// The first bytes of a file.
pub(super) fn header() -> [u8; HEADER_LEN] {
    let [a, b, c, d] = MAGIC.to_be_bytes();
    [a, b, c, d, VERSION, 0, 0, 0]
}

/// Whether `bytes`, the first of a file, are of a newer version. They have no checksum, so a version counts as one only
/// where no whole chunk of this version follows: a bit that flipped must not keep a store from being opened.
pub(super) fn check_version(bytes: &[u8]) -> Result<(), Wrong> {
    let (Some(header), Some(chunk)) = (bytes.first_chunk::<HEADER_LEN>(), bytes.get(HEADER_LEN..)) else {
        return Ok(());
    };
    let [magic @ .., version, _, _, _] = header;
    if *magic != MAGIC.to_be_bytes() || *version <= VERSION || parse(chunk).is_ok() {
        return Ok(());
    }
    Err(Wrong::Newer {
        at: 4,
        what: "mapped chunks version",
        found: *version,
        known: "1; a newer version has written it",
    })
}

/// Checks the first bytes of a file.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), Wrong> {
    let wrong = |at, expected, got: &[u8]| {
        Err(Wrong::Other {
            at,
            expected,
            got: format!("{got:02x?}"),
        })
    };
    match bytes.first_chunk::<HEADER_LEN>() {
        None => Err(Wrong::Short { got: bytes.len() }),
        Some([magic @ .., _, _, _, _]) if *magic != MAGIC.to_be_bytes() => wrong(0, "magic 0130bc91", magic),
        Some([_, _, _, _, version, ..]) if *version != VERSION => wrong(4, "version 1", &[*version]),
        Some(_) => Ok(()),
    }
}

/// Appends a chunk to `out`.
pub(super) fn encode(chunk: &Chunk, data: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&chunk.series.0.to_be_bytes());
    out.extend_from_slice(&chunk.mint.to_be_bytes());
    out.extend_from_slice(&chunk.maxt.to_be_bytes());
    out.push(chunk.encoding as u8 | if chunk.out_of_order { OUT_OF_ORDER } else { 0 });
    let mut len = data.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(data);
    let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Where the data begins and how long it is; `None` where `bytes` end before or the length is impossible.
fn data_at(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut len = 0usize;
    for i in 0..MAX_VARINT {
        let byte = *bytes.get(FIXED + i)?;
        len |= usize::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return (len <= MAX_DATA).then_some((FIXED + i + 1, len));
        }
    }
    None
}

/// The length of the chunk that begins with `bytes`, if they tell.
pub(super) fn record_len(bytes: &[u8]) -> Option<usize> {
    data_at(bytes).map(|(at, len)| at + len + CRC)
}

/// The chunk that `bytes` begin with.
pub(super) fn parse(bytes: &[u8]) -> Result<Chunk, Wrong> {
    let short = || Wrong::Short { got: bytes.len() };
    let word = |at: usize| {
        let word = bytes.get(at..at + 8).and_then(|b| b.first_chunk::<8>());
        word.map(|b| u64::from_be_bytes(*b)).ok_or_else(short)
    };
    let (series, mint, maxt) = (word(0)?, word(8)? as i64, word(16)? as i64);
    let kind = *bytes.get(24).ok_or_else(short)?;
    let (at, len) = match data_at(bytes) {
        Some(found) => found,
        None if bytes.len() < FIXED + MAX_VARINT => return Err(short()),
        None => return Err(other(FIXED, "a length of at most 16777216", "more".to_owned())),
    };
    let end = at + len;
    let (Some(before), Some(crc)) = (bytes.get(..end), bytes.get(end..).and_then(|b| b.first_chunk::<CRC>())) else {
        return Err(short());
    };
    let (want, got) = (crc32c::crc32c(before), u32::from_be_bytes(*crc));
    if want != got {
        return Err(other(
            end,
            "the checksum of the chunk",
            format!("{got:08x} where {want:08x} fits"),
        ));
    }
    let Some(encoding) = Encoding::from_number(kind & !OUT_OF_ORDER) else {
        return Err(Wrong::Newer {
            at: 24,
            what: "chunk encoding",
            found: kind & !OUT_OF_ORDER,
            known: "1 to 6; a newer version has written it",
        });
    };
    if maxt < mint {
        return Err(other(
            16,
            "an end that is not before the beginning",
            format!("{maxt} before {mint}"),
        ));
    }
    Ok(Chunk {
        series: SeriesRef(series),
        mint,
        maxt,
        encoding,
        out_of_order: kind & OUT_OF_ORDER != 0,
        data: at..end,
    })
}

fn other(at: usize, expected: &'static str, got: String) -> Wrong {
    Wrong::Other { at, expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(series: u64, mint: i64, span: u32, encoding: u8, out_of_order: bool, len: usize) -> Chunk {
        Chunk {
            series: SeriesRef(series),
            mint,
            maxt: mint + i64::from(span),
            encoding: Encoding::from_number(encoding).unwrap_or(Encoding::Xor),
            out_of_order,
            data: 0..len,
        }
    }

    proptest! {
        #[test]
        fn chunks_come_back_and_no_damage_passes(
            series: u64, mint in -1i64 << 40..1 << 40, span: u32, encoding in 1u8..7, ooo: bool,
            data in proptest::collection::vec(any::<u8>(), 0..300), cut: prop::sample::Index, bit in 0u8..8,
        ) {
            let chunk = chunk(series, mint, span, encoding, ooo, data.len());
            let mut bytes = Vec::new();
            encode(&chunk, &data, &mut bytes);
            prop_assert_eq!(record_len(&bytes), Some(bytes.len()));
            let back = parse(&bytes).unwrap();
            prop_assert_eq!(&bytes[back.data.clone()], &data[..]);
            prop_assert_eq!(Chunk { data: 0..data.len(), ..back }, chunk);
            let at = cut.index(bytes.len());
            prop_assert!(parse(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (parse(&bytes), record_len(&bytes), check_header(&bytes));
        }
    }
}
