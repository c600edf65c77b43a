//! The store over HTTP: what its status shows, and what administrators do to it.

use leadline_api::StorageAdmin;
use leadline_model::{Matcher, Timestamp};
use leadline_storage::StorageError;
use leadline_storage::db::Db;
use serde_json::{Value, json};
use std::sync::Arc;

/// `/api/v1/status/tsdb`: what Prometheus tells of its head (`web/api/v1/api.go`, `serveTSDBStatus`), the `limit` largest of
/// each list, and all figures beside it.
pub(crate) fn status(db: &Db, limit: usize) -> Option<Value> {
    let stats = db.stats();
    let (head, span) = (&stats.head, (db.head().min_time(), db.head().max_time()));
    let top = db.head().cardinality(limit);
    Some(json!({
        "headStats": {
            "numSeries": head.series,
            "numLabelPairs": head.label_pairs,
            "chunkCount": head.chunks,
            "minTime": span.0.unwrap_or(Timestamp::MAX),
            "maxTime": span.1.unwrap_or(Timestamp::MIN),
        },
        "seriesCountByMetricName": list(&top.series_by_metric),
        "labelValueCountByLabelName": list(&top.values_by_name),
        "memoryInBytesByLabelName": list(&top.bytes_by_name),
        "seriesCountByLabelValuePair": list(&top.series_by_pair),
        "storage": serde_json::to_value(&stats).ok()?,
    }))
}

fn list(top: &[(String, u64)]) -> Value {
    let row = |(name, value): &(String, u64)| json!({ "name": name, "value": value });
    Value::Array(top.iter().map(row).collect())
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
