//! Records of samples of floats.

use super::{RecordType, ref_delta};
use crate::codec::{Cursor, Got, Malformed, put_f64, put_i64, put_u64, put_varint};
use leadline_model::sample::Timestamp;

/// A sample of a series.
#[derive(Debug, Clone, Copy)]
pub struct SampleEntry {
    /// Reference of the series.
    pub series: u64,
    /// Time, ms.
    pub t: Timestamp,
    /// Value.
    pub v: f64,
}

/// Iterates over the samples of a record. An error is the last item.
#[derive(Debug, Clone)]
pub struct SampleIter<'a> {
    cursor: Cursor<'a>,
    base: u64,
    base_t: Timestamp,
    form: Form,
}

/// What references are differences to, and what is between time and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The first sample's; nothing.
    V1,
    /// The first sample of the second version: its own values.
    V2First,
    /// The sample's before; a start time.
    V2,
}

/// Longest entry of the first version, bytes: two integers and a value.
const V1_ENTRY_BYTES: usize = 10 + 10 + 8;

impl<'a> SampleIter<'a> {
    pub(super) fn v1(mut cursor: Cursor<'a>) -> Result<Self, Malformed> {
        let (base, base_t) = if cursor.is_empty() {
            (0, 0)
        } else {
            (cursor.be_u64()?, cursor.be_i64()?)
        };
        Ok(Self {
            cursor,
            base,
            base_t,
            form: Form::V1,
        })
    }

    pub(super) fn v2(cursor: Cursor<'a>) -> Self {
        Self {
            cursor,
            base: 0,
            base_t: 0,
            form: Form::V2First,
        }
    }

    #[inline]
    fn read_v1(&mut self) -> Result<SampleEntry, Malformed> {
        Ok(SampleEntry {
            series: self.base.wrapping_add(self.cursor.varint()? as u64),
            t: self.base_t.wrapping_add(self.cursor.varint()?),
            v: self.cursor.f64()?,
        })
    }

    fn read_v2(&mut self) -> Result<SampleEntry, Malformed> {
        let series = self.base.wrapping_add(self.cursor.varint()? as u64);
        let t = self.base_t.wrapping_add(self.cursor.varint()?);
        self.base = series;
        if self.form == Form::V2First {
            self.base_t = t;
            self.form = Form::V2;
            self.cursor.varint()?;
        } else {
            skip_start_time(&mut self.cursor)?;
        }
        let v = self.cursor.f64()?;
        Ok(SampleEntry { series, t, v })
    }
}

/// Passes over the start time of an entry that is not the first: none, the same as before, or its own.
pub(in crate::wal) fn skip_start_time(cursor: &mut Cursor<'_>) -> Result<(), Malformed> {
    match cursor.u8()? {
        0 | 1 => Ok(()),
        2 => cursor.varint().map(drop),
        other => Err(cursor.malformed("0, 1 or 2 before a start time", Got::Number(u64::from(other)))),
    }
}

impl Iterator for SampleIter<'_> {
    type Item = Result<SampleEntry, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let entry = if self.form == Form::V1 {
            self.read_v1()
        } else {
            self.read_v2()
        };
        if entry.is_err() {
            self.cursor.take_rest();
        }
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An entry has two integers of a byte at least, and a value.
        (0, Some(self.cursor.remaining() / 10 + 1))
    }
}

/// Writes a record of samples, one sample at a time, behind what a buffer holds. Entries are differences to the first
/// sample, so samples of one scrape, series by series, become shortest.
#[derive(Debug, Clone, Copy, Default)]
pub struct SamplesEncoder {
    base: u64,
    base_t: Timestamp,
    len: usize,
}

impl SamplesEncoder {
    /// Appends a sample; before the first one, what begins the record.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, series: u64, t: Timestamp, v: f64) {
        if self.len == 0 {
            self.begin(out, series, t);
        }
        self.len += 1;
        out.reserve(V1_ENTRY_BYTES);
        put_varint(out, ref_delta(series, self.base));
        put_varint(out, t.wrapping_sub(self.base_t));
        put_f64(out, v);
    }

    #[cold]
    fn begin(&mut self, out: &mut Vec<u8>, series: u64, t: Timestamp) {
        (self.base, self.base_t) = (series, t);
        out.push(RecordType::Samples as u8);
        put_u64(out, series);
        put_i64(out, t);
    }

    /// How many samples were appended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no sample, and so no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use proptest::prelude::*;

    fn read(record: &[u8]) -> Result<Vec<(u64, i64, u64)>, Malformed> {
        let Record::Samples(entries) = Record::parse(record)? else {
            panic!("type {:?}", record.first());
        };
        entries.map(|e| e.map(|e| (e.series, e.t, e.v.to_bits()))).collect()
    }

    #[test]
    fn the_second_version_is_read_without_its_start_times() {
        let mut record = vec![RecordType::SamplesV2 as u8];
        // The first: reference, time, start time, value.
        for v in [5, 1000, 900] {
            put_varint(&mut record, v);
        }
        put_f64(&mut record, 1.5);
        // Two behind, the same time, the same start time; one before, 10 later, none; the same, 20 later, its own.
        for (dref, dt, start) in [(2, 0, vec![1]), (-3, 10, vec![0]), (0, 20, vec![2, 0x82, 0x01])] {
            put_varint(&mut record, dref);
            put_varint(&mut record, dt);
            record.extend(start);
            put_f64(&mut record, 2.5);
        }
        let (a, b) = (1.5f64.to_bits(), 2.5f64.to_bits());
        assert_eq!(
            read(&record),
            Ok(vec![(5, 1000, a), (7, 1000, b), (4, 1010, b), (4, 1020, b)])
        );
    }

    #[test]
    fn a_record_without_samples_has_none() {
        for kind in [RecordType::Samples, RecordType::SamplesV2] {
            assert_eq!(read(&[kind as u8]), Ok(vec![]));
        }
    }

    proptest! {
        #[test]
        fn samples_survive_and_every_cut_is_told(
            samples in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<u64>()), 1..20),
            before in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut out = before.clone();
            let mut encoder = SamplesEncoder::default();
            for &(series, t, v) in &samples {
                encoder.push(&mut out, series, t, f64::from_bits(v));
            }
            prop_assert_eq!(encoder.len(), samples.len());
            let record = &out[before.len()..];
            prop_assert_eq!(read(record), Ok(samples.clone()));
            for end in 1..record.len() {
                match read(&record[..end]) {
                    Ok(some) => prop_assert!(some.len() < samples.len() && samples.starts_with(&some)),
                    Err(e) => prop_assert!(e.offset <= end),
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..80)) {
            for kind in 0..=15 {
                bytes[0] = kind;
                let _ = Record::parse(&bytes).map(count);
            }
        }
    }

    fn count(record: Record<'_>) -> usize {
        match record {
            Record::Series(entries) => entries.count(),
            Record::Samples(entries) => entries.count(),
            Record::Tombstones(entries) => entries.count(),
            Record::Exemplars(entries) => entries.count(),
            Record::MmapMarkers(entries) => entries.count(),
            Record::Metadata(entries) => entries.count(),
            Record::Histograms(entries) => entries.count(),
            Record::MinValidTime(_) | Record::Unknown(_) => 0,
        }
    }
}
