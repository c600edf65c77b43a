//! The store as the process sees it: its settings from flags and file, its readiness, and how reading its log goes.

use crate::ready::{Condition, Ready};
use leadline_storage::Settings;
use leadline_storage::db::ReplayStatus;
use leadline_tsdb::config::Storage;
use leadline_tsdb::{StorageState, Tsdb};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where the store is and what was chosen about it by flags.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Its directory.
    pub path: PathBuf,
    /// Its settings, as far as flags say.
    pub settings: Settings,
}

impl Options {
    /// The settings with what the configuration file says, which goes before flags.
    pub(crate) fn settings(&self, file: &Storage) -> Settings {
        let flags = self.settings.clone();
        let exemplars = file.max_exemplars().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Settings {
            out_of_order_window_ms: file.out_of_order_window_ms(),
            max_exemplars: exemplars.unwrap_or(flags.max_exemplars),
            retention_ms: file.retention_ms().unwrap_or(flags.retention_ms),
            retention_bytes: file.retention_bytes().unwrap_or(flags.retention_bytes),
            // A share of 0 is no share, but never.
            stale_percent: file.stale_percent().unwrap_or(flags.stale_percent).max(1),
            stale_after_ms: if file.stale_percent() == Some(0) {
                0
            } else {
                flags.stale_after_ms
            },
            ..flags
        }
    }
}

/// The condition of readiness that a state of the store is.
pub(crate) fn condition(state: &StorageState) -> Condition {
    match state {
        StorageState::Writing => Condition::Met,
        StorageState::Replaying => Condition::Waiting("the write-ahead log is being read".to_owned()),
        StorageState::Failing(why) => {
            Condition::Waiting(format!("samples cannot be written, or not be cut into blocks: {why}"))
        }
        StorageState::Broken(why) => Condition::Waiting(format!("the write-ahead log cannot be read: {why}")),
    }
}

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Looks between two lines of the log, where there is no terminal.
const LOOKS_A_LINE: u32 = 25;
/// Characters of the bar.
const WIDTH: usize = 30;

/// Keeps the condition `storage` as the store is, and tells how reading its log goes: a bar on a terminal, else a line now
/// and then.
pub(crate) async fn follow(tsdb: Arc<Tsdb>, ready: Ready, stop: CancellationToken) {
    let mut state = tsdb.storage_state();
    let mut progress = Progress::default();
    loop {
        let now = state.borrow_and_update().clone();
        ready.set("storage", condition(&now));
        let replaying = now == StorageState::Replaying;
        let status = tsdb.db().replay_status();
        if replaying && !status.done {
            progress.show(status);
        } else {
            progress.end();
        }
        let look = async {
            match replaying {
                true => tokio::time::sleep(LOOK).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return progress.end(),
            () = look => {}
            changed = state.changed() => {
                if changed.is_err() {
                    return stop.cancelled().await;
                }
            }
        }
    }
}

/// What was shown of a replay.
#[derive(Debug, Default)]
struct Progress {
    looks: u32,
    drawn: bool,
}

impl Progress {
    fn show(&mut self, status: ReplayStatus) {
        self.looks += 1;
        // The first look is too early to tell anything.
        if self.looks == 1 {
            return;
        }
        if std::io::stderr().is_terminal() {
            self.drawn = true;
            draw(&format!("\r{}", bar(status)));
        } else if self.looks.is_multiple_of(LOOKS_A_LINE) {
            let ReplayStatus { current, max, .. } = status;
            tracing::info!(segment = current, last = max, "reading the write-ahead log");
        }
    }

    /// Wipes the bar away.
    fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            draw("\r\u{1b}[2K");
        }
    }
}

/// A terminal that is gone is no reason to stop.
fn draw(text: &str) {
    let mut terminal = std::io::stderr().lock();
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

/// `reading the write-ahead log [#####.....]  50 % (segment 5 of 3 to 6)`.
fn bar(status: ReplayStatus) -> String {
    let ReplayStatus { min, max, current, .. } = status;
    let (read, all) = (
        current.saturating_sub(min) as usize,
        max.saturating_sub(min) as usize + 1,
    );
    let full = (WIDTH * read / all).min(WIDTH);
    format!(
        "reading the write-ahead log [{}{}] {:3} % (segment {current} of {min} to {max})",
        "#".repeat(full),
        ".".repeat(WIDTH - full),
        100 * read / all
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_goes_before_flags() {
        let options = Options {
            path: PathBuf::from("data"),
            settings: Settings {
                retention_ms: 5,
                retention_bytes: 6,
                ..Settings::default()
            },
        };
        let of = |text: &str| options.settings(&leadline_tsdb::config::parse_yaml(text, "l.yml").unwrap());
        let flags = of("{}");
        assert_eq!(
            (flags.retention_ms, flags.retention_bytes, flags.max_exemplars),
            (5, 6, 100_000)
        );
        let file = of(
            "tsdb: {retention: {time: 1h, size: 1KB}, out_of_order_time_window: 30s}\nexemplars: {max_exemplars: 0}\n",
        );
        assert_eq!((file.retention_ms, file.retention_bytes), (3_600_000, 1024));
        assert_eq!((file.out_of_order_window_ms, file.max_exemplars), (30_000, 0));
        let known = options.settings.stale_after_ms;
        for (text, percent, after) in [("{}", 5, known), ("0.2", 20, known), ("0", 1, 0)] {
            let text = match text {
                "{}" => text.to_owned(),
                share => format!("tsdb: {{stale_series_compaction_threshold: {share}}}"),
            };
            let settings = of(&text);
            assert_eq!(
                (settings.stale_percent, settings.stale_after_ms),
                (percent, after),
                "{text}"
            );
            settings.validate().unwrap();
        }
    }

    #[test]
    fn only_a_store_that_writes_is_ready() {
        assert_eq!(condition(&StorageState::Writing), Condition::Met);
        for state in [
            StorageState::Replaying,
            StorageState::Failing("full".to_owned()),
            StorageState::Broken("why".to_owned()),
        ] {
            assert!(matches!(condition(&state), Condition::Waiting(_)), "{state:?}");
        }
    }

    #[test]
    fn the_bar_grows_with_the_segments() {
        let shown = |current| {
            bar(ReplayStatus {
                min: 3,
                max: 6,
                current,
                done: false,
            })
        };
        assert!(
            shown(3).contains("[..............................]   0 % (segment 3 of 3 to 6)"),
            "{}",
            shown(3)
        );
        assert!(
            shown(5).contains("[###############...............]  50 %"),
            "{}",
            shown(5)
        );
    }
}
