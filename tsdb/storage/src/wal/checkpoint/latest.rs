//! The latest metadata of each series.

use crate::wal::record::{MetadataEntry, encode_metadata};
use hashbrown::HashMap;
use leadline_model::metadata::Metadata;
use rapidhash::fast::RandomState;
use std::sync::Arc;

/// Series whose metadata go into one record, as in Prometheus (`metadataBatchSize`).
const SERIES_PER_RECORD: usize = 1000;

/// Metadata by series. Millions of series share few texts, so each text is kept once.
#[derive(Debug, Default)]
pub(super) struct LatestMetadata {
    by_series: HashMap<u64, Metadata, RandomState>,
    texts: HashMap<Arc<str>, (), RandomState>,
}

impl LatestMetadata {
    pub(super) fn insert(&mut self, entry: &MetadataEntry<'_>) {
        let metadata = Metadata {
            kind: entry.kind,
            unit: self.text(entry.unit),
            help: self.text(entry.help),
        };
        self.by_series.insert(entry.series, metadata);
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        match self.texts.get_key_value(text) {
            Some((known, ())) => Arc::clone(known),
            None => {
                let new: Arc<str> = text.into();
                self.texts.insert(Arc::clone(&new), ());
                new
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_series.len()
    }

    /// What appends the records, ordered by series.
    pub(super) fn records(&self) -> impl Iterator<Item = impl FnOnce(&mut Vec<u8>)> {
        let mut series: Vec<(u64, &Metadata)> = self.by_series.iter().map(|(&s, m)| (s, m)).collect();
        series.sort_unstable_by_key(|(s, _)| *s);
        let mut rest = series.into_iter().peekable();
        std::iter::from_fn(move || {
            rest.peek()?;
            let some: Vec<(u64, &Metadata)> = rest.by_ref().take(SERIES_PER_RECORD).collect();
            Some(move |out: &mut Vec<u8>| encode_metadata(out, some))
        })
    }
}
