//! Reloading the configuration: validate all, then apply all. A broken file changes nothing.

use crate::app::{Rooms, log_problems};
use crate::config::{Config, Errors};
use crate::storage::Options;
use leadline_model::Timestamp;
use leadline_storage::{Settings, SettingsError};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// Reloads, one at a time, and what came of the last.
pub(crate) struct Reloads {
    rooms: Arc<Rooms>,
    file: PathBuf,
    /// The file's content when it was read at the start.
    read: Vec<u8>,
    /// What flags say about the store.
    storage: Options,
    state: Mutex<State>,
    /// Held while one is under way.
    turn: tokio::sync::Mutex<()>,
}

/// What is in force, and how the last attempt went.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The text of the configuration in force, secrets hidden.
    pub text: String,
    /// When it was applied, ms.
    pub applied: Timestamp,
    /// Why the last attempt was refused; `None` when it succeeded.
    pub error: Option<String>,
}

impl Reloads {
    /// Reloads of `file`, whose configuration `config` is in force over what flags say of the store.
    pub(crate) fn new(rooms: Arc<Rooms>, file: PathBuf, config: Config, storage: Options) -> Arc<Self> {
        let state = State {
            text: config.shown(),
            applied: rooms.clock.now(),
            error: None,
        };
        let read = config.text.into_bytes();
        Arc::new(Self {
            rooms,
            file,
            read,
            storage,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// What is in force.
    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// Puts in force what may change of the store while it runs, which was checked; the retention may not, since rules were
    /// checked against it.
    fn adjust(&self, wanted: &Settings) {
        let db = self.rooms.tsdb.db();
        if let Err(error) = db.adjust(wanted.out_of_order_window_ms, wanted.max_exemplars) {
            tracing::error!(%error, "the store keeps its settings");
        }
        let kept = db.settings();
        if (wanted.retention_ms, wanted.retention_bytes) != (kept.retention_ms, kept.retention_bytes) {
            tracing::warn!("storage.tsdb.retention has changed, which takes effect at the next start");
        }
        if (wanted.stale_percent, wanted.stale_after_ms) != (kept.stale_percent, kept.stale_after_ms) {
            tracing::warn!(
                "storage.tsdb.stale_series_compaction_threshold has changed, which takes effect at the next start"
            );
        }
    }

    /// Reads the file and puts it in force.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub(crate) async fn reload(&self, why: &'static str) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let result = self.attempt();
        let mut state = self.state.lock();
        match result {
            Ok(text) => {
                tracing::info!(why, file = %self.file.display(), "configuration reloaded");
                *state = State {
                    text,
                    applied: self.rooms.clock.now(),
                    error: None,
                };
                Ok(())
            }
            Err(error) => {
                tracing::error!(
                    why,
                    error,
                    "configuration not reloaded, the last good one stays in force"
                );
                state.error = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Validates everything, then applies everything; gives the text to show.
    fn attempt(&self) -> Result<String, String> {
        let config = Config::load(&self.file).map_err(|e: Errors| e.to_string())?;
        let storage = self.storage.settings(&config.storage);
        check(self.rooms.tsdb.db().settings(), &storage).map_err(|e| e.to_string())?;
        let query_log = self.rooms.tsdb.query_log().open(config.query_log.as_deref());
        let query_log = query_log.map_err(|e| e.to_string())?;
        // The last that can fail: jobs are checked as a whole before any is changed, and of rules a bad one disables itself.
        self.rooms
            .tsdb
            .apply(config.evaluation_interval, config.scrape.clone())
            .map_err(|e| e.to_string())?;
        self.adjust(&storage);
        self.rooms.tsdb.engine().set_cost_limits(config.cost);
        query_log.apply();
        self.rooms.scaler.apply(config.scaler.clone());
        log_problems(&config.file, &self.rooms.adapter.registry.apply(&config.autoscaling));
        Ok(config.shown())
    }

    /// Reloads on SIGHUP and when the file changes, until `stop`.
    pub(crate) async fn run(self: Arc<Self>, mut hangup: Signal, stop: CancellationToken) {
        let (changed, mut changes) = tokio::sync::watch::channel(0);
        let follow = leadline_tsdb::reload::follow(vec![(self.file.clone(), self.read.clone())], changed, stop.clone());
        let work = async {
            loop {
                let why = tokio::select! {
                    _ = hangup.recv() => "SIGHUP",
                    changed = changes.changed() => {
                        if changed.is_err() {
                            return std::future::pending().await;
                        }
                        "the file changed"
                    }
                };
                // The error has been logged and is shown in the status; there is nobody else to tell.
                let _ = self.reload(why).await;
            }
        };
        tokio::select! { () = stop.cancelled() => {}, ((), ()) = async { tokio::join!(follow, work) } => {} }
    }
}

/// Checks what may change of a running store's settings.
fn check(kept: &Settings, wanted: &Settings) -> Result<(), SettingsError> {
    let settings = Settings {
        out_of_order_window_ms: wanted.out_of_order_window_ms,
        max_exemplars: wanted.max_exemplars,
        ..kept.clone()
    };
    settings.validate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_of_a_running_store_is_checked_and_nothing_else_is() {
        let kept = Settings::default();
        let wanted = Settings {
            out_of_order_window_ms: 1_000,
            retention_ms: -1,
            ..kept.clone()
        };
        assert!(check(&kept, &wanted).is_ok(), "the retention is not put in force");
        let wrong = Settings {
            out_of_order_window_ms: -1,
            ..wanted
        };
        let error = check(&kept, &wrong).unwrap_err().to_string();
        assert!(error.contains("out_of_order_window_ms"), "{error}");
    }
}
