//! Finding out that mapped chunks are missing before others.
//!
//! The head lets go of files of mapped chunks from the oldest on, and a file that was cut off where a chunk ends looks whole,
//! so whether chunks were lost that way cannot be told from the files. The log can tell: from its first valid time on it has
//! everything, in the order of time but for what came out of order. So a sample that is newer than all that the log had of its
//! series before, and that is in no mapped chunk while a later one is there, was in a chunk that is gone; and so was that of
//! a marker which names a file before the first. The chunks that are left would hide what the log has of the others. They
//! are given up as those behind any other gap are, and all is read once more from the log alone.

use super::super::chunks_head::Files;
use super::super::series::Closed;
use super::super::source::Copied;
use super::super::stripe::{STRIPES, Stripe, make_ref};
use super::apply::{UNNAMED, place};
use super::{Replay, ReplayMonitor};
use crate::error::StorageError;
use crate::points;
use leadline_model::sample::Timestamp;
use rapidhash::RapidHashMap;

/// The mapped chunks that a replay begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mapped {
    /// Whether their samples are taken from them.
    used: bool,
    /// Whether to look for samples that should be in one and are not.
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
        // Where nothing is mapped, nothing hides what the log has.
        self.watched &= end > 0;
    }
}

/// What came in order of a series.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Time (ms) of the oldest sample that the log should have.
    from: Timestamp,
    /// Time (ms) of the newest sample.
    newest: Timestamp,
    /// How many samples from `from` on.
    samples: u64,
}

/// Of each stripe: how much there is of each of its series, by number.
type Extents = Vec<Vec<(u32, Extent)>>;

/// When samples came out of order, of which series, by reference.
type LateTimes = RapidHashMap<u64, Vec<Timestamp>>;

impl Replay<'_> {
    /// A sample of the log at `t` (ms) was not taken because its series has newer ones.
    ///
    /// A row without an open chunk notes in `open_from` up to where the log was compared with what is mapped. What is older
    /// than that came out of order (Prometheus logs it here too), or is in the log twice.
    #[inline]
    pub(super) fn refused(&mut self, at: usize, row: usize, t: Timestamp) {
        if self.mapped.watched && t > self.stripes[at].cold[row].open_from {
            self.compare(at, row, t);
        }
    }

    #[cold]
    fn compare(&mut self, at: usize, row: usize, t: Timestamp) {
        let stripe = &mut self.stripes[at];
        // With an open chunk the log has gone beyond what is mapped.
        if stripe.hot[row].open.samples() > 0 || stripe.open_histograms(row).is_some() {
            return;
        }
        let mapped = |chunk: Closed| chunk.place().filter(|&place| place < self.mapped.end).zip(Some(chunk));
        let next = stripe.cold[row]
            .closed
            .iter()
            .filter_map(mapped)
            .find(|(_, chunk)| chunk.maxt() >= t);
        let Some((place, chunk)) = next else { return };
        let is_in_it = chunk.mint <= t;
        stripe.cold[row].open_from = if is_in_it { chunk.maxt() } else { t };
        if let Some(&number) = stripe.numbers().get(row).filter(|_| !is_in_it) {
            self.older.add(make_ref(at, number).0, (place >> 32) as u32, t);
        }
    }

    /// The first file before which the log has samples that should be in mapped chunks and are not. Deleted ones need not be anywhere: where all
    /// of a time was deleted, the head lets go of its chunks without a block that would say so. Of more samples than there is
    /// room for, what was deleted piece by piece may be taken for missing: then the log is read once more for nothing.
    pub(super) fn gap(&self) -> Option<u32> {
        let deleted = |series| {
            let (at, number) = place(series)?;
            self.stripes[at].row(number, 0)?;
            Some(self.stripes[at].deleted.get(&number))
        };
        // What came late is missing before all that there is.
        let late = self.mapped.lacking.then_some(self.mapped.first);
        late.into_iter().chain(self.older.first_gap(deleted)).min()
    }

    /// The log of late samples names a chunk of a series at a place where there is none.
    pub(super) fn no_chunk(&mut self, series: u64, place: u64) {
        let first = self.mapped.first;
        // Before the first of all nothing can be missing. What is missing behind it did perhaps never reach the disk.
        let before = first > 1 && place >> 32 < u64::from(first);
        if self.mapped.watched && before && self.late_of(series).is_some() {
            self.mapped.lacking = true;
        }
    }

    /// Reads the log once more, without the mapped chunks, because some are missing before `file`. Where it is damaged, or has not all that they have, they stay:
    /// then what they hide cannot be had, and that is told.
    pub(super) fn without_chunks(&mut self, file: u32, monitor: &dyn ReplayMonitor) -> Result<(), StorageError> {
        let chunks = self.found.chunks;
        if self.cut_off {
            self.hidden(file);
            return Ok(());
        }
        tracing::warn!(
            chunks,
            "mapped chunks before file {file:06} are missing: the others are given up and the log is read without them"
        );
        let (extents, last) = (self.extents(), self.durable.chunks.last());
        let late = self.late_times();
        self.begin_anew(false);
        let read = self.chunks_and_logs(monitor);
        if read.is_ok() && !self.is_over() && self.reaches(&extents) && self.has_late(&late) {
            self.found.given_up = chunks;
            return Ok(());
        }
        // The chunks that stay end elsewhere than those that were just made: who takes some of each misses what is between.
        let withdrawn = self.durable.chunks.withdraw_behind(last);
        read.and(withdrawn)?;
        if self.is_over() {
            return Ok(());
        }
        self.begin_anew(true);
        self.hidden(file);
        self.chunks_and_logs(monitor)
    }

    fn hidden(&mut self, file: u32) {
        let text = format!(
            "mapped chunks before file {file:06} are missing, and the log lacks what later ones have: samples of some \
             series before their later mapped chunks are lost"
        );
        tracing::warn!("{text}");
        self.found.lost.push(text);
    }

    fn extents(&self) -> Extents {
        let of = |stripe: &Stripe| {
            let rows = stripe.numbers().iter().zip(0..);
            let named = rows.filter(|&(_, row)| stripe.hot[row].owner != UNNAMED);
            named.map(|(&number, row)| (number, self.extent(stripe, row))).collect()
        };
        self.stripes.iter().map(of).collect()
    }

    fn extent(&self, stripe: &Stripe, row: usize) -> Extent {
        let held = Copied::of(stripe, row, self.min_valid, Timestamp::MAX).closed;
        // Of a chunk that reaches over the bound the log need not have all.
        let whole = || held.iter().filter(|chunk| chunk.mint >= self.min_valid);
        Extent {
            from: whole().map(|chunk| chunk.mint).min().unwrap_or(Timestamp::MAX),
            newest: stripe.hot[row].open.last_t(),
            samples: whole().map(|chunk| u64::from(chunk.samples)).sum(),
        }
    }

    /// Whether all series go as far as they did, and have no fewer samples in that time: a log that was cut off once and went
    /// on lacks some that only mapped chunks have.
    fn reaches(&self, extents: &Extents) -> bool {
        let files = self.durable.chunks.files();
        let has = |at: usize, number, before: &Extent| {
            let stripe = &self.stripes[at];
            stripe.row(number, 0).is_some_and(|row| {
                stripe.hot[row].open.last_t() >= before.newest
                    && samples_from(stripe, row, before.from, &files) >= before.samples
            })
        };
        let mut extents = (0..STRIPES).zip(extents);
        extents.all(|(at, extents)| extents.iter().all(|(number, before)| has(at, *number, before)))
    }

    /// The times (ms) of all samples that came out of order, ascending, by series. What cannot be read is not there.
    fn late_times(&self) -> LateTimes {
        let files = self.durable.chunks.files();
        let mut all = LateTimes::default();
        for (at, stripe) in self.stripes.iter().enumerate() {
            for (&number, late) in &stripe.late {
                let times = all.entry(make_ref(at, number).0).or_default();
                let mut points = Vec::new();
                for chunk in late.copy(Timestamp::MIN, Timestamp::MAX) {
                    points.clear();
                    let bytes = files.bytes(&chunk.data);
                    let read = bytes.is_ok_and(|bytes| {
                        let all = (Timestamp::MIN, Timestamp::MAX);
                        points::decode(chunk.encoding, &bytes, all.0, all.1, &mut points).is_ok()
                    });
                    times.extend(points.iter().filter(|_| read).map(|point| point.t));
                }
                times.sort_unstable();
                times.dedup();
            }
        }
        all
    }

    /// Whether the log of late samples has all that were there before: it may have lost some, and the markers that name the
    /// chunks of these not.
    fn has_late(&self, before: &LateTimes) -> bool {
        let now = self.late_times();
        let mut all = before.iter();
        all.all(|(series, before)| {
            let now = now.get(series).map(Vec::as_slice).unwrap_or_default();
            before.iter().all(|t| now.binary_search(t).is_ok())
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

impl Stripe {
    /// Rows without an open chunk begin where their first chunk does: [`Replay::refused`] used that place for something else.
    pub(super) fn mend_begins(&mut self) {
        for row in 0..self.numbers().len() {
            let is_open = self.hot[row].open.samples() > 0 || self.open_histograms(row).is_some();
            let cold = &mut self.cold[row];
            if let Some(first) = cold.closed.first().filter(|_| !is_open) {
                cold.open_from = first.mint;
            }
        }
    }
}

/// How many samples a series has that came in order, from a time (ms) on.
fn samples_from(stripe: &Stripe, row: usize, from: Timestamp, files: &Files) -> u64 {
    let count = |chunk: &Closed| {
        if chunk.mint >= from {
            return u64::from(chunk.samples);
        }
        let mut points = Vec::new();
        let read = files.bytes(&chunk.data).ok();
        // What cannot be read is not there.
        let decoded =
            read.is_some_and(|b| points::decode(chunk.encoding, &b, from, Timestamp::MAX, &mut points).is_ok());
        points.len() as u64 * u64::from(decoded)
    };
    let held = Copied::of(stripe, row, from, Timestamp::MAX).closed;
    held.iter().map(count).sum()
}
