//! Series of several sources in one order.

use crate::error::StorageError;
use crate::source::{SeriesIter, Source, SourceSeries};
use leadline_model::labels::Labels;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What the sources have of one series.
#[derive(Debug)]
pub(super) struct Parts {
    /// Its labels.
    pub(super) labels: Labels,
    /// The number of each source that has it and what that holds, in the order of the sources.
    pub(super) parts: Vec<(usize, SourceSeries)>,
}

/// Goes through all sources at once, in label order.
pub(super) struct Merge<'a> {
    sources: &'a [&'a dyn Source],
    iters: Vec<SeriesIter<'a>>,
    /// The labels of the last series of each source.
    last: Vec<Option<Labels>>,
    /// The series that each source stands on.
    heap: BinaryHeap<Reverse<Next>>,
    failed: bool,
}

/// A series and the number of its source.
struct Next {
    series: SourceSeries,
    source: usize,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_labels = self.series.labels.cmp(&other.series.labels);
        by_labels.then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Next {}

impl<'a> Merge<'a> {
    /// Begins.
    pub(super) fn new(sources: &'a [&'a dyn Source]) -> Result<Self, StorageError> {
        let iters = sources.iter().map(|source| source.series());
        let mut merge = Self {
            sources,
            last: vec![None; sources.len()],
            iters: iters.collect::<Result<_, _>>()?,
            heap: BinaryHeap::new(),
            failed: false,
        };
        for source in 0..merge.iters.len() {
            merge.advance(source)?;
        }
        Ok(merge)
    }

    /// Lets a source go on to its next series. One that is not behind the one before is told as that source's damage: later
    /// nobody would know whose it is.
    fn advance(&mut self, source: usize) -> Result<(), StorageError> {
        if let Some(series) = self.iters.get_mut(source).and_then(Iterator::next) {
            let series = series?;
            if let (Some(last), Some(origin)) = (self.last.get_mut(source), self.sources.get(source)) {
                let before = last.replace(series.labels.clone());
                if let Some(before) = before.filter(|before| *before >= series.labels) {
                    return Err(origin.damaged(
                        &series.labels,
                        None,
                        "a series in order",
                        format!("one behind {before}"),
                    ));
                }
            }
            self.heap.push(Reverse(Next { series, source }));
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Option<Parts>, StorageError> {
        let Some(Reverse(first)) = self.heap.pop() else {
            return Ok(None);
        };
        self.advance(first.source)?;
        let mut all = Parts {
            labels: first.series.labels.clone(),
            parts: vec![(first.source, first.series)],
        };
        while self
            .heap
            .peek()
            .is_some_and(|Reverse(next)| next.series.labels == all.labels)
        {
            let Some(Reverse(next)) = self.heap.pop() else { break };
            all.parts.push((next.source, next.series));
            self.advance(next.source)?;
        }
        Ok(Some(all))
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Parts, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let taken = self.take();
        self.failed = taken.is_err();
        taken.transpose()
    }
}
