//! What each part of the directory says, and where it goes.

use super::super::chunks_head::{Files, Found};
use super::super::histograms::{UNKNOWN_BITS, newest_bits};
use super::super::late::Late;
use super::super::series::{Closed, Data, NO_OWNER};
use super::super::source::clip;
use super::super::stripe::{EARLY, Stripe, number_of, stripe_of};
use super::Replay;
use crate::chunk::{XorAppender, decode, decode_histograms};
use crate::codec::Malformed;
use crate::error::StorageError;
use crate::interval::Interval;
use crate::points::Value;
use crate::wal::record::{HistogramEntry, Record, SeriesEntry, TombstoneEntry};
use leadline_model::port::SeriesRef;
use leadline_model::sample::{Samples, Timestamp};

/// The owner of a series of which only chunks are known until the log names it.
pub(super) const UNNAMED: u32 = NO_OWNER - 1;

/// The stripe of a reference and the number within it, if a stripe can have given it.
pub(super) fn place(reference: u64) -> Option<(usize, u32)> {
    let series = SeriesRef(reference);
    let number = number_of(series).filter(|&n| n < EARLY - 1)?;
    Some((stripe_of(series), number))
}

impl Replay<'_> {
    /// Takes over the chunks that are on the disk.
    pub(super) fn map(&mut self) -> Result<(), StorageError> {
        let durable = self.durable;
        // Where a replay was given up before, it may have been writing.
        durable.chunks.cut()?;
        let scanned = durable.chunks.scan(!durable.read_only, |found| {
            self.go_on()?;
            self.adopt(found);
            Ok(())
        })?;
        for damage in scanned.lost {
            tracing::warn!(%damage, "mapped chunks are given up from here on, the log has their samples");
        }
        let (first, end) = (durable.chunks.first(), durable.chunks.end());
        self.mapped.found(first, end);
        // The log names them next.
        let series: usize = self.stripes.iter().map(|stripe| stripe.hot.len()).sum();
        self.index.reserve(series);
        Ok(())
    }

    /// Takes out of mapped chunks what is before the bound: blocks have it, or it was deleted from them. One that cannot be
    /// decoded goes, which is told: it would be the same at every attempt.
    fn clip_oldest(&mut self) -> Result<(), StorageError> {
        let files = self.durable.chunks.files();
        let mut dropped = (0, None);
        for stripe in &mut self.stripes {
            for row in 0..stripe.hot.len() {
                while let Some(oldest) = stripe.cold[row].closed.first()
                    && oldest.mint < self.min_valid
                {
                    let (bytes, mut part) = (files.bytes(&oldest.data)?, Vec::new());
                    let clipped = clip(oldest.encoding, &bytes, self.min_valid, Timestamp::MAX, &mut part);
                    if let Err(error) = clipped {
                        dropped = (dropped.0 + 1, Some(error));
                    }
                    stripe.replace_closed(row, 0, part.iter().map(Closed::encoded).collect());
                }
            }
        }
        if let (chunks, Some(error)) = dropped {
            let bound = self.min_valid;
            let text =
                format!("{chunks} mapped chunks that begin before {bound} cannot be decoded and are dropped: {error}");
            tracing::warn!("{text}");
            self.found.lost.push(text);
        }
        self.mint = self.mint.max(self.min_valid);
        Ok(())
    }

    /// Takes over the chunks of one file.
    fn adopt(&mut self, mut found: Vec<Found>) {
        found.retain(|chunk| {
            let Some((stripe, number)) = place(chunk.series.0) else {
                return false;
            };
            self.stripes[stripe].reserve_number(number);
            let wanted = self.mapped.are_used() && self.wants(chunk.series.0);
            if chunk.out_of_order && wanted {
                self.late.insert(chunk.place, *chunk);
            }
            chunk.maxt >= self.min_valid && !chunk.out_of_order && wanted
        });
        // Stable: the chunks of one series stay in the order of time.
        found.sort_by_key(|chunk| (stripe_of(chunk.series), chunk.series));
        for group in found.chunk_by(|a, b| stripe_of(a.series) == stripe_of(b.series)) {
            let Some(first) = group.first() else { continue };
            let stripe = &mut self.stripes[stripe_of(first.series)];
            let mut numbers: Vec<u32> = group.iter().filter_map(|c| number_of(c.series)).collect();
            numbers.dedup();
            stripe.enter_all(&numbers, UNNAMED);
            let mut guess = 0;
            for chunk in group {
                let Some(row) = number_of(chunk.series).and_then(|n| stripe.row(n, guess)) else {
                    continue;
                };
                guess = row;
                if chunk.mint <= stripe.hot[row].open.last_t() {
                    continue;
                }
                self.mint = self.mint.min(chunk.mint);
                self.maxt = self.maxt.max(chunk.maxt);
                self.found.chunks += 1;
                let closed = Closed::on_disk(chunk.mint, chunk.maxt, chunk.encoding, chunk.samples, chunk.place);
                stripe.adopt(row, closed);
                // There is no open chunk: until one begins, this says how far the log was compared with what is mapped.
                stripe.cold[row].open_from = Timestamp::MIN;
            }
        }
    }

    /// Takes a record of the log over.
    pub(super) fn record(&mut self, record: &[u8]) -> Result<(), Malformed> {
        match Record::parse(record)? {
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample?;
                    self.sample(sample.series, sample.t, sample.v);
                }
            }
            Record::Series(series) => {
                for entry in series {
                    self.series(&entry?);
                }
            }
            Record::Tombstones(tombstones) => {
                let all: Vec<TombstoneEntry> = tombstones.collect::<Result<_, _>>()?;
                self.tombstones(&all);
            }
            Record::MinValidTime(mint) => self.min_valid = self.min_valid.max(mint),
            Record::Histograms(mut histograms) => {
                for entry in &mut histograms {
                    self.histogram(&entry?);
                }
                self.found.unknown_histograms += histograms.unknown() as u64;
            }
            Record::Exemplars(exemplars) => {
                for entry in exemplars {
                    let entry = entry?;
                    if let Some((series, _, _)) = self.row(entry.series, entry.t) {
                        // What is refused is there already: a checkpoint and a segment may both have it.
                        let _ = self.exemplars.add(series, &entry.to_exemplar());
                    }
                }
            }
            Record::Metadata(metadata) => {
                for entry in metadata {
                    let entry = entry?;
                    if let Some((series, _, _)) = self.row(entry.series, Timestamp::MIN) {
                        self.told.set(series, &entry.to_metadata());
                    }
                }
            }
            // Of types that are not known there are none here: whoever reads the log refuses them.
            Record::MmapMarkers(_) | Record::Unknown(_) => {}
        }
        Ok(())
    }

    /// Takes a record of the log of samples that came out of order over.
    pub(super) fn late_record(&mut self, record: &[u8]) -> Result<(), Malformed> {
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::OutOfOrderNotReplayed) {
            return Ok(());
        }
        match Record::parse(record)? {
            Record::Samples(samples) => {
                for sample in samples {
                    let sample = sample?;
                    self.late_sample(sample.series, sample.t, Value::Float(sample.v));
                }
            }
            Record::Histograms(mut histograms) => {
                for entry in &mut histograms {
                    let entry = entry?;
                    if self.is_usable(&entry) {
                        self.late_sample(entry.series, entry.t, Value::Histogram(entry.h));
                    }
                }
                self.found.unknown_histograms += histograms.unknown() as u64;
            }
            Record::MmapMarkers(markers) => {
                for marker in markers {
                    let marker = marker?;
                    let Some(chunk) = self.late.get(&marker.chunk).filter(|c| c.series.0 == marker.series) else {
                        // The chunk did not reach the disk: its samples came before in this log.
                        self.no_chunk(marker.series, marker.chunk);
                        continue;
                    };
                    let closed = Closed::on_disk(chunk.mint, chunk.maxt, chunk.encoding, chunk.samples, chunk.place);
                    if let Some(late) = self.late_of(marker.series) {
                        late.adopt(closed);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn late_sample(&mut self, reference: u64, t: Timestamp, v: Value) {
        if let Some(late) = self.late_of(reference)
            && let Ok(true) = late.append(t, v)
        {
            self.found.samples += 1;
        }
    }

    /// What came out of order of a series that lives.
    pub(super) fn late_of(&mut self, reference: u64) -> Option<&mut Late> {
        let reference = self.aliases.get(&reference).copied().unwrap_or(reference);
        let (at, number) = place(reference)?;
        let stripe = self.stripes.get_mut(at)?;
        // The series may have been lost with the end of the other log; no new one must get what is here under its number.
        stripe.reserve_number(number);
        let row = stripe.row(number, 0)?;
        (stripe.hot[row].owner != UNNAMED).then(|| stripe.late.entry(number).or_default())
    }

    /// A series of the log: a new one, one of which there are chunks, or another reference for a known one.
    fn series(&mut self, entry: &SeriesEntry<'_>) {
        let Some((at, number)) = place(entry.series) else {
            self.unknown += 1;
            return;
        };
        if self.evicted.contains(&entry.series) {
            self.repeated += 1;
            return;
        }
        let labels = entry.labels.to_labels();
        self.stripes[at].reserve_number(number);
        if !self.part.takes(&labels) {
            return;
        }
        match self.index.find(&labels) {
            Some(known) if known.0 == entry.series => {}
            Some(known) => {
                self.aliases.insert(entry.series, known.0);
                self.alias_times.entry(entry.series).or_insert(self.min_valid);
            }
            None => {
                let stripe = &mut self.stripes[at];
                let row = stripe.enter(number, self.guess[at], UNNAMED);
                self.guess[at] = row + 1;
                let hot = &mut stripe.hot[row];
                // A reference has one label set; a second one can only be damage.
                if hot.owner == UNNAMED && self.index.create(&labels, SeriesRef(entry.series)).is_some() {
                    hot.owner = NO_OWNER;
                }
            }
        }
    }

    #[inline]
    fn sample(&mut self, reference: u64, t: Timestamp, v: f64) {
        if t < self.min_valid {
            return;
        }
        let Some((_, at, row)) = self.row(reference, t) else {
            return;
        };
        // What is refused is in a mapped chunk, or was out of order and is in a log of its own.
        match self.stripes[at].append(row, t, v, &mut self.cuts) {
            Ok(true) => self.count(t),
            _ => self.refused(at, row, t),
        }
    }

    /// Whether a histogram is valid; others are counted.
    fn is_usable(&mut self, entry: &HistogramEntry) -> bool {
        let usable = entry.h.is_stale() || entry.h.validate().is_ok();
        self.found.unknown_histograms += u64::from(!usable);
        usable
    }

    fn histogram(&mut self, entry: &HistogramEntry) {
        if entry.t < self.min_valid {
            return;
        }
        if !self.is_usable(entry) {
            return;
        }
        let Some((_, at, row)) = self.row(entry.series, entry.t) else {
            return;
        };
        match self.stripes[at].append_histogram(row, entry.t, &entry.h, &self.cuts) {
            Ok(true) => self.count(entry.t),
            _ => self.refused(at, row, entry.t),
        }
    }

    #[inline]
    fn count(&mut self, t: Timestamp) {
        self.found.samples += 1;
        self.mint = self.mint.min(t);
        self.maxt = self.maxt.max(t);
    }

    /// The reference under which the series of an entry at `t` (ms) is held, its stripe and its row.
    #[inline]
    fn row(&mut self, reference: u64, t: Timestamp) -> Option<(u64, usize, usize)> {
        let mut reference = reference;
        if !self.aliases.is_empty() {
            reference = self.resolve(reference, t);
        }
        let found = place(reference).and_then(|(at, number)| {
            let stripe = &self.stripes[at];
            let row = stripe.row(number, self.guess[at])?;
            (stripe.hot[row].owner != UNNAMED).then_some((at, row))
        });
        match found {
            Some((at, row)) => {
                self.guess[at] = row + 1;
                Some((reference, at, row))
            }
            None => {
                self.unknown += 1;
                self.reserve(reference);
                None
            }
        }
    }

    /// A checkpoint goes by references: it would keep what is told under this one for a new series that gets it.
    #[cold]
    fn reserve(&mut self, reference: u64) {
        if let Some((at, number)) = place(reference) {
            self.stripes[at].reserve_number(number);
        }
    }

    /// The reference under which a series is held.
    #[cold]
    fn resolve(&mut self, reference: u64, t: Timestamp) -> u64 {
        let Some(&known) = self.aliases.get(&reference) else {
            return reference;
        };
        let newest = self.alias_times.entry(reference).or_insert(t);
        *newest = (*newest).max(t);
        known
    }

    /// Deletions; one over all time is a series that left the head.
    fn tombstones(&mut self, all: &[TombstoneEntry]) {
        let mut evicted: Vec<(usize, u32, u64)> = Vec::new();
        for tombstone in all {
            let reference = self.aliases.get(&tombstone.series).copied().unwrap_or(tombstone.series);
            let Some((at, number)) = place(reference) else { continue };
            let stripe = &mut self.stripes[at];
            stripe.reserve_number(number);
            let everything = Interval {
                mint: Timestamp::MIN,
                maxt: Timestamp::MAX,
            };
            if tombstone.interval == everything {
                evicted.push((at, number, reference));
                self.evicted.extend([reference, tombstone.series]);
            } else if stripe.row(number, 0).is_some() {
                // One that ended before the bound counts too: for late samples, and for chunks that reach over it.
                stripe.deleted.entry(number).or_default().add(tombstone.interval);
            }
        }
        self.evict(evicted);
    }

    fn evict(&mut self, mut evicted: Vec<(usize, u32, u64)>) {
        if evicted.is_empty() {
            return;
        }
        evicted.sort_unstable();
        // Once for each name that the log has of a series.
        evicted.dedup();
        for group in evicted.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(at, _, _)) = group.first() else { continue };
            let numbers: Vec<u32> = group.iter().map(|e| e.1).collect();
            self.stripes[at].remove(&numbers);
        }
        let references: rapidhash::RapidHashSet<u64> = evicted.iter().map(|e| e.2).collect();
        let universe = self.index.universe() as u32;
        let ids: Vec<u32> = (0..universe)
            .filter(|&id| references.contains(&self.index.series(id).0))
            .collect();
        self.index.kill(ids.into_iter());
        self.guess = [0; super::STRIPES];
        self.exemplars.remove(references.iter().copied());
        self.told.remove(references.iter().copied());
        self.aliases.retain(|_, known| !references.contains(known));
    }

    /// Drops chunks whose series the log does not name, and deletions of what is not there.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        self.clip_oldest()?;
        let files = self.durable.chunks.files();
        for stripe in &mut self.stripes {
            let unnamed = |row: &usize| stripe.hot[*row].owner == UNNAMED;
            let gone: Vec<u32> = (0..stripe.numbers().len())
                .filter(unnamed)
                .map(|row| stripe.numbers()[row])
                .collect();
            stripe.remove(&gone);
            stripe.forget_deletions(Timestamp::MAX);
            stripe.mend_begins();
            // What becomes a block is not written on.
            if self.part.is_whole() {
                find_newest(stripe, &files)?;
            }
        }
        self.index.sweep(true);
        self.remove_given_up();
        self.tell();
        Ok(())
    }

    /// Says what was passed over; once, where the log is read in parts.
    fn tell(&self) {
        if !self.part.is_first() {
            return;
        }
        if self.found.unknown_histograms > 0 {
            tracing::warn!(
                histograms = self.found.unknown_histograms,
                "the log has histograms that are invalid or of an unknown schema, they are passed over"
            );
        }
        if self.repeated > 0 {
            // A write that failed half-way and was done again leaves this too.
            tracing::warn!(
                series = self.repeated,
                "the log names series again that had left the head, so a part of it is there twice and is passed over"
            );
        }
        // To a part, all others are unknown too.
        if self.unknown > 0 && self.part.is_whole() {
            tracing::info!(
                entries = self.unknown,
                "the log has entries of series that left the head"
            );
        }
    }
}

/// Finds the newest values that only chunks on the disk have.
fn find_newest(stripe: &mut Stripe, files: &Files) -> Result<(), StorageError> {
    let (mut samples, mut histograms) = (Samples::default(), Vec::new());
    for (hot, cold) in stripe.hot.iter_mut().zip(&stripe.cold) {
        // An open chunk of histograms may be behind it.
        let newest = |chunk: &Closed| hot.open.samples() == 0 && chunk.maxt() == hot.open.last_t();
        let Some(last) = cold.closed.last().filter(newest) else {
            continue;
        };
        let Data::Disk(_) = last.data else { continue };
        let bytes = files.bytes(&last.data)?;
        if !last.encoding.is_float() {
            histograms.clear();
            let decoded = decode_histograms(last.encoding, &bytes, last.maxt(), last.maxt(), &mut histograms).is_ok();
            let newest = histograms.last().filter(|_| decoded);
            hot.open = XorAppender::behind(
                last.maxt(),
                newest_bits(newest.is_some_and(|newest| newest.h.is_stale())),
            );
            continue;
        }
        samples.clear();
        let decoded = decode(last.encoding, &bytes, Timestamp::MIN, Timestamp::MAX, &mut samples);
        let newest = samples.t.last().zip(samples.v.last());
        hot.open = match newest.filter(|_| decoded.is_ok()) {
            Some((&t, v)) => XorAppender::behind(t, v.to_bits()),
            // Who asks for it reads the chunk, and fails.
            None => XorAppender::behind(last.maxt(), UNKNOWN_BITS),
        };
    }
    Ok(())
}
