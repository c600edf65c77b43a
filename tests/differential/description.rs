//! Our OpenAPI document beside Prometheus': what both serve takes the same parameters by the same methods, and what only
//! Prometheus serves is listed with the reason.

use crate::openapi;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What leadline describes.
const OURS: &str = include_str!("../../src/serve/openapi.yaml");

/// Paths of Prometheus' API that leadline does not have, and why.
const LACKING: &[(&str, &str)] = &[
    ("/search/metric_names", "behind the feature search-api there"),
    ("/search/label_names", "behind the feature search-api there"),
    ("/search/label_values", "behind the feature search-api there"),
    ("/scrape_pools", "a list of the jobs, which /targets has"),
    ("/scrape_pools/config", "/status/config has all jobs"),
    ("/targets/relabel_steps", "relabelling is not told step by step"),
    ("/rules", "there are no rules of recording or alerting"),
    ("/alerts", "there are no rules of recording or alerting"),
    ("/alertmanagers", "there are no rules of recording or alerting"),
    ("/status/tsdb/blocks", "`leadline tsdb list` has the blocks"),
    ("/status/self_metrics", "/metrics has them"),
    ("/read", "nobody reads remotely"),
    ("/write", "nobody writes remotely"),
    ("/otlp/v1/metrics", "nobody writes remotely"),
    ("/notifications", "of Prometheus' own pages"),
    ("/notifications/live", "of Prometheus' own pages"),
    ("/features", "--enable-feature is among /status/flags"),
];

/// A parameter that Prometheus reads (`web/api/v1/api.go`, extractQueryOpts) and its own document does not have.
const UNTOLD: &str = "X-Prometheus-Use-Start-Timestamps";

/// A parameter: where it stands, its name, whether it must be there.
type Parameter = (String, String, bool);

/// The parameters of an operation, those of its form included.
fn parameters(document: &Value, operation: &Value) -> BTreeSet<Parameter> {
    let resolved = |value: &Value| match value["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap().clone(),
        None => value.clone(),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = operation["parameters"].as_array().into_iter().flatten().map(resolved);
    let listed = listed.map(|one| (text(&one["in"]), text(&one["name"]), one["required"] == true));
    let body = &operation["requestBody"];
    let form = resolved(&body["content"]["application/x-www-form-urlencoded"]["schema"]);
    let required = form["required"].as_array().cloned().unwrap_or_default();
    let fields = form["properties"]
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.keys().cloned());
    let fields = fields.map(|name| {
        let needed = required.contains(&Value::from(name.as_str()));
        ("form".to_owned(), name, needed)
    });
    let whole = (!body.is_null()).then(|| ("form".to_owned(), String::new(), body["required"] == true));
    listed.chain(fields).chain(whole).collect()
}

/// The operations of a path by their methods.
fn operations(document: &Value, path: &str) -> Option<BTreeMap<String, BTreeSet<Parameter>>> {
    let methods = document["paths"][path].as_object()?;
    Some(
        methods
            .iter()
            .map(|(method, operation)| (method.clone(), parameters(document, operation)))
            .collect(),
    )
}

/// Ours; topics of the status are one path here, with a parameter that only `tsdb` reads.
fn ours(document: &Value, path: &str) -> Option<BTreeMap<String, BTreeSet<Parameter>>> {
    let whole = format!("/api/v1{path}");
    let Some(topic) = path.strip_prefix("/status/") else {
        let mut found = operations(document, &whole);
        for parameters in found.iter_mut().flat_map(BTreeMap::values_mut) {
            parameters.retain(|(place, name, _)| place != "header" || name != UNTOLD);
        }
        return found;
    };
    let template = "/api/v1/status/{topic}";
    let listed = document["paths"][template]["get"]["parameters"].as_array()?;
    let topics = listed.iter().find(|one| one["name"] == "topic")?["schema"]["enum"].as_array()?;
    let mut found = operations(document, template).filter(|_| topics.contains(&Value::from(topic)))?;
    for parameters in found.values_mut() {
        parameters.retain(|(place, name, _)| place == "query" && name == "limit" && topic == "tsdb");
    }
    Some(found)
}

#[test]
fn what_prometheus_describes_is_described_alike_or_known_to_be_absent() {
    let Some(theirs) = openapi::text() else { return };
    let theirs: Value = serde_saphyr::from_str(&theirs).unwrap();
    assert!(
        !theirs.to_string().contains(UNTOLD),
        "it is told now and need not be left out"
    );
    let document: Value = serde_saphyr::from_str(OURS).unwrap();
    let (mut wrong, mut same) = (Vec::new(), 0);
    for path in theirs["paths"].as_object().unwrap().keys() {
        let lacking = LACKING.iter().any(|(lacking, _)| lacking == path);
        match (operations(&theirs, path), ours(&document, path)) {
            (_, None) if lacking => {}
            (_, None) => wrong.push(format!("{path} is not served, and no reason is given")),
            (_, Some(_)) if lacking => wrong.push(format!("{path} is served, and yet a reason is given why not")),
            (its, Some(ours)) if its.as_ref() != Some(&ours) => {
                wrong.push(format!("{path}\n  leadline   {ours:?}\n  Prometheus {its:?}"));
            }
            _ => same += 1,
        }
    }
    for (path, _) in LACKING {
        if theirs["paths"][path].is_null() {
            wrong.push(format!(
                "{path} is in the list of what is lacking, but not in Prometheus' document"
            ));
        }
    }
    println!(
        "passed: {same} paths are described alike, {} are lacking",
        LACKING.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
