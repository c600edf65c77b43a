//! Whether the segments of a block go as far as its index says.

use super::block::Block;
use super::index::SeriesEntry;
use crate::error::StorageError;
use std::sync::Arc;

impl Block {
    /// Looks where the last chunk of each segment ends. A segment that ends early can be opened, and shows where a query wants what it
    /// lacks: a copy that stopped half-way looks like that. Chunks come in the order of their series
    /// (`tsdb/compact.go`, `populateBlock`), so a few series of the index are read for each segment; of a block with
    /// another order some chunk of it is looked for. Whether a chunk is whole is for who reads it to find out.
    ///
    /// # Errors
    /// [`StorageError::Damaged`]: a segment ends before, or the index is not whole; [`StorageError::Io`].
    pub fn check_reach(&self) -> Result<(), StorageError> {
        let Some(all) = self.index().all()? else {
            return Ok(());
        };
        let all = self.index().postings_uncached(all)?;
        let (mut series, mut chunks) = (self.index().series_uncached(), self.chunks().chunks());
        let mut get = |reference| series.get(reference);
        let mut segment = u64::MAX;
        while let Some(chunk) = last_before(segment, &all, &mut get)? {
            chunks.check_end(chunk)?;
            segment = segment_of(chunk);
        }
        Ok(())
    }
}

fn segment_of(chunk: u64) -> u64 {
    chunk >> 32
}

/// The last chunk that is in a segment before `segment`; `all` are the series.
fn last_before(
    segment: u64,
    all: &[u32],
    get: &mut dyn FnMut(u32) -> Result<Arc<SeriesEntry>, StorageError>,
) -> Result<Option<u64>, StorageError> {
    let mut rest = all;
    let mut before = 0;
    while let Some((&middle, behind)) = rest.get(rest.len() / 2..).and_then(<[u32]>::split_first) {
        let first = get(middle)?.chunks.first().map(|chunk| segment_of(chunk.reference));
        if first.is_none_or(|first| first < segment) {
            before += rest.len() - behind.len();
            rest = behind;
        } else {
            rest = rest.get(..rest.len() / 2).unwrap_or_default();
        }
    }
    for &series in all.get(..before).unwrap_or_default().iter().rev() {
        let entry = get(series)?;
        let mut chunks = entry.chunks.iter().rev().map(|chunk| chunk.reference);
        if let Some(chunk) = chunks.find(|&chunk| segment_of(chunk) < segment) {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}
