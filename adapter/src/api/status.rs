//! Answers in JSON, and errors as `metav1.Status`.

use crate::auth::authorize::{Attributes, Target};
use crate::error::{About, ApiError, Kind};
use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use serde_json::{Value, json};

/// `application/json`.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response with a body.
pub fn body(code: u16, content_type: HeaderValue, body: impl Into<Body>, cache: &'static str) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// 200 with a document.
pub fn json(document: &Value) -> Response {
    body(200, JSON, document.to_string(), PRIVATE)
}

/// 200 with a document that is written already.
pub fn json_bytes(document: impl Into<Body>) -> Response {
    body(200, JSON, document, PRIVATE)
}

/// Not to be kept by anybody in between.
pub const PRIVATE: &str = "no-cache, private";

/// An error as the HPA and kubectl read it.
pub fn response(error: &ApiError) -> Response {
    let mut status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "reason": error.kind.to_string(),
        "code": error.kind.code(),
    });
    if let Some(About { name, group, kind }) = &error.about {
        let fields = [("name", name), ("group", group), ("kind", kind)];
        status["details"] = fields
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (k, json!(v)))
            .collect();
    }
    let mut response = body(error.kind.code(), JSON, status.to_string(), PRIVATE);
    let mut header = |name: HeaderName, value: &'static str| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    match error.kind {
        Kind::TooManyRequests => header(RETRY_AFTER, "1"),
        Kind::MethodNotAllowed => header(http::header::ALLOW, "GET, HEAD"),
        _ => {}
    }
    response
}

/// 403 in Kubernetes' words (`endpoints/handlers/responsewriters/errors.go`).
pub fn forbidden(user: &str, attributes: &Attributes, reason: &str) -> ApiError {
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let verb = attributes.verb;
    match &attributes.target {
        Target::Path(path) => {
            let message = format!("forbidden: User {user:?} cannot {verb} path {path:?}{because}");
            ApiError::new(Kind::Forbidden, message).about(About::default())
        }
        Target::Resource {
            group,
            resource,
            subresource,
            namespace,
            name,
            ..
        } => {
            let what = if subresource.is_empty() {
                resource.clone()
            } else {
                format!("{resource}/{subresource}")
            };
            let named = if name.is_empty() {
                String::new()
            } else {
                format!(" {name:?}")
            };
            let place = if namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {namespace:?}")
            };
            let message = format!(
                "{resource}.{group}{named} is forbidden: User {user:?} cannot {verb} resource {what:?} in API group \
                 {group:?} {place}{because}"
            );
            let about = About {
                name: name.clone(),
                group: group.clone(),
                kind: resource.clone(),
            };
            ApiError::new(Kind::Forbidden, message).about(about)
        }
    }
}
