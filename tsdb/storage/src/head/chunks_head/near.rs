//! Reading ahead in files of mapped chunks: series that were created together have their chunks side by side, so that one
//! read serves many of them.

use super::{Files, format};
use crate::error::StorageError;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// So many chunks are read one by one first: a query of few series reads no more than it needs.
const ALONE: usize = 8;
/// What is read at once then, bytes.
const AT_ONCE: usize = 16 * 1024;
/// How many such parts are kept: the chunks of one series are as many places apart as it has chunks.
const PARTS: usize = 8;

/// What one query has read of the files. Files only grow, so that it stays true.
#[derive(Debug, Default)]
pub(in crate::head) struct Near(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    asked: usize,
    /// The oldest first.
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    seq: u32,
    from: u64,
    bytes: Bytes,
}

impl Part {
    /// The chunk at `offset` of file `seq`, if all of it is here, checked.
    fn chunk(&self, seq: u32, offset: u64) -> Option<Bytes> {
        let at = usize::try_from(offset.checked_sub(self.from)?).ok()?;
        let rest = self.bytes.get(at..).filter(|_| self.seq == seq)?;
        let whole = rest.get(..format::record_len(rest)?)?;
        // What is damaged is read anew, for an error that tells where.
        let data = format::parse(whole).ok()?.data;
        Some(self.bytes.slice(at + data.start..at + data.end))
    }
}

impl Near {
    /// The bytes of the chunk at `place` in `files`, checked.
    pub(in crate::head) fn read(&self, files: &Files, place: u64) -> Result<Bytes, StorageError> {
        let (seq, offset) = ((place >> 32) as u32, place & u64::from(u32::MAX));
        let mut kept = self.0.lock();
        kept.asked += 1;
        if kept.asked <= ALONE {
            drop(kept);
            return files.read(place);
        }
        if let Some(chunk) = kept.parts.iter().find_map(|part| part.chunk(seq, offset)) {
            return Ok(chunk);
        }
        let Some(part) = files.part(seq, offset, AT_ONCE)? else {
            return files.read(place);
        };
        let part = Part {
            seq,
            from: offset,
            bytes: part,
        };
        let Some(chunk) = part.chunk(seq, offset) else {
            return files.read(place);
        };
        if kept.parts.len() == PARTS {
            kept.parts.pop_front();
        }
        kept.parts.push_back(part);
        Ok(chunk)
    }
}
