//! Joining what was read with what was committed meanwhile.

use super::super::Head;
use super::super::durable::{Alias, Durable};
use super::super::exemplars::Exemplars;
use super::super::index::Index;
use super::super::metadata::Told;
use super::super::series::{Closed, Data};
use super::super::stripe::{Cuts, Stripe, make_ref, number_of, stripe_of};
use super::{Replay, Replayed};
use crate::chunk::{Encoding, decode, decode_histograms};
use crate::error::StorageError;
use crate::wal::checkpoint;
use crate::wal::record::{ExemplarsEncoder, HistogramsEncoder, SamplesEncoder, encode_metadata, encode_series};
use leadline_model::histogram::HistogramSample;
use leadline_model::labels::Labels;
use leadline_model::port::SeriesRef;
use leadline_model::sample::{Samples, Timestamp};
use parking_lot::RwLockWriteGuard;
use rapidhash::RapidHashMap;

/// Records of samples are ended when they have this many bytes.
const RECORD_BYTES: usize = 256 * 1024;

/// What was committed before the log was read.
struct Early {
    stripes: Vec<Stripe>,
    index: Index,
    exemplars: Exemplars,
    told: Told,
}

/// Series and samples that have to reach the log, in the order of their records.
#[derive(Default)]
struct Pending {
    series: Vec<u8>,
    samples: Vec<u8>,
    encoder: SamplesEncoder,
    histograms: HistogramsEncoder,
}

impl Head {
    /// Puts what was read in place, behind it what was committed meanwhile, and lets commits reach the log from now on.
    pub(super) fn install(&self, replay: Replay<'_>) -> Result<Replayed, StorageError> {
        let durable = replay.durable;
        if !durable.read_only {
            checkpoint::remove_temporary(&*durable.disk, durable.wal.dir())?;
            let now = self.clock.now();
            let mut opened = durable.wal.open_anew(now);
            // Without a window there is nothing to log, but what was there before has to be compacted.
            if opened.is_ok() && (self.window() > 0 || !replay.late.is_empty()) {
                opened = durable.wbl.open_anew(now);
            }
            if let Err(error) = opened {
                // Scraping goes on in memory, and the log is written anew once the disk takes it.
                tracing::warn!(%error, "the write-ahead log cannot be opened");
                durable.wal.break_off();
                durable.wbl.break_off();
            }
        }
        let mut stripes: Vec<RwLockWriteGuard<'_, Stripe>> =
            self.stripes.iter().map(parking_lot::RwLock::write).collect();
        let mut index = self.index.write();
        let mut found = replay.found;
        let aliases = replay.alias_times.into_iter().filter_map(|(other, newest)| {
            let series = *replay.aliases.get(&other)?;
            Some((other, Alias { series, newest }))
        });
        *durable.aliases.lock() = aliases.collect();
        let mut early = Early {
            index: std::mem::replace(&mut *index, replay.index),
            stripes: Vec::new(),
            exemplars: self.exchange_ring(replay.exemplars),
            told: std::mem::replace(&mut *self.told.write(), replay.told),
        };
        index.version = index.version.max(early.index.version) + 1;
        for (guard, mut read) in stripes.iter_mut().zip(replay.stripes) {
            read.logged = !durable.read_only;
            early.stripes.push(std::mem::replace(&mut **guard, read));
        }
        self.join(&early, &mut stripes, &mut index, durable);
        if replay.mint <= replay.maxt {
            self.widen(replay.mint, replay.maxt);
        }
        for bound in [&self.min_valid, &self.floor] {
            bound.fetch_max(replay.min_valid, std::sync::atomic::Ordering::AcqRel);
        }
        self.selectors.write().rematch(&mut stripes, &index);
        self.labels.write().clear();
        found.series = index.len() as u64;
        durable.replayed();
        Ok(found)
    }

    /// Puts a ring with the limits that hold now in the place of the other, which it returns.
    fn exchange_ring(&self, mut read: Exemplars) -> Exemplars {
        let mut ring = self.exemplars.write();
        self.limit(&mut read);
        std::mem::replace(&mut *ring, read)
    }

    /// Appends the samples that were committed meanwhile.
    fn join(&self, early: &Early, stripes: &mut [RwLockWriteGuard<'_, Stripe>], index: &mut Index, durable: &Durable) {
        let (mut cuts, mut samples, mut pending) = (self.cuts(), Samples::default(), Pending::default());
        let mut moved: RapidHashMap<u64, u64> = RapidHashMap::default();
        for id in early.index.all() {
            let series = early.index.series(id);
            let stripe = &early.stripes[stripe_of(series)];
            let Some(row) = number_of(series).and_then(|number| stripe.row(number, 0)) else {
                continue;
            };
            let labels = early.index.labels(id);
            let owner = stripe.hot[row].owner;
            let Some(target) = place(&labels, stripe_of(series), owner, stripes, index, &mut pending) else {
                continue;
            };
            moved.insert(series.0, target.0);
            all_samples(stripe, row, &mut samples);
            let histograms = all_histograms(stripe, row);
            let stripe = &mut stripes[stripe_of(target)];
            let Some(row) = number_of(target).and_then(|number| stripe.row(number, 0)) else {
                continue;
            };
            stripe.hot[row].owner = owner;
            let mut histograms = histograms.iter().peekable();
            for (&t, &v) in samples.t.iter().zip(&samples.v) {
                while let Some(sample) = histograms.next_if(|sample| sample.t < t) {
                    pending.histogram(stripe, row, target, sample, &cuts, durable);
                }
                if let Ok(true) = stripe.append(row, t, v, &mut cuts) {
                    pending.encoder.push(&mut pending.samples, target.0, t, v);
                }
            }
            for sample in histograms {
                pending.histogram(stripe, row, target, sample, &cuts, durable);
            }
            if pending.samples.len() > RECORD_BYTES {
                pending.hand_over(durable);
            }
        }
        pending.hand_over(durable);
        self.join_extras(early, &moved, durable);
    }

    /// Adds the exemplars and metadata that were committed meanwhile, by the references that their series have now.
    fn join_extras(&self, early: &Early, moved: &RapidHashMap<u64, u64>, durable: &Durable) {
        let (mut ring, mut told) = (self.exemplars.write(), self.told.write());
        let (mut record, mut encoder) = (Vec::new(), ExemplarsEncoder::default());
        for (series, exemplar) in early.exemplars.iter() {
            let Some(&series) = moved.get(&series) else { continue };
            if let Ok(true) = ring.add(series, exemplar) {
                encoder.push(&mut record, series, exemplar);
            }
        }
        let mut changed = Vec::new();
        for (series, metadata) in early.told.sorted() {
            let Some(&series) = moved.get(&series) else { continue };
            if told.set(series, metadata) {
                changed.push((series, metadata));
            }
        }
        let mut metadata = Vec::new();
        encode_metadata(&mut metadata, changed);
        if !durable.read_only {
            durable.wal.push(&[&metadata, &record]);
        }
    }
}

impl Pending {
    /// Appends a histogram to a row and hands it over behind what is pending: records must tell of one series in the
    /// order of time.
    fn histogram(
        &mut self,
        stripe: &mut Stripe,
        row: usize,
        series: SeriesRef,
        sample: &HistogramSample,
        cuts: &Cuts,
        durable: &Durable,
    ) {
        if let Ok(true) = stripe.append_histogram(row, sample.t, &sample.h, cuts) {
            self.histograms.push(series.0, sample.t, &sample.h);
            self.hand_over(durable);
        }
    }

    fn hand_over(&mut self, durable: &Durable) {
        if !durable.read_only {
            durable.wal.push(&[&self.series, &self.samples]);
            self.histograms.records().for_each(|record| {
                durable.wal.push(&[record]);
            });
        }
        *self = Self::default();
    }
}

/// The series with these labels, which is created in stripe `home` if need be.
fn place(
    labels: &Labels,
    home: usize,
    owner: u32,
    stripes: &mut [RwLockWriteGuard<'_, Stripe>],
    index: &mut Index,
    pending: &mut Pending,
) -> Option<SeriesRef> {
    if let Some(known) = index.find(labels) {
        return Some(known);
    }
    let stripe = stripes.get_mut(home)?;
    let series = make_ref(home, stripe.next_number()?);
    index.create(labels, series)?;
    stripe.create(owner, 0);
    let mut record = Vec::new();
    encode_series(&mut record, [(series.0, labels)]);
    // One record holds many series: only the first brings its type.
    let from = usize::from(!pending.series.is_empty());
    pending.series.extend_from_slice(record.get(from..).unwrap_or_default());
    Some(series)
}

/// All samples of a row that is in memory alone.
fn all_samples(stripe: &Stripe, row: usize, into: &mut Samples) {
    into.clear();
    let (mut open, mut chunks) = (Vec::new(), Vec::<&[u8]>::new());
    stripe.hot[row].open.copy_to(&mut open);
    let closed = stripe.cold[row].closed.iter();
    chunks.extend(closed.filter(|c| c.encoding.is_float()).filter_map(in_memory));
    if !open.is_empty() {
        chunks.push(&open);
    }
    for chunk in chunks {
        // The store encoded it itself a moment ago.
        let _ = decode(Encoding::Xor, chunk, Timestamp::MIN, Timestamp::MAX, into);
    }
}

/// All histograms of a row that is in memory alone.
fn all_histograms(stripe: &Stripe, row: usize) -> Vec<HistogramSample> {
    let mut all = Vec::new();
    let open = stripe
        .open_histograms(row)
        .and_then(|open| open.copy(Timestamp::MIN, Timestamp::MAX));
    let closed = stripe.cold[row].closed.iter().filter(|c| !c.encoding.is_float());
    for chunk in closed.chain(&open) {
        if let Some(bytes) = in_memory(chunk) {
            // The store encoded it itself a moment ago.
            let _ = decode_histograms(chunk.encoding, bytes, Timestamp::MIN, Timestamp::MAX, &mut all);
        }
    }
    all
}

fn in_memory(chunk: &Closed) -> Option<&[u8]> {
    match &chunk.data {
        Data::Memory(bytes) => Some(bytes),
        Data::Disk(_) => None,
    }
}
