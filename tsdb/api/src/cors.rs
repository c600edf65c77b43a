//! Which pages of other origins a browser lets read the API's answers, as Prometheus tells it (`util/httputil/cors.go`; `Register`
//! and `options` of `web/api/v1/api.go`). It protects nothing by itself: who is no browser reads what it likes.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use leadline_model::regex::{Regex, RegexError};

/// What a page may send and read, told to every origin that asks.
const TERMS: [(&str, &str); 3] = [
    (
        "access-control-allow-headers",
        "Accept, Authorization, Content-Type, Origin",
    ),
    ("access-control-allow-methods", "GET, POST, OPTIONS"),
    ("access-control-expose-headers", "Date"),
];

/// The origins whose pages may read answers (`--web.cors.origin`).
#[derive(Debug, Clone)]
pub struct Origins(Option<Regex>);

impl Origins {
    /// All, as by default.
    pub const ANY: Self = Self(None);

    /// Those that match `pattern` (Go RE2 syntax) as a whole, in their own case.
    ///
    /// # Errors
    /// [`RegexError`] when the pattern is not valid or too big.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        Regex::new(pattern).map(|pattern| Self(Some(pattern)))
    }

    /// Tells caches that the answer depends on the origin, and a browser with one whether its page may read it.
    fn answer(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin.filter(|origin| !origin.is_empty()) else {
            return;
        };
        for (name, value) in TERMS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let matches = |pattern: &Regex| std::str::from_utf8(origin.as_bytes()).is_ok_and(|text| pattern.is_match(text));
        if self.0.as_ref().is_none_or(matches) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
    }
}

/// Marks what a route answers.
pub(crate) async fn mark(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    origins.answer(origin.as_ref(), response.headers_mut());
    response
}

/// Answers OPTIONS on any path of the API, where a browser asks before it asks.
pub(crate) async fn preflight(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    if request.method() != Method::OPTIONS || !request.uri().path().starts_with("/api/v1/") {
        return next.run(request).await;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    origins.answer(request.headers().get(header::ORIGIN), response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_told_what_it_may_as_prometheus_tells_it() {
        let none = &[("vary", "Origin")][..];
        let terms = [
            (
                "access-control-allow-headers",
                "Accept, Authorization, Content-Type, Origin",
            ),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            ("access-control-expose-headers", "Date"),
            ("vary", "Origin"),
        ];
        let allowed = |origin| {
            let mut all = [&[("access-control-allow-origin", origin)], &terms[..]].concat();
            all.sort_unstable();
            all
        };
        let two = r"https?://(a|b)\.com";
        // As Prometheus 3.16 answered each of them.
        for (pattern, origin, wanted) in [
            (".*", None, none.to_vec()),
            (".*", Some(""), none.to_vec()),
            (".*", Some("https://a.com"), allowed("https://a.com")),
            (".*", Some("null"), allowed("null")),
            (two, None, none.to_vec()),
            (two, Some("http://b.com"), allowed("http://b.com")),
            (two, Some("https://a.com.evil"), terms.to_vec()),
            (two, Some("x https://a.com"), terms.to_vec()),
            (two, Some("HTTPS://A.com"), terms.to_vec()),
            (two, Some("null"), terms.to_vec()),
            ("", Some("null"), terms.to_vec()),
        ] {
            let origin = origin.map(|text| HeaderValue::from_str(text).unwrap());
            let mut headers = HeaderMap::new();
            Origins::new(pattern).unwrap().answer(origin.as_ref(), &mut headers);
            let mut told: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
            told.sort_unstable();
            assert_eq!(told, wanted, "{pattern:?} {origin:?}");
        }
        assert!(Origins::new("(").is_err());
    }
}
