//! Records of metadata.

use super::{Decode, Entries, RecordType};
use crate::codec::{Cursor, Malformed, put_str, put_uvarint};
use leadline_model::metadata::{Metadata, MetricKind};

const UNIT: &str = "UNIT";
const HELP: &str = "HELP";

/// Iterates over the metadata of a record.
pub type MetadataIter<'a> = Entries<'a, Descriptions>;

/// How metadata are read.
#[derive(Debug, Clone, Copy)]
pub struct Descriptions;

/// What is said of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataEntry<'a> {
    /// Its reference.
    pub series: u64,
    /// Its metric's kind.
    pub kind: MetricKind,
    /// Its metric's unit.
    pub unit: &'a str,
    /// Its metric's description.
    pub help: &'a str,
}

impl MetadataEntry<'_> {
    /// The same without the series.
    #[must_use]
    pub fn to_metadata(&self) -> Metadata {
        Metadata {
            kind: self.kind,
            unit: self.unit.into(),
            help: self.help.into(),
        }
    }
}

impl<'a> Decode<'a> for Descriptions {
    type Entry = MetadataEntry<'a>;

    fn decode(&mut self, cursor: &mut Cursor<'a>) -> Result<MetadataEntry<'a>, Malformed> {
        let mut entry = MetadataEntry {
            series: cursor.uvarint()?,
            kind: MetricKind::from_number(cursor.u8()?).unwrap_or_default(),
            unit: "",
            help: "",
        };
        for _ in 0..cursor.count(2)? {
            let (name, value) = (cursor.str()?, cursor.str()?);
            match name {
                UNIT => entry.unit = value,
                HELP => entry.help = value,
                _ => {}
            }
        }
        Ok(entry)
    }
}

/// Appends a record of metadata: references of series with what is said of them.
pub fn encode_metadata<'m>(out: &mut Vec<u8>, metadata: impl IntoIterator<Item = (u64, &'m Metadata)>) {
    let mut metadata = metadata.into_iter().peekable();
    if metadata.peek().is_some() {
        out.push(RecordType::Metadata as u8);
    }
    for (series, said) in metadata {
        put_uvarint(out, series);
        out.push(said.kind as u8);
        put_uvarint(out, 2);
        for text in [UNIT, &said.unit, HELP, &said.help] {
            put_str(out, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use proptest::prelude::*;

    fn read(record: &[u8]) -> Result<Vec<(u64, Metadata)>, Malformed> {
        let Record::Metadata(entries) = Record::parse(record)? else {
            panic!("type {:?}", record.first());
        };
        entries.map(|e| e.map(|e| (e.series, e.to_metadata()))).collect()
    }

    #[test]
    fn fields_and_kinds_of_the_future_are_passed_over() {
        let mut record = vec![RecordType::Metadata as u8, 9, 77, 3];
        for text in ["COLOUR", "green", HELP, "what it is", UNIT, "bytes"] {
            put_str(&mut record, text);
        }
        let expected = Metadata {
            kind: MetricKind::Unknown,
            unit: "bytes".into(),
            help: "what it is".into(),
        };
        assert_eq!(read(&record), Ok(vec![(9, expected)]));
    }

    proptest! {
        #[test]
        fn metadata_survive(said in proptest::collection::vec((any::<u64>(), 0u8..8, ".{0,9}", ".{0,99}"), 1..6)) {
            let said: Vec<(u64, Metadata)> = said
                .into_iter()
                .map(|(series, kind, unit, help)| {
                    let kind = MetricKind::from_number(kind).unwrap_or_default();
                    (series, Metadata { kind, unit: unit.into(), help: help.into() })
                })
                .collect();
            let mut record = Vec::new();
            encode_metadata(&mut record, said.iter().map(|(s, m)| (*s, m)));
            prop_assert_eq!(read(&record), Ok(said));
        }
    }
}
