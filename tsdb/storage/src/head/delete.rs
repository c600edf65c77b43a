//! Deleting samples.

use super::Head;
use super::resolve::resolve;
use super::stripe::{Stripe, number_of, stripe_of};
use crate::error::StorageError;
use crate::interval::Interval;
use crate::wal::record::encode_tombstones;
use leadline_model::matcher::Matcher;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;

impl Head {
    /// Deletes the samples with `mint <= t <= maxt` (ms) of the series that fulfil all matchers; returns of how many
    /// series. Samples that come in order later are kept, whatever their time; one that comes out of order into the deleted
    /// time is hidden with the rest until the head has been cut behind it. Durable after the next [`Self::sync`].
    ///
    /// # Errors
    /// [`StorageError::Refused`] before the log was read; [`StorageError::Io`]: the log cannot be written, see
    /// [`Self::flush`].
    pub fn delete(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<usize, StorageError> {
        if self.is_replaying() {
            return Err(StorageError::Refused(
                "the write-ahead log is being replayed".to_owned(),
            ));
        }
        let _one = self.tidying.lock();
        let mut found: Vec<SeriesRef> = {
            let index = self.index.read();
            resolve(&index, matchers)
                .into_iter()
                .map(|id| index.series(id))
                .collect()
        };
        found.sort_unstable_by_key(|series| (stripe_of(*series), *series));
        let mut deleted = 0;
        for group in found.chunk_by(|a, b| stripe_of(*a) == stripe_of(*b)) {
            deleted += self.delete_in(group, Interval { mint, maxt });
        }
        drop(_one);
        self.flush()?;
        Ok(deleted)
    }

    /// Deletes in one stripe, and leaves the record while it is held: what is appended later comes behind it.
    fn delete_in(&self, group: &[SeriesRef], interval: Interval) -> usize {
        let Some(&first) = group.first() else { return 0 };
        let mut stripe = self.stripes[stripe_of(first)].write();
        let mut tombstones = Vec::new();
        let mut guess = 0;
        for &series in group {
            let Some(number) = number_of(series) else { continue };
            let Some(row) = stripe.row(number, guess) else { continue };
            guess = row + 1;
            if let Some(clipped) = clip(&stripe, row, interval) {
                stripe.deleted.entry(number).or_default().add(clipped);
                tombstones.push((series.0, clipped));
            }
        }
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::LostTombstone) {
            return tombstones.len();
        }
        if stripe.logged
            && let Some(durable) = &self.durable
        {
            let mut record = durable.wal.buffer();
            encode_tombstones(&mut record, tombstones.iter().copied());
            durable.wal.push(&[&record]);
            durable.wal.recycle(record);
        }
        tombstones.len()
    }
}

/// The part of `interval` in which a row has samples.
fn clip(stripe: &Stripe, row: usize, interval: Interval) -> Option<Interval> {
    let (first, last) = stripe.ends(row);
    let clipped = Interval {
        mint: interval.mint.max(first),
        maxt: interval.maxt.min(last),
    };
    (clipped.mint <= clipped.maxt && stripe.overlaps(row, clipped.mint, clipped.maxt)).then_some(clipped)
}
