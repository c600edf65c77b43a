//! How much the head may take of memory while the disk takes nothing from it.
//!
//! Commits go on while the disk is full or the log is not read yet, and what would have left the memory for it stays. So that the process lives until
//! there is room, no more is taken at a limit. Whoever writes looks at it ([`Head::weigh`]), and commits only read what was
//! found: they pass the limit by what comes between two writes.

use super::Head;
use super::durable::Durable;
use super::replay::beside;
use leadline_model::port::{AppendError, Batch, Refusal};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the disk takes chunks, and whether memory is full because it takes nothing.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Whether chunks could not be written when that was last tried.
    chunks_stay: AtomicBool,
    full: AtomicBool,
}

impl Head {
    /// Whether samples are refused because the disk takes nothing, or must not yet, and what is held for it has reached
    /// [`crate::Settings::unwritten_memory_bytes`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        let unwritten = self.durable.as_ref().map(|durable| &durable.unwritten);
        unwritten.is_some_and(|unwritten| unwritten.full.load(Ordering::Acquire))
    }

    /// Notes whether chunks could be written.
    pub(super) fn chunks_written(&self, durable: &Durable, written: bool) {
        durable.unwritten.chunks_stay.store(!written, Ordering::Release);
        self.weigh(durable);
    }

    /// Finds out whether more may be taken.
    pub(super) fn weigh(&self, durable: &Durable) {
        let (limit, unwritten) = (self.settings.unwritten_memory_bytes, &durable.unwritten);
        if limit == 0 {
            return;
        }
        let fails = unwritten.chunks_stay.load(Ordering::Acquire) || durable.wal.fails() || durable.wbl.fails();
        let stays = fails || (durable.is_replaying() && !durable.read_only);
        let full = stays && self.held() > limit;
        match (unwritten.full.swap(full, Ordering::AcqRel), full) {
            (false, true) => tracing::error!(
                limit,
                replaying = durable.is_replaying(),
                "samples are refused: the disk takes none, and what waits for it has reached the limit"
            ),
            (true, false) => tracing::info!("samples are taken again"),
            _ => {}
        }
    }

    /// Bytes of memory that are taken, with what waits for the log.
    fn held(&self) -> u64 {
        let beside: u64 = self.stripes.iter().map(|stripe| beside(&stripe.read())).sum();
        self.stats().bytes + beside + self.log_health().pending_bytes
    }

    /// Counts all of a batch as refused.
    pub(super) fn refuse(&self, batch: &Batch) {
        let extras = batch.extras.histograms.len() + batch.extras.exemplars.len();
        let all = (batch.entries.len() + extras) as u32;
        let all: Vec<_> = (0..all).map(|i| (i, Refusal::MemoryLimit)).collect();
        self.counters.refuse(&all);
    }

    /// Why nothing is taken.
    pub(super) fn unwritable(&self) -> AppendError {
        let limit = self.settings.unwritten_memory_bytes;
        let why = match self.is_replaying() {
            true => "the write-ahead log is not read yet",
            false => "the disk takes nothing",
        };
        AppendError::Unwritable(format!("memory has reached its limit of {limit} bytes, and {why}"))
    }
}
