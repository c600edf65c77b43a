//! A store in memory, as small as the port allows.

use leadline_model::matcher::all_match;
use leadline_model::port::{Generation, QueryError, Queryable, SeriesSet};
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Matcher, Timestamp};
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Series by their labels.
#[derive(Default)]
pub(crate) struct MemoryStore {
    series: RwLock<BTreeMap<Labels, (OwnerId, Arc<Samples>)>>,
}

impl MemoryStore {
    /// An empty store.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds samples behind those that the series has.
    pub(crate) fn add(&self, owner: u32, labels: &Labels, samples: impl IntoIterator<Item = (Timestamp, f64)>) {
        let mut all = self.series.write();
        let (_, of_series) = all
            .entry(labels.clone())
            .or_insert_with(|| (OwnerId(owner), Arc::default()));
        for (t, v) in samples {
            Arc::make_mut(of_series).push(t, v);
        }
    }

    fn matching(&self, matchers: &[Matcher]) -> Vec<(Labels, OwnerId, Arc<Samples>)> {
        let all = self.series.read();
        let found = all.iter().filter(|(labels, _)| all_match(matchers, labels));
        found
            .map(|(labels, (owner, samples))| (labels.clone(), *owner, Arc::clone(samples)))
            .collect()
    }
}

struct Found(Vec<(Labels, OwnerId, Arc<Samples>)>);

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.0[i].0.clone()
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        Some(self.0[i].1)
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        let samples = &self.0[i].2;
        let (from, to) = (
            samples.t.partition_point(|t| *t < mint),
            samples.t.partition_point(|t| *t <= maxt),
        );
        into.clear();
        if from < to {
            into.t.extend_from_slice(&samples.t[from..to]);
            into.v.extend_from_slice(&samples.v[from..to]);
        }
        Ok(())
    }
}

impl Queryable for MemoryStore {
    fn select(
        &self,
        matchers: &[Matcher],
        _: Timestamp,
        _: Timestamp,
        _: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(Box::new(Found(self.matching(matchers))))
    }

    fn label_names(&self, matchers: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
        let found = self.matching(matchers);
        let names: BTreeSet<String> = found
            .iter()
            .flat_map(|(l, _, _)| l.iter().map(|(n, _)| n.to_owned()).collect::<Vec<_>>())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        let found = self.matching(matchers);
        let values: BTreeSet<String> = found
            .iter()
            .filter_map(|(l, _, _)| l.get(name).map(str::to_owned))
            .collect();
        Ok(values.into_iter().collect())
    }

    fn generation(&self) -> Generation {
        Generation(7)
    }
}
