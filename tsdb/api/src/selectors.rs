//! `match[]`: series selectors of the metadata endpoints.

use crate::params::Params;
use crate::respond::ApiError;
use leadline_model::{Matcher, Timestamp};
use leadline_promql::syntax::ast::ExprKind;

/// The selectors of `match[]`, each with its matchers.
pub(crate) fn parse(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    params.all("match[]").map(|text| selector("match[]", text)).collect()
}

/// The matchers of one selector, which is the value of `parameter`.
pub(crate) fn selector(parameter: &str, text: &str) -> Result<Vec<Matcher>, ApiError> {
    let refuse = |reason: String| ApiError::parameter(parameter, reason);
    let expr = leadline_promql::syntax::parse(text).map_err(|e| refuse(e.to_string()))?;
    match expr.kind {
        ExprKind::Selector(selector) if selector.shift == Default::default() => Ok(selector.matchers),
        _ => Err(refuse(format!(
            "{text:?} is no plain series selector such as up{{job=\"api\"}}"
        ))),
    }
}

/// The time range of a metadata request (ms); everything where it is not given.
pub(crate) fn times(params: &Params) -> Result<(Timestamp, Timestamp), ApiError> {
    let start = params.time("start")?.unwrap_or(Timestamp::MIN);
    let end = params.time("end")?.unwrap_or(Timestamp::MAX);
    if end < start {
        return Err(ApiError::parameter(
            "end",
            "end timestamp must not be before start time",
        ));
    }
    Ok((start, end))
}
