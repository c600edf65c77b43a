//! Records become smaller before they are cut into fragments.

use super::MAX_RECORD_BYTES;
use super::fragment::Compression;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fmt;

/// What a raw record cannot begin with: it is how zstd frames begin (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A Snappy block shrinks to no less than this part: a copy of 64 bytes takes three (format description, 2.2.2).
const SNAPPY_MOST: usize = 22;
/// Bytes that a zstd frame is expanded by before they are looked at.
const ZSTD_STEP: usize = 1024 * 1024;
/// The beginning of a frame with the smallest window, 1 KiB.
const EMPTY_FRAME: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0, 0];

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

/// Expands records; keeps what that needs from one to the next.
pub(super) struct Expander {
    snappy: snap::raw::Decoder,
    zstd: Option<Box<FrameDecoder>>,
    expanded: Vec<u8>,
}

impl fmt::Debug for Expander {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expander").finish_non_exhaustive()
    }
}

impl Expander {
    pub(super) fn new() -> Self {
        Self {
            snappy: snap::raw::Decoder::new(),
            zstd: None,
            expanded: Vec::new(),
        }
    }

    /// The record that these bytes hold.
    pub(super) fn expand<'a>(&'a mut self, how: Compression, record: &'a [u8]) -> Result<&'a [u8], Unreadable> {
        match how {
            Compression::None if lost_its_mark(record) => {
                let got = "a compressed one that is not marked";
                return Err(Unreadable::new("a record", got));
            }
            Compression::None => return Ok(record),
            Compression::Snappy => self.unsnap(record)?,
            Compression::Zstd => self.unzstd(record)?,
        }
        Ok(&self.expanded)
    }

    fn unsnap(&mut self, record: &[u8]) -> Result<(), Unreadable> {
        const EXPECTED: &str = "a snappy block";
        let len = snap::raw::decompress_len(record).map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
        // Writers keep a record that does not shrink as it is, so one that did not is not what was written: its flag
        // changed. What claims to have shrunk more than a block can is not expanded at all.
        if len <= record.len() || len > MAX_RECORD_BYTES || len / SNAPPY_MOST > record.len() {
            let got = format!("one of {} bytes that claims to hold {len}", record.len());
            return Err(Unreadable::new("a snappy block that shrank", got));
        }
        self.expanded.resize(len, 0);
        let n = self
            .snappy
            .decompress(record, &mut self.expanded)
            .map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
        self.expanded.truncate(n);
        Ok(())
    }

    fn unzstd(&mut self, mut record: &[u8]) -> Result<(), Unreadable> {
        const EXPECTED: &str = "a zstd frame";
        let decoder = match &mut self.zstd {
            Some(decoder) => decoder,
            None => self.zstd.insert(zstd_decoder()?),
        };
        let unreadable = |e: FrameDecoderError| Unreadable::new(EXPECTED, e.to_string());
        decoder.init(&mut record).map_err(unreadable)?;
        self.expanded.clear();
        while !decoder.is_finished() {
            let step = BlockDecodingStrategy::UptoBytes(ZSTD_STEP);
            decoder.decode_blocks(&mut record, step).map_err(unreadable)?;
            decoder
                .collect_to_writer(&mut self.expanded)
                .map_err(|e| Unreadable::new(EXPECTED, e.to_string()))?;
            if self.expanded.len() > MAX_RECORD_BYTES {
                return Err(Unreadable::new("a record of at most 256 MiB", "more"));
            }
        }
        Ok(())
    }
}

/// A decoder that has seen a frame: only then does it refuse windows beyond 100 MiB, which would make it keep all that a
/// frame expands to.
fn zstd_decoder() -> Result<Box<FrameDecoder>, Unreadable> {
    let mut decoder = Box::new(FrameDecoder::new());
    decoder
        .init(EMPTY_FRAME)
        .map_err(|e| Unreadable::new("a zstd decoder", e.to_string()))?;
    Ok(decoder)
}

/// Whether a record that is marked as raw is a compressed one whose mark was lost. No record type has a number that a
/// Snappy block or a zstd frame of a whole record begins with: a block begins with the record's length, and nothing
/// shorter than 17 bytes shrinks.
fn lost_its_mark(record: &[u8]) -> bool {
    record.starts_with(&ZSTD_MAGIC)
        || (record
            .first()
            .is_some_and(|&first| first > super::record::RecordType::HIGHEST)
            && snap::raw::decompress_len(record)
                .is_ok_and(|len| len > record.len() && len / SNAPPY_MOST <= record.len() && len <= MAX_RECORD_BYTES)
            && snap::raw::Decoder::new().decompress_vec(record).is_ok())
}
