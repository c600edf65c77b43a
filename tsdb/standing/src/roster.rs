//! When each target was first seen: what belonged to the start of the process and what came later.

use leadline_model::Timestamp;
use leadline_model::target::{Board, OwnerId};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Targets that came at most so much (ms) after the first of a group belong to it.
const SAME_GROUP_MS: i64 = 5_000;

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
    seen: HashMap<OwnerId, Timestamp>,
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
        let old = std::mem::take(&mut state.seen);
        state.seen = board
            .all()
            .iter()
            .map(|t| (t.owner, old.get(&t.owner).copied().unwrap_or(now)))
            .collect();
        if state.synced_at.is_none() && board.synced() {
            state.synced_at = Some(now);
        }
        state.version = Some(version);
    }

    /// Of the given targets, those that count: the ones that were there when discovery had first told everything it
    /// knew, or, when none of them was (a job that was configured later), the oldest group.
    pub(crate) fn cohort(&self, targets: impl Iterator<Item = OwnerId>) -> Option<Cohort> {
        let state = self.state.lock();
        let first = targets.filter_map(|owner| state.seen.get(&owner).copied()).min()?;
        match state.synced_at {
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
        self.state.lock().seen.get(&owner).copied()
    }
}
