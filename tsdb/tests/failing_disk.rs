//! A disk that does not take what is scraped: scraping goes on, it is told, and nothing has to be done once it is over.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]
#[path = "support/running.rs"]
mod running;
mod support;

use leadline_model::clock::SystemClock;
use leadline_model::entropy::{SeededEntropy, SystemEntropy};
use leadline_model::matcher::Matcher;
use leadline_model::port::{CommitEvent, Queryable};
use leadline_model::sample::{Samples, Timestamp};
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts as DbParts};
use leadline_storage::disk::faulty::Fault;
use leadline_storage::disk::{Disk, FaultyDisk, MemoryDisk};
use leadline_tsdb::{StorageState, Tsdb};
use running::Running;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::{exporter, jobs};
use tokio::sync::{broadcast, watch};

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that scrapes one target.
struct Scraping {
    store: Running,
    state: watch::Receiver<StorageState>,
    commits: broadcast::Receiver<Arc<CommitEvent>>,
}

fn settings() -> Settings {
    Settings {
        wal_fsync_interval_ms: 20,
        ..Settings::default()
    }
}

fn build(disk: Arc<dyn Disk>) -> Arc<Tsdb> {
    running::build(settings(), disk)
}

/// The samples of `depth` from all targets, by time.
fn depth(from: &dyn Queryable) -> Vec<(Timestamp, f64)> {
    let set = from.select(&[Matcher::equal("__name__", "depth")], 0, i64::MAX, true);
    let (set, mut all) = (set.unwrap(), Vec::new());
    for series in 0..set.len() {
        let mut samples = Samples::default();
        set.read(series, 0, i64::MAX, &mut samples).unwrap();
        all.extend(samples.t.into_iter().zip(samples.v).filter(|sample| !sample.1.is_nan()));
    }
    all.sort_by_key(|sample| sample.0);
    all
}

/// What is there of `depth` when power is lost now.
fn after_a_crash(disk: &MemoryDisk) -> Vec<(Timestamp, f64)> {
    let db = Db::open(DbParts {
        disk: Arc::new(disk.crash(&SeededEntropy::new(7))),
        path: PathBuf::from("data"),
        settings: settings(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
    })
    .unwrap();
    db.replay().unwrap();
    depth(&*db)
}

impl Scraping {
    async fn start(disk: Arc<dyn Disk>) -> Self {
        let mut scraping = Self::begin(build(disk)).await;
        scraping.until(|state| *state == StorageState::Writing).await;
        scraping.grow(3).await;
        scraping
    }

    async fn begin(tsdb: Arc<Tsdb>) -> Self {
        let address = exporter(3).await;
        let store = Running::start(Arc::clone(&tsdb));
        let job = format!("- job_name: one\n  static_configs: [{{targets: ['{address}']}}]\n");
        tsdb.apply(
            leadline_model::duration::Duration::from_secs(60),
            jobs(&job, "leadline.yml"),
        )
        .unwrap();
        Self {
            state: tsdb.storage_state(),
            commits: tsdb.commits().subscribe(),
            store,
        }
    }

    /// Waits for a state of the store.
    async fn until(&mut self, wanted: impl FnMut(&StorageState) -> bool) -> StorageState {
        match tokio::time::timeout(PATIENCE, self.state.wait_for(wanted)).await {
            Ok(state) => state.unwrap().clone(),
            Err(_) => panic!("the store stays {:?}", self.store.tsdb.storage_state().borrow()),
        }
    }

    async fn committed(&mut self) {
        match tokio::time::timeout(PATIENCE, self.commits.recv()).await {
            Ok(Ok(_) | Err(broadcast::error::RecvError::Lagged(_))) => {}
            other => panic!("nothing is scraped: {other:?}"),
        }
    }

    /// Waits until there are `more` samples, and returns all.
    async fn grow(&mut self, more: usize) -> Vec<(Timestamp, f64)> {
        let before = depth(&*self.store.tsdb.db()).len();
        loop {
            let now = depth(&*self.store.tsdb.db());
            if now.len() >= before + more {
                return now;
            }
            self.committed().await;
        }
    }

    /// Waits until a crash would lose none of `samples`.
    async fn durable(&mut self, disk: &MemoryDisk, samples: &[(Timestamp, f64)]) {
        let kept = async {
            loop {
                self.committed().await;
                let found = after_a_crash(disk);
                if samples.iter().all(|sample| found.contains(sample)) {
                    return;
                }
            }
        };
        let kept = tokio::time::timeout(PATIENCE, kept).await;
        assert!(kept.is_ok(), "{samples:?}, after a crash {:?}", after_a_crash(disk));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_while_scraping_goes_on_and_forgotten_by_itself_once_there_is_room() {
    let disk = MemoryDisk::new();
    let mut scraping = Scraping::start(Arc::new(disk.clone())).await;
    disk.limit(Some(disk.used()));
    let failing = scraping.until(|state| *state != StorageState::Writing).await;
    let StorageState::Failing(why) = &failing else {
        panic!("{failing:?}");
    };
    assert!(why.contains("data/wal/") && why.contains("no storage space"), "{why}");
    // Commits do not wait for the disk, and queries see them.
    let samples = scraping.grow(5).await;
    assert!(samples.iter().all(|sample| sample.1 == 3.0), "{samples:?}");
    let still = scraping.state.borrow().clone();
    assert!(matches!(still, StorageState::Failing(_)), "{still:?}");
    disk.limit(None);
    scraping.until(|state| *state == StorageState::Writing).await;
    scraping.durable(&disk, &samples).await;
    scraping.store.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_everything_and_keeps_nothing_is_told_all_the_time() {
    let disk = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), Arc::new(SeededEntropy::new(1)));
    let mut scraping = Scraping::start(Arc::new(faulty.clone())).await;
    for _ in 0..10_000 {
        faulty.arm(Fault::FailedSync, 0);
    }
    let failing = scraping.until(|state| *state != StorageState::Writing).await;
    assert!(
        matches!(&failing, StorageState::Failing(why) if why.contains("cannot sync")),
        "{failing:?}"
    );
    let before = depth(&*scraping.store.tsdb.db()).len();
    while depth(&*scraping.store.tsdb.db()).len() < before + 10 {
        tokio::select! {
            () = async { scraping.commits.recv().await.map(drop).unwrap() } => {}
            changed = scraping.state.changed() => {
                changed.unwrap();
                let state = scraping.state.borrow_and_update().clone();
                assert!(matches!(state, StorageState::Failing(_)), "{state:?}, and nothing is durable");
            }
        }
    }
    let samples = depth(&*scraping.store.tsdb.db());
    faulty.lift();
    scraping.until(|state| *state == StorageState::Writing).await;
    scraping.durable(&disk, &samples).await;
    scraping.store.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_read_is_read_once_it_can_be_and_scraping_goes_on_meanwhile() {
    let disk = MemoryDisk::new();
    let mut scraping = Scraping::start(Arc::new(disk.clone())).await;
    let before = scraping.grow(2).await;
    scraping.store.end().await;
    let faulty = FaultyDisk::new(Arc::new(disk.clone()), Arc::new(SeededEntropy::new(1)));
    let tsdb = build(Arc::new(faulty.clone()));
    faulty.confine(Path::new("data/wal"));
    for _ in 0..1_000 {
        faulty.arm(Fault::Failure, 0);
    }
    let mut scraping = Scraping::begin(tsdb).await;
    let failing = scraping.until(|state| *state != StorageState::Replaying).await;
    assert!(
        matches!(&failing, StorageState::Failing(why) if why.contains("cannot be replayed") && why.contains("data/wal")),
        "{failing:?}"
    );
    for _ in 0..5 {
        scraping.committed().await;
    }
    let still = scraping.state.borrow().clone();
    assert!(matches!(still, StorageState::Failing(_)), "{still:?}");
    faulty.lift();
    scraping.until(|state| *state == StorageState::Writing).await;
    let samples = depth(&*scraping.store.tsdb.db());
    assert!(samples.len() >= before.len() + 5, "{before:?}, now {samples:?}");
    assert_eq!(samples[..before.len()], before);
    scraping.durable(&disk, &samples).await;
    scraping.store.end().await;
}
