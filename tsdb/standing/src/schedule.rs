//! When expressions are evaluated.
//!
//! * On the first commit that touches an expression at once, then at most once per 250 ms or ten times its own cost,
//!   whichever is longer.
//! * An expression that moves with time also on the aligned one-second tick, while somebody is subscribed or asked a
//!   moment ago.
//! * A commit evaluates nothing that nobody asked for in the last ten minutes and nobody is subscribed to: the next
//!   question does.
//!
//! Nothing else is evaluated without a commit.

use crate::entry::{Entry, Why, aligned};
use crate::registry::Inner;
use crate::stats::count;
use leadline_model::Timestamp;
use leadline_model::port::{CommitEvent, Commits};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The distance of aligned ticks, ms.
const TICK_MS: i64 = 1000;

/// The stream of commits, and the tasks that follow from it.
pub(crate) struct Events {
    /// What was not taken in yet. Questions take it in too, so that whoever asks after a commit sees it.
    queue: Mutex<Receiver<Arc<CommitEvent>>>,
    /// Only wakes the loop.
    bell: tokio::sync::Mutex<Receiver<Arc<CommitEvent>>>,
    /// Told when there is an expression that commits can touch.
    pub(crate) attached: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Evaluations that nobody waits for run at most so many at a time.
    permits: Semaphore,
}

impl Events {
    pub(crate) fn new(commits: &dyn Commits, concurrency: usize) -> Self {
        Self {
            queue: Mutex::new(commits.subscribe()),
            bell: tokio::sync::Mutex::new(commits.subscribe()),
            attached: Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            permits: Semaphore::new(concurrency.max(1)),
        }
    }
}

impl Inner {
    /// Runs until `stop`; ends when the evaluations that are under way have ended.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut bell = self.events.bell.lock().await;
        let mut open = true;
        let mut next_tick = self.next_tick();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(next_tick) => {
                    self.tick();
                    next_tick = self.next_tick();
                }
                () = self.events.attached.notified() => {}
                // Without an expression no commit is worth waking up for: the tick takes them in.
                rung = bell.recv(), if open && !self.routes.read().is_empty() => {
                    // What rang before the queue is emptied needs no second look.
                    while matches!(bell.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
                    self.take_in();
                    // When the store is closed no commit comes any more, but time still moves.
                    open = !matches!(rung, Err(RecvError::Closed));
                }
            }
        }
        self.events.stop.cancel();
        self.events.tasks.close();
        self.events.tasks.wait().await;
    }

    /// When the next aligned second begins.
    fn next_tick(&self) -> Instant {
        let now = self.clock.now();
        let left = u64::try_from(aligned(now) + TICK_MS - now).unwrap_or(0);
        Instant::now() + Duration::from_millis(left.max(1))
    }

    /// Takes in the commits that were published since the last time, and starts what follows from them.
    pub(crate) fn take_in(self: &Arc<Self>) {
        let mut queue = self.events.queue.lock();
        loop {
            match queue.try_recv() {
                Ok(event) => self.on_commit(&event),
                Err(TryRecvError::Lagged(missed)) => self.on_lag(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn on_commit(self: &Arc<Self>, event: &CommitEvent) {
        self.note_attempt(event);
        if event.touched.is_empty() {
            return;
        }
        let routes = self.routes.read();
        for entry in event.touched.iter().filter_map(|selector| routes.get(selector)) {
            self.on_touch(entry, event);
        }
    }

    fn on_touch(self: &Arc<Self>, entry: &Arc<Entry>, event: &CommitEvent) {
        if entry.touch(event.generation, event.slot) {
            self.start(entry);
        }
    }

    fn note_attempt(&self, event: &CommitEvent) {
        let (owner, attempt) = (event.owner, event.attempt);
        // Nearly every commit is a good one after a good one.
        if self.outages.read().changes(owner, attempt) {
            self.outages.write().note(owner, attempt, event.slot);
        }
    }

    /// Commits were missed: everything counts as touched, and the board knows who is up again.
    fn on_lag(self: &Arc<Self>, missed: u64) {
        if !self.routes.read().is_empty() {
            count(&self.lagged);
            tracing::warn!(
                missed,
                "commits came faster than standing queries took them in; all count as touched"
            );
        }
        self.outages.write().catch_up(&self.board);
        let generation = self.store.generation();
        for entry in self.attached() {
            let slot = self.newest_slot(&entry).unwrap_or(Timestamp::MIN);
            if entry.touch(generation, slot) {
                self.start(&entry);
            }
        }
    }

    /// The aligned second: time moves values, warms what was cold, and ends registrations.
    pub(crate) fn tick(self: &Arc<Self>) {
        let now = self.clock.now();
        self.take_in();
        self.roster.observe(&self.board, now);
        self.outages.write().forget(&self.board);
        self.expire(now - self.settings.expire_ms);
        for entry in self.attached() {
            let subscribed = entry.subscribers() > 0;
            match entry.need(now) {
                Some(Why::Tick) if entry.is_wanted(now - self.settings.tick_interest_ms) => self.start_new(&entry),
                Some(Why::First | Why::Retry) if subscribed => self.start_new(&entry),
                Some(Why::Commit) if self.is_wanted(&entry) => self.start_new(&entry),
                _ if subscribed => entry.reconsider(self),
                _ => {}
            }
        }
    }

    fn is_wanted(&self, entry: &Entry) -> bool {
        entry.is_wanted(self.clock.now() - self.settings.expire_ms)
    }

    fn start_new(self: &Arc<Self>, entry: &Arc<Entry>) {
        if entry.schedule() {
            self.start(entry);
        }
    }

    /// Starts the task that evaluates an entry as long as commits touch it.
    fn start(self: &Arc<Self>, entry: &Arc<Entry>) {
        if !self.is_wanted(entry) {
            entry.rest(false);
            return;
        }
        let (inner, entry) = (Arc::clone(self), Arc::clone(entry));
        self.events.tasks.spawn(async move {
            let stop = inner.events.stop.clone();
            let _stopped = stop.run_until_cancelled(inner.follow(&entry)).await;
        });
    }

    async fn follow(self: &Arc<Self>, entry: &Entry) {
        loop {
            if entry.need(self.clock.now()) == Some(Why::Commit) {
                tokio::time::sleep_until(entry.due(self)).await;
            }
            let Ok(_permit) = self.events.permits.acquire().await else {
                return;
            };
            entry.refresh(self).await;
            if entry.rest(self.is_wanted(entry)) {
                return;
            }
        }
    }
}
