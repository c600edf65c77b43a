//! Records of series.

use super::{Decode, Entries, RecordType};
use crate::codec::{Cursor, Malformed, put_str, put_u64, put_uvarint};
use leadline_model::labels::Labels;

/// Iterates over the series of a record.
pub type SeriesIter<'a> = Entries<'a, Series>;

/// How series are read.
#[derive(Debug, Clone, Copy)]
pub struct Series;

/// A series.
#[derive(Debug, Clone, Copy)]
pub struct SeriesEntry<'a> {
    /// Its reference.
    pub series: u64,
    /// Its labels.
    pub labels: LabelPairs<'a>,
}

impl<'a> Decode<'a> for Series {
    type Entry = SeriesEntry<'a>;

    fn decode(&mut self, cursor: &mut Cursor<'a>) -> Result<SeriesEntry<'a>, Malformed> {
        Ok(SeriesEntry {
            series: cursor.be_u64()?,
            labels: LabelPairs::read(cursor)?,
        })
    }
}

/// Label pairs in a record; each of them was found to be text.
#[derive(Debug, Clone, Copy)]
pub struct LabelPairs<'a> {
    /// Name and value in turn, each behind its length.
    bytes: &'a [u8],
    /// In ascending order of their names, each name once, no value empty.
    canonical: bool,
}

impl<'a> LabelPairs<'a> {
    /// Reads the number of pairs and the pairs.
    pub(crate) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        let n = cursor.count(2)?;
        let bytes = cursor.rest();
        let before = cursor.position();
        let mut canonical = true;
        let mut previous: Option<&str> = None;
        for _ in 0..n {
            let (name, value) = (cursor.str()?, cursor.str()?);
            canonical &= previous.is_none_or(|p| p < name) && !value.is_empty();
            previous = Some(name);
        }
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(!canonical && n == 3);
        let bytes = bytes.get(..cursor.position() - before).unwrap_or_default();
        Ok(Self { bytes, canonical })
    }

    /// The pairs as they are in the record.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || Some((cursor.str().ok()?, cursor.str().ok()?)))
    }

    /// The label set: sorted, without empty values.
    #[must_use]
    pub fn to_labels(&self) -> Labels {
        if self.canonical {
            Labels::from_sorted(self.iter())
        } else {
            Labels::from_pairs(self.iter())
        }
    }
}

/// Appends a record of series: their references and labels.
pub fn encode_series<'s>(out: &mut Vec<u8>, series: impl IntoIterator<Item = (u64, &'s Labels)>) {
    let mut series = series.into_iter().peekable();
    if series.peek().is_some() {
        out.push(RecordType::Series as u8);
    }
    for (reference, labels) in series {
        put_u64(out, reference);
        put_labels(out, labels);
    }
}

/// Appends the number of labels, and each name and value behind its length.
pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_uvarint(out, labels.len() as u64);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        put_str(out, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use proptest::prelude::*;

    fn read(record: &[u8]) -> Result<Vec<(u64, Labels)>, Malformed> {
        let Record::Series(entries) = Record::parse(record)? else {
            panic!("type {:?}", record.first());
        };
        entries.map(|e| e.map(|e| (e.series, e.labels.to_labels()))).collect()
    }

    #[test]
    fn labels_that_others_wrote_out_of_order_or_empty_become_a_label_set() {
        let mut record = vec![1];
        put_u64(&mut record, 7);
        put_uvarint(&mut record, 3);
        for text in ["b", "2", "c", "", "a", "1"] {
            put_str(&mut record, text);
        }
        assert_eq!(
            read(&record),
            Ok(vec![(7, Labels::from_pairs([("a", "1"), ("b", "2")]))])
        );
    }

    proptest! {
        #[test]
        fn series_survive_and_every_cut_is_told(
            series in proptest::collection::vec(
                (any::<u64>(), proptest::collection::btree_map("[a-z_]{1,9}", ".{1,40}", 0..6)),
                1..6,
            ),
        ) {
            let series: Vec<(u64, Labels)> = series.into_iter().map(|(r, l)| (r, Labels::from_pairs(l))).collect();
            let mut record = Vec::new();
            encode_series(&mut record, series.iter().map(|(r, l)| (*r, l)));
            prop_assert_eq!(read(&record), Ok(series.clone()));
            for end in 1..record.len() {
                match read(&record[..end]) {
                    Ok(some) => prop_assert!(some.len() < series.len() && series.starts_with(&some)),
                    Err(e) => prop_assert!(e.offset <= end),
                }
            }
        }
    }
}
