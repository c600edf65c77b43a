//! What few commits bring besides floats: native histograms, exemplars, metadata.

use super::{Held, Trip, resolve};
use crate::head::Head;
use crate::head::stripe::{number_of, stripe_of};
use crate::stats::Counters;
use crate::wal::record::{ExemplarsEncoder, HistogramsEncoder, encode_metadata};
use leadline_model::histogram::AnyHistogram;
use leadline_model::metadata::Metadata;
use leadline_model::port::{Batch, ExemplarEntry, Extras, HistogramEntry, Outcome, Refusal, SeriesRef, Slot};
use leadline_model::sample::Timestamp;

/// Their records in the log.
#[derive(Default)]
pub(super) struct Records {
    histograms: HistogramsEncoder,
    /// Records that go before those of `histograms`.
    earlier: Vec<Vec<u8>>,
    exemplars: Vec<u8>,
    metadata: Vec<u8>,
}

impl Records {
    /// Adds a histogram. One whose record would go before that of the newest, which may be of the same series and must come
    /// before it in the log too, begins new ones.
    pub(super) fn histogram(&mut self, series: SeriesRef, t: Timestamp, h: &AnyHistogram) {
        if self.histograms.is_behind(h) {
            self.earlier.extend(self.histograms.records().map(<[u8]>::to_vec));
            self.histograms.clear();
        }
        self.histograms.push(series.0, t, h);
    }

    /// Whether there is one.
    pub(super) fn has_histograms(&self) -> bool {
        !self.earlier.is_empty() || self.histograms.records().next().is_some()
    }

    /// Calls `push` with each record.
    pub(super) fn each(&self, mut push: impl FnMut(&[u8])) {
        push(&self.metadata);
        self.earlier.iter().for_each(|record| push(record));
        self.histograms.records().for_each(&mut push);
        push(&self.exemplars);
    }
}

/// The stripes whose series the extras name, as a set of bits.
pub(super) fn stripes(extras: &Extras) -> u64 {
    let histograms = extras.histograms.iter().map(|e| e.series);
    let exemplars = extras.exemplars.iter().map(|e| e.series);
    let metadata = extras.metadata.iter().map(|e| e.series);
    let known = |slot| match slot {
        Slot::Known(series) => 1 << stripe_of(series),
        Slot::New(_) => 0,
    };
    histograms
        .chain(exemplars)
        .chain(metadata)
        .map(known)
        .fold(0, |set, bit| set | bit)
}

impl Head {
    /// Writes the extras, each on its own merits. The floats must be in already: they win at equal times.
    pub(super) fn apply_extras(&self, batch: &Batch, held: &mut Held<'_>, trip: &mut Trip<'_>, outcome: &mut Outcome) {
        // Of equal times integers first: so one record of each kind will do, see `Records::histogram`.
        let key = |entry: &HistogramEntry| (entry.t, matches!(entry.h, AnyHistogram::Float(_)));
        let mut order: Vec<usize> = (0..batch.extras.histograms.len()).collect();
        order.sort_by_key(|&i| key(&batch.extras.histograms[i]));
        for i in order {
            let entry = &batch.extras.histograms[i];
            match self.apply_histogram(batch, entry, held, trip, outcome) {
                Ok(stored) => outcome.appended += usize::from(stored),
                Err(why) => outcome.refused_histograms.push((i as u32, why)),
            }
        }
        if !batch.extras.exemplars.is_empty() {
            self.apply_exemplars(&batch.extras.exemplars, held, trip, outcome);
        }
        if !batch.extras.metadata.is_empty() {
            self.apply_metadata(&batch.extras, held, trip, outcome);
        }
        self.counters.refuse(&outcome.refused_histograms);
        self.counters.refuse(&outcome.refused_exemplars);
    }

    fn apply_histogram(
        &self,
        batch: &Batch,
        entry: &HistogramEntry,
        held: &mut Held<'_>,
        trip: &mut Trip<'_>,
        outcome: &Outcome,
    ) -> Result<bool, Refusal> {
        let series = resolve(entry.series, outcome)?;
        if !entry.h.is_stale() {
            entry.h.validate().map_err(|_| Refusal::Invalid)?;
        }
        let stripe = held.get(stripe_of(series)).ok_or(Refusal::UnknownSeries)?;
        let row = number_of(series)
            .and_then(|number| stripe.row(number, 0))
            .ok_or(Refusal::UnknownSeries)?;
        let stored = trip.histogram(stripe, row, series, entry.t, &entry.h)?;
        let hot = &mut stripe.hot[row];
        trip.met.note(hot.set);
        if hot.owner != batch.owner.0 {
            hot.owner = batch.owner.0;
            if hot.set != 0 {
                let set = hot.set;
                self.selectors.write().fed(set, batch.owner);
            }
        }
        Ok(stored)
    }

    fn apply_exemplars(
        &self,
        entries: &[ExemplarEntry],
        held: &mut Held<'_>,
        trip: &mut Trip<'_>,
        outcome: &mut Outcome,
    ) {
        let mut ring = self.exemplars.write();
        let mut encoder = ExemplarsEncoder::default();
        let mut stored = 0;
        for (i, entry) in entries.iter().enumerate() {
            let added = live(entry.series, held, outcome)
                .and_then(|(series, logged)| Ok((series, logged, ring.add(series.0, &entry.exemplar)?)));
            match added {
                Ok((series, logged, true)) => {
                    stored += 1;
                    if let Some(log) = trip.logged.as_mut().filter(|_| logged) {
                        encoder.push(&mut log.extras.exemplars, series.0, &entry.exemplar);
                    }
                }
                Ok(_) => {}
                Err(why) => outcome.refused_exemplars.push((i as u32, why)),
            }
        }
        Counters::add(&self.counters.exemplars, stored);
    }

    fn apply_metadata(&self, extras: &Extras, held: &mut Held<'_>, trip: &mut Trip<'_>, outcome: &Outcome) {
        let mut told = self.told.write();
        let mut changed: Vec<(u64, &Metadata)> = Vec::new();
        for entry in &extras.metadata {
            let Ok((series, logged)) = live(entry.series, held, outcome) else {
                continue;
            };
            if told.set(series.0, &entry.metadata) && logged {
                changed.push((series.0, &entry.metadata));
            }
        }
        if let Some(log) = &mut trip.logged {
            encode_metadata(&mut log.extras.metadata, changed);
        }
    }
}

/// A series that exists, and whether what it gets is logged.
fn live(slot: Slot, held: &mut Held<'_>, outcome: &Outcome) -> Result<(SeriesRef, bool), Refusal> {
    let series = resolve(slot, outcome)?;
    let stripe = held.get(stripe_of(series)).ok_or(Refusal::UnknownSeries)?;
    match number_of(series).and_then(|number| stripe.row(number, 0)) {
        Some(_) => Ok((series, stripe.logged)),
        None => Err(Refusal::UnknownSeries),
    }
}
