//! The latest metadata of each series.

use crate::wal::record::{MetadataEntry, encode_metadata};
use hashbrown::{Equivalent, HashMap};
use leadline_model::metadata::{Metadata, MetricKind};
use rapidhash::fast::RandomState;
use std::collections::BTreeMap;

/// Series whose metadata go into one record, as in Prometheus (`metadataBatchSize`).
const SERIES_PER_RECORD: usize = 1000;

/// Metadata by series. Of millions of series many share what is said of them, so a series has no more than a number.
#[derive(Debug, Default)]
pub(super) struct LatestMetadata {
    by_series: BTreeMap<u64, u32>,
    said: Vec<Metadata>,
    numbers: HashMap<Metadata, u32, RandomState>,
}

/// The metadata of an entry, hashed as [`Metadata`] is.
#[derive(Hash)]
struct Said<'a> {
    kind: MetricKind,
    unit: &'a str,
    help: &'a str,
}

impl Equivalent<Metadata> for Said<'_> {
    fn equivalent(&self, known: &Metadata) -> bool {
        self.kind == known.kind && *self.unit == *known.unit && *self.help == *known.help
    }
}

impl LatestMetadata {
    /// What is told of `series` from now on.
    pub(super) fn insert(&mut self, series: u64, entry: &MetadataEntry<'_>) {
        let said = Said {
            kind: entry.kind,
            unit: entry.unit,
            help: entry.help,
        };
        let number = match self.numbers.get(&said) {
            Some(&number) => number,
            None => self.number(entry.to_metadata()),
        };
        self.by_series.insert(series, number);
    }

    fn number(&mut self, said: Metadata) -> u32 {
        let number = self.said.len() as u32;
        self.said.push(said.clone());
        self.numbers.insert(said, number);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.by_series.len()
    }

    /// What appends the records, ordered by series.
    pub(super) fn records(&self) -> impl Iterator<Item = impl FnOnce(&mut Vec<u8>)> {
        let mut rest = self
            .by_series
            .iter()
            .filter_map(|(&series, &number)| Some((series, self.said.get(number as usize)?)))
            .peekable();
        std::iter::from_fn(move || {
            rest.peek()?;
            let some: Vec<(u64, &Metadata)> = rest.by_ref().take(SERIES_PER_RECORD).collect();
            Some(move |out: &mut Vec<u8>| encode_metadata(out, some))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::record::Record;

    #[test]
    fn the_latest_of_each_series_is_kept_by_reference_and_texts_once() {
        let mut latest = LatestMetadata::default();
        for round in 0..2 {
            for series in (0..2500).rev() {
                let entry = MetadataEntry {
                    series,
                    kind: MetricKind::Counter,
                    unit: "",
                    help: if round == 0 { "old" } else { "new" },
                };
                latest.insert(series, &entry);
            }
        }
        assert_eq!((latest.len(), latest.said.len()), (2500, 2));
        let mut found = Vec::new();
        let mut records = 0;
        for append in latest.records() {
            let mut record = Vec::new();
            append(&mut record);
            let Ok(Record::Metadata(entries)) = Record::parse(&record) else {
                panic!("type {:?}", record.first());
            };
            found.extend(entries.map(|e| e.map(|e| (e.series, e.help.to_owned())).unwrap()));
            records += 1;
        }
        assert_eq!(records, 3);
        assert!(found.iter().map(|(series, _)| *series).eq(0..2500));
        assert!(found.iter().all(|(_, help)| help == "new"));
    }
}
