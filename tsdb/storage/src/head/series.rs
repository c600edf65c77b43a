//! One series: the part that every append touches and the part that it does not.

use crate::chunk::XorAppender;
use leadline_model::sample::Timestamp;
use std::sync::Arc;

/// What an append touches, in one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Hot {
    /// The open chunk with the newest sample.
    pub(super) open: XorAppender,
    /// Who wrote last.
    pub(super) owner: u32,
    /// Which set of registered selectors the series matches (see [`super::selectors`]); 0 is the empty set.
    pub(super) set: u32,
}

/// What only closing a chunk, reading and tidying touch.
#[derive(Debug, Default)]
pub(super) struct Cold {
    /// Closed chunks, oldest first.
    pub(super) closed: Vec<Closed>,
    /// Time (ms) of the open chunk's first sample.
    pub(super) open_from: Timestamp,
}

/// A chunk that takes no more samples.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    /// Time (ms) of its first sample.
    pub(super) mint: Timestamp,
    /// Time (ms) of its last sample.
    pub(super) maxt: Timestamp,
    /// The bytes as Prometheus stores them.
    pub(super) data: Arc<[u8]>,
}

impl Hot {
    /// Whether the open chunk has samples with `mint <= t <= maxt` (ms), as far as its ends tell.
    pub(super) fn open_overlaps(&self, cold: &Cold, mint: Timestamp, maxt: Timestamp) -> bool {
        self.open.samples() > 0 && self.open.last_t() >= mint && cold.open_from <= maxt
    }

    /// Whether any chunk may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlaps(&self, cold: &Cold, mint: Timestamp, maxt: Timestamp) -> bool {
        self.open_overlaps(cold, mint, maxt) || cold.closed.iter().any(|c| c.maxt >= mint && c.mint <= maxt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_row_is_one_cache_line() {
        assert_eq!(size_of::<Hot>(), 64);
    }
}
