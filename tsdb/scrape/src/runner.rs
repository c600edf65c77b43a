//! The life of one target: wait for a slot, scrape, commit, say so on the board; at the end, mark its series stale.

use crate::config::Job;
use crate::error::ScrapeError;
use crate::fetch::fetch;
use crate::ingest::{Ingest, Rules, Scratch};
use crate::schedule::Grid;
use crate::stats::{Stats, add};
use crate::target::Target;
use leadline_httpclient::{Client, Connections};
use leadline_model::Timestamp;
use leadline_model::clock::Clock;
use leadline_model::port::Appender;
use leadline_model::target::{Board, Health, OwnerId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bodies above so many bytes are read on a thread of their own, so that they hold up nobody else.
const LARGE_BODY: usize = 1 << 20;

/// Scratch memory above so many bytes is given back instead of kept for the next scrape.
const LARGE_SCRATCH: usize = 8 << 20;

/// How often the log is told at most that the clock was set back.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How many scratch memories are kept.
const KEPT_SCRATCH: usize = 32;

/// What all targets share.
pub(crate) struct Shared {
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) board: Arc<Board>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stats: Arc<Stats>,
    /// Whether commits bring metadata.
    pub(crate) metadata: bool,
    /// Whether series carry their type.
    pub(crate) label_types: bool,
    /// Spreads the slots, so that replicas do not scrape at once, and seeds the hashes of series.
    pub(crate) seed: u64,
    pub(crate) scratch: Mutex<Vec<Scratch>>,
    /// When the log was last told that the clock was set back.
    pub(crate) told_set_back: Mutex<Option<Instant>>,
    /// Ends everything without stale markers.
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    fn lend(&self) -> Scratch {
        self.scratch.lock().pop().unwrap_or_default()
    }

    /// Says that the clock was set back, once for all targets that find it out within a minute.
    fn tell_set_back(&self, ahead_ms: i64) {
        let mut told = self.told_set_back.lock();
        if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            *told = Some(Instant::now());
            tracing::warn!(
                ahead = %leadline_model::duration::Duration::from_millis(ahead_ms),
                "the clock was set back: scraping goes on, but the store refuses samples that are older than those it has"
            );
        }
    }

    fn give_back(&self, scratch: Scratch) {
        let mut kept = self.scratch.lock();
        if kept.len() < KEPT_SCRATCH && scratch.capacity() <= LARGE_SCRATCH {
            kept.push(scratch);
        }
    }
}

/// What one target has to do; a reload replaces it.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) job: Arc<Job>,
    pub(crate) target: Arc<Target>,
    pub(crate) client: Arc<Client>,
    /// Why every scrape fails without a request.
    pub(crate) forced: Option<Arc<str>>,
}

impl Assignment {
    fn rules(&self) -> Rules {
        Rules {
            job: self.job.clone(),
            labels: self.target.labels.clone(),
        }
    }
}

/// One target's task.
pub(crate) struct Runner {
    shared: Arc<Shared>,
    owner: OwnerId,
    orders: watch::Receiver<Arc<Assignment>>,
    retired: CancellationToken,
    connections: Connections,
    /// `None` only while a thread of its own reads a large body.
    ingest: Option<Ingest>,
    last: Option<Timestamp>,
}

/// What a wait ended with.
enum Woken {
    Slot(Timestamp),
    Reassigned,
    Retired,
    Shutdown,
}

impl Runner {
    pub(crate) fn new(
        shared: Arc<Shared>,
        owner: OwnerId,
        orders: watch::Receiver<Arc<Assignment>>,
        retired: CancellationToken,
    ) -> Self {
        let rules = orders.borrow().rules();
        let mut ingest = Ingest::new(owner, shared.appender.clone(), shared.stats.clone(), shared.seed, rules);
        ingest.tell_metadata(shared.metadata);
        ingest.label_types(shared.label_types);
        Self {
            shared,
            owner,
            orders,
            retired,
            connections: Connections::default(),
            ingest: Some(ingest),
            last: None,
        }
    }

    /// Runs until the target is retired or the process shuts down.
    pub(crate) async fn run(mut self) {
        loop {
            let assignment = self.orders.borrow_and_update().clone();
            let grid = Grid::new(assignment.target.key, self.shared.seed, assignment.target.interval_ms);
            match self.wait(&grid).await {
                Woken::Slot(slot) => {
                    let shutdown = self.shared.shutdown.clone();
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = self.scrape(&assignment, &grid, slot) => {}
                    }
                }
                Woken::Reassigned => {
                    let rules = self.orders.borrow().rules();
                    if let Some(ingest) = &mut self.ingest {
                        ingest.set_rules(rules);
                    }
                }
                Woken::Retired => return self.end(&grid).await,
                Woken::Shutdown => return,
            }
        }
    }

    /// Waits for the next slot, which is later than the last one, unless the clock was set back beyond that.
    async fn wait(&mut self, grid: &Grid) -> Woken {
        loop {
            let now = self.shared.clock.now();
            self.notice_set_back(grid, now);
            let mut slot = grid.next(now);
            if let Some(last) = self.last.filter(|last| slot <= *last) {
                slot = grid.next(last + 1);
            }
            tokio::select! {
                biased;
                () = self.shared.shutdown.cancelled() => return Woken::Shutdown,
                () = self.retired.cancelled() => return Woken::Retired,
                changed = self.orders.changed() => {
                    return if changed.is_ok() { Woken::Reassigned } else { Woken::Retired };
                }
                () = tokio::time::sleep(span(slot - now)) => {}
            }
            // The wall clock may have been set back meanwhile: then the slot is still to come, or another is next.
            if self.shared.clock.now() >= slot {
                if let Some(last) = self.last {
                    add(&self.shared.stats.missed_slots, grid.missed(last, slot));
                }
                self.last = Some(slot);
                return Woken::Slot(slot);
            }
        }
    }

    /// Forgets a last slot that lies too far ahead to be waited for: the clock was set back. What is scraped from here on
    /// the store may refuse, which the target then says; that nothing is scraped it would not.
    fn notice_set_back(&mut self, grid: &Grid, now: Timestamp) {
        let Some(last) = self.last.filter(|last| grid.is_far_ahead(*last, now)) else {
            return;
        };
        self.last = None;
        self.shared.tell_set_back(last - now);
    }

    async fn scrape(&mut self, assignment: &Assignment, grid: &Grid, slot: Timestamp) {
        let at = grid.stamp(slot, self.shared.clock.now());
        let started = Instant::now();
        let mut scratch = self.shared.lend();
        add(&self.shared.stats.scrapes, 1);
        let fetched = match &assignment.forced {
            Some(why) => Err(ScrapeError::TargetLimit(why.clone())),
            None => {
                let (job, target, client) = (&assignment.job, &assignment.target, &assignment.client);
                fetch(
                    job,
                    target,
                    client,
                    &mut self.connections,
                    &self.shared.stats,
                    &mut scratch,
                )
                .await
            }
        };
        let duration_s = started.elapsed().as_secs_f64();
        let result = self.record(fetched, at, duration_s, &mut scratch).await;
        self.shared.give_back(scratch);
        self.show(&result, at, duration_s);
        if let Some(refused) = self.ingest.as_mut().and_then(Ingest::take_refusals) {
            tracing::warn!(
                job = %assignment.job.name,
                target = %assignment.target.uri,
                refused,
                "the store refuses samples of a target; that others follow is not told"
            );
        }
        if let Err(error) = result {
            tracing::debug!(job = %assignment.job.name, target = %assignment.target.uri, error = %error, "scrape failed");
        }
    }

    /// Commits what was fetched.
    async fn record(
        &mut self,
        fetched: Result<(), ScrapeError>,
        at: Timestamp,
        duration_s: f64,
        scratch: &mut Scratch,
    ) -> Result<(), ScrapeError> {
        let Some(mut ingest) = self.ingest.take() else {
            return Err(ScrapeError::BrokenOff);
        };
        let mut own = std::mem::take(scratch);
        let large = fetched.is_ok() && own.body.len() > LARGE_BODY;
        let work = move || {
            let result = match fetched {
                Ok(()) => {
                    let body = std::mem::take(&mut own.body);
                    let result = ingest.good(&body, at, duration_s, &mut own).map(|_| ());
                    own.body = body;
                    result
                }
                Err(error) => match ingest.failed(&error, at, duration_s, &mut own) {
                    Ok(()) => Err(error),
                    Err(refused) => Err(refused),
                },
            };
            (ingest, own, result)
        };
        let done = if large {
            tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| ScrapeError::BrokenOff)
        } else {
            Ok(work())
        };
        let (mut ingest, own, result) = done?;
        if let Some(news) = ingest.take_news() {
            self.shared.board.tell(self.owner, news);
            ingest.share(self.shared.board.families(self.owner));
        }
        self.ingest = Some(ingest);
        *scratch = own;
        result
    }

    fn show(&self, result: &Result<(), ScrapeError>, at: Timestamp, duration_s: f64) {
        self.shared.board.update(self.owner, |state| {
            state.last_scrape = Some(at);
            state.last_duration_s = duration_s;
            state.last_error = result.as_ref().err().map(ToString::to_string);
            state.health = if result.is_ok() { Health::Up } else { Health::Down };
            match result {
                Ok(()) => _ = state.first_good.get_or_insert(at),
                // A series that the store had no room for begins when there is room, so the target is observed anew then.
                Err(ScrapeError::SeriesLimit(_)) => state.first_good = None,
                Err(_) => {}
            }
        });
    }

    /// The target is gone. It may come back at once (a reload, a flap of discovery), so its series are marked only after
    /// two slots and a tenth, with the time of the first slot that was missed; a shutdown leaves them unmarked, because
    /// the next process goes on where this one stopped.
    async fn end(mut self, grid: &Grid) {
        self.connections.close();
        let now = self.shared.clock.now();
        let mut missed = now;
        if let Some(last) = self.last {
            missed = grid.next((last + 1).max(now));
            let interval = grid.after(0);
            let wait = span(missed - now + interval + interval / 10);
            tokio::select! {
                () = self.shared.shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
        let mut scratch = self.shared.lend();
        if let Some(ingest) = &mut self.ingest
            && let Err(error) = ingest.gone(missed, &mut scratch)
        {
            tracing::warn!(error = %error, "the end of a target could not be stored");
        }
        self.shared.give_back(scratch);
    }
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
