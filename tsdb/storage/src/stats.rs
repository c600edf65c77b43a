//! Figures of the store.

use leadline_model::port::Refusal;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of the head's figures. Counters run since the start; gauges say so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The newest published commit.
    pub generation: u64,
    /// Series that exist now (gauge).
    pub series: u64,
    /// Samples that are held now (gauge).
    pub samples: u64,
    /// Chunks that are held now, open ones included (gauge).
    pub chunks: u64,
    /// Bytes of chunk data held now: closed chunks as long as they are, open ones as large as their buffers (gauge).
    pub chunk_bytes: u64,
    /// Estimate of all memory that the head holds, bytes, without the allocator's own loss (gauge).
    pub bytes: u64,
    /// Label pairs that exist now (gauge).
    pub label_pairs: u64,
    /// Bytes of the texts of label names and values (gauge).
    pub symbol_bytes: u64,
    /// Entries of all postings lists (gauge).
    pub postings: u64,
    /// Label sets that are kept ready (gauge).
    pub cached_label_sets: u64,
    /// Bytes of selections that are kept for whoever asks the same again, about (gauge).
    pub selections_bytes: u64,
    /// Registered selectors (gauge).
    pub selectors: u64,
    /// Commits that were taken.
    pub commits: u64,
    /// Samples that were stored.
    pub appended: u64,
    /// Of these, the samples that came out of order.
    pub out_of_order: u64,
    /// Exemplars that were stored.
    pub exemplars_appended: u64,
    /// Exemplars that are held now (gauge).
    pub exemplars: u64,
    /// Series that were created.
    pub series_created: u64,
    /// Series that were dropped.
    pub series_removed: u64,
    /// What was not taken, by reason.
    pub refused: Refusals,
    /// Mapped chunks that could not be read any more while the store was open.
    pub mapped_damaged: u64,
    /// Samples of these that the log did not have either.
    pub samples_lost: u64,
    /// Selections that were answered.
    pub selects: u64,
    /// Of these, those whose series were still known from the last of the same.
    pub selects_kept: u64,
    /// Selections that began again because a series was created or dropped meanwhile.
    pub select_retries: u64,
}

/// Samples that were not taken, by reason. See [`Refusal`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// Older than the series' newest sample.
    pub out_of_order: u64,
    /// Same time as the newest sample, another value.
    pub duplicate: u64,
    /// Older than what the store keeps.
    pub too_old: u64,
    /// Too far ahead of the clock.
    pub too_far_ahead: u64,
    /// The cap on series was reached.
    pub series_limit: u64,
    /// The reference was unknown.
    pub unknown_series: u64,
    /// A histogram or an exemplar was invalid.
    pub invalid: u64,
    /// The limit on memory was reached while the disk took nothing.
    pub memory_limit: u64,
}

impl Refusals {
    /// The counts with the words of [`Refusal::as_str`], as metrics show them.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 8] {
        [
            (Refusal::OutOfOrder.as_str(), self.out_of_order),
            (Refusal::Duplicate.as_str(), self.duplicate),
            (Refusal::TooOld.as_str(), self.too_old),
            (Refusal::TooFarAhead.as_str(), self.too_far_ahead),
            (Refusal::SeriesLimit.as_str(), self.series_limit),
            (Refusal::UnknownSeries.as_str(), self.unknown_series),
            (Refusal::Invalid.as_str(), self.invalid),
            (Refusal::MemoryLimit.as_str(), self.memory_limit),
        ]
    }

    fn of(&mut self, refusal: Refusal) -> &mut u64 {
        match refusal {
            Refusal::OutOfOrder => &mut self.out_of_order,
            Refusal::Duplicate => &mut self.duplicate,
            Refusal::TooOld => &mut self.too_old,
            Refusal::TooFarAhead => &mut self.too_far_ahead,
            Refusal::SeriesLimit => &mut self.series_limit,
            Refusal::UnknownSeries => &mut self.unknown_series,
            Refusal::Invalid => &mut self.invalid,
            Refusal::MemoryLimit => &mut self.memory_limit,
        }
    }
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) appended: AtomicU64,
    pub(crate) out_of_order: AtomicU64,
    pub(crate) created: AtomicU64,
    pub(crate) exemplars: AtomicU64,
    pub(crate) removed: AtomicU64,
    pub(crate) mapped_damaged: AtomicU64,
    pub(crate) samples_lost: AtomicU64,
    pub(crate) selects: AtomicU64,
    pub(crate) selects_kept: AtomicU64,
    pub(crate) retries: AtomicU64,
    refused: parking_lot::Mutex<Refusals>,
}

impl Counters {
    /// Counts refusals of one commit.
    pub(crate) fn refuse(&self, refused: &[(u32, Refusal)]) {
        if refused.is_empty() {
            return;
        }
        let mut all = self.refused.lock();
        for (_, refusal) in refused {
            *all.of(*refusal) += 1;
        }
    }

    pub(crate) fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// The counters; the gauges are left at 0.
    pub(crate) fn stats(&self) -> Stats {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Stats {
            commits: get(&self.commits),
            appended: get(&self.appended),
            out_of_order: get(&self.out_of_order),
            exemplars_appended: get(&self.exemplars),
            series_created: get(&self.created),
            series_removed: get(&self.removed),
            mapped_damaged: get(&self.mapped_damaged),
            samples_lost: get(&self.samples_lost),
            selects: get(&self.selects),
            selects_kept: get(&self.selects_kept),
            select_retries: get(&self.retries),
            refused: *self.refused.lock(),
            ..Stats::default()
        }
    }
}
