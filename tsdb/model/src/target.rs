//! The board of targets: the scraper writes it; standing queries, the API and readiness read it.

use crate::discovery::Discovery;
use crate::labels::Labels;
use crate::metadata::Metadata;
use crate::sample::Timestamp;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Slot time (ms) of the first scrape that succeeded; of the first since the store had no room for a series of it.
    pub first_good: Option<Timestamp>,
    /// Slot time (ms) of the last scrape, good or not.
    pub last_scrape: Option<Timestamp>,
    /// How long the last scrape took, seconds.
    pub last_duration_s: f64,
    /// Why the last scrape failed.
    pub last_error: Option<String>,
}

/// What a target says about its metric families: kind, unit and help by family.
pub type Families = Arc<BTreeMap<Arc<str>, Metadata>>;

/// What targets say about their families. The pods of a deployment say the same, which is kept once.
#[derive(Debug, Default)]
struct Told {
    by_target: HashMap<OwnerId, Families>,
    /// With the number of targets that say it.
    distinct: HashMap<Families, usize>,
}

impl Told {
    fn set(&mut self, owner: OwnerId, families: Families) {
        self.remove(owner);
        let shared = match self.distinct.get_key_value(&families) {
            Some((shared, _)) => Arc::clone(shared),
            None => families,
        };
        *self.distinct.entry(Arc::clone(&shared)).or_default() += 1;
        self.by_target.insert(owner, shared);
    }

    fn remove(&mut self, owner: OwnerId) {
        let Some(gone) = self.by_target.remove(&owner) else {
            return;
        };
        if let Some(targets) = self.distinct.get_mut(&gone) {
            *targets -= 1;
            if *targets == 0 {
                self.distinct.remove(&gone);
            }
        }
    }
}

/// All discovered targets, and whether discovery has told everything it knows.
#[derive(Debug, Default)]
pub struct Board {
    targets: RwLock<HashMap<OwnerId, Arc<TargetState>>>,
    /// Locked behind `targets`.
    families: RwLock<Told>,
    discovery: RwLock<Arc<Discovery>>,
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
        let mut targets = self.targets.write();
        targets.remove(&owner);
        self.families.write().remove(owner);
        drop(targets);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Keeps what a target says about its metric families; nothing happens when the target is not there. The version stays.
    pub fn tell(&self, owner: OwnerId, families: Families) {
        let targets = self.targets.read();
        if targets.contains_key(&owner) {
            self.families.write().set(owner, families);
        }
    }

    /// What a target said last about its metric families.
    #[must_use]
    pub fn families(&self, owner: OwnerId) -> Families {
        self.families.read().by_target.get(&owner).cloned().unwrap_or_default()
    }

    /// What targets say about their metric families, each different set once, in no order.
    #[must_use]
    pub fn all_families(&self) -> Vec<Families> {
        self.families.read().distinct.keys().cloned().collect()
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

    /// The longest scrape interval of all targets, ms; `None` without targets.
    #[must_use]
    pub fn slowest_ms(&self) -> Option<i64> {
        self.targets.read().values().map(|target| target.interval_ms).max()
    }

    /// Changes with every change of the board; equal versions mean an equal board.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Says what discovery has told of the jobs. Their targets that it has told of have to be here before.
    pub fn set_discovery(&self, discovery: Discovery) {
        *self.discovery.write() = Arc::new(discovery);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Says of all jobs at once, without naming any, whether every discovery has delivered its first full list.
    pub fn set_synced(&self, synced: bool) {
        self.set_discovery(Discovery {
            configured: synced,
            jobs: Vec::new(),
        });
    }

    /// What discovery has told of the jobs. Whoever wants the targets too has to ask for this first.
    #[must_use]
    pub fn discovery(&self) -> Arc<Discovery> {
        Arc::clone(&self.discovery.read())
    }

    /// Whether every discovery has delivered its first full list.
    #[must_use]
    pub fn synced(&self) -> bool {
        self.discovery.read().synced()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::MetricKind;

    fn target(owner: u32) -> TargetState {
        TargetState {
            owner: OwnerId(owner),
            job: Arc::from("job"),
            labels: Labels::empty(),
            discovered: Labels::empty(),
            url: String::new(),
            interval_ms: 1,
            timeout_ms: 1,
            health: Health::Unknown,
            first_good: None,
            last_scrape: None,
            last_duration_s: 0.0,
            last_error: None,
        }
    }

    fn families(help: &str) -> Families {
        let metadata = Metadata {
            kind: MetricKind::Gauge,
            unit: Arc::from(""),
            help: Arc::from(help),
        };
        Arc::new(BTreeMap::from([(Arc::from("depth"), metadata)]))
    }

    #[test]
    fn what_targets_say_alike_is_kept_once_and_goes_with_the_last_of_them() {
        let board = Board::new();
        board.tell(OwnerId(1), families("a"));
        assert_eq!(
            board.families(OwnerId(1)),
            Families::default(),
            "there is no such target"
        );
        for owner in 1..4 {
            board.put(target(owner));
            board.tell(OwnerId(owner), families(if owner == 3 { "b" } else { "a" }));
        }
        let version = board.version();
        assert!(Arc::ptr_eq(&board.families(OwnerId(1)), &board.families(OwnerId(2))));
        assert_eq!(board.all_families().len(), 2);
        board.remove(OwnerId(1));
        assert_eq!(board.all_families().len(), 2);
        board.tell(OwnerId(2), families("b"));
        assert_eq!(board.all_families(), [families("b")]);
        assert!(Arc::ptr_eq(&board.families(OwnerId(2)), &board.families(OwnerId(3))));
        board.remove(OwnerId(2));
        board.remove(OwnerId(3));
        assert_eq!((board.all_families().len(), board.version()), (0, version + 3));
    }
}
