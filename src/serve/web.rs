//! The web listener's routes: Prometheus' HTTP API, explain, our metrics, health and reload. No authentication: it listens
//! on loopback unless told otherwise.

use crate::app::Rooms;
use crate::ready::Condition;
use crate::reload::Reloads;
use crate::serve::store::Admin;
use crate::serve::{page, runtime, store};
use crate::telemetry::metrics::Page;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use leadline_adapter::api::negotiate;
use leadline_adapter::explain::{Subject, explain};
use leadline_api::{Api, Route, StatusSource, StorageAdmin};
use leadline_cluster::WatchReport;
use leadline_model::Labels;
use leadline_scaler::TriggerStatus;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Clone)]
struct Web {
    rooms: Arc<Rooms>,
    reloads: Arc<Reloads>,
}

/// All routes.
pub(crate) fn router(rooms: &Arc<Rooms>, reloads: &Arc<Reloads>) -> Router {
    let web = Web {
        rooms: Arc::clone(rooms),
        reloads: Arc::clone(reloads),
    };
    let api = leadline_api::router(Api {
        engine: rooms.tsdb.engine(),
        queryable: rooms.tsdb.queryable(),
        board: rooms.tsdb.board(),
        clock: Arc::clone(&rooms.clock),
        status: Arc::new(web.clone()),
        admin: rooms
            .admin_api
            .then(|| Arc::new(Admin(rooms.tsdb.db())) as Arc<dyn StorageAdmin>),
        origins: rooms.origins.clone(),
    });
    Route::router(routes()).with_state(web).merge(api)
}

/// What is served beside the API.
fn routes() -> Vec<Route<Web>> {
    vec![
        Route::read("/", index),
        Route::read("/metrics", metrics),
        Route::read("/-/healthy", async || "leadline is healthy.\n"),
        Route::read("/-/ready", ready),
        Route::act("/-/reload", reload),
        Route::read("/healthz", async || "ok"),
        Route::read("/livez", async || "ok"),
        Route::read("/readyz", readyz),
        Route::read("/api/v1/openapi.yaml", openapi),
        Route::read(
            "/explain/v1/namespaces/{namespace}/{resource}/{name}/{metric}",
            explained,
        ),
    ]
}

/// Describes every route.
const OPENAPI: &str = include_str!("openapi.yaml");

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml; charset=utf-8")], OPENAPI)
}

async fn index() -> &'static str {
    "leadline\n\n/api/v1/query?query=up\n/api/v1/targets\n/api/v1/status/rules\n/explain/v1/namespaces/NAMESPACE/RESOURCE/NAME/METRIC\n\
     /metrics\n/readyz?verbose\n/api/v1/openapi.yaml\n"
}

async fn metrics(State(web): State<Web>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, Page::CONTENT_TYPE)],
        page::render(&web.rooms, &web.reloads),
    )
}

fn readiness(web: &Web, ready_text: String) -> Response {
    if web.rooms.ready.is_ready() {
        ready_text.into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, web.rooms.ready.to_string()).into_response()
    }
}

async fn ready(State(web): State<Web>) -> Response {
    readiness(&web, "leadline is ready.\n".to_owned())
}

async fn readyz(State(web): State<Web>, uri: Uri) -> Response {
    let verbose = uri
        .query()
        .unwrap_or("")
        .split('&')
        .any(|p| p == "verbose" || p.starts_with("verbose="));
    let text = if verbose {
        web.rooms.ready.to_string()
    } else {
        "ok".to_owned()
    };
    readiness(&web, text)
}

async fn reload(State(web): State<Web>) -> Response {
    match web.reloads.reload("POST /-/reload").await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to reload config: {error}\n"),
        )
            .into_response(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Selectors {
    label_selector: String,
    metric_label_selector: String,
}

async fn explained(
    State(web): State<Web>,
    Path((namespace, resource, name, metric)): Path<(String, String, String, String)>,
    Query(selectors): Query<Selectors>,
    headers: HeaderMap,
) -> Response {
    let subject = Subject {
        namespace: Some(&namespace),
        resource: &resource,
        name: &name,
        metric: &metric,
        label_selector: &selectors.label_selector,
        metric_selector: &selectors.metric_label_selector,
    };
    let wants_json = negotiate::prefers_json(&headers);
    match explain(&web.rooms.adapter, &subject).await {
        Ok(explanation) if wants_json => axum::Json(explanation).into_response(),
        Ok(explanation) => explanation.to_string().into_response(),
        Err(error) => {
            let code = StatusCode::from_u16(error.kind.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (code, format!("{error}\n")).into_response()
        }
    }
}

/// The version is that of the API: clients choose requests by it.
fn buildinfo() -> Value {
    json!({
        "version": "3.16.0",
        "revision": env!("CARGO_PKG_VERSION"),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
}

impl StatusSource for Web {
    fn topic(&self, name: &str) -> Option<Value> {
        match name {
            "buildinfo" => Some(buildinfo()),
            "runtimeinfo" => Some(runtime::info(&self.rooms, &self.reloads.state())),
            "flags" => Some(json!(self.rooms.flags)),
            "config" => {
                let state = self.reloads.state();
                Some(json!({
                    "yaml": state.text, "lastReloadError": state.error, "applied": state.applied,
                }))
            }
            "rules" => Some(self.rules()),
            "triggers" => Some(self.triggers()),
            "cluster" => Some(self.cluster()),
            "discovery" => Some(self.discovery()),
            "walreplay" => Some(store::replay(&self.rooms.tsdb.db())),
            "ready" => Some(self.ready()),
            _ => None,
        }
    }

    fn tsdb(&self, limit: usize) -> Option<Value> {
        store::status(&self.rooms.tsdb.db(), limit)
    }

    fn dropped_targets(&self) -> Vec<(Arc<str>, Labels)> {
        let dropped = self.rooms.tsdb.status().dropped;
        dropped
            .into_iter()
            .flat_map(|d| {
                let job = d.job;
                d.targets.into_iter().map(move |t| (Arc::clone(&job), t.discovered))
            })
            .collect()
    }
}

impl Web {
    fn rules(&self) -> Value {
        let status = self.rooms.adapter.registry.status();
        Value::Array(status.iter().map(|rule| json!(rule)).collect())
    }

    fn triggers(&self) -> Value {
        let triggers = self.rooms.scaler.triggers();
        Value::Array(triggers.iter().map(trigger).collect())
    }

    fn cluster(&self) -> Value {
        let Some(cluster) = &self.rooms.cluster else {
            return json!({ "connected": false });
        };
        let watches: Vec<Value> = cluster.status().iter().map(watch).collect();
        json!({ "connected": true, "server": cluster.url(), "namespace": cluster.namespace(), "watches": watches })
    }

    fn discovery(&self) -> Value {
        let reports = self.rooms.tsdb.status().discoveries;
        let row = |r: &leadline_discovery::DiscoveryReport| {
            json!({
                "job": &*r.job, "discovery": r.discovery, "synced": r.synced, "groups": r.groups, "error": r.error,
            })
        };
        Value::Array(reports.iter().map(row).collect())
    }

    fn ready(&self) -> Value {
        let text = |c: Condition| match c {
            Condition::Met => "ok".to_owned(),
            Condition::Warned(what) => format!("ok, warning: {what}"),
            Condition::Off(why) => format!("off: {why}"),
            Condition::Waiting(what) => format!("waiting: {what}"),
        };
        Value::Object(
            self.rooms
                .ready
                .all()
                .into_iter()
                .map(|(n, c)| (n.to_owned(), Value::from(text(c))))
                .collect(),
        )
    }
}

/// A trigger: whose, what it asks for, when KEDA asked last (ms), and the value or error that it got.
fn trigger(status: &TriggerStatus) -> Value {
    let last = status.last.as_ref();
    json!({
        "namespace": status.namespace,
        "name": status.name,
        "trigger": status.trigger,
        "asked": status.asked,
        "value": last.and_then(|last| last.as_ref().ok()),
        "error": last.and_then(|last| last.as_ref().err()).map(ToString::to_string),
    })
}

/// A watch of the API server's.
fn watch(report: &WatchReport) -> Value {
    json!({
        "name": report.name,
        "synced": report.synced,
        "events": report.events,
        "relists": report.relists,
        "errors": report.errors,
        "lastError": report.last_error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Method and path of each operation.
    type Operations = BTreeSet<(String, String)>;

    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let document: Value = serde_saphyr::from_str(OPENAPI).unwrap();
        let of = |path: &str, methods: &mut dyn Iterator<Item = &str>| -> Operations {
            methods.map(|method| (method.to_owned(), path.to_owned())).collect()
        };
        let served: Operations = routes()
            .iter()
            .map(|route| (route.path, route.methods))
            .chain(leadline_api::routes().iter().map(|route| (route.path, route.methods)))
            .flat_map(|(path, methods)| of(path, &mut methods.iter().copied()))
            .collect();
        let paths = document["paths"].as_object().unwrap();
        let described: Operations = paths
            .iter()
            .flat_map(|(path, operations)| of(path, &mut operations.as_object().unwrap().keys().map(String::as_str)))
            .collect();
        assert_eq!(served, described);
    }

    #[test]
    fn a_watch_is_shown_by_its_fields() {
        let report = WatchReport {
            name: "pods".to_owned(),
            synced: true,
            events: 3,
            relists: 1,
            errors: 2,
            last_error: Some("gone".to_owned()),
        };
        let expected = json!({
            "name": "pods", "synced": true, "events": 3, "relists": 1, "errors": 2, "lastError": "gone",
        });
        assert_eq!(watch(&report), expected);
    }

    #[test]
    fn what_the_document_points_to_is_there_and_parameters_of_paths_are_described() {
        let document: Value = serde_saphyr::from_str(OPENAPI).unwrap();
        let mut wrong = Vec::new();
        references(&document, &mut |target| {
            if document.pointer(target.trim_start_matches('#')).is_none() {
                wrong.push(target.to_owned());
            }
        });
        for (path, operations) in document["paths"].as_object().unwrap() {
            let named = path
                .split('/')
                .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let named: BTreeSet<&str> = named.collect();
            for (method, operation) in operations.as_object().unwrap() {
                let given = operation["parameters"].as_array().into_iter().flatten();
                let given = given.filter(|p| p["in"] == "path" && p["required"] == true);
                let given: BTreeSet<&str> = given.filter_map(|p| p["name"].as_str()).collect();
                if given != named || operation["summary"].is_null() || operation["responses"].is_null() {
                    wrong.push(format!("{method} {path}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn references(value: &Value, found: &mut dyn FnMut(&str)) {
        match value {
            Value::Object(fields) => {
                fields
                    .get("$ref")
                    .and_then(Value::as_str)
                    .into_iter()
                    .for_each(&mut *found);
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
}
