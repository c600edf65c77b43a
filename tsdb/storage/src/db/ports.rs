//! The model's ports, in front of head and blocks.

use super::Db;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{
    AppendError, Appender, Batch, CommitEvent, Commits, Generation, Outcome, QueryError, Queryable, SelectorId,
    SeriesSet,
};
use leadline_model::sample::Timestamp;
use leadline_model::target::OwnerId;
use std::sync::Arc;
use tokio::sync::broadcast;

impl Appender for Db {
    fn new_owner(&self) -> OwnerId {
        self.head.new_owner()
    }

    fn commit(&self, batch: &Batch) -> Result<Outcome, AppendError> {
        self.head.commit(batch)
    }
}

impl Commits for Db {
    fn register(&self, matchers: Arc<[Matcher]>) -> SelectorId {
        self.head.register(matchers)
    }

    fn deregister(&self, selector: SelectorId) {
        self.head.deregister(selector);
    }

    fn feeders(&self, selector: SelectorId) -> Vec<OwnerId> {
        self.head.feeders(selector)
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<CommitEvent>> {
        self.head.subscribe()
    }
}

impl Queryable for Db {
    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.head.select(matchers, mint, maxt, sorted)
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.head.label_names(matchers, mint, maxt)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.head.label_values(name, matchers, mint, maxt)
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        self.head.exemplars(matchers, mint, maxt)
    }

    fn generation(&self) -> Generation {
        self.head.generation()
    }
}
