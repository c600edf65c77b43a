//! Discovery: which groups, versions and metrics there are. Static, in memory, never gated on data: if it failed, the
//! aggregator would mark the group stale and every HPA of the cluster on these metrics would stop.
//!
//! A version without any resource makes every client of the cluster log warnings ("Got empty response for …"), so a group
//! without rules lists one entry that has no verb, [`PLACEHOLDER`]; clients count it and show it nowhere.

use super::negotiate::{self, Discovery};
use super::route::{CUSTOM, CUSTOM_VERSIONS, EXTERNAL, EXTERNAL_VERSIONS, GROUPS, Group};
use super::{Adapter, status};
use crate::config::check::Describes;
use crate::error::ApiError;
use crate::registry::Rule;
use axum::response::Response;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The entry of a group without rules.
pub const PLACEHOLDER: &str = "unconfigured";
/// Metrics listed per group at most: ten thousand make kubectl slow. Those that are not listed answer all the same.
const LISTED: usize = 4000;

/// A resource that has metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Parent {
    namespaced: bool,
    singular: String,
    metrics: BTreeSet<String>,
}

/// The documents of the rules in force.
#[derive(Debug, Default)]
pub struct Documents {
    /// By resource. One scope each, always: a parent with both makes the aggregator refuse the whole version.
    custom: BTreeMap<String, Parent>,
    external: BTreeSet<String>,
    /// `APIGroupDiscoveryList` by version.
    aggregated: BTreeMap<&'static str, Document>,
}

/// A document and its hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// JSON.
    pub(crate) body: bytes::Bytes,
    /// Quoted.
    pub(crate) etag: String,
}

impl Document {
    pub(crate) fn of(document: &Value) -> Self {
        let body = document.to_string();
        let etag = format!("\"{:016X}\"", rapidhash::v3::rapidhash_v3(body.as_bytes()));
        Self {
            body: body.into(),
            etag,
        }
    }

    /// 304 where the caller has it already, else the document.
    pub(crate) fn answer(&self, headers: &HeaderMap, content_type: HeaderValue) -> Response {
        let asked = headers.get_all(IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
        let has = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag;
        let known = asked.flat_map(|v| v.split(',')).any(|tag| has(tag.trim()));
        let mut response = status::body(200, content_type, self.body.clone(), "public");
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = axum::body::Body::empty();
        }
        let headers = response.headers_mut();
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            headers.insert(ETAG, etag);
        }
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        response
    }
}

impl Documents {
    /// Of these rules. Those whose kind nobody knows yet are not listed: it says under which scope.
    #[must_use]
    pub fn of(rules: &[Arc<Rule>]) -> Self {
        let mut documents = Self::default();
        let mut listed = 0;
        for rule in rules {
            match &rule.describes {
                Describes::External if documents.external.len() < LISTED => {
                    documents.external.insert(rule.name().to_owned());
                }
                Describes::Objects(resource, Some(kind)) if listed < LISTED => {
                    let parent = documents.custom.entry(resource.clone()).or_default();
                    parent.namespaced = kind.namespaced;
                    parent.singular.clone_from(&kind.singular);
                    listed += usize::from(parent.metrics.insert(rule.name().to_owned()));
                }
                _ => {}
            }
        }
        for version in ["v2", "v2beta1"] {
            documents
                .aggregated
                .insert(version, Document::of(&documents.aggregated(version)));
        }
        documents
    }

    fn resources(&self, group: &Group) -> Vec<Value> {
        let resource = |name: String, namespaced: bool, kind: &str, verbs: &[&str]| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs});
        let mut list: Vec<Value> = Vec::new();
        if group.name == CUSTOM {
            for (parent, of) in &self.custom {
                let entry = |m: &String| resource(format!("{parent}/{m}"), of.namespaced, "MetricValueList", &["get"]);
                list.extend(of.metrics.iter().map(entry));
            }
            if list.is_empty() {
                list.push(resource(format!("metrics/{PLACEHOLDER}"), true, "MetricValueList", &[]));
            }
        } else {
            let entry = |m: &String| resource(m.clone(), true, "ExternalMetricValueList", &["get"]);
            list.extend(self.external.iter().map(entry));
            if list.is_empty() {
                list.push(resource(PLACEHOLDER.to_owned(), true, "ExternalMetricValueList", &[]));
            }
        }
        list
    }

    fn aggregated(&self, api_version: &str) -> Value {
        let group = |name: &str, versions: Vec<Value>| json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": versions});
        let version =
            |v: &str, resources: Vec<Value>| json!({"version": v, "resources": resources, "freshness": "Current"});
        let custom = CUSTOM_VERSIONS
            .iter()
            .map(|v| version(v, self.aggregated_custom(v)))
            .collect();
        let external = EXTERNAL_VERSIONS
            .iter()
            .map(|v| version(v, self.aggregated_external(v)))
            .collect();
        json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{api_version}"),
            "metadata": {},
            "items": [group(CUSTOM, custom), group(EXTERNAL, external)],
        })
    }

    /// Metrics are subresources of parents that are no resources themselves and so have no responseKind.
    fn aggregated_custom(&self, version: &str) -> Vec<Value> {
        let kind = json!({"group": CUSTOM, "version": version, "kind": "MetricValueList"});
        let parent = |name: &str, namespaced: bool, singular: &str, metrics: Vec<Value>| {
            let scope = if namespaced { "Namespaced" } else { "Cluster" };
            json!({"resource": name, "scope": scope, "singularResource": singular, "verbs": [], "subresources": metrics})
        };
        let metric = |m: &str, verbs: &[&str]| json!({"subresource": m, "responseKind": kind, "verbs": verbs});
        if self.custom.is_empty() {
            return vec![parent("metrics", true, "", vec![metric(PLACEHOLDER, &[])])];
        }
        let of = |(name, p): (&String, &Parent)| {
            parent(
                name,
                p.namespaced,
                &p.singular,
                p.metrics.iter().map(|m| metric(m, &["get"])).collect(),
            )
        };
        self.custom.iter().map(of).collect()
    }

    fn aggregated_external(&self, version: &str) -> Vec<Value> {
        let kind = json!({"group": EXTERNAL, "version": version, "kind": "ExternalMetricValueList"});
        let resource = |name: &str, verbs: &[&str]| json!({"resource": name, "responseKind": kind, "scope": "Namespaced", "singularResource": "", "verbs": verbs});
        if self.external.is_empty() {
            return vec![resource(PLACEHOLDER, &[])];
        }
        self.external.iter().map(|m| resource(m, &["get"])).collect()
    }
}

/// `/apis`: the group list, or everything at once where that is asked for.
pub(crate) fn groups(adapter: &Adapter, headers: &HeaderMap) -> Result<Response, ApiError> {
    match negotiate::discovery(headers)? {
        Discovery::Groups => {
            let groups: Vec<Value> = GROUPS.iter().map(group_document).collect();
            let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
            let mut response = status::json(&list);
            response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
            Ok(response)
        }
        Discovery::Aggregated(version) => {
            let content_type = match version {
                "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
            };
            let documents = adapter.registry.documents();
            let document = documents.aggregated.get(version).cloned().unwrap_or_default();
            Ok(document.answer(headers, HeaderValue::from_static(content_type)))
        }
    }
}

fn group_document(group: &Group) -> Value {
    let version = |v: &&str| json!({"groupVersion": format!("{}/{v}", group.name), "version": v});
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    json!({"name": group.name, "versions": versions, "preferredVersion": versions.first()})
}

/// `/apis/GROUP`.
pub(crate) fn group(group: &Group) -> Result<Response, ApiError> {
    let mut document = group_document(group);
    document["kind"] = json!("APIGroup");
    document["apiVersion"] = json!("v1");
    Ok(status::json(&document))
}

/// `/apis/GROUP/VERSION`.
pub(crate) fn resources(adapter: &Adapter, group: &Group, version: &str) -> Result<Response, ApiError> {
    Ok(status::json(&json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": format!("{}/{version}", group.name),
        "resources": adapter.registry.documents().resources(group),
    })))
}

/// `/`.
pub(crate) fn paths(_adapter: &Adapter) -> Value {
    let mut paths = vec!["/apis".to_owned()];
    for group in GROUPS {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|v| format!("/apis/{}/{v}", group.name)));
    }
    paths.extend(
        [
            "/healthz",
            "/livez",
            "/openapi/v2",
            "/openapi/v3",
            "/readyz",
            "/version",
        ]
        .map(str::to_owned),
    );
    json!({ "paths": paths })
}
