//! What the records of a log say (`tsdb/record/record.go`).
//!
//! [`Record::parse`] tells the type by the first byte; the entries are read by iterators that borrow from the record and
//! allocate nothing. The `encode_…` functions append whole records to a buffer of the caller's; of no entries they make
//! no record.
//!
//! Written are the types 1 to 8 and, in checkpoints, 14; the others are read.

mod entries;
mod exemplars;
mod metadata;
mod samples;
mod series;
mod tombstones;

pub use super::histogram::{HistogramEntry, HistogramIter, HistogramsEncoder};
pub use entries::Entries;
pub use exemplars::{ExemplarEntry, ExemplarIter, ExemplarsEncoder};
pub use metadata::{MetadataEntry, MetadataIter, encode_metadata};
pub use samples::{SampleEntry, SampleIter, SamplesEncoder};
pub use series::{LabelPairs, SeriesEntry, SeriesIter, encode_series};
pub use tombstones::{MarkerEntry, MarkerIter, TombstoneEntry, TombstoneIter, encode_mmap_markers, encode_tombstones};

pub(super) use samples::skip_start_time;

use super::histogram::Counts;
use crate::codec::{Cursor, Malformed, put_i64};
use entries::Decode;
use leadline_model::sample::Timestamp;

/// What a record holds; the numbers are its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordType {
    /// Series: their references and labels.
    Series = 1,
    /// Samples of floats.
    Samples = 2,
    /// What was deleted of series.
    Tombstones = 3,
    /// Exemplars.
    Exemplars = 4,
    /// In the out-of-order log: a series' samples until here are in a chunk on disk.
    MmapMarkers = 5,
    /// Kind, unit and help of series.
    Metadata = 6,
    /// Histograms of integer counts.
    Histograms = 7,
    /// Histograms of float counts.
    FloatHistograms = 8,
    /// Histograms of integer counts with bounds of their own; the same bytes as [`Self::Histograms`].
    CustomHistograms = 9,
    /// Histograms of float counts with bounds of their own; the same bytes as [`Self::FloatHistograms`].
    CustomFloatHistograms = 10,
    /// Samples of floats with the times that their counting began.
    SamplesV2 = 11,
    /// Histograms of integer counts with the times that their counting began.
    HistogramsV2 = 12,
    /// Histograms of float counts with the times that their counting began.
    FloatHistogramsV2 = 13,
    /// At a checkpoint's beginning: before which time samples were left out.
    MinValidTime = 14,
}

impl RecordType {
    /// The highest number that is known.
    pub const HIGHEST: u8 = Self::MinValidTime as u8;

    /// The type with this number; `None` for one that is not known.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [RecordType; 14] = [
            RecordType::Series,
            RecordType::Samples,
            RecordType::Tombstones,
            RecordType::Exemplars,
            RecordType::MmapMarkers,
            RecordType::Metadata,
            RecordType::Histograms,
            RecordType::FloatHistograms,
            RecordType::CustomHistograms,
            RecordType::CustomFloatHistograms,
            RecordType::SamplesV2,
            RecordType::HistogramsV2,
            RecordType::FloatHistogramsV2,
            RecordType::MinValidTime,
        ];
        ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

/// A record with its entries still to be read.
#[derive(Debug, Clone)]
pub enum Record<'a> {
    /// Type 1.
    Series(SeriesIter<'a>),
    /// Types 2 and 11; start times are passed over.
    Samples(SampleIter<'a>),
    /// Type 3.
    Tombstones(TombstoneIter<'a>),
    /// Type 4.
    Exemplars(ExemplarIter<'a>),
    /// Type 5.
    MmapMarkers(MarkerIter<'a>),
    /// Type 6.
    Metadata(MetadataIter<'a>),
    /// Types 7 to 10, 12 and 13.
    Histograms(HistogramIter<'a>),
    /// Type 14, ms.
    MinValidTime(Timestamp),
    /// A type that is not known, by its number: see [`unknown_type`]. 0 for a record without a byte, which says nothing.
    Unknown(u8),
}

/// The number of a record's type where it is none of the known ones. Its checksum was right, so whoever wrote it knew
/// more; Prometheus passes over such a record, and loses it with the next checkpoint.
#[must_use]
pub fn unknown_type(record: &[u8]) -> Option<u8> {
    let number = *record.first()?;
    RecordType::from_number(number).is_none().then_some(number)
}

impl<'a> Record<'a> {
    /// Tells what a record is. Its entries are checked when they are read.
    ///
    /// # Errors
    /// [`Malformed`] when it ends before its first entry.
    pub fn parse(record: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(record);
        let number = if cursor.is_empty() { 0 } else { cursor.u8()? };
        let Some(kind) = RecordType::from_number(number) else {
            return Ok(Self::Unknown(number));
        };
        Ok(match kind {
            RecordType::Series => Self::Series(Entries::new(cursor, series::Series)),
            RecordType::Samples => Self::Samples(SampleIter::v1(cursor)?),
            RecordType::SamplesV2 => Self::Samples(SampleIter::v2(cursor)),
            RecordType::Tombstones => Self::Tombstones(Entries::new(cursor, tombstones::Tombstones)),
            RecordType::Exemplars => Self::Exemplars(ExemplarIter::parse(cursor)?),
            RecordType::MmapMarkers => Self::MmapMarkers(Entries::new(cursor, tombstones::Markers)),
            RecordType::Metadata => Self::Metadata(Entries::new(cursor, metadata::Descriptions)),
            RecordType::MinValidTime => Self::MinValidTime(cursor.be_i64()?),
            RecordType::Histograms | RecordType::CustomHistograms => {
                Self::Histograms(HistogramIter::v1(cursor, Counts::Int))
            }
            RecordType::FloatHistograms | RecordType::CustomFloatHistograms => {
                Self::Histograms(HistogramIter::v1(cursor, Counts::Float))
            }
            RecordType::HistogramsV2 => Self::Histograms(HistogramIter::v2(cursor, Counts::Int)),
            RecordType::FloatHistogramsV2 => Self::Histograms(HistogramIter::v2(cursor, Counts::Float)),
        })
    }
}

/// Appends the record that begins a checkpoint: samples before `mint` (ms) were left out of it.
pub fn encode_min_valid_time(out: &mut Vec<u8>, mint: Timestamp) {
    out.push(RecordType::MinValidTime as u8);
    put_i64(out, mint);
}

/// The reference of an entry, as the difference to another one.
#[inline]
fn ref_delta(series: u64, base: u64) -> i64 {
    series.wrapping_sub(base) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_number() {
        for number in 0..=255u8 {
            let found = RecordType::from_number(number).map(|kind| kind as u8);
            let known = (1..=RecordType::HIGHEST).contains(&number);
            assert_eq!(found, known.then_some(number));
        }
    }

    #[test]
    fn an_unknown_type_and_an_empty_record_are_told_as_such() {
        assert!(matches!(Record::parse(&[200, 1, 2]), Ok(Record::Unknown(200))));
        assert!(matches!(Record::parse(&[]), Ok(Record::Unknown(0))));
        assert_eq!(unknown_type(&[200, 1, 2]), Some(200));
        assert_eq!((unknown_type(&[14]), unknown_type(&[])), (None, None));
    }
}
