//! `match[]`: series selectors of the metadata endpoints.

use crate::params::Params;
use crate::respond::{ApiError, parse_error};
use leadline_model::{Matcher, Timestamp};
use leadline_promql::error::Error;
use leadline_promql::reading::Reading;
use leadline_promql::syntax::{Features, Selectors};

const TOO_WIDE: &str = "match[] must contain at least one non-empty matcher";

/// What stands before the reason in refusals, where the parameter is named.
pub(crate) const NAMED: &str = "invalid parameter \"match[]\": ";

/// The selectors of `match[]`, each with its matchers. A request can have a hundred thousand, so they are read where it has
/// its time. `Err` says, behind `before`, why one of them is none where `features` are on.
pub(crate) fn parse(
    params: &Params,
    features: Features,
    reading: &Reading,
    before: &str,
) -> Result<Vec<Vec<Matcher>>, Error> {
    let refused = |reason: &str| Error::BadRequest([before, reason].concat());
    let mut selectors = Selectors::new(features);
    let mut found = Vec::new();
    for text in params.all("match[]") {
        reading.look()?;
        let matchers = selectors.parse(text);
        found.push(matchers.map_err(|error| refused(&parse_error(text, &error)))?);
    }
    // One that matches every series would read them all.
    let selects = |matchers: &Vec<Matcher>| matchers.iter().any(|matcher| !matcher.matches(""));
    if found.iter().all(selects) {
        Ok(found)
    } else {
        Err(refused(TOO_WIDE))
    }
}

/// The matchers of one selector, which may select everything; `Err` says why it is none where `features` are on.
pub(crate) fn selector(text: &str, features: Features) -> Result<Vec<Matcher>, String> {
    leadline_promql::syntax::parse_selector(text, features).map_err(|e| parse_error(text, &e))
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

    /// As Prometheus 3.16 words them.
    #[test]
    fn what_is_no_selector_is_refused_where_it_ends() {
        for (text, reason) in [
            ("", "unknown position: parse error: unexpected end of input"),
            ("  ", "1:3: parse error: unexpected end of input"),
            ("up offset 5m", "1:4: parse error: unexpected <offset>"),
            ("up[5m]", "1:3: parse error: unexpected \"[\""),
            ("up @ 5", "1:4: parse error: unexpected <op:@>"),
            ("up + up", "1:4: parse error: unexpected <op:+>"),
            ("sum(up)", "1:4: parse error: unexpected \"(\""),
            ("(up)", "1:1: parse error: unexpected \"(\""),
            ("1", "1:1: parse error: unexpected number \"1\""),
            ("\"up\"", "1:1: parse error: unexpected string \"\\\"up\\\"\""),
            ("up smoothed", "1:4: parse error: unexpected <smoothed>"),
            ("bool", "1:1: parse error: unexpected <bool>"),
            ("up{job=\"\u{fffd}\"}", "1:8: parse error: invalid UTF-8 rune"),
            ("up{", "1:4: parse error: unexpected end of input inside braces"),
        ] {
            assert_eq!(selector(text, Features::NONE).unwrap_err(), reason, "{text}");
        }
        for text in ["{}", "sum", "offset{a=\"b\"}", "up{__name__=\"down\"}", " up # all"] {
            assert!(selector(text, Features::NONE).is_ok(), "{text}");
        }
    }
}
