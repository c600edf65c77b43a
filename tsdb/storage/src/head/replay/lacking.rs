//! Finding out that the oldest mapped chunks are missing.
//!
//! The head lets go of files of mapped chunks from the oldest on, so whether one was lost that way cannot be told from the
//! files. The log can tell: from its first valid time on it has everything, so a sample that is older than the first
//! mapped chunk of its series was in a chunk that is gone, and so was that of a marker which names a file before the first.
//! The chunks that are left would hide what the log has of the others. They are given up as those behind any other gap
//! are, and all is read once more from the log alone.

use super::super::stripe::{STRIPES, make_ref};
use super::apply::{UNNAMED, place};
use super::{Replay, ReplayMonitor};
use crate::error::StorageError;
use crate::interval::Interval;
use leadline_model::sample::Timestamp;

/// The mapped chunks that a replay begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapped {
    /// Whether their samples are taken from them.
    used: bool,
    /// Whether to look for samples that should be in a file before the first.
    watched: bool,
    /// Whether the log of late samples names a chunk in a file before the first.
    lacking: bool,
    /// Number of the first file; 0 where there is none.
    first: u32,
    /// Behind the last chunk; what this replay maps itself comes behind it.
    end: u64,
}

impl Mapped {
    /// Chunks that are used, as far as they are complete.
    pub(super) fn used() -> Self {
        Self {
            used: true,
            watched: true,
            lacking: false,
            first: 0,
            end: 0,
        }
    }

    /// Whether their samples are taken from them.
    pub(super) fn are_used(&self) -> bool {
        self.used
    }

    /// Notes which files there are.
    pub(super) fn found(&mut self, first: Option<u32>, end: u64) {
        (self.first, self.end) = (first.unwrap_or(0), end);
        // Before the first of all nothing can be missing.
        self.watched &= self.first > 1;
    }
}

/// Of each stripe: the newest time (ms) of each of its series, by number.
type Ends = Vec<Vec<(u32, Timestamp)>>;

impl Replay<'_> {
    /// A sample of the log at `t` (ms) was not taken because its series has newer ones.
    #[inline]
    pub(super) fn refused(&mut self, at: usize, row: usize, t: Timestamp) {
        if self.mapped.watched && t < self.stripes[at].cold[row].open_from {
            self.older(at, row, t);
        }
    }

    #[cold]
    fn older(&mut self, at: usize, row: usize, t: Timestamp) {
        let first = self.stripes[at].cold[row].closed.first();
        let mapped = first.filter(|chunk| chunk.place().is_some_and(|place| place < self.mapped.end));
        let Some(&number) = self.stripes[at]
            .numbers()
            .get(row)
            .filter(|_| mapped.is_some_and(|chunk| t < chunk.mint))
        else {
            return;
        };
        let older = self.older.entry(make_ref(at, number).0);
        let older = older.or_insert(Interval { mint: t, maxt: t });
        (older.mint, older.maxt) = (older.mint.min(t), older.maxt.max(t));
    }

    /// Whether the log has samples that should be in a file before the first. Deleted ones need not be anywhere: where all
    /// of a time was deleted, the head lets go of its chunks without a block that would say so. What was deleted piece by
    /// piece may be taken for missing: then the log is read once more for nothing.
    pub(super) fn lacks_chunks(&self) -> bool {
        let is_deleted = |(&series, older): (&u64, &Interval)| {
            let Some((at, number)) = place(series) else { return true };
            let deleted = self.stripes[at].deleted.get(&number);
            self.stripes[at].row(number, 0).is_none() || deleted.is_some_and(|all| all.covers(older.mint, older.maxt))
        };
        self.mapped.lacking || !self.older.iter().all(is_deleted)
    }

    /// The log of late samples names a chunk of a series at a place where there is none.
    pub(super) fn no_chunk(&mut self, series: u64, place: u64) {
        let before = place >> 32 < u64::from(self.mapped.first);
        if self.mapped.watched && before && self.late_of(series).is_some() {
            self.mapped.lacking = true;
        }
    }

    /// Reads the log once more, without the mapped chunks. Where it is damaged, or has not all that they have, they stay:
    /// then what they hide cannot be had, and that is told.
    pub(super) fn without_chunks(&mut self, monitor: &dyn ReplayMonitor) -> Result<(), StorageError> {
        let (first, chunks) = (self.mapped.first, self.found.chunks);
        if self.cut_off {
            self.hidden(first);
            return Ok(());
        }
        tracing::warn!(
            chunks,
            "mapped chunks before file {first:06} are missing: the others are given up and the log is read without them"
        );
        let ends = self.ends();
        self.begin_anew(false);
        self.chunks_and_logs(monitor)?;
        if self.is_over() || self.reaches(&ends) {
            self.found.given_up = chunks;
            return Ok(());
        }
        self.begin_anew(true);
        self.hidden(first);
        self.chunks_and_logs(monitor)
    }

    fn hidden(&mut self, first: u32) {
        let text = format!(
            "mapped chunks before file {first:06} are missing, and the log lacks what later ones have: samples of some \
             series before their first mapped chunk are lost"
        );
        tracing::warn!("{text}");
        self.found.lost.push(text);
    }

    fn ends(&self) -> Ends {
        let of = |stripe: &super::Stripe| {
            let rows = stripe.numbers().iter().zip(&stripe.hot);
            let named = rows.filter(|(_, hot)| hot.owner != UNNAMED);
            named.map(|(&number, hot)| (number, hot.open.last_t())).collect()
        };
        self.stripes.iter().map(of).collect()
    }

    /// Whether all series go as far as they did.
    fn reaches(&self, ends: &Ends) -> bool {
        let row = |at: usize, number| self.stripes[at].row(number, 0).map(|row| &self.stripes[at].hot[row]);
        (0..STRIPES).zip(ends).all(|(at, ends)| {
            let mut ends = ends.iter();
            ends.all(|&(number, newest)| row(at, number).is_some_and(|hot| hot.open.last_t() >= newest))
        })
    }

    /// Forgets what was read; what was lost and cut off stays so.
    fn begin_anew(&mut self, used: bool) {
        let mut anew = Self::new(self.head, self.durable, self.part, self.limit);
        anew.stop = self.stop;
        anew.wanted = self.wanted.take();
        (anew.min_valid, anew.maxt) = (self.min_valid, self.maxt);
        anew.found.lost = std::mem::take(&mut self.found.lost);
        anew.mapped = Mapped {
            used,
            watched: false,
            ..Mapped::used()
        };
        *self = anew;
    }

    /// Removes the files of chunks that were given up: chunks that were made of the log are in newer ones.
    pub(super) fn remove_given_up(&self) {
        if self.found.given_up == 0 || !self.part.is_whole() || self.durable.read_only {
            return;
        }
        let last = (self.mapped.end >> 32) as u32;
        if let Err(error) = self.durable.chunks.give_up(last) {
            // The next start finds them, and what the log has of older ones.
            tracing::warn!(%error, "files of mapped chunks that were given up cannot be removed");
        }
    }
}
