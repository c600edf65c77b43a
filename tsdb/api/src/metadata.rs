//! `/api/v1/metadata` and `/api/v1/targets/metadata`: what active targets say about their metric families.

use crate::Api;
use crate::listed::Listed;
use crate::params::Params;
use crate::respond::{ApiError, push_labels, push_text, streamed};
use crate::selectors;
use crate::targets::sorted;
use axum::extract::State;
use axum::response::Response;
use leadline_model::matcher::all_match;
use leadline_model::metadata::Metadata;
use leadline_model::target::{Board, Families};
use leadline_promql::error::Error;
use leadline_promql::reading::Reading;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What both are while they read.
const STAGE: &str = "reading of metadata";

/// Kind, unit and help by metric family, each that any target says once (`web/api/v1/api.go`, `metricMetadata`).
pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let limit = params.count("limit")?.unwrap_or(usize::MAX);
    let per_metric = params.count("limit_per_metric")?.filter(|most| *most > 0);
    let read = api.engine.read(STAGE, move |reading| {
        let most = per_metric.unwrap_or(usize::MAX);
        families(&api.board, params.get("metric"), most, reading)
    });
    let rows = read.await?.into_iter().take(limit);
    Ok(streamed(Listed::object(rows, |out, (metric, all)| {
        push_text(out, &metric);
        out.push_str(":[");
        for (i, metadata) in all.iter().enumerate() {
            out.push_str(if i > 0 { ",{" } else { "{" });
            push_metadata(out, metadata);
        }
        out.push(']');
    })))
}

/// What is said of `wanted`, or of all families; up to `most` different things of each.
fn families(
    board: &Board,
    wanted: Option<&str>,
    most: usize,
    reading: &Reading,
) -> Result<BTreeMap<Arc<str>, Vec<Metadata>>, Error> {
    let mut all: BTreeMap<Arc<str>, Vec<Metadata>> = BTreeMap::new();
    for said in board.all_families() {
        reading.look()?;
        for (family, metadata) in said.iter().filter(|(family, _)| wanted.is_none_or(|w| w == &***family)) {
            let known = all.entry(Arc::clone(family)).or_default();
            if known.len() < most && !known.contains(metadata) {
                known.push(metadata.clone());
            }
        }
    }
    Ok(all)
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
    let wanted = params.get("metric").map(str::to_owned);
    let named = wanted.is_none();
    let read = api.engine.read(STAGE, move |reading| {
        let (mut found, mut entries) = (Vec::new(), 0);
        for target in sorted(api.board.all()) {
            reading.look()?;
            if entries >= limit {
                break;
            }
            if all_match(&matchers, &target.labels) {
                let said = said(api.board.families(target.owner), wanted.as_deref());
                entries += said.len();
                found.push((target, said));
            }
        }
        Ok(found)
    });
    let entries = read.await?.into_iter().flat_map(|(target, said)| {
        let mut labels = String::new();
        push_labels(&mut labels, &target.labels);
        let labels: Arc<str> = labels.into();
        let said = Vec::from_iter(said.iter().map(|(family, metadata)| (family.clone(), metadata.clone())));
        said.into_iter().map(move |said| (Arc::clone(&labels), said))
    });
    Ok(streamed(Listed::array(
        entries,
        move |out, (labels, (family, metadata))| push_entry(out, &labels, named.then_some(&*family), &metadata),
        &[],
    )))
}

/// What a target says of the family that is wanted, or all that it says.
fn said(all: Families, wanted: Option<&str>) -> Families {
    let Some(wanted) = wanted else { return all };
    let found = all.get_key_value(wanted);
    Arc::new(
        found
            .into_iter()
            .map(|(family, metadata)| (family.clone(), metadata.clone()))
            .collect(),
    )
}

/// One entry; the family is told where none was asked for.
fn push_entry(out: &mut String, target: &str, family: Option<&str>, metadata: &Metadata) {
    out.push_str(r#"{"target":"#);
    out.push_str(target);
    out.push(',');
    if let Some(family) = family {
        out.push_str(r#""metric":"#);
        push_text(out, family);
        out.push(',');
    }
    push_metadata(out, metadata);
}

/// The last members of an object, and its end.
fn push_metadata(out: &mut String, metadata: &Metadata) {
    out.push_str(r#""type":"#);
    push_text(out, metadata.kind.as_str());
    out.push_str(r#","help":"#);
    push_text(out, &metadata.help);
    out.push_str(r#","unit":"#);
    push_text(out, &metadata.unit);
    out.push('}');
}
