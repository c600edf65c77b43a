//! Reading the log at the start.

use super::Db;
use crate::error::StorageError;
use crate::head::ReplayMonitor;
pub use crate::head::Replayed;
use parking_lot::Mutex;
use serde::Serialize;

/// How far a replay has come, in segments of the log (as `/api/v1/status/walreplay` shows it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReplayStatus {
    /// The first segment to read.
    pub min: u32,
    /// The last segment to read.
    pub max: u32,
    /// The segment that is being read.
    pub current: u32,
    /// Whether everything was read.
    pub done: bool,
}

/// Remembers how far it has come.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    status: ReplayStatus,
    failure: Option<String>,
    took_ms: i64,
    /// What was cut into blocks by attempts that failed behind it.
    cut: Replayed,
}

impl Progress {
    /// Why the log could not be read.
    pub(super) fn failure(&self) -> Option<String> {
        self.0.lock().failure.clone()
    }

    /// Keeps what was cut into blocks until an attempt succeeds.
    pub(super) fn keep_cut(&self, cut: Replayed) {
        self.0.lock().cut = cut;
    }

    /// What was kept by [`Self::keep_cut`].
    pub(super) fn take_cut(&self) -> Replayed {
        std::mem::take(&mut self.0.lock().cut)
    }

    /// How long it took, ms; 0 before it is done.
    pub(super) fn took_ms(&self) -> i64 {
        self.0.lock().took_ms
    }
}

impl ReplayMonitor for Progress {
    fn segment(&self, first: u32, current: u32, last: u32) {
        self.0.lock().status = ReplayStatus {
            min: first,
            max: last,
            current,
            done: false,
        };
    }
}

impl Db {
    /// Reads the log into the head; to be called from a thread that may block, until it succeeds: what fails leaves all as it
    /// was, but for damage that was cut off. Commits and queries may come in before it is done; a query whose window reaches into time that is not read yet is refused as unavailable.
    ///
    /// Where the log takes more memory than [`crate::Settings::replay_memory_bytes`], it is read in parts and cut into
    /// blocks, and the head begins empty; [`ReplayStatus`] tells of one part after the other then.
    ///
    /// Damage is cut off the log and named in [`Replayed::lost`].
    ///
    /// # Errors
    /// [`StorageError`]: the log cannot be read or repaired; [`Db::health`] tells until it is read. Or [`Db::close`] was called
    /// before it was read: then it is left as it is for the next start.
    pub fn replay(&self) -> Result<Replayed, StorageError> {
        // What works on blocks, and who closes the store, waits.
        let _work = self.work.lock();
        if self.is_closed() {
            return Err(StorageError::closing());
        }
        let began = self.clock.now();
        let replayed = self.read_log();
        let mut state = self.progress.0.lock();
        match &replayed {
            Ok(found) => {
                state.status.done = true;
                state.failure = None;
                state.took_ms = self.clock.now().saturating_sub(began);
                tracing::info!(
                    series = found.series,
                    samples = found.samples,
                    chunks = found.chunks,
                    ms = state.took_ms,
                    "write-ahead log replayed"
                );
            }
            Err(_) if self.is_closed() => {
                tracing::warn!(
                    "the store is closed before its log was read: exemplars and metadata that came meanwhile are lost"
                );
            }
            Err(error) => state.failure = Some(error.to_string()),
        }
        replayed
    }

    /// How far [`Self::replay`] has come.
    #[must_use]
    pub fn replay_status(&self) -> ReplayStatus {
        self.progress.0.lock().status
    }
}
