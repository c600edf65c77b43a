//! `/api/v1/status/<topic>`.

use crate::Api;
use crate::params::Params;
use crate::respond::{ApiError, blocking, success};
use axum::extract::{Path, State};
use axum::response::Response;
use leadline_model::Labels;
use std::sync::Arc;

/// What the process tells about itself.
pub trait StatusSource: Send + Sync {
    /// One topic (`config`, `flags`, `runtimeinfo`, `buildinfo`, `rules`, …) as JSON; `None` where there is no such topic.
    fn topic(&self, name: &str) -> Option<serde_json::Value>;

    /// The topic `tsdb`, each of its lists with the `limit` largest; `None` where there is no store.
    fn tsdb(&self, limit: usize) -> Option<serde_json::Value>;

    /// Targets that relabelling dropped: job and discovered labels (bounded by the scraper).
    fn dropped_targets(&self) -> Vec<(Arc<str>, Labels)>;
}

/// The entries of each list of `tsdb` where nothing is asked for, and the most that may be (`web/api/v1/api.go`,
/// `serveTSDBStatus`).
const LIST: usize = 10;
const MOST_LIST: usize = 10_000;

/// One topic.
pub(crate) async fn show(
    State(api): State<Api>,
    Path(topic): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let data = match topic.as_str() {
        "tsdb" => {
            let (status, limit) = (Arc::clone(&api.status), list_limit(&params)?);
            blocking(move || Ok::<_, ApiError>(status.tsdb(limit))).await?
        }
        topic => api.status.topic(topic),
    };
    match data {
        Some(data) => Ok(success(data.to_string(), &[], &[])),
        None => Err(ApiError::not_found(format!("no status topic {topic:?}"))),
    }
}

fn list_limit(params: &Params) -> Result<usize, ApiError> {
    let Some(text) = params.get("limit") else {
        return Ok(LIST);
    };
    match text.parse() {
        Ok(limit) if (1..=MOST_LIST).contains(&limit) => Ok(limit),
        Ok(limit) if limit > MOST_LIST => Err(ApiError::bad_data(format!("limit must not exceed {MOST_LIST}"))),
        _ => Err(ApiError::bad_data("limit must be a positive number")),
    }
}
