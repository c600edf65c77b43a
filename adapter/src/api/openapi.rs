//! OpenAPI documents: valid and minimal. Their absence makes older API servers log an error a minute.

use super::discovery::Document;
use super::negotiate;
use super::route::{CUSTOM, GROUPS, Group, OpenApi};
use super::{Adapter, status};
use crate::error::ApiError;
use axum::response::Response;
use http::HeaderMap;
use serde_json::{Map, Value, json};

/// The document, or 304.
pub(crate) fn answer(adapter: &Adapter, which: &OpenApi, headers: &HeaderMap) -> Result<Response, ApiError> {
    negotiate::json(headers)?;
    let document = match which {
        OpenApi::V2 => v2(adapter.version),
        OpenApi::V3Index => index(adapter.version),
        OpenApi::V3(group, version) => v3(group, version, adapter.version),
    };
    Ok(Document::of(&document).answer(headers, status::JSON))
}

fn v2(version: &str) -> Value {
    let mut paths = Map::new();
    for group in GROUPS {
        for v in group.versions {
            let responses = json!({"200": {"description": "OK"}, "401": {"description": "Unauthorized"}});
            let operation = json!({
                "description": "get available resources",
                "operationId": operation_id(&group, v),
                "produces": ["application/json"],
                "schemes": ["https"],
                "responses": responses,
            });
            paths.insert(format!("/apis/{}/{v}/", group.name), json!({ "get": operation }));
        }
    }
    json!({"swagger": "2.0", "info": {"title": "leadline", "version": version}, "paths": paths, "definitions": {}})
}

/// Where each version's document is; the hash changes with the document, so that it is fetched again then.
fn index(version: &str) -> Value {
    let mut paths = Map::new();
    for group in GROUPS {
        for v in group.versions {
            let etag = Document::of(&v3(&group, v, version)).etag;
            let url = format!("/openapi/v3/apis/{}/{v}?hash={}", group.name, etag.trim_matches('"'));
            paths.insert(format!("apis/{}/{v}", group.name), json!({ "serverRelativeURL": url }));
        }
    }
    json!({ "paths": paths })
}

fn v3(group: &Group, version: &str, program: &str) -> Value {
    let operation = json!({
        "description": "get available resources",
        "operationId": operation_id(group, version),
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
    });
    let path = format!("/apis/{}/{version}/", group.name);
    json!({
        "openapi": "3.0.0",
        "info": {"title": "leadline", "version": program},
        "paths": {path: {"get": operation}},
        "components": {},
    })
}

fn operation_id(group: &Group, version: &str) -> String {
    let name = if group.name == CUSTOM {
        "CustomMetrics"
    } else {
        "ExternalMetrics"
    };
    let mut version = version.to_owned();
    if let Some(first) = version.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("get{name}{version}APIResources")
}
