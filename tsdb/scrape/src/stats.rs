//! What scraping counts. The process renders it as metrics.

use crate::error::{OTHER_REASON, REASONS, ScrapeError};
use leadline_model::port::Refusal;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kinds of refusal that are counted apart.
pub(crate) const REFUSALS: [Refusal; 8] = [
    Refusal::OutOfOrder,
    Refusal::Duplicate,
    Refusal::TooOld,
    Refusal::TooFarAhead,
    Refusal::SeriesLimit,
    Refusal::UnknownSeries,
    Refusal::Invalid,
    Refusal::MemoryLimit,
];

/// Counters of all scraping; every one only grows.
#[derive(Debug, Default)]
pub struct Stats {
    /// Scrapes that were tried.
    pub scrapes: AtomicU64,
    /// Samples that good scrapes handed to the store, report series not counted.
    pub samples: AtomicU64,
    /// Sample lines whose series the cache did not know.
    pub cache_misses: AtomicU64,
    /// Sample lines that repeat a series of the same scrape; the first one counts.
    pub duplicates: AtomicU64,
    /// Caches that were emptied because the store had dropped their series.
    pub cache_resets: AtomicU64,
    /// Stale markers that were handed to the store.
    pub stale_markers: AtomicU64,
    /// Bytes of bodies, uncompressed.
    pub body_bytes: AtomicU64,
    /// Bytes of bodies as they were transferred.
    pub transferred_bytes: AtomicU64,
    /// Slots of the grid that passed without a scrape.
    pub missed_slots: AtomicU64,
    failures: [AtomicU64; REASONS.len() + 1],
    refusals: [AtomicU64; REFUSALS.len()],
}

impl Stats {
    /// Failed scrapes by reason.
    #[must_use]
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        let words = REASONS.into_iter().chain([OTHER_REASON]);
        words
            .zip(&self.failures)
            .map(|(word, n)| (word, n.load(Ordering::Relaxed)))
            .collect()
    }

    /// Samples that the store refused, by reason.
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        let words = REFUSALS.iter().map(|r| r.as_str());
        words
            .zip(&self.refusals)
            .map(|(word, n)| (word, n.load(Ordering::Relaxed)))
            .collect()
    }

    pub(crate) fn failed(&self, error: &ScrapeError) {
        let at = REASONS
            .iter()
            .position(|r| *r == error.reason())
            .unwrap_or(REASONS.len());
        add(&self.failures[at], 1);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        if let Some(at) = REFUSALS.iter().position(|r| *r == refusal) {
            add(&self.refusals[at], 1);
        }
    }
}

/// Counts.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}
