//! The Prometheus HTTP API (`/api/v1/…`) as an axum router. One file per resource; no socket is bound here.
//!
//! Answers have the framing of Prometheus' `web/api/v1/api.go`: `{"status":"success","data":…}` with `warnings` and
//! `infos` where there are any, and `{"status":"error","errorType":…,"error":…}` with the status codes that API uses.

mod admin;
mod answer;
mod exemplars;
mod explain;
mod histogram;
mod labels;
mod metadata;
mod number;
mod params;
mod query;
mod respond;
mod selectors;
mod series;
mod status;
mod targets;
mod times;
mod tree;

pub use admin::StorageAdmin;
pub use number::{push_float, push_timestamp};
pub use status::StatusSource;

use axum::Router;
use axum::routing::{get, post};
use leadline_model::Clock;
use leadline_model::port::Queryable;
use leadline_model::target::Board;
use leadline_promql::engine::Engine;
use std::sync::Arc;

/// What the API reads from.
#[derive(Clone)]
pub struct Api {
    /// Evaluates expressions.
    pub engine: Arc<Engine>,
    /// Labels and series.
    pub queryable: Arc<dyn Queryable>,
    /// Targets.
    pub board: Arc<Board>,
    /// The time an instant query without `time` is asked at.
    pub clock: Arc<dyn Clock>,
    /// What `/api/v1/status/*` and dropped targets are told from.
    pub status: Arc<dyn StatusSource>,
    /// What `/api/v1/admin/tsdb/*` acts on; absent, these answer that they are off.
    pub admin: Option<Arc<dyn StorageAdmin>>,
}

/// The routes below `/api/v1`.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/explain", get(explain::query).post(explain::query))
        .route("/api/v1/query_exemplars", get(exemplars::find).post(exemplars::find))
        .route("/api/v1/format_query", get(tree::format).post(tree::format))
        .route("/api/v1/parse_query", get(tree::parse).post(tree::parse))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/series", get(series::find).post(series::find))
        .route("/api/v1/metadata", get(metadata::list))
        .route("/api/v1/targets", get(targets::list))
        .route("/api/v1/targets/metadata", get(metadata::of_targets))
        .route("/api/v1/status/{topic}", get(status::show))
        .route(
            "/api/v1/admin/tsdb/delete_series",
            post(admin::delete_series).put(admin::delete_series),
        )
        .route(
            "/api/v1/admin/tsdb/clean_tombstones",
            post(admin::clean_tombstones).put(admin::clean_tombstones),
        )
        .route(
            "/api/v1/admin/tsdb/snapshot",
            post(admin::snapshot).put(admin::snapshot),
        )
        .fallback(respond::not_found)
        .method_not_allowed_fallback(respond::method_not_allowed)
        .with_state(api)
}
