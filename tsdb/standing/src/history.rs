//! What the store remembers of targets from before this process: their `up`.
//!
//! A process that comes back after seconds has its log. A window that reads into that time is covered, and need not be
//! observed anew, unless a quarter of it or more went by unseen. What this process scraped itself the board tells better:
//! `up` is 1 also of a scrape of whose series the store had no room for a part. Of scrapes from before the start the store
//! does not tell which were such.

use leadline_model::port::{QueryError, Queryable};
use leadline_model::sample::Samples;
use leadline_model::target::{Board, OwnerId, TargetState};
use leadline_model::{Labels, Matcher, Timestamp};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Good scrapes of one target without one missing between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    /// Time (ms) of the first.
    since: Timestamp,
    /// Time (ms) of the last.
    until: Timestamp,
}

/// The good scrapes of one target before the first of this process, as the store has them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Past {
    /// How far back from the first scrape of this process it was read, ms.
    reach_ms: i64,
    /// Newest first.
    stretches: Vec<Stretch>,
}

impl Past {
    fn of(samples: &Samples, interval_ms: i64, reach_ms: i64) -> Self {
        let mut stretches: Vec<Stretch> = Vec::new();
        let good = samples.t.iter().zip(&samples.v).rev().filter(|(_, v)| **v == 1.0);
        for (&t, _) in good {
            match stretches.last_mut() {
                // Slots lie on a grid; half an interval is what a scrape may come late.
                Some(newer) if newer.since.saturating_sub(t) <= interval_ms.saturating_mul(3) / 2 => newer.since = t,
                _ => stretches.push(Stretch { since: t, until: t }),
            }
        }
        Self { reach_ms, stretches }
    }

    /// Since when (ms) a target whose first scrape by this process was at `first` counts as observed for a window of
    /// `window_ms`: as far back as less than a quarter of it was missed, all gaps together. Between two scrapes one interval
    /// is not missed.
    fn since(&self, first: Timestamp, interval_ms: i64, window_ms: i64) -> Timestamp {
        let (mut since, mut missed) = (first, 0_i64);
        for stretch in &self.stretches {
            let gap = since.saturating_sub(stretch.until).saturating_sub(interval_ms).max(0);
            missed = missed.saturating_add(gap);
            if missed.saturating_mul(4) >= window_ms {
                break;
            }
            since = stretch.since;
        }
        since
    }
}

/// A target that some expression waits for, and the window (ms) that it must have been observed for.
pub(crate) type Wanted = (Arc<TargetState>, i64);

/// What was read of the past of targets, each when an expression first waited for it.
pub(crate) struct History {
    store: Arc<dyn Queryable>,
    /// When this process began, ms.
    started: Timestamp,
    known: RwLock<HashMap<OwnerId, Past>>,
    /// Held while somebody reads: who comes meanwhile finds it read.
    turn: tokio::sync::Mutex<()>,
}

impl History {
    /// Of a process that began at `started` (ms).
    pub(crate) fn new(store: Arc<dyn Queryable>, started: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            store,
            started,
            known: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// Since when (ms) `target`, whose first scrape was at `first`, counts as observed for `window_ms`, as far as is known.
    pub(crate) fn since(&self, target: &TargetState, first: Timestamp, window_ms: i64) -> Timestamp {
        let known = self.known.read();
        known
            .get(&target.owner)
            .map_or(first, |past| past.since(first, target.interval_ms, window_ms))
    }

    /// Whether the past of a target was read as far back as a window of `window_ms` needs.
    pub(crate) fn knows(&self, owner: OwnerId, window_ms: i64) -> bool {
        let known = self.known.read();
        known.get(&owner).is_some_and(|past| past.reach_ms >= window_ms)
    }

    /// Reads what is not known yet, on a thread that may wait for the disk. What cannot be had now (the log is still being
    /// read) is asked for again by the next evaluation.
    pub(crate) async fn recall(self: &Arc<Self>, mut wanted: Vec<Wanted>, board: &Arc<Board>) {
        if wanted.is_empty() {
            return;
        }
        let _turn = self.turn.lock().await;
        wanted.retain(|(target, window_ms)| !self.knows(target.owner, *window_ms));
        // Of several windows the longest, which knows the others.
        wanted.sort_unstable_by_key(|(target, window_ms)| (target.owner, std::cmp::Reverse(*window_ms)));
        wanted.dedup_by_key(|(target, _)| target.owner);
        let (history, board) = (Arc::clone(self), Arc::clone(board));
        let work = move || history.read(&wanted, &board);
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "what was observed before the start is not known yet"),
            Err(error) => tracing::error!(%error, "what was observed before the start was not read"),
        }
    }

    fn read(&self, wanted: &[Wanted], board: &Board) -> Result<(), QueryError> {
        self.known.write().retain(|&owner, _| board.get(owner).is_some());
        let mut samples = Samples::default();
        for (target, window_ms) in wanted {
            let Some(first) = target.first_good else { continue };
            match self.ups(target, (first, *window_ms), &mut samples) {
                Ok(()) => {}
                Err(QueryError::Unavailable(why)) => return Err(QueryError::Unavailable(why)),
                Err(error) => {
                    // As if there were nothing: the window is then observed anew.
                    tracing::warn!(target = target.url, %error, "what was observed of a target before the start cannot be read");
                    samples = Samples::default();
                }
            }
            let past = Past::of(&samples, target.interval_ms, *window_ms);
            self.known.write().insert(target.owner, past);
        }
        Ok(())
    }

    /// The samples of a target's `up` before the start, and before `first` (ms), that a window of `window_ms` at `first` or
    /// later can reach.
    fn ups(
        &self,
        target: &TargetState,
        (first, window_ms): (Timestamp, i64),
        into: &mut Samples,
    ) -> Result<(), QueryError> {
        *into = Samples::default();
        let mut labels = target.labels.to_builder();
        labels.set("__name__", "up");
        let labels: Labels = labels.build();
        let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
        let mint = first
            .saturating_sub(window_ms)
            .saturating_sub(target.interval_ms.saturating_mul(2));
        let maxt = first.min(self.started).saturating_sub(1);
        let set = self.store.select(&matchers, mint, maxt, false)?;
        // Another target's series may have these labels and more.
        match (0..set.len()).find(|&i| set.labels(i) == labels) {
            Some(i) => set.read(i, mint, maxt, into),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl History {
    /// As if the store had good scrapes of a target from `since` to `until` (ms).
    pub(crate) fn told(&self, owner: OwnerId, since: Timestamp, until: Timestamp) {
        let past = Past {
            reach_ms: i64::MAX,
            stretches: vec![Stretch { since, until }],
        };
        self.known.write().insert(owner, past);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: i64 = 15_000;
    const WINDOW: i64 = 60_000;
    const FIRST: Timestamp = 1_000_000;

    /// A past of these scrapes, so many ms before the first of this process.
    fn past(scrapes: &[(i64, f64)]) -> Past {
        let (t, v) = scrapes.iter().map(|&(before, v)| (FIRST - before, v)).unzip();
        Past::of(&Samples { t, v }, INTERVAL, WINDOW)
    }

    /// How long (ms) before the first scrape observation began.
    fn observed(scrapes: &[(i64, f64)]) -> i64 {
        FIRST - past(scrapes).since(FIRST, INTERVAL, WINDOW)
    }

    #[test]
    fn a_gap_counts_from_the_scrape_that_was_due_and_bridges_less_than_a_quarter() {
        for (last, bridged) in [(15_000, true), (29_999, true), (30_000, false), (600_000, false)] {
            let scrapes = [(last + 30_000, 1.0), (last + 15_000, 1.0), (last, 1.0)];
            let expected = if bridged { last + 30_000 } else { 0 };
            assert_eq!(observed(&scrapes), expected, "the last scrape was {last} ms before");
        }
    }

    #[test]
    fn failed_scrapes_and_stale_markers_observe_nothing() {
        let good = [(90_000, 1.0), (75_000, 1.0)];
        for bad in [0.0, leadline_model::STALE_NAN] {
            let down = [(60_000, bad), (45_000, bad), (30_000, bad), (15_000, bad)];
            assert_eq!(observed(&[&good[..], &down].concat()), 0, "{bad}");
        }
    }

    #[test]
    fn several_gaps_count_together() {
        // Each 8 s longer than an interval.
        let scrapes = [(84_000, 1.0), (69_000, 1.0), (46_000, 1.0), (23_000, 1.0)];
        assert_eq!(observed(&scrapes[2..]), 23_000, "16 s of 60 are more than a quarter");
        assert_eq!(observed(&scrapes[..]), 23_000);
        let wide = past(&scrapes).since(FIRST, INTERVAL, 2 * WINDOW);
        assert_eq!(FIRST - wide, 84_000, "24 s of 120 are not");
    }

    #[test]
    fn a_past_without_scrapes_changes_nothing() {
        assert_eq!(observed(&[]), 0);
    }
}
