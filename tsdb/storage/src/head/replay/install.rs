//! Joining what was read with what was committed meanwhile.

use super::super::Head;
use super::super::commit::Again;
use super::super::durable::{Alias, Durable};
use super::super::exemplars::Exemplars;
use super::super::index::Index;
use super::super::metadata::Told;
use super::super::out_of_order;
use super::super::series::Closed;
use super::super::source::Copied;
use super::super::stripe::{Stripe, make_ref, number_of, stripe_of};
use super::{Replay, Replayed};
use crate::error::StorageError;
use crate::points::{self, Point};
use crate::wal::checkpoint;
use crate::wal::record::{ExemplarsEncoder, encode_metadata};
use leadline_model::labels::Labels;
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use parking_lot::RwLockWriteGuard;
use rapidhash::RapidHashMap;

/// What was committed before the log was read.
struct Early {
    stripes: Vec<Stripe>,
    index: Index,
    exemplars: Exemplars,
    told: Told,
}

impl Head {
    /// Puts what was read in place, behind it what was committed meanwhile, and lets commits reach the log from now on.
    pub(super) fn install(&self, replay: Replay<'_>) -> Result<Replayed, StorageError> {
        let durable = replay.durable;
        durable.all_is_logged(durable.chunks.end());
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
        if found.given_up > 0
            && !durable.wbl.is_broken()
            && !durable.read_only
            && let Err(error) = out_of_order::log_anew(durable, &stripes, self.clock.now())
        {
            tracing::warn!(%error, "the log of what came out of order names mapped chunks that were given up");
        }
        if replay.mint <= replay.maxt {
            self.widen(replay.mint, replay.maxt);
        }
        for bound in [&self.min_valid, &self.floor] {
            bound.fetch_max(replay.min_valid, std::sync::atomic::Ordering::AcqRel);
        }
        self.join(&early, &mut stripes, &mut index, durable, replay.maxt);
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

    /// Commits the samples that were committed meanwhile once more, behind what the log has up to `newest` (ms).
    fn join(
        &self,
        early: &Early,
        stripes: &mut [RwLockWriteGuard<'_, Stripe>],
        index: &mut Index,
        durable: &Durable,
        newest: Timestamp,
    ) {
        let mut again = Again::begin(self, durable, newest);
        let mut moved: RapidHashMap<u64, u64> = RapidHashMap::default();
        for id in early.index.all() {
            let series = early.index.series(id);
            let stripe = &early.stripes[stripe_of(series)];
            let Some(row) = number_of(series).and_then(|number| stripe.row(number, 0)) else {
                continue;
            };
            let labels = early.index.labels(id);
            let owner = stripe.hot[row].owner;
            let Some(target) = place(&labels, stripe_of(series), owner, stripes, index, &mut again) else {
                continue;
            };
            moved.insert(series.0, target.0);
            let points = all_points(stripe, row);
            let stripe = &mut stripes[stripe_of(target)];
            let Some(row) = number_of(target).and_then(|number| stripe.row(number, 0)) else {
                continue;
            };
            stripe.hot[row].owner = owner;
            again.append(stripe, row, target, &points);
        }
        again.end();
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

/// The series with these labels, which is created in stripe `home` if need be.
fn place(
    labels: &Labels,
    home: usize,
    owner: u32,
    stripes: &mut [RwLockWriteGuard<'_, Stripe>],
    index: &mut Index,
    again: &mut Again<'_>,
) -> Option<SeriesRef> {
    if let Some(known) = index.find(labels) {
        return Some(known);
    }
    let stripe = stripes.get_mut(home)?;
    let series = make_ref(home, stripe.next_number()?);
    index.create(labels, series)?;
    stripe.create(owner, 0);
    again.created(series, labels);
    Some(series)
}

/// All samples of a row that is in memory alone, by time, each with whether it came out of order. Of two at one time that
/// which came in order stays.
fn all_points(stripe: &Stripe, row: usize) -> Vec<(Point, bool)> {
    let closed = Copied::of(stripe, row, Timestamp::MIN, Timestamp::MAX).closed;
    let in_order = closed.iter().filter_map(Closed::points).flatten();
    let mut ranked: Vec<(Point, usize)> = in_order.map(|point| (point, 0)).collect();
    if let Some(late) = stripe.late.get(&stripe.numbers()[row]) {
        for (rank, points) in (1..).zip(late.in_memory()) {
            ranked.extend(points.into_iter().map(|point| (point, rank)));
        }
        points::join(&mut ranked);
    }
    ranked.into_iter().map(|(point, rank)| (point, rank > 0)).collect()
}
