//! `/api/v1/status/runtimeinfo`: how the process runs, under the names that Prometheus gives it (`web/api/v1/api.go`,
//! `RuntimeInfo`). What Go alone has is told of what does its work here, or left empty.

use crate::app::Rooms;
use crate::reload::State;
use leadline_api::rfc3339;
use leadline_model::duration::Duration;
use leadline_scrape::ByteSize;
use serde_json::{Value, json};

/// The answer.
pub(crate) fn info(rooms: &Rooms, config: &State) -> Value {
    let folder = std::env::current_dir().map(|folder| folder.display().to_string());
    let tasks = tokio::runtime::Handle::try_current().map(|runtime| runtime.metrics().num_alive_tasks());
    let memory = crate::memory::allowed().and_then(|bytes| i64::try_from(bytes).ok());
    let db = rooms.tsdb.db();
    let (settings, stats) = (db.settings(), db.stats());
    json!({
        "startTime": rfc3339(rooms.started),
        "CWD": folder.unwrap_or_default(),
        "hostname": hostname(),
        "serverTime": rfc3339(rooms.clock.now()),
        "reloadConfigSuccess": config.error.is_none(),
        "lastConfigTime": rfc3339(config.applied),
        // Prometheus counts repairs of its log; here it is the blocks that are left out and the mapped chunks that were damaged.
        "corruptionCount": stats.blocks_unreadable + stats.head.mapped_damaged,
        "goroutineCount": tasks.unwrap_or_default(),
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
        "GOMEMLIMIT": memory.unwrap_or(i64::MAX),
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention(settings.retention_ms, settings.retention_bytes),
    })
}

/// The name of the machine, or of the pod.
pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// `1d or 10GB`; a limit of 0 bytes is none.
fn retention(ms: i64, bytes: u64) -> String {
    let time = Duration::from_millis(ms);
    match bytes {
        0 => time.to_string(),
        bytes => format!("{time} or {}", ByteSize(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::retention;

    #[test]
    fn the_retention_is_told_by_time_and_where_there_is_one_by_size() {
        assert_eq!(retention(86_400_000, 0), "1d");
        assert_eq!(retention(5_400_000, 10 << 30), "1h30m or 10GB");
    }
}
