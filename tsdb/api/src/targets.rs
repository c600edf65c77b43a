//! `/api/v1/targets`.

use crate::Api;
use crate::params::Params;
use crate::respond::{ApiError, success};
use axum::extract::State;
use axum::response::Response;
use leadline_model::Labels;
use leadline_model::target::{Health, TargetState};
use serde_json::{Value, json};
use std::sync::Arc;

/// The discovered targets: `state=active|dropped|any`, `scrapePool=<job>`.
pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let pool = params.get("scrapePool");
    let (active, dropped) = match params.get("state").unwrap_or("any") {
        "active" => (true, false),
        "dropped" => (false, true),
        "any" => (true, true),
        other => {
            return Err(ApiError::parameter(
                "state",
                format!("active, dropped or any expected, got {other:?}"),
            ));
        }
    };
    let mut targets = if active { sorted(api.board.all()) } else { Vec::new() };
    targets.retain(|t| pool.is_none_or(|p| p == &*t.job));
    let gone = api.status.dropped_targets();
    let gone: Vec<_> = gone
        .iter()
        .filter(|(job, _)| pool.is_none_or(|p| p == &**job))
        .collect();
    let counts: serde_json::Map<String, Value> = gone.iter().fold(serde_json::Map::new(), |mut counts, (job, _)| {
        let n = counts.get(&**job).and_then(Value::as_u64).unwrap_or(0);
        counts.insert(job.to_string(), json!(n + 1));
        counts
    });
    let data = json!({
        "activeTargets": targets.iter().map(|t| target(t)).collect::<Vec<_>>(),
        "droppedTargets": if dropped {
            gone.iter().map(|(job, labels)| json!({"discoveredLabels": object(labels), "scrapePool": &**job})).collect()
        } else {
            Vec::new()
        },
        "droppedTargetCounts": counts,
    });
    Ok(success(data.to_string(), &[], &[]))
}

/// By job, labels and URL.
pub(crate) fn sorted(mut targets: Vec<Arc<TargetState>>) -> Vec<Arc<TargetState>> {
    targets.sort_by(|a, b| (&a.job, &a.labels, &a.url).cmp(&(&b.job, &b.labels, &b.url)));
    targets
}

/// Labels as JSON.
pub(crate) fn object(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect())
}

fn target(state: &TargetState) -> Value {
    json!({
        "discoveredLabels": object(&state.discovered),
        "labels": object(&state.labels),
        "scrapePool": &*state.job,
        "scrapeUrl": state.url,
        "globalUrl": state.url,
        "lastError": state.last_error.as_deref().unwrap_or(""),
        "lastScrape": state.last_scrape.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), crate::number::rfc3339),
        "lastScrapeDuration": state.last_duration_s,
        "health": match state.health {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        },
        "scrapeInterval": leadline_model::duration::Duration::from_millis(state.interval_ms).to_string(),
        "scrapeTimeout": leadline_model::duration::Duration::from_millis(state.timeout_ms).to_string(),
    })
}
