//! When each target was first seen: what belonged to the start of the process and what came later; and when those were
//! there that are gone.

use leadline_model::Timestamp;
use leadline_model::discovery::Discovery;
use leadline_model::target::{Board, Health, OwnerId, TargetState};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Targets that came at most so much (ms) after the first of a group belong to it.
const SAME_GROUP_MS: i64 = 5_000;

/// For so long (ms) after its last scrape it is known when a target was there that discovery dropped. Windows are shorter;
/// in a longer one a row counts as younger than it is.
const GONE_KEPT_MS: i64 = 86_400_000;

/// A stretch of time in which a target was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Time (ms) of the first good scrape.
    pub(crate) since: Timestamp,
    /// Time (ms) of the last.
    pub(crate) until: Timestamp,
    /// Scrape interval, ms.
    pub(crate) interval_ms: i64,
}

impl Span {
    /// Of a discovered target, of which `earlier` was known; none before its first good scrape.
    fn of(target: &TargetState, earlier: Option<Self>) -> Option<Self> {
        let since = target.first_good?;
        let until = match target.health {
            Health::Up => target.last_scrape,
            Health::Down | Health::Unknown => earlier.map(|span| span.until),
        };
        Some(Self {
            since,
            until: until.unwrap_or(since),
            interval_ms: target.interval_ms,
        })
    }
}

/// Remembers when targets appeared on the board.
#[derive(Debug)]
pub(crate) struct Roster {
    started: Timestamp,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    version: Option<u64>,
    synced_at: Option<Timestamp>,
    /// When (ms) jobs were known in full, of those that were configured before all of them were.
    synced: HashMap<Arc<str>, Option<Timestamp>>,
    /// Whether the jobs of the start are among them.
    begun: bool,
    seen: HashMap<OwnerId, Seen>,
    /// Of targets that discovery dropped.
    gone: HashMap<OwnerId, Span>,
}

impl State {
    /// Takes note of jobs that are known in full, until all are: a job that is configured later has no part in the start.
    fn note_synced(&mut self, discovery: &Discovery, now: Timestamp) {
        if self.synced_at.is_some() || !discovery.configured {
            return;
        }
        if discovery.synced() {
            self.synced_at = Some(now);
        }
        // All that was there before a job came by a reload is older than its targets.
        let of_later = self.begun.then_some(Timestamp::MIN);
        for job in &discovery.jobs {
            let at = self.synced.entry(Arc::clone(&job.job)).or_insert(of_later);
            *at = at.or_else(|| job.missing.is_none().then_some(now));
        }
        self.begun = true;
    }

    /// When (ms) a job was known in full.
    fn synced_at(&self, job: &str) -> Option<Timestamp> {
        self.synced.get(job).copied().flatten().or(self.synced_at)
    }
}

/// A target on the board, as it was when the board was looked at.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When that was for the first time, ms.
    first: Timestamp,
    /// When it was first seen without a good scrape, as long as it has none, ms: the store may have no room for a part of one
    /// that answered whole before.
    silent: Timestamp,
    span: Option<Span>,
}

/// The targets whose first observation a cold expression waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cohort {
    /// Targets that were first seen later (ms) do not count.
    pub(crate) until: Timestamp,
    /// When waiting for them began, ms.
    pub(crate) since: Timestamp,
}

impl Roster {
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            started,
            state: Mutex::default(),
        }
    }

    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// Takes note of targets that are new on the board.
    pub(crate) fn observe(&self, board: &Board, now: Timestamp) {
        let mut state = self.state.lock();
        let version = board.version();
        if state.version == Some(version) {
            return;
        }
        // Before the targets: those that it tells of are there.
        let discovery = board.discovery();
        let mut old = std::mem::take(&mut state.seen);
        state.seen = board
            .all()
            .iter()
            .map(|target| {
                let before = old.remove(&target.owner);
                let ended = target.first_good.is_none() && before.is_some_and(|seen| seen.span.is_some());
                let seen = Seen {
                    first: before.map_or(now, |seen| seen.first),
                    silent: before.filter(|_| !ended).map_or(now, |seen| seen.silent),
                    span: Span::of(target, before.and_then(|seen| seen.span)),
                };
                (target.owner, seen)
            })
            .collect();
        let gone = old.into_iter().filter_map(|(owner, seen)| Some((owner, seen.span?)));
        state.gone.extend(gone);
        state
            .gone
            .retain(|_, span| span.until.saturating_add(GONE_KEPT_MS) >= now);
        state.note_synced(&discovery, now);
        state.version = Some(version);
    }

    /// Of the given targets, those that count: the ones that were there when discovery had first told everything it
    /// knew of their jobs, or, when none of them was (a job that was configured later), the oldest group.
    pub(crate) fn cohort<'a>(&self, targets: impl Iterator<Item = &'a TargetState>) -> Option<Cohort> {
        let state = self.state.lock();
        // The earliest and the latest; a job that is not known in full is later than all.
        let (mut first, mut synced) = (None, Some(Timestamp::MIN));
        for target in targets {
            let Some(seen) = state.seen.get(&target.owner) else {
                continue;
            };
            first = Some(first.map_or(seen.first, |first: Timestamp| first.min(seen.first)));
            synced = synced.zip(state.synced_at(&target.job)).map(|(a, b)| a.max(b));
        }
        let first = first?;
        match synced {
            Some(synced) if first > synced => Some(Cohort {
                until: first + SAME_GROUP_MS,
                since: first,
            }),
            synced => Some(Cohort {
                until: synced.unwrap_or(Timestamp::MAX),
                since: self.started,
            }),
        }
    }

    /// When a target was first seen, ms.
    pub(crate) fn seen(&self, owner: OwnerId) -> Option<Timestamp> {
        Some(self.state.lock().seen.get(&owner)?.first)
    }

    /// Since when a target without a good scrape has been so, ms.
    pub(crate) fn silent(&self, owner: OwnerId) -> Option<Timestamp> {
        Some(self.state.lock().seen.get(&owner)?.silent)
    }

    /// When a target was observed that is no longer on the board.
    pub(crate) fn span(&self, owner: OwnerId) -> Option<Span> {
        let state = self.state.lock();
        // Nobody may have looked at the board since it went.
        let last_seen = || state.seen.get(&owner).and_then(|seen| seen.span);
        state.gone.get(&owner).copied().or_else(last_seen)
    }
}
