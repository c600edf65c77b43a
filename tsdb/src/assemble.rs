//! The rooms put together: discovery → scraping → store → engine.

use crate::config::Resolved;
use crate::keeper::{Keeper, StorageState};
use crate::query_log::QueryLogFile;
use crate::scrapers::Scrapers;
use crate::status::Status;
use leadline_discovery::{Discoveries, JobTargets, PodSource, Snapshot};
use leadline_model::clock::Clock;
use leadline_model::discovery::{Discovery, JobDiscovery};
use leadline_model::entropy::Entropy;
use leadline_model::port::{Appender, Commits, Evaluate, Queryable};
use leadline_model::target::Board;
use leadline_promql::engine::{Engine, Watchers};
use leadline_promql::log::QueryLog;
use leadline_scrape::{Job, JobError};
use leadline_storage::StorageError;
use leadline_storage::active_queries::QueryFile;
use leadline_storage::db::Db;
use leadline_storage::disk::Disk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the query log may take for its last lines, of the time in which the store has to be closed.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// What can be chosen once, at the start.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The store's limits and sizes.
    pub storage: leadline_storage::Settings,
    /// The engine's limits and defaults.
    pub engine: leadline_promql::settings::Settings,
    /// Whether the log keeps what targets say about their series (`metadata-wal-records`).
    pub metadata: bool,
    /// Spreads the slots of scrapes. Replicas should differ, restarts of one should not.
    pub seed: u64,
}

/// What a [`Tsdb`] is made of.
pub struct Parts {
    /// What can be chosen.
    pub settings: Settings,
    /// Where the store's files are.
    pub disk: Arc<dyn Disk>,
    /// The store's directory.
    pub path: PathBuf,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Names what the store writes.
    pub entropy: Arc<dyn Entropy>,
    /// Where the pods of `kubernetes_sd_configs` come from.
    pub pods: PodSource,
}

/// Why the rooms could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store cannot be opened.
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    /// The operating system has no thread or no descriptor left for scraping.
    #[error("cannot start the threads that scrape: {0}")]
    Threads(#[source] std::io::Error),
}

/// The engine on the store, which notes in the store's directory what it runs. Where there is no room for that, queries go
/// on without: whoever scales is not to wait for a file that only a crash makes worth reading. What has run goes to `log`.
fn engine(
    db: &Arc<Db>,
    disk: &dyn Disk,
    dir: &Path,
    settings: leadline_promql::settings::Settings,
    clock: &Arc<dyn Clock>,
    log: &Arc<QueryLogFile>,
) -> Arc<Engine> {
    let store = Arc::clone(db) as Arc<dyn Queryable>;
    let places = u32::try_from(settings.max_concurrency).unwrap_or(u32::MAX);
    let mut watchers = Watchers {
        log: Some(Arc::clone(log) as Arc<dyn QueryLog>),
        ..Watchers::default()
    };
    match QueryFile::open(disk, dir, places, Arc::clone(clock)) {
        Ok(file) => watchers.active = Some(Arc::new(file)),
        Err(error) => tracing::warn!(%error, "running queries are not noted"),
    }
    Engine::watched(store, settings, watchers)
}

/// Scrapes, stores and answers. [`Tsdb::apply`] says what is scraped, [`Tsdb::run`] keeps it going.
pub struct Tsdb {
    db: Arc<Db>,
    keeper: Arc<Keeper>,
    board: Arc<Board>,
    engine: Arc<Engine>,
    query_log: Arc<QueryLogFile>,
    scrape: leadline_scrape::Manager,
    scrapers: Arc<Scrapers>,
    discovery: Arc<leadline_discovery::Manager>,
}

impl Tsdb {
    /// Opens the store and puts the rooms together, without jobs. Scrapes run on threads of their own.
    ///
    /// # Errors
    /// [`BuildError`]: a setting is out of its range, the store's directory cannot be used, or there is no thread left.
    pub fn build(parts: Parts) -> Result<Arc<Self>, BuildError> {
        let Parts {
            settings,
            disk,
            path,
            clock,
            entropy,
            pods,
        } = parts;
        let (sync_ms, block_range_ms) = (settings.storage.wal_fsync_interval_ms, settings.storage.block_range_ms);
        let db = Db::open(leadline_storage::db::Parts {
            disk: Arc::clone(&disk),
            path: path.clone(),
            settings: settings.storage,
            clock: Arc::clone(&clock),
            entropy,
        })?;
        let keeper = Keeper::new(Arc::clone(&db), sync_ms, block_range_ms);
        let board = Board::new();
        // The store has the directory to itself now.
        let query_log = QueryLogFile::new(Arc::clone(&clock));
        let engine = engine(&db, &*disk, &path, settings.engine, &clock, &query_log);
        let scrapers = Arc::new(Scrapers::start().map_err(BuildError::Threads)?);
        let scrape = leadline_scrape::Manager::new(leadline_scrape::Parts {
            appender: Arc::clone(&db) as Arc<dyn Appender>,
            metadata: settings.metadata,
            // One feature for both: who labels series asks them for it.
            label_types: engine.settings().features.type_and_unit_labels,
            board: Arc::clone(&board),
            clock,
            runtime: {
                let scrapers = Arc::clone(&scrapers);
                Box::new(move |owner| scrapers.of(owner))
            },
            seed: settings.seed,
        });
        let discovery = leadline_discovery::Manager::new(pods);
        Ok(Arc::new(Self {
            db,
            keeper,
            board,
            engine,
            query_log,
            scrape,
            scrapers,
            discovery,
        }))
    }

    /// Puts the jobs of a configuration and its `evaluation_interval` in force, at the start and at each reload: what did
    /// not change goes on, targets that stay keep their series. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// [`JobError`]: a job is not valid; then nothing is changed.
    pub fn apply(
        &self,
        evaluation_interval: leadline_model::duration::Duration,
        jobs: Vec<Resolved>,
    ) -> Result<(), JobError> {
        let (jobs, discoveries): (Vec<Job>, Vec<(Arc<str>, Discoveries)>) = jobs
            .into_iter()
            .map(|r| (r.job.clone(), (Arc::clone(&r.job.name), r.discovery)))
            .unzip();
        self.scrape.apply(jobs)?;
        self.engine.set_subquery_step(evaluation_interval);
        self.discovery.apply(discoveries);
        Ok(())
    }

    /// Reads the store's log and keeps everything going until `cancel`, then ends scraping in order and closes the store
    /// for writing; what was scraped can still be read, and queries are logged no more. Ends by itself when the log cannot be read.
    pub async fn run(&self, cancel: CancellationToken) {
        let keeping = match self.keeper.start() {
            Ok(keeping) => keeping,
            Err(error) => return tracing::error!(%error, "the store's threads cannot be started"),
        };
        let cancel = cancel.child_token();
        tokio::join!(
            self.feed(&cancel),
            self.end_when_broken(&cancel),
            self.discovery.run(cancel.clone())
        );
        self.scrape.shutdown().await;
        let scrapers = Arc::clone(&self.scrapers);
        let _ = tokio::task::spawn_blocking(move || scrapers.end()).await;
        // Whoever reads the log may have stopped, and the store has to be closed in any case.
        if tokio::time::timeout(LOG_PATIENCE, self.query_log.close())
            .await
            .is_err()
        {
            tracing::warn!("the query log does not take its last lines");
        }
        keeping.end(Arc::clone(&self.db)).await;
    }

    /// Cancels `cancel` when the store can never be used.
    async fn end_when_broken(&self, cancel: &CancellationToken) {
        let mut state = self.keeper.state();
        let broken = state.wait_for(|state| matches!(state, StorageState::Broken(_)));
        tokio::select! { () = cancel.cancelled() => {}, _ = broken => cancel.cancel() }
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
        let job = |(job, targets): (&Arc<str>, &Arc<JobTargets>)| JobDiscovery {
            job: Arc::clone(job),
            named: self.scrape.keeps_job_label(job),
            missing: targets.missing.clone(),
        };
        self.board.set_discovery(Discovery {
            configured: snapshot.configured,
            jobs: snapshot.jobs.iter().map(job).collect(),
        });
    }

    /// Where commits go in.
    #[must_use]
    pub fn appender(&self) -> Arc<dyn Appender> {
        Arc::clone(&self.db) as Arc<dyn Appender>
    }

    /// Where series come out.
    #[must_use]
    pub fn queryable(&self) -> Arc<dyn Queryable> {
        Arc::clone(&self.db) as Arc<dyn Queryable>
    }

    /// What commits touch.
    #[must_use]
    pub fn commits(&self) -> Arc<dyn Commits> {
        Arc::clone(&self.db) as Arc<dyn Commits>
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

    /// The log of queries that people ask.
    #[must_use]
    pub fn query_log(&self) -> &QueryLogFile {
        &self.query_log
    }

    /// All targets.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// The store itself, for its figures and for what administrators do.
    #[must_use]
    pub fn db(&self) -> Arc<Db> {
        Arc::clone(&self.db)
    }

    /// How the store is, now and from now on.
    #[must_use]
    pub fn storage_state(&self) -> watch::Receiver<StorageState> {
        self.keeper.state()
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
            storage: self.db.stats(),
        }
    }
}
