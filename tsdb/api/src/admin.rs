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
    blocking(move || delete_all(&*admin, &wanted, mint, maxt).map_err(ApiError::internal)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Deletes by each of the selectors; one by which it cannot be done does not keep the rest from it.
fn delete_all(
    admin: &dyn StorageAdmin,
    wanted: &[Vec<Matcher>],
    mint: Timestamp,
    maxt: Timestamp,
) -> Result<(), String> {
    let tried = wanted.iter().map(|matchers| admin.delete_series(matchers, mint, maxt));
    let mut failures: Vec<String> = tried.filter_map(Result::err).collect();
    // Mostly the same block each time.
    failures.dedup();
    match failures.is_empty() {
        true => Ok(()),
        false => Err(failures.join("; ")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// Notes by what it was asked to delete, and cannot delete "damaged".
    #[derive(Default)]
    struct Noting(Mutex<Vec<String>>);

    impl StorageAdmin for Noting {
        fn delete_series(&self, matchers: &[Matcher], _: Timestamp, _: Timestamp) -> Result<(), String> {
            let value = matchers[0].value().to_owned();
            let done = (value != "damaged").then_some(()).ok_or_else(|| format!("no {value}"));
            self.0.lock().push(value);
            done
        }

        fn clean_tombstones(&self) -> Result<(), String> {
            Ok(())
        }

        fn snapshot(&self, _: bool) -> Result<String, String> {
            Ok(String::new())
        }
    }

    #[test]
    fn a_selector_by_which_nothing_can_be_deleted_does_not_keep_the_others_from_it() {
        let wanted = ["a", "damaged", "damaged", "b"].map(|name| vec![Matcher::equal("__name__", name)]);
        let noting = Noting::default();
        let deleted = delete_all(&noting, &wanted, 0, 1);
        assert_eq!(deleted, Err("no damaged".to_owned()));
        assert_eq!(*noting.0.lock(), ["a", "damaged", "damaged", "b"]);
    }
}
