//! Who registered what: equal expressions share one entry, an expression that nobody asks for is forgotten.

use crate::entry::{Answer, Entry};
use crate::error::RegisterError;
use crate::history::History;
use crate::outage::Outages;
use crate::roster::Roster;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::stats::{Counters, Stats, count};
use crate::subscribe::View;
use crate::{Query, Request};
use async_trait::async_trait;
use leadline_model::port::{Commits, Evaluate, Plan, Queryable, SelectorId, Shape};
use leadline_model::target::{Board, OwnerId};
use leadline_model::{Clock, Matcher, Timestamp};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::watch;

/// What the whole room shares.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) evaluate: Arc<dyn Evaluate>,
    pub(crate) store: Arc<dyn Queryable>,
    pub(crate) commits: Arc<dyn Commits>,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) roster: Roster,
    pub(crate) history: Arc<History>,
    pub(crate) outages: RwLock<Outages>,
    pub(crate) routes: RwLock<HashMap<SelectorId, Arc<Entry>>>,
    pub(crate) forgotten: Counters,
    pub(crate) expired: AtomicU64,
    pub(crate) lagged: AtomicU64,
    pub(crate) events: crate::schedule::Events,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    by_text: HashMap<String, Registered>,
    attached: usize,
}

struct Registered {
    entry: Arc<Entry>,
    holders: usize,
    pinned: usize,
}

impl Inner {
    pub(crate) fn new(
        settings: Settings,
        evaluate: Arc<dyn Evaluate>,
        store: Arc<dyn Queryable>,
        commits: Arc<dyn Commits>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let events = crate::schedule::Events::new(commits.as_ref(), settings.concurrency);
        let started = clock.now();
        let roster = Roster::new(started);
        let history = History::new(Arc::clone(&store), started);
        Self {
            settings,
            evaluate,
            store,
            commits,
            board,
            clock,
            roster,
            history,
            outages: RwLock::default(),
            routes: RwLock::default(),
            forgotten: Counters::default(),
            expired: AtomicU64::new(0),
            lagged: AtomicU64::new(0),
            events,
            registry: Mutex::default(),
        }
    }

    pub(crate) fn register(self: &Arc<Self>, request: &Request) -> Result<Arc<dyn Query>, RegisterError> {
        let plan = self.evaluate.prepare(&request.text, &request.inject)?;
        match plan.shape {
            Shape::Scalar | Shape::Vector => {}
            Shape::Matrix => return Err(RegisterError::Shape("range vector")),
            Shape::String => return Err(RegisterError::Shape("string")),
        }
        let window_ms = plan.selectors.iter().map(|s| s.window_ms).max().unwrap_or(0);
        if window_ms > self.settings.kept_ms {
            let kept_ms = self.settings.kept_ms;
            return Err(RegisterError::Window { window_ms, kept_ms });
        }
        let mut registry = self.registry.lock();
        let entry = match registry.by_text.get(&plan.text) {
            Some(known) => Arc::clone(&known.entry),
            None => Arc::new(Entry::new(Arc::clone(&plan), self.clock.now())),
        };
        self.attach(&mut registry, &entry, request.pinned)?;
        let registered = registry.by_text.entry(plan.text.clone()).or_insert_with(|| Registered {
            entry: Arc::clone(&entry),
            holders: 0,
            pinned: 0,
        });
        registered.holders += 1;
        registered.pinned += usize::from(request.pinned);
        let view = entry.view(&request.index_by, request.partial);
        Ok(Arc::new(Registration {
            inner: Arc::clone(self),
            entry,
            view,
            pinned: request.pinned,
        }))
    }

    /// Makes commits reach the entry, where they do not yet. What is configured has room at all times: the size of the file
    /// bounds it, and what others register must not push it out.
    fn attach(&self, registry: &mut Registry, entry: &Arc<Entry>, pinned: bool) -> Result<(), RegisterError> {
        if entry.is_attached() {
            return Ok(());
        }
        if !pinned && registry.attached >= self.settings.max_queries {
            return Err(RegisterError::Full(registry.attached));
        }
        let selectors: Vec<(SelectorId, i64)> = distinct(&entry.plan)
            .into_iter()
            .map(|(matchers, window_ms)| (self.commits.register(matchers), window_ms))
            .collect();
        let mut routes = self.routes.write();
        routes.extend(selectors.iter().map(|&(selector, _)| (selector, Arc::clone(entry))));
        entry.attach(selectors, self.clock.now());
        registry.attached += 1;
        self.events.attached.notify_one();
        Ok(())
    }

    fn detach(&self, registry: &mut Registry, entry: &Entry) {
        if !entry.is_attached() {
            return;
        }
        let selectors = entry.detach();
        let mut routes = self.routes.write();
        for selector in &selectors {
            routes.remove(selector);
        }
        drop(routes);
        for selector in selectors {
            self.commits.deregister(selector);
        }
        registry.attached -= 1;
    }

    /// Brings an expired entry back.
    fn revive(&self, entry: &Arc<Entry>, pinned: bool) -> Result<(), RegisterError> {
        if entry.is_attached() {
            return Ok(());
        }
        self.attach(&mut self.registry.lock(), entry, pinned)
    }

    fn release(&self, entry: &Entry, pinned: bool) {
        let mut registry = self.registry.lock();
        let Some(registered) = registry.by_text.get_mut(&entry.plan.text) else {
            return;
        };
        registered.holders -= 1;
        registered.pinned -= usize::from(pinned);
        if registered.holders == 0 {
            registry.by_text.remove(&entry.plan.text);
            self.forgotten.absorb(&entry.counters.read());
            self.detach(&mut registry, entry);
        }
    }

    /// Forgets what nobody asked for since `since` (ms).
    pub(crate) fn expire(&self, since: Timestamp) {
        let mut registry = self.registry.lock();
        let unwanted: Vec<Arc<Entry>> = registry
            .by_text
            .values()
            .filter(|r| r.pinned == 0 && r.entry.is_attached() && !r.entry.is_wanted(since))
            .map(|r| Arc::clone(&r.entry))
            .collect();
        for entry in unwanted {
            self.detach(&mut registry, &entry);
            count(&self.expired);
        }
    }

    /// Every entry that commits reach.
    pub(crate) fn attached(&self) -> Vec<Arc<Entry>> {
        let registry = self.registry.lock();
        registry
            .by_text
            .values()
            .map(|r| &r.entry)
            .filter(|e| e.is_attached())
            .cloned()
            .collect()
    }

    /// The owners that feed any of these selectors, sorted.
    pub(crate) fn feeders(&self, selectors: &[SelectorId]) -> Vec<OwnerId> {
        let mut owners: Vec<OwnerId> = selectors.iter().flat_map(|&s| self.commits.feeders(s)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// The newest slot time (ms) of the targets that feed an entry, as the board knows it.
    pub(crate) fn newest_slot(&self, entry: &Entry) -> Option<Timestamp> {
        entry
            .feeders(self)
            .into_iter()
            .filter_map(|owner| self.board.get(owner)?.last_scrape)
            .max()
    }

    pub(crate) fn stats(&self) -> Stats {
        let registry = self.registry.lock();
        let mut expressions: Vec<_> = registry.by_text.values().map(|r| r.entry.stats()).collect();
        let registered = registry.attached;
        drop(registry);
        expressions.sort_by(|a, b| a.text.cmp(&b.text));
        let total = Counters::default();
        total.absorb(&self.forgotten.read());
        expressions.iter().for_each(|e| total.absorb(&e.counts));
        let of = |counter: &AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        Stats {
            total: total.read(),
            registered,
            expired: of(&self.expired),
            lagged: of(&self.lagged),
            expressions,
        }
    }
}

/// The selectors of a plan without repetition, and how far back each reads at most, ms.
fn distinct(plan: &Plan) -> Vec<(Arc<[Matcher]>, i64)> {
    let mut seen: Vec<(Arc<[Matcher]>, i64)> = Vec::new();
    for selector in &plan.selectors {
        match seen.iter_mut().find(|(matchers, _)| **matchers == *selector.matchers) {
            Some((_, window_ms)) => *window_ms = (*window_ms).max(selector.window_ms),
            None => seen.push((Arc::clone(&selector.matchers), selector.window_ms)),
        }
    }
    seen
}

/// A standing query in somebody's hand.
struct Registration {
    inner: Arc<Inner>,
    entry: Arc<Entry>,
    view: Arc<View>,
    pinned: bool,
}

#[async_trait]
impl Query for Registration {
    fn plan(&self) -> &Arc<Plan> {
        &self.entry.plan
    }

    async fn snapshot(&self) -> Arc<Snapshot> {
        if let Err(full) = self.inner.revive(&self.entry, self.pinned) {
            return Entry::nothing(&self.inner, full.to_string());
        }
        self.inner.take_in();
        match self.entry.ask(self.inner.clock.now(), &self.inner) {
            Answer::Index => {
                self.entry.note_index();
                self.entry.reconsider(&self.inner);
            }
            Answer::Evaluate => {
                // In a task of its own: an evaluation that outlives the asker's patience still serves the next one.
                let (inner, entry) = (Arc::clone(&self.inner), Arc::clone(&self.entry));
                if let Err(error) = tokio::spawn(async move { entry.refresh(&inner).await }).await {
                    tracing::error!(expression = self.entry.plan.text, %error, "a standing query was aborted");
                }
            }
        }
        if self.view.newest().is_none() {
            self.entry.publish(&self.inner);
        }
        self.view
            .newest()
            .unwrap_or_else(|| Entry::nothing(&self.inner, "the evaluation was aborted".to_owned()))
    }

    fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        if self.view.newest().is_none() {
            self.entry.publish(&self.inner);
        }
        self.view.subscribe()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.entry.drop_view(&self.view);
        self.inner.release(&self.entry, self.pinned);
    }
}
