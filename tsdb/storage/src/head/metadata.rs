//! Kind, unit and help of series: the latest that was told of each.

use super::Head;
use leadline_model::metadata::Metadata;
use rapidhash::{RapidHashMap, RapidHashSet};
use std::sync::Arc;

/// What was told of which series.
#[derive(Debug, Default)]
pub(super) struct Told {
    by_series: RapidHashMap<u64, Metadata>,
    /// Texts that many series share.
    texts: RapidHashSet<Arc<str>>,
}

impl Told {
    /// Keeps what was told of a series. `false`: it is known already.
    pub(super) fn set(&mut self, series: u64, metadata: &Metadata) -> bool {
        if self.by_series.get(&series) == Some(metadata) {
            return false;
        }
        let kept = Metadata {
            kind: metadata.kind,
            unit: self.intern(&metadata.unit),
            help: self.intern(&metadata.help),
        };
        self.by_series.insert(series, kept);
        true
    }

    fn intern(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(text) = self.texts.get(text) {
            return text.clone();
        }
        self.texts.insert(text.clone());
        text.clone()
    }

    /// What was told of a series last.
    pub(super) fn get(&self, series: u64) -> Option<&Metadata> {
        self.by_series.get(&series)
    }

    /// Number of series of which something was told.
    pub(super) fn len(&self) -> usize {
        self.by_series.len()
    }

    /// All that was told, by series.
    pub(super) fn sorted(&self) -> Vec<(u64, &Metadata)> {
        let mut all: Vec<_> = self.by_series.iter().map(|(&series, told)| (series, told)).collect();
        all.sort_unstable_by_key(|told| told.0);
        all
    }

    /// Forgets series that are gone, and the texts that no series has any more.
    pub(super) fn remove(&mut self, gone: impl IntoIterator<Item = u64>) {
        let before = self.by_series.len();
        for series in gone {
            self.by_series.remove(&series);
        }
        if self.by_series.len() < before {
            self.texts.retain(|text| Arc::strong_count(text) > 1);
        }
    }
}

impl Head {
    /// What was told of metrics: by name, each thing that was told of any of its series once, sorted.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, Metadata)> {
        let index = self.index.read();
        let told = self.told.read();
        if told.len() == 0 {
            return Vec::new();
        }
        let mut all: Vec<(String, Metadata)> = Vec::new();
        for id in index.all() {
            if let Some(metadata) = told.get(index.series(id).0)
                && let Some(name) = index.labels(id).get("__name__")
            {
                all.push((name.to_owned(), metadata.clone()));
            }
        }
        let key = |told: &(String, Metadata)| {
            (
                told.0.clone(),
                told.1.kind as u8,
                told.1.unit.clone(),
                told.1.help.clone(),
            )
        };
        all.sort_by_cached_key(key);
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::metadata::MetricKind;

    #[test]
    fn the_latest_is_kept_and_texts_are_shared() {
        let told = |help: &str| Metadata {
            kind: MetricKind::Counter,
            unit: Arc::from(""),
            help: Arc::from(help),
        };
        let mut all = Told::default();
        assert!(all.set(2, &told("requests")));
        assert!(all.set(1, &told("requests")));
        assert!(!all.set(1, &told("requests")));
        let helps: Vec<_> = all.sorted().iter().map(|(_, told)| Arc::clone(&told.help)).collect();
        assert!(Arc::ptr_eq(&helps[0], &helps[1]));
        drop(helps);
        assert!(all.set(1, &told("answers")));
        assert_eq!(all.get(1), Some(&told("answers")));
        all.remove([2]);
        assert_eq!((all.get(2), all.len(), all.texts.len()), (None, 1, 2));
    }
}
