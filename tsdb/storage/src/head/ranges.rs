//! In which ranges of time there is something. Nobody says that the oldest and the newest sample are near each other.

use super::Head;
use super::chunks_head::Files;
use super::out_of_order::OutOfOrder;
use super::series::{Closed, Data};
use super::source::Copied;
use super::stripe::{Stripe, make_ref};
use crate::error::StorageError;
use crate::points;
use leadline_model::sample::Timestamp;
use std::collections::BTreeSet;

impl Head {
    /// All that came out of order, as chunks: of a head that is closed and may have no log yet.
    pub(crate) fn seal_late(&self) -> OutOfOrder {
        let mut all = OutOfOrder::none();
        for (at, stripe) in self.stripes.iter().enumerate() {
            for (&number, late) in &mut stripe.write().late {
                late.seal();
                all.add(make_ref(at, number), &late.chunks);
            }
        }
        all
    }

    /// Where the aligned ranges of `range` ms begin in which something came in order. Only those that have samples:
    /// nobody says that the first and the last of them are near each other.
    pub(crate) fn ranges_in_order(&self, range: i64) -> Result<BTreeSet<Timestamp>, StorageError> {
        self.ranges(range, |stripe, row| {
            Copied::of(stripe, row, Timestamp::MIN, Timestamp::MAX).closed
        })
    }

    /// [`Self::ranges_in_order`] for what came out of order.
    pub(crate) fn ranges_out_of_order(&self, range: i64) -> Result<BTreeSet<Timestamp>, StorageError> {
        self.ranges(range, |stripe, row| {
            let late = stripe.numbers().get(row).and_then(|number| stripe.late.get(number));
            late.map_or_else(Vec::new, |late| late.chunks.clone())
        })
    }

    fn ranges(
        &self,
        range: i64,
        chunks: impl Fn(&Stripe, usize) -> Vec<Closed>,
    ) -> Result<BTreeSet<Timestamp>, StorageError> {
        let mut found = BTreeSet::new();
        for stripe in &self.stripes {
            let stripe = stripe.read();
            for row in 0..stripe.numbers().len() {
                for chunk in chunks(&stripe, row) {
                    self.add_ranges(range, &chunk, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Adds the ranges that a chunk has samples in. As a rule it is one; of others the samples are looked at.
    fn add_ranges(&self, range: i64, chunk: &Closed, found: &mut BTreeSet<Timestamp>) -> Result<(), StorageError> {
        let begin = |t: Timestamp| t.div_euclid(range).saturating_mul(range);
        let (first, last) = (begin(chunk.mint), begin(chunk.maxt()));
        if first == last {
            found.insert(first);
            return Ok(());
        }
        let bytes = match (&chunk.data, self.files()) {
            (Data::Disk(_), Some(files)) => files.bytes(&chunk.data)?,
            (data, _) => Files::default().bytes(data)?,
        };
        let mut samples = Vec::new();
        points::decode(chunk.encoding, &bytes, Timestamp::MIN, Timestamp::MAX, &mut samples)
            .map_err(|error| StorageError::Refused(format!("a chunk of the head is damaged: {error}")))?;
        found.extend(samples.iter().map(|sample| begin(sample.t)));
        Ok(())
    }
}
