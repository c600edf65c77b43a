//! `/api/v1/query` and `/api/v1/query_range`.

use crate::Api;
use crate::answer::Answer;
use crate::asker::Asker;
use crate::params::Params;
use crate::respond::{ApiError, notes, parse_error, streamed};
use axum::extract::State;
use axum::response::Response;
use leadline_model::Timestamp;
use leadline_model::quote::Quoted;
use leadline_promql::cost::CostLimits;
use leadline_promql::engine::Options;
use leadline_promql::error::Error;
use leadline_promql::log::Origin;
use leadline_promql::query::Query;
use leadline_promql::stats::{Counting, NumbersOfGo, QueryStats};
use leadline_promql::value::{QueryResult, Value};
use serde::Serialize;

/// An expression at one time.
pub(crate) async fn instant(State(api): State<Api>, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let at = params.time("time")?.unwrap_or_else(|| api.clock.now());
    let (query, options) = question(&api, &params, asker.of("/api/v1/query"))?;
    let result = api.engine.instant(&query, at, options).await.map_err(refused)?;
    Ok(answer(result, at, limit, params.get("stats")))
}

/// An expression at every step of a range.
pub(crate) async fn range(State(api): State<Api>, asker: Asker, params: Params) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let (start, end, step) = params.range()?;
    let (query, options) = question(&api, &params, asker.of("/api/v1/query_range"))?;
    let result = api.engine.range(&query, (start, end, step), options).await;
    Ok(answer(result.map_err(refused)?, end, limit, params.get("stats")))
}

/// An expression that cannot be evaluated at these times is a wrong parameter.
fn refused(error: Error) -> ApiError {
    match error {
        Error::BadRequest(reason) => ApiError::parameter("query", reason),
        error => error.into(),
    }
}

/// What the query may cost; nothing is read of that without the feature (`web/api/v1/api.go`, extractQueryOpts).
fn cost(api: &Api, params: &Params) -> Result<CostLimits, ApiError> {
    if !api.engine.settings().features.query_cost {
        return Ok(CostLimits::default());
    }
    let asked = CostLimits {
        series: params.most("max_series")?,
        samples_read: params.most("max_samples_read")?,
        duration: params.longest("max_query_duration")?,
    };
    api.engine.cost_limits(asked).map_err(ApiError::bad_data)?;
    Ok(asked)
}

/// The expression, and `timeout`, `lookback_delta` and `stats` of the request.
pub(crate) fn question(api: &Api, params: &Params, origin: Origin) -> Result<(Query, Options), ApiError> {
    let timeout = params.timeout()?;
    let options = Options {
        lookback_ms: params.lookback()?,
        start_timestamps: params.start_timestamps()?,
        timeout,
        cost: cost(api, params)?,
        counting: match params.get("stats") {
            None => Counting::Off,
            Some("all") if api.engine.settings().features.per_step_stats => Counting::Steps,
            Some(_) => Counting::Sums,
        },
        // No answer tells it.
        untraced: true,
        origin: Some(origin),
        ..Options::default()
    };
    let text = params.query();
    let query = api
        .engine
        .query(text)
        .map_err(|e| ApiError::parameter("query", parse_error(text, &e)))?;
    Ok((query, options))
}

fn answer(mut result: QueryResult, at: Timestamp, limit: Option<usize>, stats: Option<&str>) -> Response {
    let mut warnings = std::mem::take(&mut result.warnings);
    let most = limit.unwrap_or(usize::MAX);
    let cut = match &mut result.value {
        Value::Scalar(_) | Value::String(_) => false,
        Value::Vector(samples) => cut_to(samples, most),
        Value::Matrix(series) => cut_to(series, most),
    };
    if cut {
        warnings.push("results truncated due to limit".to_owned());
    }
    let mut told = String::new();
    if let Some(asked) = stats {
        push_stats(&mut told, &result.stats);
        if !["true", "all"].contains(&asked) {
            let asked = Quoted(asked);
            warnings.push(format!(
                "value {asked} for parameter \"stats\" is deprecated and will be rejected in the next major release, use \
                 \"true\" or \"all\""
            ));
        }
    }
    streamed(Answer::new(result.value, at, &told, &notes(&warnings, &result.infos)))
}

/// Whether there were more than `most`.
fn cut_to<T>(rows: &mut Vec<T>, most: usize) -> bool {
    let cut = rows.len() > most;
    rows.truncate(most);
    cut
}

/// Appends what the query cost.
fn push_stats(out: &mut String, stats: &QueryStats) {
    out.push_str(",\"stats\":");
    let mut json = Vec::new();
    let written = stats
        .shown()
        .serialize(&mut serde_json::Serializer::with_formatter(&mut json, NumbersOfGo));
    debug_assert!(written.is_ok(), "numbers under fixed names cannot fail");
    out.push_str(&String::from_utf8_lossy(&json));
}
