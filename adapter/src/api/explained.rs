//! `/explain/…`: how the answer to a metric's path comes about. Access is that to the metric.

use super::route::{ParsedQuery, Route};
use super::{Adapter, status};
use crate::error::ApiError;
use crate::explain::{Subject, explain};
use axum::response::Response;

pub(crate) async fn answer(adapter: &Adapter, route: &Route, query: &ParsedQuery) -> Result<Response, ApiError> {
    if let Some(fault) = &query.fault {
        return Err(ApiError::bad_request(format!("invalid query: {fault}")));
    }
    let label_selector = query.label_selector.as_deref().unwrap_or("");
    let metric_selector = query.metric_label_selector.as_deref().unwrap_or("");
    let subject = match route {
        Route::Custom(path) => Subject {
            namespace: path.namespace.as_deref(),
            resource: &path.resource,
            name: &path.name,
            metric: &path.metric,
            label_selector,
            metric_selector,
        },
        Route::External(path) => Subject {
            namespace: Some(&path.namespace),
            resource: "external",
            name: "*",
            metric: &path.metric,
            // As for the metric itself, which knows no other.
            label_selector,
            metric_selector: "",
        },
        _ => return Err(ApiError::not_found("only metrics can be explained")),
    };
    let explanation = explain(adapter, &subject).await?;
    let body = serde_json::to_string(&explanation).map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(status::json_bytes(body))
}
