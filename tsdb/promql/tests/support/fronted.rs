//! A store with something in front of what it selects.

use leadline_model::port::{Generation, GroupedSeries, Grouping, QueryError, Queryable, SeriesSet};
use leadline_model::{Matcher, Timestamp};

/// What stands in front of a store.
pub(crate) trait Front: Send + Sync {
    /// The store behind it.
    fn store(&self) -> &dyn Queryable;

    /// How many series it says that any matchers find at most.
    fn at_most(&self) -> Option<usize> {
        None
    }

    /// What is selected, as `Queryable::select`.
    fn select(
        &self,
        matchers: &[Matcher],
        times: (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError>;

    /// What is selected, as `Queryable::select_groups`.
    fn select_groups(
        &self,
        matchers: &[Matcher],
        times: (Timestamp, Timestamp),
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        let _ = (matchers, times, grouping);
        Ok(None)
    }
}

/// A store behind its front.
pub(crate) struct Fronted<F>(pub(crate) F);

impl<F: Front> Queryable for Fronted<F> {
    fn at_most(&self, _: &[Matcher], _: Timestamp) -> Option<usize> {
        self.0.at_most()
    }

    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.0.select(matchers, (mint, maxt), sorted)
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        self.0.select_groups(matchers, (mint, maxt), grouping)
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.0.store().label_names(matchers, mint, maxt)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.0.store().label_values(name, matchers, mint, maxt)
    }

    fn generation(&self) -> Generation {
        self.0.store().generation()
    }
}
