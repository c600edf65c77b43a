//! Samples of the log that no mapped chunk has, though a later one of their series is there, and the file that one is in.

use crate::interval::{Interval, Intervals};
use leadline_model::sample::Timestamp;
use rapidhash::RapidHashMap;

/// The times of so many samples are kept, 8 MiB; few where the store is tested.
const TIMES: usize = if cfg!(feature = "planted") { 100 } else { 1_000_000 };

/// Reference of a series, and number of the file of its next mapped chunk.
type Gap = (u64, u32);

/// Of which series there are such samples, and before which file of mapped chunks.
#[derive(Debug, Default)]
pub(super) struct Older {
    gaps: RapidHashMap<Gap, Times>,
    /// How many times are kept.
    kept: usize,
}

/// When there are such samples of one series before one file.
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
    /// For how many series, once for each file, there is room.
    pub(super) fn gaps(&self) -> usize {
        self.gaps.capacity()
    }

    /// How many times are kept.
    pub(super) fn times(&self) -> usize {
        self.kept
    }

    /// Adds a sample of a series whose next mapped chunk is in a file.
    pub(super) fn add(&mut self, series: u64, file: u32, t: Timestamp) {
        let times = self.gaps.entry((series, file)).or_insert(Times {
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

    /// The first file before which some of them are not deleted. `deleted` tells of a series by its reference; `None`: it is
    /// not there any more.
    pub(super) fn first_gap<'d>(&self, deleted: impl Fn(u64) -> Option<Option<&'d Intervals>>) -> Option<u32> {
        let is_gap = |series: u64, times: &Times| {
            let there = deleted(series);
            there.is_some_and(|deleted| !deleted.is_some_and(|deleted| times.are_in(deleted)))
        };
        let gaps = self.gaps.iter().filter(|((series, _), times)| is_gap(*series, times));
        gaps.map(|((_, file), _)| *file).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_named_is_one_before_which_something_is_missing_that_was_not_deleted() {
        let mut deleted = Intervals::default();
        deleted.add(Interval { mint: 0, maxt: 9 });
        let gone = |series| (series != 3).then_some((series == 1).then_some(&deleted));
        let mut older = Older::default();
        assert_eq!(older.first_gap(gone), None);
        // Deleted, and of a series that has left the head.
        older.add(1, 2, 5);
        older.add(3, 1, 50);
        assert_eq!(older.first_gap(gone), None);
        older.add(2, 7, 5);
        assert_eq!(older.first_gap(gone), Some(7));
        // Of the same series, behind what was deleted.
        older.add(1, 4, 10);
        assert_eq!(older.first_gap(gone), Some(4));
    }
}
