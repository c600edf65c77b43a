//! The rooms put together: discovery → scraping → head → engine.

use crate::config::Resolved;
use crate::status::Status;
use leadline_discovery::{Discoveries, JobTargets, PodSource, Snapshot};
use leadline_model::clock::Clock;
use leadline_model::port::{Appender, Commits, Evaluate, Queryable};
use leadline_model::target::Board;
use leadline_promql::engine::Engine;
use leadline_scrape::{Job, JobError};
use leadline_storage::Head;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What can be chosen once, at the start.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The head's limits and sizes.
    pub storage: leadline_storage::Settings,
    /// The engine's limits and defaults.
    pub engine: leadline_promql::settings::Settings,
    /// Spreads the slots of scrapes. Replicas should differ, restarts of one should not.
    pub seed: u64,
}

/// What a [`Tsdb`] is made of.
pub struct Parts {
    /// What can be chosen.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where the pods of `kubernetes_sd_configs` come from.
    pub pods: PodSource,
}

/// Why the rooms could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A storage setting is out of its range.
    #[error("storage: {0}")]
    Storage(#[from] leadline_storage::SettingsError),
}

/// How often the head is tidied: closed chunks and series past the retention go.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Scrapes, stores and answers. [`Tsdb::apply`] says what is scraped, [`Tsdb::run`] keeps it going.
pub struct Tsdb {
    head: Arc<Head>,
    board: Arc<Board>,
    engine: Arc<Engine>,
    scrape: leadline_scrape::Manager,
    discovery: Arc<leadline_discovery::Manager>,
    /// Whether a configuration is in force; before that nothing is discovered, and nothing is known in full.
    configured: AtomicBool,
}

impl Tsdb {
    /// Puts the rooms together, without jobs. Has to be called within a tokio runtime, on which the scrapes then run.
    ///
    /// # Errors
    /// [`BuildError`]: a setting is out of its range.
    pub fn build(parts: Parts) -> Result<Arc<Self>, BuildError> {
        let Parts { settings, clock, pods } = parts;
        let head = Head::new(settings.storage, Arc::clone(&clock))?;
        let board = Board::new();
        let engine = Engine::new(Arc::clone(&head) as Arc<dyn Queryable>, settings.engine);
        let scrape = leadline_scrape::Manager::new(leadline_scrape::Parts {
            appender: Arc::clone(&head) as Arc<dyn Appender>,
            board: Arc::clone(&board),
            clock,
            runtime: tokio::runtime::Handle::current(),
            seed: settings.seed,
        });
        let discovery = leadline_discovery::Manager::new(pods);
        Ok(Arc::new(Self {
            head,
            board,
            engine,
            scrape,
            discovery,
            configured: AtomicBool::new(false),
        }))
    }

    /// Puts the jobs of a configuration in force, at the start and at each reload: what did not change goes on, targets that
    /// stay keep their series. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// [`JobError`]: a job is not valid; then nothing is changed.
    pub fn apply(&self, jobs: Vec<Resolved>) -> Result<(), JobError> {
        let (jobs, discoveries): (Vec<Job>, Vec<(Arc<str>, Discoveries)>) = jobs
            .into_iter()
            .map(|r| (r.job.clone(), (Arc::clone(&r.job.name), r.discovery)))
            .unzip();
        self.scrape.apply(jobs)?;
        self.configured.store(true, Ordering::Release);
        self.discovery.apply(discoveries);
        Ok(())
    }

    /// Keeps everything going until `cancel`, then ends scraping in order and closes the head for writing. What was
    /// scraped can still be read.
    pub async fn run(&self, cancel: CancellationToken) {
        tokio::join!(
            self.feed(&cancel),
            self.tidy(&cancel),
            self.discovery.run(cancel.clone())
        );
        self.scrape.shutdown().await;
        self.head.close();
    }

    /// Hands what is discovered to the scraper.
    async fn feed(&self, cancel: &CancellationToken) {
        let mut snapshots = self.discovery.subscribe();
        let mut told: BTreeMap<Arc<str>, Arc<JobTargets>> = BTreeMap::new();
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            self.tell(&snapshot, &mut told);
            tokio::select! {
                () = cancel.cancelled() => return,
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Hands over the jobs that changed since they were `told`; only then is the board as complete as the snapshot.
    fn tell(&self, snapshot: &Snapshot, told: &mut BTreeMap<Arc<str>, Arc<JobTargets>>) {
        told.retain(|job, _| snapshot.jobs.contains_key(job));
        for (job, targets) in &snapshot.jobs {
            if told.get(job).is_some_and(|last| Arc::ptr_eq(last, targets)) {
                continue;
            }
            if self.scrape.set_groups(job, targets.groups.clone()) {
                told.insert(Arc::clone(job), Arc::clone(targets));
            }
        }
        self.board
            .set_synced(self.configured.load(Ordering::Acquire) && snapshot.synced());
    }

    async fn tidy(&self, cancel: &CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(TIDY_EVERY) => {}
            }
            let head = Arc::clone(&self.head);
            match tokio::task::spawn_blocking(move || head.maintain()).await {
                Ok(done) => tracing::debug!(bound = done.bound, series_removed = done.series_removed, "head tidied"),
                Err(error) => tracing::error!(%error, "the head could not be tidied"),
            }
        }
    }

    /// Where commits go in.
    #[must_use]
    pub fn appender(&self) -> Arc<dyn Appender> {
        Arc::clone(&self.head) as Arc<dyn Appender>
    }

    /// Where series come out.
    #[must_use]
    pub fn queryable(&self) -> Arc<dyn Queryable> {
        Arc::clone(&self.head) as Arc<dyn Queryable>
    }

    /// What commits touch.
    #[must_use]
    pub fn commits(&self) -> Arc<dyn Commits> {
        Arc::clone(&self.head) as Arc<dyn Commits>
    }

    /// Evaluates expressions with provenance.
    #[must_use]
    pub fn evaluate(&self) -> Arc<dyn Evaluate> {
        Arc::clone(&self.engine) as Arc<dyn Evaluate>
    }

    /// The engine itself, for instant and range queries of people.
    #[must_use]
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    /// All targets.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// The head itself, for its figures.
    #[must_use]
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head)
    }

    /// The scraper's counters.
    #[must_use]
    pub fn scrape_stats(&self) -> Arc<leadline_scrape::Stats> {
        self.scrape.stats()
    }

    /// The state of the rooms now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            synced: self.board.synced(),
            discoveries: self.discovery.status(),
            dropped: self.scrape.dropped(),
            storage: self.head.stats(),
        }
    }
}
