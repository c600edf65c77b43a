//! Reading ahead for one query.

use super::{Ahead, Files};
use crate::error::StorageError;
use bytes::Bytes;
use parking_lot::Mutex;

/// So many chunks are read one by one first: a query of few series reads no more than it needs.
const ALONE: usize = 8;
/// How many pages are kept then: 1 MiB.
const PAGES: usize = 128;

/// What one query has read of the files.
#[derive(Debug)]
pub(in crate::head) struct Near(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    asked: usize,
    ahead: Ahead,
}

impl Default for Near {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            asked: 0,
            ahead: Ahead::new(PAGES),
        }))
    }
}

impl Near {
    /// The bytes of the chunk at `place` in `files`, checked.
    pub(in crate::head) fn read(&self, files: &Files, place: u64) -> Result<Bytes, StorageError> {
        let mut kept = self.0.lock();
        kept.asked += 1;
        if kept.asked <= ALONE {
            drop(kept);
            return files.read(place);
        }
        kept.ahead.read(files, place)
    }
}
