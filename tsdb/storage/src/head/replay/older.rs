//! Samples of the log that no mapped chunk has, though a later one of their series is there.

use crate::interval::{Interval, Intervals};
use leadline_model::sample::Timestamp;
use rapidhash::RapidHashMap;

/// The times of so many samples are kept, 8 MiB; few where the store is tested.
const TIMES: usize = if cfg!(feature = "planted") { 100 } else { 1_000_000 };

/// Of which series there are such samples, by reference.
#[derive(Debug, Default)]
pub(super) struct Older {
    series: RapidHashMap<u64, Times>,
    /// How many times are kept.
    kept: usize,
}

/// When there are such samples of one series.
#[derive(Debug)]
struct Times {
    span: Interval,
    /// The time (ms) of each; `None` where there was no room for one.
    each: Option<Vec<Timestamp>>,
}

impl Times {
    /// Whether all of them are deleted, as far as can be told: without the times of all, where one deletion has all of their
    /// span.
    fn are_in(&self, deleted: &Intervals) -> bool {
        let each = self.each.as_ref();
        deleted.covers(self.span.mint, self.span.maxt)
            || each.is_some_and(|each| each.iter().all(|&t| deleted.contains(t)))
    }
}

impl Older {
    /// For how many series there is room.
    pub(super) fn series(&self) -> usize {
        self.series.capacity()
    }

    /// How many times are kept.
    pub(super) fn times(&self) -> usize {
        self.kept
    }

    /// Adds a sample of a series.
    pub(super) fn add(&mut self, series: u64, t: Timestamp) {
        let times = self.series.entry(series).or_insert(Times {
            span: Interval { mint: t, maxt: t },
            each: Some(Vec::new()),
        });
        times.span.mint = times.span.mint.min(t);
        times.span.maxt = times.span.maxt.max(t);
        match &mut times.each {
            Some(each) if self.kept < TIMES => {
                each.push(t);
                self.kept += 1;
            }
            Some(each) => {
                self.kept -= each.len();
                times.each = None;
            }
            None => {}
        }
    }

    /// Whether all of them are deleted. `deleted` tells of a series by its reference; `None`: it is not there any more.
    pub(super) fn are_deleted<'d>(&self, deleted: impl Fn(u64) -> Option<Option<&'d Intervals>>) -> bool {
        let mut all = self.series.iter();
        all.all(|(&series, times)| match deleted(series) {
            None => true,
            Some(deleted) => deleted.is_some_and(|deleted| times.are_in(deleted)),
        })
    }
}
