//! Which form of an answer the caller accepts.

use crate::error::{ApiError, Kind};
use http::HeaderMap;
use http::header::ACCEPT;

/// One entry of an Accept header.
#[derive(Debug, Clone, PartialEq)]
struct Range<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

impl Range<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(key))
            .map(|(_, v)| *v)
    }

    fn is_json(&self) -> bool {
        ["application/json", "application/*", "*/*"]
            .iter()
            .any(|m| self.media.eq_ignore_ascii_case(m))
    }
}

/// A form of the group list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// `APIGroupList`.
    Groups,
    /// `APIGroupDiscoveryList` of the given version of `apidiscovery.k8s.io`: `v2` or `v2beta1`.
    Aggregated(&'static str),
}

/// Whether JSON is accepted. The HPA asks for protobuf first and takes JSON by `*/*`; kubectl asks for a Table.
///
/// # Errors
/// 406 when nothing that can be answered is accepted.
pub fn json(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = accept(headers);
    if text.trim().is_empty() || ranges(&text).iter().any(Range::is_json) {
        Ok(())
    } else {
        Err(not_acceptable())
    }
}

/// The form of the group list that is preferred.
///
/// # Errors
/// 406 when nothing that can be answered is accepted.
pub fn discovery(headers: &HeaderMap) -> Result<Discovery, ApiError> {
    let text = accept(headers);
    if text.trim().is_empty() {
        return Ok(Discovery::Groups);
    }
    let form = |range: &Range<'_>| {
        if !range.is_json() {
            return None;
        }
        match (range.get("as"), range.get("g"), range.get("v")) {
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                Some(Discovery::Aggregated("v2"))
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                Some(Discovery::Aggregated("v2beta1"))
            }
            (None, _, _) => Some(Discovery::Groups),
            _ => None,
        }
    };
    ranges(&text).iter().find_map(form).ok_or_else(not_acceptable)
}

/// Whether JSON is preferred where text is what everybody gets who says nothing: it has to be named, and text must not be
/// named with more weight.
#[must_use]
pub fn prefers_json(headers: &HeaderMap) -> bool {
    let text = accept(headers);
    let ranges = ranges(&text);
    let weight = |medias: &[&str]| {
        let named = ranges
            .iter()
            .filter(|range| medias.iter().any(|media| range.media.eq_ignore_ascii_case(media)));
        named.map(|range| range.quality).fold(0.0, f32::max)
    };
    let json = weight(&["application/json"]);
    json > 0.0 && json >= weight(&["text/plain", "text/*", "*/*"])
}

fn not_acceptable() -> ApiError {
    ApiError::new(
        Kind::NotAcceptable,
        "only the following media types are accepted: application/json",
    )
}

fn accept(headers: &HeaderMap) -> String {
    let values: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(",")
}

/// The entries from the most to the least preferred; what is refused (`q=0`) is not among them.
fn ranges(text: &str) -> Vec<Range<'_>> {
    let mut ranges: Vec<Range<'_>> = text.split(',').filter_map(range).filter(|r| r.quality > 0.0).collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().filter(|m| !m.is_empty())?;
    let (mut parameters, mut quality) = (Vec::new(), 1.0);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim_matches('"');
        if key.eq_ignore_ascii_case("q") {
            quality = value.parse().unwrap_or(0.0);
        } else {
            parameters.push((key, value));
        }
    }
    Some(Range {
        media,
        parameters,
        quality,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        headers
    }

    #[test]
    fn json_is_answered_to_whoever_can_take_it() {
        for (accept, accepted) in [
            ("", true),
            ("*/*", true),
            ("application/json", true),
            ("application/vnd.kubernetes.protobuf, */*", true),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", true),
            ("application/*;q=0.1", true),
            ("text/html", false),
            ("application/vnd.kubernetes.protobuf", false),
            ("application/json;q=0", false),
        ] {
            assert_eq!(json(&headers(accept)).is_ok(), accepted, "{accept}");
        }
    }

    #[test]
    fn json_is_preferred_to_text_where_it_is_named_and_text_is_not_before_it() {
        for (accept, preferred) in [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", false),
            ("application/json", true),
            ("Application/JSON;q=0.5", true),
            ("application/json, text/plain, */*", true),
            ("text/plain, application/json;q=0.9", false),
            ("*/*;q=0.1, application/json;q=0.2", true),
            ("application/json;q=0", false),
            ("application/json;q=nan", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(prefers_json(&headers(accept)), preferred, "{accept}");
        }
    }

    #[test]
    fn the_first_known_form_of_discovery_is_taken() {
        for (accept, expected) in [
            ("", Some(Discovery::Groups)),
            ("application/json", Some(Discovery::Groups)),
            (
                &format!("{V2},{V2BETA1},application/json"),
                Some(Discovery::Aggregated("v2")),
            ),
            (&format!("{V2BETA1},{V2}"), Some(Discovery::Aggregated("v2beta1"))),
            (&format!("{V2};q=0.5,application/json"), Some(Discovery::Groups)),
            (
                "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList,*/*",
                Some(Discovery::Groups),
            ),
            (
                "application/json;g=apidiscovery.k8s.io;v=v3;as=APIGroupDiscoveryList",
                None,
            ),
            ("text/html", None),
        ] {
            assert_eq!(discovery(&headers(accept)).ok(), expected, "{accept}");
        }
    }
}
