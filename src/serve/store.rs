//! The store over HTTP: what its status shows, and what administrators do to it.

use leadline_api::StorageAdmin;
use leadline_model::{Matcher, Timestamp};
use leadline_storage::StorageError;
use leadline_storage::db::{Db, Stats};
use serde_json::{Value, json};
use std::sync::Arc;

/// `/api/v1/status/tsdb`: Prometheus' `headStats`, and all figures beside them.
pub(crate) fn status(db: &Db) -> Option<Value> {
    let stats = db.stats();
    let Stats { head, .. } = &stats;
    let head_stats = json!({
        "numSeries": head.series,
        "numLabelPairs": head.label_pairs,
        "chunkCount": head.chunks,
        "minTime": stats.min_time,
        "maxTime": stats.max_time,
    });
    Some(json!({ "headStats": head_stats, "storage": serde_json::to_value(&stats).ok()? }))
}

/// `/api/v1/status/walreplay` (`web/api/v1/api.go`, `serveWALReplayStatus`).
pub(crate) fn replay(db: &Db) -> Value {
    let status = db.replay_status();
    json!({ "min": status.min, "max": status.max, "current": status.current })
}

/// `/api/v1/admin/tsdb/*`.
pub(crate) struct Admin(pub(crate) Arc<Db>);

impl StorageAdmin for Admin {
    fn delete_series(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<(), String> {
        done(self.0.delete_series(matchers, mint, maxt))
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        done(self.0.clean_tombstones())
    }

    fn snapshot(&self, with_head: bool) -> Result<String, String> {
        done(self.0.snapshot(with_head))
    }
}

fn done<T>(result: Result<T, StorageError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}
