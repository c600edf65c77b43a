//! Series that have ended: out of the head early, so that memory follows what lives.

use super::Head;
use super::source::RangeSource;
use super::stripe::{Stripe, make_ref, stripe_of};
use crate::error::StorageError;
use crate::interval::Interval;
use crate::wal::record::encode_tombstones;
use leadline_model::port::SeriesRef;
use leadline_model::sample::{STALE_NAN_BITS, Timestamp};
use rapidhash::RapidHashSet;

/// Series whose newest sample is a stale marker.
#[derive(Debug, Clone, Default)]
pub struct StaleSeries {
    /// By stripe, ascending within each.
    series: Vec<SeriesRef>,
    /// Time (ms) of the marker that each of them ends in.
    ends: Vec<Timestamp>,
    /// Time (ms) of their oldest sample, or before it.
    pub mint: Timestamp,
    /// Time (ms) of their newest sample.
    pub maxt: Timestamp,
}

impl StaleSeries {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Where the series ended that this stripe has under a number.
    fn end_of(&self, stripe: usize, number: u32) -> Option<Timestamp> {
        let key = |series: SeriesRef| (stripe_of(series), series);
        let wanted = key(make_ref(stripe, number));
        let at = self.series.binary_search_by_key(&wanted, |&series| key(series)).ok()?;
        self.ends.get(at).copied()
    }
}

/// The time (ms) of the stale marker that a row ends in; `None` where its newest sample is none, or something came out of
/// order.
fn ended(stripe: &Stripe, row: usize) -> Option<Timestamp> {
    let (open, number) = (&stripe.hot[row].open, stripe.numbers()[row]);
    (open.last_bits() == STALE_NAN_BITS && !stripe.late.contains_key(&number)).then(|| open.last_t())
}

impl Head {
    /// The series that ended with a stale marker before `before` (ms).
    #[must_use]
    pub fn stale(&self, before: Timestamp) -> StaleSeries {
        let mut found = StaleSeries {
            mint: Timestamp::MAX,
            maxt: Timestamp::MIN,
            ..StaleSeries::default()
        };
        for (at, stripe) in self.stripes.iter().enumerate() {
            let stripe = stripe.read();
            for (row, &number) in stripe.numbers().iter().enumerate() {
                let Some(end) = ended(&stripe, row).filter(|&end| end < before) else {
                    continue;
                };
                let cold = &stripe.cold[row];
                found.series.push(make_ref(at, number));
                found.ends.push(end);
                found.mint = found.mint.min(cold.closed.first().map_or(cold.open_from, |c| c.mint));
                found.maxt = found.maxt.max(end);
            }
        }
        found
    }

    /// The samples of stale series from `mint` to `maxt` (ms, both included), for a block of their own.
    #[must_use]
    pub fn stale_range(&self, stale: &StaleSeries, mint: Timestamp, maxt: Timestamp) -> RangeSource<'_> {
        let wanted: RapidHashSet<u64> = stale.series.iter().map(|s| s.0).collect();
        self.source(mint, maxt, |index| {
            let ids = 0..index.universe() as u32;
            ids.filter(|&id| wanted.contains(&index.series(id).0)).collect()
        })
    }

    /// Drops stale series, which blocks hold now, except those that were written to again, even if that ended in a marker
    /// too: the blocks do not have it. Returns how many. A deletion of all time in the log keeps a replay from bringing them back (`tsdb/head.go`, `truncateStaleSeries`).
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be written, see [`Self::flush`]. While records had to be dropped, nothing is: who
    /// reads the log next would not know that these series are gone.
    pub fn evict(&self, stale: &StaleSeries) -> Result<usize, StorageError> {
        if self.durable.as_ref().is_some_and(|d| d.wal.is_broken()) {
            return Err(StorageError::Refused(
                "the write-ahead log has to be written anew first".to_owned(),
            ));
        }
        let one = self.tidying.lock();
        let removed = self.remove_series(&stale.series, |at, stripe, numbers| {
            let gone: Vec<u32> = numbers
                .iter()
                .copied()
                .filter(|&number| {
                    let now = stripe.row(number, 0).and_then(|row| ended(stripe, row));
                    now.is_some() && now == stale.end_of(at, number)
                })
                .collect();
            self.log_eviction(stripe, at, &gone);
            stripe.remove(&gone);
            gone
        });
        drop(one);
        self.flush()?;
        Ok(removed)
    }

    fn log_eviction(&self, stripe: &Stripe, at: usize, gone: &[u32]) {
        let Some(durable) = self.durable.as_ref().filter(|_| stripe.logged) else {
            return;
        };
        let everything = Interval {
            mint: Timestamp::MIN,
            maxt: Timestamp::MAX,
        };
        let mut series: Vec<u64> = gone.iter().map(|&number| make_ref(at, number).0).collect();
        series.sort_unstable();
        let mut aliases = durable.aliases.lock();
        let others: Vec<u64> = aliases
            .extract_if(.., |_, alias| series.binary_search(&alias.series).is_ok())
            .map(|(other, _)| other)
            .collect();
        drop(aliases);
        let mut record = durable.wal.buffer();
        encode_tombstones(
            &mut record,
            series.into_iter().chain(others).map(|series| (series, everything)),
        );
        durable.wal.push(&[&record]);
        durable.wal.recycle(record);
    }
}
