//! The Prometheus HTTP API (`/api/v1/…`) as an axum router. One file per resource; no socket is bound here.
//!
//! Answers have the framing of Prometheus' `web/api/v1/api.go`: `{"status":"success","data":…}` with `warnings` and
//! `infos` where there are any, and `{"status":"error","errorType":…,"error":…}` with the status codes that API uses.

mod admin;
mod answer;
mod asker;
mod compress;
mod cors;
mod exemplars;
mod explain;
mod histogram;
mod labels;
mod listed;
mod metadata;
mod number;
mod params;
mod plain;
mod query;
mod respond;
mod route;
mod selectors;
mod series;
mod smallest;
mod status;
mod targets;
mod time;
mod times;
mod tree;

pub use admin::StorageAdmin;
pub use cors::Origins;
pub use number::{push_float, push_timestamp, rfc3339};
pub use route::Route;
pub use status::StatusSource;

use axum::{Router, middleware};
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
    /// Whose pages a browser lets read the answers.
    pub origins: Origins,
}

/// What is served below `/api/v1`.
#[must_use]
pub fn routes() -> Vec<Route<Api>> {
    vec![
        Route::ask("/api/v1/query", query::instant),
        Route::ask("/api/v1/query_range", query::range),
        Route::ask("/api/v1/explain", explain::query),
        Route::ask("/api/v1/query_exemplars", exemplars::find),
        Route::ask("/api/v1/format_query", tree::format),
        Route::ask("/api/v1/parse_query", tree::parse),
        Route::ask("/api/v1/labels", labels::names),
        Route::read("/api/v1/label/{name}/values", labels::values),
        Route::ask("/api/v1/series", series::find),
        Route::read("/api/v1/metadata", metadata::list),
        Route::read("/api/v1/targets", targets::list),
        Route::read("/api/v1/targets/metadata", metadata::of_targets),
        Route::read("/api/v1/status/{topic}", status::show),
        Route::act("/api/v1/admin/tsdb/delete_series", admin::delete_series),
        Route::act("/api/v1/admin/tsdb/clean_tombstones", admin::clean_tombstones),
        Route::act("/api/v1/admin/tsdb/snapshot", admin::snapshot),
    ]
}

/// A router of [`routes`], which tells in the API's words what it does not have, compresses for who takes that and tells browsers
/// whose pages may read.
pub fn router(api: Api) -> Router {
    let origins = api.origins.clone();
    Route::router(routes())
        .route_layer(middleware::from_fn_with_state(origins.clone(), cors::mark))
        .fallback(respond::not_found)
        .method_not_allowed_fallback(respond::method_not_allowed)
        .layer(middleware::from_fn_with_state(origins, cors::preflight))
        .layer(middleware::from_fn(compress::answers))
        .with_state(api)
}
