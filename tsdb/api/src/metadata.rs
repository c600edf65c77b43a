//! `/api/v1/metadata`.

use crate::Api;
use crate::params::Params;
use crate::respond::{ApiError, push_text, success};
use axum::extract::State;
use axum::response::Response;
use leadline_model::metadata::Metadata;
use std::collections::BTreeMap;

/// Kind, unit and help by metric.
pub(crate) async fn list(State(api): State<Api>, params: Params) -> Result<Response, ApiError> {
    let limit = params.count("limit")?;
    let per_metric = params.count("limit_per_metric")?.filter(|most| *most > 0);
    let wanted = params.get("metric");
    let mut by_metric: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    let told = api.status.metadata().into_iter();
    for (metric, metadata) in told.filter(|(metric, _)| wanted.is_none_or(|wanted| wanted == metric)) {
        let all = by_metric.entry(metric).or_default();
        if !all.contains(&metadata) && per_metric.is_none_or(|most| all.len() < most) {
            all.push(metadata);
        }
    }
    let mut data = String::from("{");
    for (metric, all) in by_metric.iter().take(limit.unwrap_or(usize::MAX)) {
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
