//! A database that runs on a disk of the test's.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
use leadline_model::clock::SystemClock;
use leadline_model::entropy::SystemEntropy;
use leadline_storage::disk::Disk;
use leadline_tsdb::{Parts, PodSource, Settings, Tsdb};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that the end may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database whose directory is `data` on `disk`. Nothing runs yet, and nothing is scraped.
pub(crate) fn build(storage: leadline_storage::Settings, disk: Arc<dyn Disk>) -> Arc<Tsdb> {
    Tsdb::build(Parts {
        settings: Settings {
            storage,
            ..Settings::default()
        },
        disk,
        path: PathBuf::from("data"),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        pods: PodSource::None,
    })
    .unwrap()
}

/// A database, and the task that runs it.
pub(crate) struct Running {
    pub(crate) tsdb: Arc<Tsdb>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Runs one.
    pub(crate) fn start(tsdb: Arc<Tsdb>) -> Self {
        let cancel = CancellationToken::new();
        let task = tokio::spawn({
            let (tsdb, cancel) = (Arc::clone(&tsdb), cancel.clone());
            async move { tsdb.run(cancel).await }
        });
        Self { tsdb, cancel, task }
    }

    /// Stops it and waits until it has.
    pub(crate) async fn end(self) {
        self.cancel.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}
