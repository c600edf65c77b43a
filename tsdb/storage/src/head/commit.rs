//! Taking a commit in.
//!
//! Every stripe that the batch writes to is locked, in ascending order, before the first sample goes in and until the
//! last is in. Nothing can fail between the two, so a commit lands whole (except the samples it is told were refused),
//! and a reader, which locks what it reads in the same order, sees all of it or nothing.

mod create;
mod early;
mod extras;

pub(super) use early::Again;

use super::Head;
use super::durable::Durable;
use super::out_of_order::LateRecords;
use super::stripe::{Cuts, STRIPES, Stripe, number_of, stripe_of};
use crate::points::Value;
use crate::stats::Counters;
use crate::wal::record::{SamplesEncoder, encode_series};
use leadline_model::histogram::AnyHistogram;
use leadline_model::labels::Labels;
use leadline_model::port::{
    AppendError, Appender, Attempt, Batch, Entry, Outcome, Refusal, SelectorId, SeriesRef, Slot,
};
use leadline_model::sample::{Timestamp, is_stale};
use leadline_model::target::OwnerId;
use parking_lot::RwLockWriteGuard;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The stripe in which an owner's series are created.
fn home(owner: OwnerId) -> usize {
    owner.0 as usize % STRIPES
}

/// Stripes that are held for writing.
struct Held<'a> {
    guards: SmallVec<[RwLockWriteGuard<'a, Stripe>; 2]>,
    /// Where in `guards` a stripe is, plus one; 0 where it is not held.
    place: [u8; STRIPES],
}

impl<'a> Held<'a> {
    /// Locks the stripes whose bits are set, in ascending order.
    fn lock(head: &'a Head, mut set: u64) -> Self {
        let mut held = Self {
            guards: SmallVec::new(),
            place: [0; STRIPES],
        };
        while set != 0 {
            let stripe = set.trailing_zeros() as usize;
            set &= set - 1;
            held.guards.push(head.stripes[stripe].write());
            held.place[stripe] = held.guards.len() as u8;
        }
        held
    }

    #[inline]
    fn get(&mut self, stripe: usize) -> Option<&mut Stripe> {
        let place = usize::from(self.place[stripe]).checked_sub(1)?;
        self.guards.get_mut(place).map(|guard| &mut **guard)
    }
}

/// The times that are accepted now, ms.
#[derive(Clone, Copy)]
struct Bounds {
    oldest: Timestamp,
    newest: Timestamp,
    /// From here on a sample is taken out of order; the end of time where none is.
    late: Timestamp,
}

impl Bounds {
    #[inline]
    fn check(&self, t: Timestamp) -> Result<(), Refusal> {
        match t {
            t if t < self.oldest => Err(Refusal::TooOld),
            t if t > self.newest => Err(Refusal::TooFarAhead),
            _ => Ok(()),
        }
    }
}

/// What a commit leaves for the log.
struct Logged<'a> {
    durable: &'a Durable,
    encoder: SamplesEncoder,
    samples: Vec<u8>,
    /// Those that came out of order.
    late: LateRecords,
    extras: extras::Records,
}

impl<'a> Logged<'a> {
    fn begin(durable: &'a Durable) -> Self {
        Self {
            durable,
            encoder: SamplesEncoder::default(),
            samples: durable.wal.buffer(),
            late: LateRecords::default(),
            extras: extras::Records::default(),
        }
    }

    #[inline]
    fn sample(&mut self, series: SeriesRef, entry: &Entry) {
        self.encoder.push(&mut self.samples, series.0, entry.t, entry.v);
    }

    /// Hands the records over, while the stripes are still held: of two commits to one series, the records of the first
    /// come first. Returns whether so much waits that it should be written.
    fn end(self, fresh: &[(SeriesRef, &Labels)]) -> bool {
        let mut series = Vec::new();
        if !fresh.is_empty() {
            series = self.durable.wal.buffer();
            encode_series(&mut series, fresh.iter().map(|(series, labels)| (series.0, *labels)));
        }
        let mut crowded = self.durable.wal.push(&[&series, &self.samples]);
        crowded |= self.late.hand_over(&self.durable.wbl);
        self.extras.each(|record| {
            if !record.is_empty() {
                crowded |= self.durable.wal.push(&[record]);
            }
        });
        self.durable.wal.recycle(self.samples);
        self.durable.wal.recycle(series);
        crowded
    }
}

/// What goes along with the samples of one commit.
struct Trip<'a> {
    bounds: Bounds,
    cuts: Cuts,
    met: Met,
    logged: Option<Logged<'a>>,
    /// The oldest and newest time (ms) that was written in order.
    mint: Timestamp,
    maxt: Timestamp,
    /// Samples that were written out of order.
    late: usize,
    /// Stale markers are not.
    refuse_late_markers: bool,
}

impl Trip<'_> {
    #[cold]
    fn append_late(
        &mut self,
        stripe: &mut Stripe,
        series: SeriesRef,
        t: Timestamp,
        v: &Value,
    ) -> Result<bool, Refusal> {
        let number = number_of(series).ok_or(Refusal::UnknownSeries)?;
        let written = stripe.late.entry(number).or_default().append(t, v.clone())?;
        if written {
            self.late += 1;
            // Not in the other log, where Prometheus has it too: a replay would take it for one in order when the series
            // has none before it there.
            if let Some(logged) = self.logged.as_mut().filter(|_| stripe.logged) {
                logged.late.push(series, t, v);
            }
        }
        Ok(written)
    }
}

/// Where the series of an entry is.
#[inline]
fn locate<'h>(
    entry: &Entry,
    trip: &Trip<'_>,
    held: &'h mut Held<'_>,
    outcome: &Outcome,
    guess: &mut usize,
) -> Result<(SeriesRef, &'h mut Stripe, usize), Refusal> {
    if trip.bounds.late == Timestamp::MAX {
        trip.bounds.check(entry.t)?;
    }
    let series = resolve(entry.series, outcome)?;
    let stripe = held.get(stripe_of(series)).ok_or(Refusal::UnknownSeries)?;
    let number = number_of(series).ok_or(Refusal::UnknownSeries)?;
    let row = stripe.row(number, *guess).ok_or(Refusal::UnknownSeries)?;
    *guess = row + 1;
    Ok((series, stripe, row))
}

impl Trip<'_> {
    /// Writes a float to a row, in order or out of it; `Ok(false)`: it is there already. A stale marker ends a series of histograms as one of its own kind
    /// (`tsdb/head_append.go`, `Append`).
    #[inline]
    fn float(&mut self, stripe: &mut Stripe, row: usize, series: SeriesRef, entry: &Entry) -> Result<bool, Refusal> {
        if is_stale(entry.v)
            && let Some(marker) = stripe.stale_histogram(row)
        {
            return self.histogram(stripe, row, series, entry.t, &marker);
        }
        let written = match self.bounds.check(entry.t) {
            Ok(()) => stripe.append(row, entry.t, entry.v, &mut self.cuts),
            Err(why) => Err(why),
        };
        match written {
            Ok(true) => {
                self.widen(entry.t);
                if let Some(logged) = self.logged.as_mut().filter(|_| stripe.logged) {
                    logged.sample(series, entry);
                }
                Ok(true)
            }
            Err(Refusal::TooOld | Refusal::OutOfOrder) if self.takes_late(entry.t, || is_stale(entry.v)) => {
                self.append_late(stripe, series, entry.t, &Value::Float(entry.v))
            }
            other => other,
        }
    }

    /// Writes a valid histogram to a row, in order or out of it; `Ok(false)`: it is there already.
    fn histogram(
        &mut self,
        stripe: &mut Stripe,
        row: usize,
        series: SeriesRef,
        t: Timestamp,
        h: &AnyHistogram,
    ) -> Result<bool, Refusal> {
        let written = match self.bounds.check(t) {
            Ok(()) => stripe.append_histogram(row, t, h, &self.cuts),
            Err(why) => Err(why),
        };
        match written {
            Ok(true) => {
                self.widen(t);
                if let Some(logged) = self.logged.as_mut().filter(|_| stripe.logged) {
                    logged.extras.histogram(series, t, h);
                }
                Ok(true)
            }
            Err(Refusal::TooOld | Refusal::OutOfOrder) if self.takes_late(t, || h.is_stale()) => {
                self.append_late(stripe, series, t, &Value::Histogram(h.clone()))
            }
            other => other,
        }
    }

    /// Whether a sample of this time (ms) may be written out of order.
    fn takes_late(&self, t: Timestamp, is_marker: impl FnOnce() -> bool) -> bool {
        t >= self.bounds.late && !(self.refuse_late_markers && is_marker())
    }

    #[inline]
    fn widen(&mut self, t: Timestamp) {
        self.mint = self.mint.min(t);
        self.maxt = self.maxt.max(t);
    }
}

/// The series that a slot of a batch stands for.
#[inline]
fn resolve(slot: Slot, outcome: &Outcome) -> Result<SeriesRef, Refusal> {
    match slot {
        Slot::Known(series) => Ok(series),
        Slot::New(n) => match outcome.refs.get(n as usize) {
            Some(Some(series)) => Ok(*series),
            Some(None) => Err(Refusal::SeriesLimit),
            None => Err(Refusal::UnknownSeries),
        },
    }
}

/// The sets of selectors that a commit meets: mostly the same few, again and again.
#[derive(Default)]
struct Met {
    last: u32,
    sets: SmallVec<[u32; 8]>,
}

impl Met {
    #[inline]
    fn note(&mut self, set: u32) {
        if set != self.last && set != 0 {
            self.note_other(set);
        }
    }

    #[cold]
    fn note_other(&mut self, set: u32) {
        self.last = set;
        if let Err(at) = self.sets.binary_search(&set) {
            self.sets.insert(at, set);
        }
    }
}

impl Appender for Head {
    fn new_owner(&self) -> OwnerId {
        let owner = OwnerId(self.next_owner.fetch_add(1, Ordering::Relaxed));
        self.selectors.write().enter(owner);
        owner
    }

    fn commit(&self, batch: &Batch) -> Result<Outcome, AppendError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let full = self.is_full();
        let mut outcome = Outcome::default();
        let touched = if full {
            self.refuse(batch);
            Arc::from([])
        } else {
            self.land(batch, &mut outcome)
        };
        if batch.attempt == Attempt::Gone {
            self.selectors.write().gone(batch.owner);
        } else if !self.selectors.read().knows(batch.owner) {
            self.selectors.write().enter(batch.owner);
        }
        if full {
            // Whoever answers with values has to know that this target's are missing.
            let attempt = match batch.attempt {
                Attempt::Good | Attempt::Failed => Attempt::Failed,
                Attempt::Gone => Attempt::Gone,
            };
            self.publish(batch.slot, batch.owner, attempt, touched);
            return Err(self.unwritable());
        }
        Counters::add(&self.counters.commits, 1);
        Counters::add(&self.counters.appended, outcome.appended);
        Counters::add(&self.counters.created, outcome.new_series);
        self.counters.refuse(&outcome.refused);
        let attempt = self.judge(batch, &outcome);
        outcome.generation = self.publish(batch.slot, batch.owner, attempt, touched);
        Ok(outcome)
    }
}

impl Head {
    /// Writes the batch and says which selectors it touched.
    fn land(&self, batch: &Batch, outcome: &mut Outcome) -> Arc<[SelectorId]> {
        let mut held = self.hold(batch, &mut outcome.refs);
        let created = self.create_missing(batch, &mut held, outcome);
        let mut trip = self.trip();
        trip.refuse_late_markers = batch.extras.refuse_late_markers;
        match order(&batch.entries) {
            None => {
                let entries = batch.entries.iter().enumerate();
                self.apply(batch.owner, entries, &mut held, &mut trip, outcome);
            }
            Some(order) => {
                let entries = order.iter().map(|&i| (i, &batch.entries[i]));
                self.apply(batch.owner, entries, &mut held, &mut trip, outcome);
            }
        }
        if !batch.extras.is_empty() {
            self.apply_extras(batch, &mut held, &mut trip, outcome);
        }
        if trip.mint <= trip.maxt {
            self.widen(trip.mint, trip.maxt);
        }
        Counters::add(&self.counters.out_of_order, trip.late);
        let crowded = trip.logged.is_some_and(|logged| logged.end(&created.fresh));
        drop(held);
        if crowded {
            // Whoever flushes regularly has fallen behind. A failure is kept, and told by the log's health.
            let _ = self.flush();
        }
        if trip.met.sets.is_empty() && created.lacking.is_empty() {
            Arc::from([])
        } else {
            self.selectors.read().join(&trip.met.sets, &created.lacking)
        }
    }

    /// What a commit takes along. The stripes must be held already: see [`Self::seal`].
    fn trip(&self) -> Trip<'_> {
        let durable = self.durable.as_ref();
        Trip {
            bounds: self.bounds(),
            cuts: self.cuts(),
            met: Met::default(),
            logged: durable.filter(|d| d.is_writable()).map(Logged::begin),
            mint: Timestamp::MAX,
            maxt: Timestamp::MIN,
            late: 0,
            refuse_late_markers: false,
        }
    }

    /// When chunks are closed.
    pub(super) fn cuts(&self) -> Cuts {
        let samples = self.settings.chunk_samples;
        match &self.durable {
            None => Cuts::new(samples, 0),
            Some(durable) if durable.read_only => Cuts::new(samples, self.settings.block_range_ms),
            Some(_) => Cuts::new(samples, self.settings.block_range_ms).early(),
        }
    }

    /// The times that are accepted now. With a directory, half a block's range is left open behind the newest sample, so
    /// that what is older can be written as a block while commits go on (`tsdb/head_append.go`, `appendableMinValidTime`).
    fn bounds(&self) -> Bounds {
        self.bounds_behind(self.maxt.load(Ordering::Acquire))
    }

    /// [`Self::bounds`], were `newest` (ms) the newest sample that came in order.
    fn bounds_behind(&self, newest: Timestamp) -> Bounds {
        let now = self.clock.now();
        let mut oldest = now.saturating_sub(self.settings.retention_ms);
        let mut late = Timestamp::MAX;
        if self.durable.is_some() {
            let newest = newest.min(now);
            let open = newest.saturating_sub(self.settings.block_range_ms / 2);
            let window = self.window();
            if window > 0 {
                late = newest.saturating_sub(window);
            }
            oldest = oldest.max(open).max(self.min_valid.load(Ordering::Acquire));
        }
        Bounds {
            oldest,
            late,
            newest: now.saturating_add(self.settings.max_ahead_ms),
        }
    }

    /// Looks up the label sets of the batch and locks every stripe that it writes to, the owner's own included when
    /// a series has to be created.
    fn hold(&self, batch: &Batch, refs: &mut Vec<Option<SeriesRef>>) -> Held<'_> {
        let mut known = 0u64;
        for entry in &batch.entries {
            if let Slot::Known(series) = entry.series {
                known |= 1 << stripe_of(series);
            }
        }
        if !batch.extras.is_empty() {
            known |= extras::stripes(&batch.extras);
        }
        if batch.created.is_empty() {
            return Held::lock(self, known);
        }
        loop {
            *refs = {
                let index = self.index.read();
                batch.created.iter().map(|labels| index.find(labels)).collect()
            };
            let found = refs
                .iter()
                .fold(known, |set, r| set | 1 << r.map_or(home(batch.owner), stripe_of));
            let held = Held::lock(self, found);
            // Whatever was created or dropped before the locks were taken is looked up again.
            let index = self.index.read();
            let same = batch.created.iter().zip(refs.iter()).all(|(labels, r)| match r {
                Some(_) => index.find(labels) == *r,
                None => index.find(labels).is_none_or(|r| held.place[stripe_of(r)] != 0),
            });
            if same {
                return held;
            }
        }
    }

    /// Writes samples, each on its own merits.
    fn apply<'b>(
        &self,
        owner: OwnerId,
        entries: impl Iterator<Item = (usize, &'b Entry)>,
        held: &mut Held<'_>,
        trip: &mut Trip<'_>,
        outcome: &mut Outcome,
    ) {
        let mut guess = 0;
        let mut handed_over: SmallVec<[u32; 4]> = SmallVec::new();
        for (i, entry) in entries {
            let written = locate(entry, trip, held, outcome, &mut guess).and_then(|(series, stripe, row)| {
                let written = trip.float(stripe, row, series, entry)?;
                let hot = &mut stripe.hot[row];
                trip.met.note(hot.set);
                if hot.owner != owner.0 {
                    hot.owner = owner.0;
                    handed_over.push(hot.set);
                }
                Ok(written)
            });
            match written {
                Ok(stored) => outcome.appended += usize::from(stored),
                Err(why) => outcome.refused.push((i as u32, why)),
            }
        }
        if handed_over.iter().any(|&set| set != 0) {
            let mut selectors = self.selectors.write();
            handed_over.into_iter().for_each(|set| selectors.fed(set, owner));
        }
    }
}

/// The order in which entries are written: `None` as they are, which is right as long as no time is below the one
/// before it; otherwise by time, entries of equal time as they are.
fn order(entries: &[Entry]) -> Option<Vec<usize>> {
    if entries.is_sorted_by_key(|e| e.t) {
        return None;
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&i| entries[i].t);
    Some(order)
}
