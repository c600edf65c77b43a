//! The board of targets: the scraper writes it; standing queries, the API and readiness read it.

use crate::labels::Labels;
use crate::sample::Timestamp;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Who writes series: one scrape target, one rule, one pushing client. Ids are never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub u32);

/// How a target's last scrape went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape was committed.
    Up,
    /// The last scrape failed.
    Down,
}

/// What is known of one discovered target.
#[derive(Debug, Clone)]
pub struct TargetState {
    /// Whose commits these are.
    pub owner: OwnerId,
    /// The scrape configuration it belongs to (`job_name`, before relabelling).
    pub job: Arc<str>,
    /// The labels every series of it carries (after relabelling; with `job` and `instance`).
    pub labels: Labels,
    /// The labels discovery found, before relabelling.
    pub discovered: Labels,
    /// The URL that is scraped.
    pub url: String,
    /// Scrape interval, ms.
    pub interval_ms: i64,
    /// Scrape timeout, ms.
    pub timeout_ms: i64,
    /// How the last scrape went.
    pub health: Health,
    /// Slot time (ms) of the first scrape that succeeded.
    pub first_good: Option<Timestamp>,
    /// Slot time (ms) of the last scrape, good or not.
    pub last_scrape: Option<Timestamp>,
    /// How long the last scrape took, seconds.
    pub last_duration_s: f64,
    /// Why the last scrape failed.
    pub last_error: Option<String>,
}

/// All discovered targets, and whether discovery has told everything it knows.
#[derive(Debug, Default)]
pub struct Board {
    targets: RwLock<HashMap<OwnerId, Arc<TargetState>>>,
    synced: AtomicBool,
    version: AtomicU64,
}

impl Board {
    /// An empty board, discovery not synced.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Enters or replaces a target.
    pub fn put(&self, state: TargetState) {
        self.targets.write().insert(state.owner, Arc::new(state));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Changes a target in place; nothing happens when it is not there.
    pub fn update(&self, owner: OwnerId, change: impl FnOnce(&mut TargetState)) {
        if let Some(state) = self.targets.write().get_mut(&owner) {
            change(Arc::make_mut(state));
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Removes a target that discovery dropped.
    pub fn remove(&self, owner: OwnerId) {
        self.targets.write().remove(&owner);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// One target.
    #[must_use]
    pub fn get(&self, owner: OwnerId) -> Option<Arc<TargetState>> {
        self.targets.read().get(&owner).cloned()
    }

    /// Every target, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<TargetState>> {
        self.targets.read().values().cloned().collect()
    }

    /// Changes with every change of the board; equal versions mean an equal board.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Says whether every discovery of the configuration has delivered its first full list.
    pub fn set_synced(&self, synced: bool) {
        self.synced.store(synced, Ordering::Release);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Whether every discovery has delivered its first full list.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }
}

/// Targets that one source of a discovery reports together (a file, a pod). A group with the same source replaces
/// the earlier one; a group without targets ends it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetGroup {
    /// Names the group within its job.
    pub source: String,
    /// Labels of every target of the group.
    pub labels: Labels,
    /// The labels of each target; `__address__` is host:port.
    pub targets: Vec<Labels>,
}
