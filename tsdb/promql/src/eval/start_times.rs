//! When the counters behind samples began: a column beside the samples, for stores and settings that have it.

use super::Context;
use crate::error::Error;
use leadline_model::Timestamp;
use leadline_model::port::SeriesSet;

/// The start times of one series.
#[derive(Debug, Default)]
pub(crate) struct StartTimes {
    /// (sample's time, start), ms, of the samples whose start is known.
    known: Vec<(Timestamp, Timestamp)>,
}

impl StartTimes {
    /// Reads those of series i within `bounds`, if `wanted`; else there are none.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn read(
        &mut self,
        cx: &Context<'_>,
        (set, i): (&dyn SeriesSet, usize),
        bounds: (Timestamp, Timestamp),
        wanted: bool,
    ) -> Result<(), Error> {
        self.known.clear();
        if wanted && cx.start_timestamps {
            set.start_times(i, bounds.0, bounds.1, &mut self.known)?;
        }
        Ok(())
    }

    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// The start of the sample at `t`, 0 where it is unknown.
    pub(crate) fn of(&self, t: Timestamp) -> Timestamp {
        let found = self.known.binary_search_by_key(&t, |known| known.0);
        found.ok().and_then(|i| self.known.get(i)).map_or(0, |known| known.1)
    }

    /// Replaces `into` by the start of each of `times`, 0 where it is unknown; by nothing when none is known.
    pub(crate) fn align(&self, times: &[Timestamp], into: &mut Vec<Timestamp>) {
        into.clear();
        if !self.known.is_empty() {
            into.extend(times.iter().map(|&t| self.of(t)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_stand_beside_the_samples_they_belong_to() {
        let starts = StartTimes {
            known: vec![(10, 5), (30, 20)],
        };
        let mut column = vec![7];
        starts.align(&[10, 20, 30], &mut column);
        assert_eq!(column, [5, 0, 20]);
        StartTimes::default().align(&[10], &mut column);
        assert!(column.is_empty());
    }
}
