//! One series: the part that every append touches and the part that it does not.

use super::closed::ClosedChunks;
use crate::chunk::{Encoding, XorAppender, sample_count};
use crate::points::{self, Point};
use crate::source::SourceChunk;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use leadline_model::target::OwnerId;
use std::sync::Arc;

/// The owner of a series that nobody has written to since the store was opened.
pub(super) const NO_OWNER: u32 = u32::MAX;

/// What an append touches, in one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Hot {
    /// The open chunk with the newest sample.
    pub(super) open: XorAppender,
    /// Who wrote last; [`NO_OWNER`] where nobody has.
    pub(super) owner: u32,
    /// Which set of registered selectors the series matches (see [`super::selectors`]); 0 is the empty set.
    pub(super) set: u32,
}

/// What only closing a chunk, reading and tidying touch.
#[derive(Debug, Default)]
pub(super) struct Cold {
    /// Closed chunks, oldest first.
    pub(super) closed: ClosedChunks,
    /// Time (ms) of the open chunk's first sample.
    pub(super) open_from: Timestamp,
}

/// Where a closed chunk's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// In memory, as Prometheus stores them.
    Memory(Arc<[u8]>),
    /// In a file of mapped chunks, by its reference there.
    Disk(u64),
}

/// A chunk that takes no more samples.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    /// Time (ms) of its first sample.
    pub(super) mint: Timestamp,
    /// From its first sample to its last, ms; [`u32::MAX`] is that and all that is longer.
    pub(super) span: u32,
    /// Number of its samples.
    pub(super) samples: u16,
    /// How its bytes are to be read.
    pub(super) encoding: Encoding,
    /// Its bytes.
    pub(super) data: Data,
}

impl Closed {
    /// A chunk whose bytes are in memory; times in ms.
    pub(super) fn in_memory(mint: Timestamp, maxt: Timestamp, encoding: Encoding, data: Arc<[u8]>) -> Self {
        Self {
            samples: sample_count(encoding, &data),
            data: Data::Memory(data),
            ..Self::on_disk(mint, maxt, encoding, 0, 0)
        }
    }

    /// A chunk that was just encoded.
    pub(super) fn encoded(chunk: &SourceChunk) -> Self {
        let data = Arc::from(chunk.data.as_ref());
        Self::in_memory(chunk.mint, chunk.maxt, chunk.encoding, data)
    }

    /// A chunk of `samples` samples whose bytes are on the disk at `place`; times in ms.
    pub(super) fn on_disk(mint: Timestamp, maxt: Timestamp, encoding: Encoding, samples: u16, place: u64) -> Self {
        Self {
            mint,
            span: u32::try_from(maxt.saturating_sub(mint)).unwrap_or(u32::MAX),
            samples,
            encoding,
            data: Data::Disk(place),
        }
    }

    /// Time (ms) of its last sample; the end of time where it spans more than 49 days.
    pub(super) fn maxt(&self) -> Timestamp {
        match self.span {
            u32::MAX => Timestamp::MAX,
            span => self.mint.saturating_add(i64::from(span)),
        }
    }

    /// Whether it may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlaps(&self, mint: Timestamp, maxt: Timestamp) -> bool {
        self.maxt() >= mint && self.mint <= maxt
    }

    /// Where it is on the disk, if it is.
    pub(super) fn place(&self) -> Option<u64> {
        match self.data {
            Data::Memory(_) => None,
            Data::Disk(place) => Some(place),
        }
    }

    /// Its bytes, if they are in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Memory(bytes) => Some(bytes),
            Data::Disk(_) => None,
        }
    }

    /// Its samples, if they are in memory.
    pub(super) fn points(&self) -> Option<Vec<Point>> {
        let (bytes, mut points) = (self.bytes()?, Vec::new());
        // The store encoded it itself.
        let _ = points::decode(self.encoding, bytes, Timestamp::MIN, Timestamp::MAX, &mut points);
        Some(points)
    }

    /// Bytes of memory that its data takes.
    pub(super) fn memory(&self) -> u64 {
        match &self.data {
            Data::Memory(data) => data.len() as u64,
            Data::Disk(_) => 0,
        }
    }
}

impl Hot {
    /// A series without samples.
    pub(super) fn new(owner: u32, set: u32) -> Self {
        Self {
            open: XorAppender::default(),
            owner,
            set,
        }
    }

    /// Who wrote last, if anybody did since the store was opened.
    pub(super) fn owner(&self) -> Option<OwnerId> {
        (self.owner != NO_OWNER).then_some(OwnerId(self.owner))
    }

    /// Whether the open chunk has samples with `mint <= t <= maxt` (ms), as far as its ends tell.
    pub(super) fn open_overlaps(&self, cold: &Cold, mint: Timestamp, maxt: Timestamp) -> bool {
        self.open.samples() > 0 && self.open.last_t() >= mint && cold.open_from <= maxt
    }

    /// Whether any chunk may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlaps(&self, cold: &Cold, mint: Timestamp, maxt: Timestamp) -> bool {
        self.open_overlaps(cold, mint, maxt) || cold.closed.overlapping(mint, maxt).next().is_some()
    }
}

/// A chunk on its way to the disk.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The series.
    pub(super) series: SeriesRef,
    /// The chunk, whose bytes are in memory.
    pub(super) chunk: Closed,
    /// Whether its samples came out of order.
    pub(super) out_of_order: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hot_row_is_one_cache_line_and_what_else_a_series_has_half_of_one() {
        assert_eq!((size_of::<Hot>(), size_of::<Cold>(), size_of::<Closed>()), (64, 32, 32));
    }

    #[test]
    fn a_chunk_of_more_than_49_days_overlaps_all_that_comes_after() {
        let long = Closed::on_disk(5, 5 + i64::from(u32::MAX), Encoding::Xor, 2, 0);
        assert!(long.overlaps(i64::MAX, i64::MAX) && !long.overlaps(0, 4));
        let short = Closed::on_disk(5, 9, Encoding::Xor, 2, 0);
        assert!(short.overlaps(9, 10) && !short.overlaps(10, 11));
    }
}
