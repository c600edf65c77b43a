//! What a replay takes of memory, by its own reckoning.

use super::super::chunks_head::Found;
use super::super::late::Late;
use super::super::stripe::Stripe;
use super::Replay;
use crate::stats::Stats;

/// Bytes of records after which it is weighed again: weighing looks at every stripe and every label name.
const EVERY: usize = if cfg!(feature = "planted") {
    16 * 1024
} else {
    1024 * 1024
};
/// About what an entry of a map or an allocation costs beside what it holds, bytes.
const ENTRY: usize = 32;
/// About what an exemplar takes with its labels, bytes.
const EXEMPLAR: usize = 300;
/// About what the newest histogram of a series takes beside its open chunk, bytes.
const HISTOGRAM: u64 = 500;

impl Replay<'_> {
    /// Whether more memory is taken than may be, as it was when it was last weighed.
    pub(super) fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Weighs again, if that is due after `bytes` more of records.
    pub(super) fn weigh_after(&mut self, bytes: usize) {
        self.unweighed += bytes;
        if self.unweighed >= EVERY {
            self.weigh();
        }
    }

    /// Finds out whether more memory is taken than may be.
    pub(super) fn weigh(&mut self) {
        self.unweighed = 0;
        let Some(limit) = self.limit.filter(|_| self.over.is_none()) else {
            return;
        };
        let weight = self.weight();
        self.over = (weight > limit).then_some(weight);
    }

    /// Bytes of memory that are taken.
    fn weight(&self) -> u64 {
        let mut stats = Stats::default();
        for stripe in &self.stripes {
            stripe.add_to(&mut stats);
            stats.bytes += beside(stripe);
        }
        self.index.add_to(&mut stats);
        let wanted = self.wanted.as_ref().map_or(0, Vec::capacity);
        let numbers = self.evicted.capacity() + wanted + self.older.times();
        let entries = self.aliases.capacity() + self.alias_times.len() + self.older.gaps();
        let exemplars = self.exemplars.counts().0 * EXEMPLAR;
        let maps = self.late.len() * (size_of::<Found>() + ENTRY) + entries * 2 * ENTRY + self.told.len() * 2 * ENTRY;
        stats.bytes + (numbers * size_of::<u64>() + maps + exemplars) as u64
    }
}

/// What a stripe holds beside its rows, bytes: histograms, and what came out of order.
pub(in super::super) fn beside(stripe: &Stripe) -> u64 {
    let histograms: u64 = stripe.histograms.values().map(|open| open.len() + HISTOGRAM).sum();
    let late: u64 = stripe.late.values().map(Late::memory).sum();
    histograms + late + (stripe.deleted.len() * 3 * ENTRY) as u64
}
