//! `/api/v1/query` and `/api/v1/query_range`.

use crate::Api;
use crate::asker::Asker;
use crate::histogram::push_histogram;
use crate::number::{push_float, push_short_timestamp, push_timestamp};
use crate::params::Params;
use crate::respond::{ApiError, parse_error, push_labels, push_text, success};
use axum::extract::State;
use axum::response::Response;
use leadline_model::Timestamp;
use leadline_model::histogram::FloatHistogram;
use leadline_model::number::push_plain;
use leadline_model::quote::Quoted;
use leadline_promql::engine::Options;
use leadline_promql::error::Error;
use leadline_promql::log::Origin;
use leadline_promql::query::Query;
use leadline_promql::stats::{Counting, QueryStats};
use leadline_promql::value::{InstantSample, QueryResult, RangeSeries, SampleValue, Value};

/// An expression at one time.
pub(crate) async fn instant(State(api): State<Api>, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let at = params.time("time")?.unwrap_or_else(|| api.clock.now());
    let (query, options) = question(&api, &params, asker.of("/api/v1/query"))?;
    let result = api.engine.instant(&query, at, options).await.map_err(refused)?;
    Ok(answer(&result, at, limit, params.get("stats")))
}

/// An expression at every step of a range.
pub(crate) async fn range(State(api): State<Api>, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let (start, end, step) = params.range()?;
    let (query, options) = question(&api, &params, asker.of("/api/v1/query_range"))?;
    let result = api.engine.range(&query, (start, end, step), options).await;
    Ok(answer(&result.map_err(refused)?, end, limit, params.get("stats")))
}

/// An expression that cannot be evaluated at these times is a wrong parameter.
fn refused(error: Error) -> ApiError {
    match error {
        Error::BadRequest(reason) => ApiError::parameter("query", reason),
        error => error.into(),
    }
}

/// The expression, and `timeout`, `lookback_delta` and `stats` of the request.
pub(crate) fn question(api: &Api, params: &Params, origin: Origin) -> Result<(Query, Options), ApiError> {
    let timeout = params.timeout()?;
    let options = Options {
        lookback_ms: params.lookback()?,
        timeout,
        counting: match params.get("stats") {
            None => Counting::Off,
            Some("all") if api.engine.settings().features.per_step_stats => Counting::Steps,
            Some(_) => Counting::Sums,
        },
        origin: Some(origin),
        ..Options::default()
    };
    let text = params.query();
    let query = Query::parse_with(text, api.engine.settings().features);
    let query = query.map_err(|e| ApiError::parameter("query", parse_error(text, &e)))?;
    Ok((query, options))
}

fn answer(result: &QueryResult, at: Timestamp, limit: Option<usize>, stats: Option<&str>) -> Response {
    let mut warnings = result.warnings.clone();
    let mut data = String::with_capacity(256);
    let most = limit.unwrap_or(usize::MAX);
    let mut cut = false;
    match &result.value {
        Value::Scalar(v) => {
            data.push_str(r#"{"resultType":"scalar","result":["#);
            push_short_timestamp(&mut data, at);
            data.push_str(",\"");
            push_plain(&mut data, *v);
            data.push_str("\"]");
        }
        Value::String(text) => {
            data.push_str(r#"{"resultType":"string","result":["#);
            push_short_timestamp(&mut data, at);
            data.push(',');
            push_text(&mut data, text);
            data.push(']');
        }
        Value::Vector(samples) => {
            cut = samples.len() > most;
            push_vector(&mut data, &samples[..samples.len().min(most)], at);
        }
        Value::Matrix(series) => {
            cut = series.len() > most;
            push_matrix(&mut data, &series[..series.len().min(most)]);
        }
    }
    if cut {
        warnings.push("results truncated due to limit".to_owned());
    }
    if let Some(asked) = stats {
        push_stats(&mut data, &result.stats);
        if !["true", "all"].contains(&asked) {
            let asked = Quoted(asked);
            warnings.push(format!(
                "value {asked} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \
                 \"true\" or \"all\""
            ));
        }
    }
    data.push('}');
    success(&data, &warnings, &result.infos)
}

/// Appends what the query cost.
fn push_stats(out: &mut String, stats: &QueryStats) {
    out.push_str(",\"stats\":");
    // Numbers under fixed names cannot fail.
    out.push_str(&serde_json::to_string(&stats.shown()).unwrap_or_default());
}

fn push_point(out: &mut String, t: Timestamp, v: f64) {
    out.push('[');
    push_timestamp(out, t);
    out.push(',');
    push_float(out, v);
    out.push(']');
}

fn push_histogram_point(out: &mut String, t: Timestamp, h: &FloatHistogram) {
    out.push('[');
    push_timestamp(out, t);
    out.push(',');
    push_histogram(out, h);
    out.push(']');
}

fn push_vector(out: &mut String, samples: &[InstantSample], at: Timestamp) {
    out.push_str(r#"{"resultType":"vector","result":["#);
    for (i, sample) in samples.iter().enumerate() {
        out.push_str(if i > 0 { r#",{"metric":"# } else { r#"{"metric":"# });
        push_labels(out, &sample.labels);
        match &sample.value {
            SampleValue::Float(value) => {
                out.push_str(r#","value":"#);
                push_point(out, at, *value);
            }
            SampleValue::Histogram(histogram) => {
                out.push_str(r#","histogram":"#);
                push_histogram_point(out, at, histogram);
            }
        }
        out.push('}');
    }
    out.push(']');
}

fn push_matrix(out: &mut String, series: &[RangeSeries]) {
    out.push_str(r#"{"resultType":"matrix","result":["#);
    for (i, one) in series.iter().enumerate() {
        out.push_str(if i > 0 { r#",{"metric":"# } else { r#"{"metric":"# });
        push_labels(out, &one.labels);
        push_points(out, r#","values":["#, &one.points, |out, (t, v)| {
            push_point(out, *t, *v);
        });
        push_points(out, r#","histograms":["#, &one.histograms, |out, (t, h)| {
            push_histogram_point(out, *t, h);
        });
        out.push('}');
    }
    out.push(']');
}

/// Appends a list with its name, where there is anything to list.
fn push_points<T>(out: &mut String, name: &str, points: &[T], push: impl Fn(&mut String, &T)) {
    for (i, point) in points.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { name });
        push(out, point);
    }
    if !points.is_empty() {
        out.push(']');
    }
}
