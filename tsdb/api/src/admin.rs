//! `/api/v1/admin/tsdb/…`: what changes the store. Off unless the process was told to serve it.

use crate::params::Params;
use crate::respond::{ApiError, blocking, push_text, success};
use crate::{Api, selectors};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use leadline_model::{Matcher, Timestamp};
use std::sync::Arc;

/// What an administrator can do to the store. Every call may take long, and blocks.
pub trait StorageAdmin: Send + Sync {
    /// Deletes the samples with `mint <= t <= maxt` (ms) of the series that fulfil all matchers.
    ///
    /// # Errors
    /// Why it could not be done.
    fn delete_series(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<(), String>;

    /// Takes what was deleted off the disk.
    ///
    /// # Errors
    /// Why it could not be done.
    fn clean_tombstones(&self) -> Result<(), String>;

    /// Copies the store, with or without its newest samples; returns the copy's name below `snapshots/`.
    ///
    /// # Errors
    /// Why it could not be done.
    fn snapshot(&self, with_head: bool) -> Result<String, String>;
}

/// Deletes series.
pub(crate) async fn delete_series(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let admin = enabled(&api)?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let (mint, maxt) = selectors::times(&params)?;
    let features = api.engine.settings().features;
    let read = api.engine.read("reading of match[]", move |reading| {
        selectors::parse(&params, features, reading, selectors::NAMED)
    });
    // Nothing is deleted before all of them are known to be good.
    let wanted = read.await?;
    blocking(move || {
        let mut wanted = wanted.iter();
        let deleted = wanted.try_for_each(|matchers| admin.delete_series(matchers, mint, maxt));
        deleted.map_err(ApiError::internal)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes what was deleted off the disk.
pub(crate) async fn clean_tombstones(State(api): State<Api>) -> Result<Response, ApiError> {
    let admin = enabled(&api)?;
    blocking(move || admin.clean_tombstones().map_err(ApiError::internal)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Copies the store.
pub(crate) async fn snapshot(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let admin = enabled(&api)?;
    let skip_head = match params.get("skip_head") {
        None => false,
        Some(text) => boolean(text).ok_or_else(|| {
            ApiError::parameter(
                "skip_head",
                format!("unable to parse boolean \"skip_head\" argument: {text:?}"),
            )
        })?,
    };
    let name = blocking(move || admin.snapshot(!skip_head).map_err(ApiError::internal)).await?;
    let mut data = String::from(r#"{"name":"#);
    push_text(&mut data, &name);
    data.push('}');
    Ok(success(data, &[], &[]))
}

fn enabled(api: &Api) -> Result<Arc<dyn StorageAdmin>, ApiError> {
    api.admin
        .clone()
        .ok_or_else(|| ApiError::unavailable("admin APIs disabled"))
}

/// Go's `strconv.ParseBool`, which reads this parameter upstream.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
