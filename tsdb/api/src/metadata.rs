//! `/api/v1/metadata` and `/api/v1/targets/metadata`: what active targets say about their metric families.

use crate::Api;
use crate::params::Params;
use crate::respond::{ApiError, push_text, success};
use crate::selectors;
use crate::targets::{object, sorted};
use axum::extract::State;
use axum::response::Response;
use leadline_model::metadata::Metadata;
use leadline_model::target::Board;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Kind, unit and help by metric family, each that any target says once (`web/api/v1/api.go`, `metricMetadata`).
pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let limit = params.count("limit")?.unwrap_or(usize::MAX);
    let per_metric = params.count("limit_per_metric")?.filter(|most| *most > 0);
    let families = families(&api.board, params.get("metric"), per_metric.unwrap_or(usize::MAX));
    let mut data = String::from("{");
    for (metric, all) in families.iter().take(limit) {
        if data.len() > 1 {
            data.push(',');
        }
        push_text(&mut data, metric);
        data.push_str(":[");
        for (i, metadata) in all.iter().enumerate() {
            data.push_str(if i > 0 { r#",{"type":"# } else { r#"{"type":"# });
            push_text(&mut data, metadata.kind.as_str());
            data.push_str(r#","help":"#);
            push_text(&mut data, &metadata.help);
            data.push_str(r#","unit":"#);
            push_text(&mut data, &metadata.unit);
            data.push('}');
        }
        data.push(']');
    }
    data.push('}');
    Ok(success(&data, &[], &[]))
}

/// What is said of `wanted`, or of all families; up to `most` different things of each.
fn families(board: &Board, wanted: Option<&str>, most: usize) -> BTreeMap<String, Vec<Metadata>> {
    let mut all: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    for said in board.all_families() {
        for (family, metadata) in said.iter().filter(|(family, _)| wanted.is_none_or(|w| w == &***family)) {
            let known = all.entry(family.to_string()).or_default();
            if known.len() < most && !known.contains(metadata) {
                known.push(metadata.clone());
            }
        }
    }
    all
}

/// The same by target: `match_target` selects targets, `metric` a family (`web/api/v1/api.go`, `targetMetadata`). With
/// `limit`, no further target is looked at once there are so many entries.
pub(crate) async fn of_targets(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let limit = params.count("limit")?.unwrap_or(usize::MAX);
    let matchers = match params.get("match_target") {
        Some(text) => selectors::selector(text, api.engine.settings().features)
            .map_err(|why| ApiError::parameter("match_target", why))?,
        None => Vec::new(),
    };
    let wanted = params.get("metric");
    let mut found: Vec<Value> = Vec::new();
    for target in sorted(api.board.all()) {
        if found.len() >= limit {
            break;
        }
        if !leadline_model::matcher::all_match(&matchers, &target.labels) {
            continue;
        }
        let (said, labels) = (api.board.families(target.owner), object(&target.labels));
        match wanted {
            Some(family) => found.extend(said.get(family).map(|metadata| entry(&labels, None, metadata))),
            None => found.extend(
                said.iter()
                    .map(|(family, metadata)| entry(&labels, Some(family), metadata)),
            ),
        }
    }
    Ok(success(&Value::Array(found).to_string(), &[], &[]))
}

/// One entry; the family is told where none was asked for.
fn entry(target: &Value, family: Option<&str>, metadata: &Metadata) -> Value {
    let mut entry = json!({
        "target": target, "type": metadata.kind.as_str(), "help": &*metadata.help, "unit": &*metadata.unit,
    });
    if let Some(family) = family {
        entry["metric"] = Value::from(family);
    }
    entry
}
