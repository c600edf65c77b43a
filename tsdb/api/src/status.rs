//! `/api/v1/status/<topic>`.

use crate::Api;
use crate::respond::{ApiError, success};
use axum::extract::{Path, State};
use axum::response::Response;
use leadline_model::Labels;
use leadline_model::metadata::Metadata;
use std::sync::Arc;

/// What the process tells about itself.
pub trait StatusSource: Send + Sync {
    /// One topic (`config`, `flags`, `runtimeinfo`, `buildinfo`, `tsdb`, `rules`, …) as JSON; `None` where there is no such
    /// topic.
    fn topic(&self, name: &str) -> Option<serde_json::Value>;

    /// Targets that relabelling dropped: job and discovered labels (bounded by the scraper).
    fn dropped_targets(&self) -> Vec<(Arc<str>, Labels)>;

    /// What is known about metrics besides their samples, by metric name.
    fn metadata(&self) -> Vec<(String, Metadata)>;
}

/// One topic.
pub(crate) async fn show(State(api): State<Api>, Path(topic): Path<String>) -> Result<Response, ApiError> {
    match api.status.topic(&topic) {
        Some(data) => Ok(success(&data.to_string(), &[], &[])),
        None => Err(ApiError::not_found(format!("no status topic {topic:?}"))),
    }
}
