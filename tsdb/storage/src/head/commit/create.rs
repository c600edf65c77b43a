//! Creating the series that a commit brings, as far as the cap on series leaves room.
//!
//! What is refused for want of room is missing from whatever would read it. So the owner counts as one that feeds the
//! selectors that the series match, the commit as one that touched them, and as one that failed: nobody takes the rest for
//! the whole.

use super::{Held, home};
use crate::head::Head;
use crate::head::index::Index;
use crate::head::selectors::Selectors;
use crate::head::stripe::make_ref;
use leadline_model::labels::Labels;
use leadline_model::port::{Attempt, Batch, Outcome, Refusal, SelectorId, SeriesRef};
use leadline_model::target::OwnerId;
use rapidhash::RapidHashSet;
use std::sync::atomic::Ordering;

/// What became of the label sets of a batch.
#[derive(Default)]
pub(super) struct Created<'b> {
    /// Series that the log has to know of.
    pub(super) fresh: Vec<(SeriesRef, &'b Labels)>,
    /// Registered selectors that would read a series that was refused.
    pub(super) lacking: RapidHashSet<SelectorId>,
}

/// A series that was made for an owner.
struct Made {
    series: SeriesRef,
    logged: bool,
}

/// Series that may exist beyond a cap: those of which the batch says so ([`leadline_model::port::Extras::vital`]).
fn reserve(cap: usize) -> usize {
    cap / 16 + 16
}

impl Head {
    /// Creates the series that do not exist yet.
    pub(super) fn create_missing<'b>(
        &self,
        batch: &'b Batch,
        held: &mut Held<'_>,
        outcome: &mut Outcome,
    ) -> Created<'b> {
        let mut created = Created::default();
        if outcome.refs.iter().all(Option::is_some) {
            return created;
        }
        let mut index = self.index.write();
        let mut selectors = self.selectors.write();
        let mut refused = Vec::new();
        let cap = self.settings.max_series as usize;
        let vital = batch.created.len().saturating_sub(batch.extras.vital as usize);
        for (n, (labels, slot)) in batch.created.iter().zip(outcome.refs.iter_mut()).enumerate() {
            if slot.is_none() {
                *slot = index.find(labels);
            }
            if slot.is_some() {
                continue;
            }
            let room = if n < vital { cap } else { cap + reserve(cap) };
            let made = match index.len() < room {
                true => make(batch.owner, labels, held, &mut index, &mut selectors),
                false => None,
            };
            let Some(made) = made else {
                refused.push(labels);
                continue;
            };
            outcome.new_series += 1;
            *slot = Some(made.series);
            if made.logged {
                created.fresh.push((made.series, labels));
            }
        }
        created.lacking = selectors.lack(&refused, batch.owner);
        created
    }

    /// How many series exist, ended ones included, and how many samples were refused since the start because there were as
    /// many series as may be.
    pub(crate) fn crowding(&self) -> (u64, u64) {
        let series = self.index.read().len() as u64;
        (series, self.counters.stats().refused.series_limit)
    }

    /// What the attempt of a batch counts as that came to this: whoever answers with values has to know that some are
    /// missing.
    pub(super) fn judge(&self, batch: &Batch, outcome: &Outcome) -> Attempt {
        let refused = outcome.refs.iter().any(Option::is_none);
        self.tell(refused, outcome.new_series > 0);
        match batch.attempt {
            Attempt::Good if refused || is_outdated(batch, outcome) => Attempt::Failed,
            attempt => attempt,
        }
    }

    /// Says when series begin to be refused, and when they are no longer.
    fn tell(&self, refused: bool, created: bool) {
        let max_series = self.settings.max_series;
        let room = || self.index.read().len() < max_series as usize;
        if refused && !self.crowded.swap(true, Ordering::Relaxed) {
            let why = refusal(room());
            tracing::error!(
                max_series,
                "new series are refused: {why}; what reads them lacks a part of it"
            );
        }
        if !refused && created && self.crowded.load(Ordering::Relaxed) && room() {
            self.crowded.store(false, Ordering::Relaxed);
            tracing::info!(max_series, "new series are taken again");
        }
    }
}

/// Whether what tells of the attempt itself ([`leadline_model::port::Extras::report`]) was refused for its time.
fn is_outdated(batch: &Batch, outcome: &Outcome) -> bool {
    let report = batch.entries.len().saturating_sub(batch.extras.report as usize)..batch.entries.len();
    let for_its_time = |why: &Refusal| matches!(why, Refusal::OutOfOrder | Refusal::TooOld);
    let mut refused = outcome.refused.iter();
    refused.any(|(index, why)| report.contains(&(*index as usize)) && for_its_time(why))
}

/// Why series are refused while the cap has `room` for more, or has not.
fn refusal(room: bool) -> &'static str {
    if room {
        "what numbers them or keeps their labels is used up, though there are fewer than there may be"
    } else {
        "there are as many as there may be, until some are gone"
    }
}

/// Creates a series; `None` when what names it, or its stripe, has no room for it.
fn make(
    owner: OwnerId,
    labels: &Labels,
    held: &mut Held<'_>,
    index: &mut Index,
    selectors: &mut Selectors,
) -> Option<Made> {
    let stripe_number = home(owner);
    let stripe = held.get(stripe_number)?;
    let series = make_ref(stripe_number, stripe.next_number()?);
    index.create(labels, series)?;
    let set = match selectors.any() {
        true => selectors.set_of(labels, owner),
        false => 0,
    };
    stripe.create(owner.0, set);
    Some(Made {
        series,
        logged: stripe.logged,
    })
}
