//! Records of what was deleted, and of what an out-of-order log is rid of because chunks on disk hold it.

use super::{Decode, Entries, RecordType};
use crate::codec::{Cursor, Malformed, put_u64, put_varint};
use crate::interval::Interval;

/// Iterates over the tombstones of a record.
pub type TombstoneIter<'a> = Entries<'a, Tombstones>;

/// How tombstones are read.
#[derive(Debug, Clone, Copy)]
pub struct Tombstones;

/// What was deleted of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TombstoneEntry {
    /// Reference of the series.
    pub series: u64,
    /// The time that was deleted.
    pub interval: Interval,
}

impl<'a> Decode<'a> for Tombstones {
    type Entry = TombstoneEntry;

    fn decode(&mut self, cursor: &mut Cursor<'a>) -> Result<TombstoneEntry, Malformed> {
        Ok(TombstoneEntry {
            series: cursor.be_u64()?,
            interval: Interval {
                mint: cursor.varint()?,
                maxt: cursor.varint()?,
            },
        })
    }
}

/// Appends a record of tombstones: references of series with the time that was deleted.
pub fn encode_tombstones(out: &mut Vec<u8>, tombstones: impl IntoIterator<Item = (u64, Interval)>) {
    let mut tombstones = tombstones.into_iter().peekable();
    if tombstones.peek().is_some() {
        out.push(RecordType::Tombstones as u8);
    }
    for (series, deleted) in tombstones {
        put_u64(out, series);
        put_varint(out, deleted.mint);
        put_varint(out, deleted.maxt);
    }
}

/// Iterates over the markers of a record.
pub type MarkerIter<'a> = Entries<'a, Markers>;

/// How markers are read.
#[derive(Debug, Clone, Copy)]
pub struct Markers;

/// The out-of-order samples of a series until here are in a chunk on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerEntry {
    /// Reference of the series.
    pub series: u64,
    /// Where the chunk is: number of its file in the upper 32 bits, offset (bytes) in the lower ones.
    pub chunk: u64,
}

impl<'a> Decode<'a> for Markers {
    type Entry = MarkerEntry;

    fn decode(&mut self, cursor: &mut Cursor<'a>) -> Result<MarkerEntry, Malformed> {
        Ok(MarkerEntry {
            series: cursor.be_u64()?,
            chunk: cursor.be_u64()?,
        })
    }
}

/// Appends a record of markers: references of series and of chunks.
pub fn encode_mmap_markers(out: &mut Vec<u8>, markers: impl IntoIterator<Item = (u64, u64)>) {
    let mut markers = markers.into_iter().peekable();
    if markers.peek().is_some() {
        out.push(RecordType::MmapMarkers as u8);
    }
    for (series, chunk) in markers {
        put_u64(out, series);
        put_u64(out, chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tombstones_and_markers_survive(all in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<i64>()), 1..9)) {
            let mut record = Vec::new();
            encode_tombstones(&mut record, all.iter().map(|&(s, mint, maxt)| (s, Interval { mint, maxt })));
            let Ok(Record::Tombstones(entries)) = Record::parse(&record) else {
                panic!("type {:?}", record.first());
            };
            let read: Result<Vec<_>, _> = entries.map(|e| e.map(|e| (e.series, e.interval.mint, e.interval.maxt))).collect();
            prop_assert_eq!(read.as_ref(), Ok(&all));

            record.clear();
            encode_mmap_markers(&mut record, all.iter().map(|&(s, c, _)| (s, c as u64)));
            let Ok(Record::MmapMarkers(entries)) = Record::parse(&record) else {
                panic!("type {:?}", record.first());
            };
            let read: Result<Vec<_>, _> = entries.map(|e| e.map(|e| (e.series, e.chunk as i64))).collect();
            prop_assert_eq!(read, Ok(all.iter().map(|&(s, c, _)| (s, c)).collect::<Vec<_>>()));
        }
    }
}
