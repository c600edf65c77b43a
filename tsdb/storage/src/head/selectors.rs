//! Registered selectors: which series match which, and whose commits feed them.
//!
//! Series that match the same selectors share one *set* by its number, so that a series pays four bytes and a commit
//! looks at few sets however many samples it has.

use super::Head;
use super::index::Index;
use super::resolve::resolve;
use super::stripe::{STRIPES, Stripe, number_of, stripe_of};
use crate::stats::Stats;
use leadline_model::labels::Labels;
use leadline_model::matcher::{Matcher, all_match};
use leadline_model::port::{CommitEvent, Commits, SelectorId};
use leadline_model::target::OwnerId;
use parking_lot::RwLockWriteGuard;
use rapidhash::fast::RapidHasher;
use rapidhash::{RapidHashMap, RapidHashSet};
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tokio::sync::broadcast;

/// A registered selector.
#[derive(Debug)]
struct Selector {
    matchers: Arc<[Matcher]>,
    /// Owners that are not gone and of whose series one matched.
    feeders: BTreeSet<OwnerId>,
}

/// Which selectors lack what an owner had refused last.
#[derive(Debug)]
struct Refused {
    /// Of the label sets, in their order.
    hash: u64,
    lacking: Box<[SelectorId]>,
}

/// All registered selectors and the sets of them that series match.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    next: u32,
    live: RapidHashMap<SelectorId, Selector>,
    /// By number; ascending, unique selectors that were alive when the set was last changed.
    sets: Vec<Arc<[SelectorId]>>,
    numbers: RapidHashMap<Arc<[SelectorId]>, u32>,
    free: Vec<u32>,
    /// Owners that have committed or were announced and are not gone.
    owners: RapidHashSet<OwnerId>,
    /// Of owners that are not gone, since the last selector was registered: a target that has no room for its series comes
    /// with the same ones at each scrape.
    refused: RapidHashMap<OwnerId, Refused>,
}

impl Selectors {
    /// The number of a set; 0 for the empty one.
    fn number(&mut self, set: Arc<[SelectorId]>) -> u32 {
        if set.is_empty() {
            return 0;
        }
        if let Some(&number) = self.numbers.get(&set) {
            return number;
        }
        if self.sets.is_empty() {
            self.sets.push(Arc::from([]));
        }
        let number = match self.free.pop() {
            Some(number) => {
                self.sets[number as usize] = set.clone();
                number
            }
            None => {
                self.sets.push(set.clone());
                (self.sets.len() - 1) as u32
            }
        };
        self.numbers.insert(set, number);
        number
    }

    /// The set that a new series of `owner` matches.
    pub(super) fn set_of(&mut self, labels: &Labels, owner: OwnerId) -> u32 {
        let mut set: Vec<SelectorId> = Vec::new();
        for (id, selector) in &mut self.live {
            if all_match(&selector.matchers, labels) {
                selector.feeders.insert(owner);
                set.push(*id);
            }
        }
        set.sort_unstable();
        self.number(set.into())
    }

    /// Notes that series of `owner` were refused: it feeds the selectors that the series would match, which are returned.
    pub(super) fn lack(&mut self, refused: &[&Labels], owner: OwnerId) -> RapidHashSet<SelectorId> {
        let mut lacking = RapidHashSet::default();
        if refused.is_empty() || self.live.is_empty() {
            return lacking;
        }
        let mut hasher = RapidHasher::default();
        refused.iter().for_each(|labels| labels.hash(&mut hasher));
        let hash = hasher.finish();
        if let Some(last) = self.refused.get(&owner).filter(|last| last.hash == hash) {
            lacking.extend(last.lacking.iter().filter(|id| self.live.contains_key(id)));
            return lacking;
        }
        for labels in refused {
            if lacking.len() == self.live.len() {
                break;
            }
            for (id, selector) in &mut self.live {
                if !lacking.contains(id) && all_match(&selector.matchers, labels) {
                    selector.feeders.insert(owner);
                    lacking.insert(*id);
                }
            }
        }
        let last = Refused {
            hash,
            lacking: lacking.iter().copied().collect(),
        };
        self.refused.insert(owner, last);
        lacking
    }

    /// Finds out anew which series match which selectors. All stripes are held.
    pub(super) fn rematch(&mut self, stripes: &mut [RwLockWriteGuard<'_, Stripe>], index: &Index) {
        let mut live: Vec<(SelectorId, Arc<[Matcher]>)> =
            self.live.iter().map(|(id, s)| (*id, Arc::clone(&s.matchers))).collect();
        live.sort_unstable_by_key(|(id, _)| *id);
        for (id, matchers) in live {
            for series in resolve(index, &matchers).into_iter().map(|i| index.series(i)) {
                let stripe = &mut stripes[stripe_of(series)];
                let Some(row) = number_of(series).and_then(|number| stripe.row(number, 0)) else {
                    continue;
                };
                let hot = &mut stripe.hot[row];
                hot.set = self.with(hot.set, id);
                if let Some(owner) = hot.owner().filter(|owner| self.knows(*owner)) {
                    self.fed(hot.set, owner);
                }
            }
        }
    }

    /// Whether any selector is registered.
    pub(super) fn any(&self) -> bool {
        !self.live.is_empty()
    }

    /// The number of `set` with `id` added.
    fn with(&mut self, set: u32, id: SelectorId) -> u32 {
        let old = self.sets.get(set as usize).cloned().unwrap_or_else(|| Arc::from([]));
        match old.binary_search(&id) {
            Ok(_) => set,
            Err(at) => {
                let mut new = old.to_vec();
                new.insert(at, id);
                self.number(new.into())
            }
        }
    }

    /// Notes that `owner` has written to a series of this set.
    pub(super) fn fed(&mut self, set: u32, owner: OwnerId) {
        let Some(ids) = self.sets.get(set as usize) else { return };
        for id in ids.iter() {
            if let Some(selector) = self.live.get_mut(id) {
                selector.feeders.insert(owner);
            }
        }
    }

    /// The selectors of several sets, and `more`; sorted, unique, registered.
    pub(super) fn join(&self, sets: &[u32], more: &RapidHashSet<SelectorId>) -> Arc<[SelectorId]> {
        let get = |set: &u32| self.sets.get(*set as usize).into_iter().flat_map(|s| s.iter().copied());
        let mut ids: Vec<SelectorId> = sets
            .iter()
            .flat_map(get)
            .chain(more.iter().copied())
            .filter(|id| self.live.contains_key(id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into()
    }

    /// Whether `owner` has to be entered as one that exists.
    pub(super) fn knows(&self, owner: OwnerId) -> bool {
        self.owners.contains(&owner)
    }

    /// Enters an owner that exists.
    pub(super) fn enter(&mut self, owner: OwnerId) {
        self.owners.insert(owner);
    }

    /// Forgets an owner that is gone for good.
    pub(super) fn gone(&mut self, owner: OwnerId) {
        self.owners.remove(&owner);
        self.refused.remove(&owner);
        for selector in self.live.values_mut() {
            selector.feeders.remove(&owner);
        }
    }

    /// Whether there are so many sets that no longer used ones should be looked for.
    pub(super) fn cluttered(&self) -> bool {
        self.numbers.len() > 1_024 && self.numbers.len() > 4 * self.live.len()
    }

    /// Frees the sets whose number `used` does not hold.
    pub(super) fn sweep(&mut self, used: &RapidHashSet<u32>) {
        let (free, sets) = (&mut self.free, &mut self.sets);
        self.numbers.retain(|_, number| {
            let keep = used.contains(number);
            if !keep {
                free.push(*number);
                sets[*number as usize] = Arc::from([]);
            }
            keep
        });
    }

    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.selectors += self.live.len() as u64;
        let ids: usize = self.sets.iter().map(|s| s.len() * 4 + 64).sum();
        stats.bytes += ids as u64;
    }
}

impl Commits for Head {
    fn register(&self, matchers: Arc<[Matcher]>) -> SelectorId {
        let id = {
            let mut selectors = self.selectors.write();
            let id = SelectorId(selectors.next);
            selectors.next += 1;
            selectors.refused.clear();
            selectors.live.insert(
                id,
                Selector {
                    matchers: matchers.clone(),
                    feeders: BTreeSet::new(),
                },
            );
            id
        };
        // From here on new series are matched when they are created; the rest is looked up now. A series that is both
        // gets the same answer twice.
        let mut rows: Vec<_> = {
            let index = self.index.read();
            resolve(&index, &matchers)
                .into_iter()
                .map(|series| index.series(series))
                .collect()
        };
        rows.sort_unstable_by_key(|series| (stripe_of(*series), *series));
        for group in rows.chunk_by(|a, b| stripe_of(*a) == stripe_of(*b)) {
            let mut stripe = self.stripes[stripe_of(group[0]) % STRIPES].write();
            let mut selectors = self.selectors.write();
            let mut guess = 0;
            for number in group.iter().filter_map(|series| number_of(*series)) {
                let Some(row) = stripe.row(number, guess) else { continue };
                guess = row + 1;
                let hot = &mut stripe.hot[row];
                hot.set = selectors.with(hot.set, id);
                if let Some(owner) = hot.owner().filter(|owner| selectors.knows(*owner)) {
                    selectors.fed(hot.set, owner);
                }
            }
        }
        id
    }

    fn deregister(&self, selector: SelectorId) {
        // Sets keep the number until they are swept; `join` leaves it out.
        self.selectors.write().live.remove(&selector);
    }

    fn feeders(&self, selector: SelectorId) -> Vec<OwnerId> {
        let selectors = self.selectors.read();
        selectors
            .live
            .get(&selector)
            .map(|s| s.feeders.iter().copied().collect())
            .unwrap_or_default()
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<CommitEvent>> {
        self.publish.lock().subscribe()
    }
}
