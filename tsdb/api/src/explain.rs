//! `/api/v1/explain`: what each part of an expression costs. Not of Prometheus' API.

use crate::Api;
use crate::asker::Asker;
use crate::params::Params;
use crate::query::question;
use crate::respond::{ApiError, push_text, success};
use axum::extract::State;
use axum::response::Response;
use leadline_promql::diagnostic::position;
use leadline_promql::engine::Options;
use leadline_promql::query::Query;
use leadline_promql::value::QueryResult;
use std::fmt::Write;

/// Evaluates an expression, at `time` or from `start` to `end`, and tells its nodes instead of its value.
pub(crate) async fn query(State(api): State<Api>, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let (query, options) = question(&api, &params, asker.of("/api/v1/explain"))?;
    let options = Options {
        explain: true,
        ..options
    };
    let result = if params.get("start").is_some() {
        api.engine.range(&query, params.range()?, options).await?
    } else {
        let at = params.time("time")?.unwrap_or_else(|| api.clock.now());
        api.engine.instant(&query, at, options).await?
    };
    Ok(success(data(&query, &result), &result.warnings, &result.infos))
}

fn data(query: &Query, result: &QueryResult) -> String {
    let mut out = String::from("{\"query\":");
    push_text(&mut out, query.text());
    let stats = &result.stats;
    let written = write!(
        out,
        ",\"stats\":{{\"seriesRead\":{},\"samplesRead\":{},\"peakSamples\":{},\"queuedMicros\":{},\"evalMicros\":{},\
         \"inline\":{}}}",
        stats.series_read, stats.samples_read, stats.peak_samples, stats.queued_us, stats.eval_us, stats.inline
    );
    // Writing to a String cannot fail.
    debug_assert!(written.is_ok());
    out.push_str(",\"nodes\":[");
    for (i, node) in result.nodes.iter().enumerate() {
        let (start, end) = (node.span.start as usize, node.span.end as usize);
        let (line, column) = position(query.text(), node.span.start);
        out.push_str(if i > 0 { ",{\"expr\":" } else { "{\"expr\":" });
        push_text(&mut out, query.text().get(start..end).unwrap_or(""));
        let written = write!(
            out,
            ",\"position\":\"{line}:{column}\",\"depth\":{},\"series\":{},\"values\":{},\"seriesRead\":{},\
             \"samplesRead\":{},\"micros\":{},\"how\":[",
            node.depth, node.series, node.values, node.series_read, node.samples_read, node.micros
        );
        debug_assert!(written.is_ok());
        for (i, name) in node.how.names().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            push_text(&mut out, name);
        }
        out.push_str("]}");
    }
    out.push_str("]}");
    out
}
