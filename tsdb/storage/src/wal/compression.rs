//! Records become smaller before they are cut into fragments.

use super::MAX_RECORD_BYTES;
use super::fragment::Compression;
use std::io::Read;

/// What a raw record cannot begin with: it is how zstd frames begin (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A Snappy block shrinks to no less than this part: a copy of 64 bytes takes three (format description, 2.2.2).
const SNAPPY_MOST: usize = 22;

/// Why a record cannot be expanded.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) expected: &'static str,
    pub(super) got: String,
}

impl Unreadable {
    fn new(expected: &'static str, got: impl Into<String>) -> Self {
        Self {
            expected,
            got: got.into(),
        }
    }
}

/// Expands a record that is compressed into `into`, whose content goes.
pub(super) fn expand(how: Compression, record: &[u8], into: &mut Vec<u8>) -> Result<(), Unreadable> {
    match how {
        Compression::None => {
            into.clear();
            into.extend_from_slice(record);
            Ok(())
        }
        Compression::Snappy => unsnap(record, into),
        Compression::Zstd => unzstd(record, into),
    }
}

fn unsnap(record: &[u8], into: &mut Vec<u8>) -> Result<(), Unreadable> {
    const EXPECTED: &str = "a snappy block";
    let len = snap::raw::decompress_len(record).map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
    // Writers keep a record that does not shrink as it is, so one that did not is not what was written: its flag
    // changed. What claims to have shrunk more than a block can is not expanded at all.
    if len <= record.len() || len > MAX_RECORD_BYTES || len / SNAPPY_MOST > record.len() {
        let got = format!("one of {} bytes that claims to hold {len}", record.len());
        return Err(Unreadable::new("a snappy block that shrank", got));
    }
    into.clear();
    into.resize(len, 0);
    let n = snap::raw::Decoder::new()
        .decompress(record, into)
        .map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
    into.truncate(n);
    Ok(())
}

fn unzstd(record: &[u8], into: &mut Vec<u8>) -> Result<(), Unreadable> {
    const EXPECTED: &str = "a zstd frame";
    into.clear();
    let frame =
        ruzstd::decoding::StreamingDecoder::new(record).map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
    frame
        .take(MAX_RECORD_BYTES as u64 + 1)
        .read_to_end(into)
        .map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
    if into.len() > MAX_RECORD_BYTES {
        return Err(Unreadable::new("a record of at most 256 MiB", "more"));
    }
    Ok(())
}

/// Whether a record that is marked as raw is a compressed one whose mark was lost. No record type has a number that a
/// Snappy block or a zstd frame of a whole record begins with: a block begins with the record's length, and nothing
/// shorter than 17 bytes shrinks.
pub(super) fn lost_its_mark(record: &[u8]) -> bool {
    record.starts_with(&ZSTD_MAGIC)
        || (record
            .first()
            .is_some_and(|&first| first > super::record::RecordType::HIGHEST)
            && snap::raw::decompress_len(record)
                .is_ok_and(|len| len > record.len() && len / SNAPPY_MOST <= record.len() && len <= MAX_RECORD_BYTES)
            && snap::raw::Decoder::new().decompress_vec(record).is_ok())
}
