//! `match[]`: series selectors of the metadata endpoints.

use crate::params::Params;
use crate::respond::{ApiError, parse_error};
use leadline_model::{Matcher, Timestamp};
use leadline_promql::syntax::Features;
use leadline_promql::syntax::ast::{Border, ExprKind, Shift};

const TOO_WIDE: &str = "match[] must contain at least one non-empty matcher";

/// The selectors of `match[]`, each with its matchers; `Err` says why one of them is none where `features` are on.
pub(crate) fn parse(params: &Params, features: Features) -> Result<Vec<Vec<Matcher>>, String> {
    let texts = params.all("match[]");
    let found: Result<Vec<_>, String> = texts.map(|text| selector(text, features)).collect();
    let found = found?;
    // One that matches every series would read them all.
    let selects = |matchers: &Vec<Matcher>| matchers.iter().any(|matcher| !matcher.matches(""));
    if found.iter().all(selects) {
        Ok(found)
    } else {
        Err(TOO_WIDE.to_owned())
    }
}

/// The matchers of one selector; `Err` says why it is none where `features` are on.
pub(crate) fn selector(text: &str, features: Features) -> Result<Vec<Matcher>, String> {
    if text.is_empty() {
        return Err("unknown position: parse error: unexpected end of input".to_owned());
    }
    let expr = leadline_promql::syntax::parse_with(text, features).map_err(|e| match e.message.as_str() {
        // Here it is not the text of the selector that is wrong.
        "vector selector must contain at least one non-empty matcher" => TOO_WIDE.to_owned(),
        _ => parse_error(text, &e),
    })?;
    match expr.kind {
        ExprKind::Selector(selector)
            if selector.shift == Shift::default()
                && selector.computed_offset.is_none()
                && selector.border == Border::Open =>
        {
            Ok(selector.matchers)
        }
        _ => Err(format!(
            "{text:?} is no plain series selector such as up{{job=\"api\"}}"
        )),
    }
}

/// The time range of a metadata request (ms); everything where it is not given. A range that ends before it begins holds
/// nothing.
pub(crate) fn times(params: &Params) -> Result<(Timestamp, Timestamp), ApiError> {
    let start = params.time("start")?.unwrap_or(Timestamp::MIN);
    let end = params.time("end")?.unwrap_or(Timestamp::MAX);
    Ok((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_may_be_what_the_features_allow() {
        let unquoted = Features {
            unquoted_names: true,
            ..Features::NONE
        };
        for (text, plain, with_unquoted) in [
            ("up", true, true),
            ("{\"http.server\"}", true, true),
            ("http.server", false, true),
            ("up{service.name=\"x\"}", false, true),
            ("up offset 5m", false, false),
            ("1", false, false),
        ] {
            assert_eq!(selector(text, Features::NONE).is_ok(), plain, "{text}");
            assert_eq!(selector(text, unquoted).is_ok(), with_unquoted, "{text}");
        }
    }
}
