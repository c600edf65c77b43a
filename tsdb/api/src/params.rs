//! Parameters of a request: from the query string and, for POST and PUT, from a form body too.

use crate::respond::ApiError;
use crate::time::parse_time;
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, Method, header};
use leadline_model::Timestamp;
use leadline_model::duration::Duration;
use leadline_model::number::push_plain;
use leadline_model::quote::Quoted;
use std::num::{IntErrorKind, ParseIntError};

/// The most bytes a form may have.
const FORM_LIMIT: usize = 1 << 20;

/// The most points a range query may answer per series (`web/api/v1/api.go`).
const MOST_POINTS: i64 = 11_000;

/// Says of one request whether the start times of samples are used (`web/api/v1/api.go`, extractQueryOpts).
const START_TIMESTAMPS: &str = "X-Prometheus-Use-Start-Timestamps";

/// The name and value pairs: the body's, then the query string's, each in the order they came, as Go's `Request.Form` has
/// them. And the one header that is a parameter.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    /// What the header [`START_TIMESTAMPS`] says.
    start_timestamps: String,
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let of_url = decode(request.uri().query().unwrap_or("").as_bytes());
        let form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(is_form);
        let header = request.headers().get(START_TIMESTAMPS).map(HeaderValue::as_bytes);
        let start_timestamps = String::from_utf8_lossy(header.unwrap_or_default()).into_owned();
        let mut pairs = Vec::new();
        if [Method::POST, Method::PUT].contains(request.method()) && form {
            let body = to_bytes(request.into_body(), FORM_LIMIT).await.map_err(|_| {
                ApiError::bad_data(format!("the form cannot be read or has more than {FORM_LIMIT} bytes"))
            })?;
            pairs = decode(&body);
        }
        pairs.extend(of_url);
        Ok(Self {
            pairs,
            start_timestamps,
        })
    }
}

/// Whether a content type is that of forms; the case of letters and what follows a semicolon say nothing.
fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or("");
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// `a=b&c=d` with `+` and percent escapes.
fn decode(text: &[u8]) -> Vec<(String, String)> {
    let part = |bytes: &[u8]| {
        let spaced: Vec<u8> = bytes.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
        percent_encoding::percent_decode(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    text.split(|&b| b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let split = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
            (part(&pair[..split]), part(pair.get(split + 1..).unwrap_or(b"")))
        })
        .collect()
}

impl Params {
    /// The first value of `name`; none where that is empty, whatever may follow it (`FormValue` of Go's net/http, and what
    /// `web/api/v1/api.go` makes of an empty one).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, first) = self.pairs.iter().find(|(n, _)| n == name)?;
        (!first.is_empty()).then_some(first)
    }

    /// Every value of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The query, or nothing, which parses to an error.
    pub(crate) fn query(&self) -> &str {
        self.get("query").unwrap_or("")
    }

    /// A time, if given.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        #[cfg(feature = "planted")]
        leadline_model::planted::trap(text.ends_with('Z') && text.contains('.'));
        let parsed = parse_time(text);
        let refuse = |reason| ApiError::parameter(name, format!("invalid time value for '{name}': {reason}"));
        parsed.map(Some).map_err(refuse)
    }

    /// Whether the start times of samples are used, if the request says so.
    pub(crate) fn start_timestamps(&self) -> Result<Option<bool>, ApiError> {
        // What Go's `strconv.ParseBool` takes.
        match self.start_timestamps.as_str() {
            "" => Ok(None),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            other => Err(ApiError::bad_data(format!(
                "error parsing {START_TIMESTAMPS} header: strconv.ParseBool: parsing {}: invalid syntax",
                Quoted(other)
            ))),
        }
    }

    /// How many entries at most; `None` for no limit.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        let limit = parse_whole(text).map_err(|reason| ApiError::parameter("limit", reason))?;
        match usize::try_from(limit) {
            Ok(limit) => Ok((limit > 0).then_some(limit)),
            Err(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
        }
    }

    /// How many entries at most under any name; `None` where it is absent or negative (`/api/v1/metadata`);
    /// 0 is a count.
    pub(crate) fn count(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let count: i64 = text
            .parse()
            .map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
        Ok(usize::try_from(count).ok())
    }

    /// How long a query may take, if given.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.get("timeout") else {
            return Ok(None);
        };
        let refuse = |reason: String| ApiError::parameter("timeout", reason);
        let ms = parse_duration(text).map_err(refuse)?;
        if ms <= 0 {
            let seconds = plain(ms as f64 / 1000.0);
            return Err(refuse(format!("timeout must be positive, got {seconds}s")));
        }
        Ok(Some(Duration::from_millis(ms)))
    }

    /// The most that there may be of something; 0, for any number, where it is absent.
    pub(crate) fn most(&self, name: &str) -> Result<u64, ApiError> {
        let parsed = self.get(name).map_or(Ok(0), parse_unsigned);
        parsed.map_err(|reason| ApiError::bad_data(format!("error parsing {name}: {reason}")))
    }

    /// How long something may take; none where it is absent or 0.
    pub(crate) fn longest(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let refuse = |reason: String| ApiError::bad_data(format!("error parsing {name}: {reason}"));
        match self.get(name).map_or(Ok(0), parse_duration).map_err(refuse)? {
            0 => Ok(None),
            ms if ms > 0 => Ok(Some(Duration::from_millis(ms))),
            ms => Err(refuse(format!(
                "must not be negative, got {}s",
                plain(ms as f64 / 1000.0)
            ))),
        }
    }

    /// How far back (ms) a selector looks, if given.
    pub(crate) fn lookback(&self) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get("lookback_delta") else {
            return Ok(None);
        };
        let parsed = parse_duration(text);
        parsed
            .map(Some)
            .map_err(|reason| ApiError::bad_data(format!("error parsing lookback delta duration: {reason}")))
    }

    /// `start`, `end`, `step` (ms) of a range query, checked.
    pub(crate) fn range(&self) -> Result<(Timestamp, Timestamp, i64), ApiError> {
        let time = |name| {
            let text = self.get(name).unwrap_or("");
            parse_time(text).map_err(|reason| ApiError::parameter(name, reason))
        };
        let (start, end) = (time("start")?, time("end")?);
        if end < start {
            return Err(ApiError::parameter(
                "end",
                "end timestamp must not be before start time",
            ));
        }
        let text = self.get("step").unwrap_or("");
        let step = parse_duration(text).map_err(|reason| ApiError::parameter("step", reason))?;
        if step <= 0 {
            return Err(ApiError::parameter(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        if end.saturating_sub(start) / step > MOST_POINTS {
            return Err(ApiError::bad_data(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        Ok((start, end, step))
    }
}

fn plain(v: f64) -> String {
    let mut text = String::new();
    push_plain(&mut text, v);
    text
}

/// A whole number, refused in the words of Go's `strconv.Atoi`.
fn parse_whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error| no_number("Atoi", text, &error))
}

/// A whole number without a sign, refused in the words of Go's `strconv.ParseUint`.
fn parse_unsigned(text: &str) -> Result<u64, String> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("strconv.ParseUint: parsing {}: invalid syntax", Quoted(text)));
    }
    text.parse().map_err(|error| no_number("ParseUint", text, &error))
}

fn no_number(function: &str, text: &str, error: &ParseIntError) -> String {
    let reason = match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {}: {reason}", Quoted(text))
}

/// Seconds as a number, or `1m30s`; ms.
fn parse_duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ns = seconds * 1e9;
        return if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ns) {
            Ok(ns as i64 / 1_000_000)
        } else {
            let text = Quoted(text);
            Err(format!("cannot parse {text} to a valid duration. It overflows int64"))
        };
    }
    Duration::parse(text)
        .map(Duration::as_millis)
        .map_err(|_| format!("cannot parse {} to a valid duration", Quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters of a request with this method, content type, query string and body.
    async fn params(method: Method, kind: &str, query: &str, body: &'static str) -> Params {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/query?{query}"))
            .header(header::CONTENT_TYPE, kind)
            .body(axum::body::Body::from(body))
            .unwrap();
        Params::from_request(request, &()).await.unwrap()
    }

    #[tokio::test]
    async fn the_bodys_pairs_go_before_the_urls() {
        let form = "application/x-www-form-urlencoded";
        let (url, body) = ("a=1&b=2&match[]=x", "a=3&match[]=y&match[]=z&c=");
        for (method, kind, a, matches) in [
            (Method::POST, form, "3", vec!["y", "z", "x"]),
            (Method::PUT, form, "3", vec!["y", "z", "x"]),
            (
                Method::POST,
                "Application/X-WWW-Form-Urlencoded; charset=utf-8",
                "3",
                vec!["y", "z", "x"],
            ),
            (Method::POST, "text/plain", "1", vec!["x"]),
            (Method::GET, form, "1", vec!["x"]),
        ] {
            let params = params(method.clone(), kind, url, body).await;
            assert_eq!(params.get("a"), Some(a), "{method} {kind}");
            assert_eq!(params.get("b"), Some("2"), "{method} {kind}");
            assert_eq!(params.all("match[]").collect::<Vec<_>>(), matches, "{method} {kind}");
        }
        let emptied = params(Method::POST, form, "a=1&b=&b=2", "a=").await;
        assert_eq!(
            (emptied.get("a"), emptied.get("b")),
            (None, None),
            "the first one counts"
        );
    }

    #[tokio::test]
    async fn a_header_says_whether_start_times_are_used() {
        let asked = |value: Option<&'static str>| async move {
            let mut request = Request::builder().uri("/api/v1/query");
            if let Some(value) = value {
                request = request.header("x-prometheus-use-start-timestamps", value);
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            let params = Params::from_request(request, &()).await.unwrap();
            params.start_timestamps().map_err(|error| format!("{error:?}"))
        };
        for (value, used) in [
            (None, None),
            (Some(""), None),
            (Some("1"), Some(true)),
            (Some("TRUE"), Some(true)),
            (Some("f"), Some(false)),
            (Some("False"), Some(false)),
        ] {
            assert_eq!(asked(value).await, Ok(used), "{value:?}");
        }
        let refused = ApiError::bad_data(
            "error parsing X-Prometheus-Use-Start-Timestamps header: strconv.ParseBool: parsing \"yes\": invalid syntax",
        );
        assert_eq!(asked(Some("yes")).await, Err(format!("{refused:?}")));
    }

    #[tokio::test]
    async fn limits_of_cost_are_whole_numbers_and_durations() {
        for (text, most, longest) in [
            ("", Ok(0), Ok(None)),
            ("0", Ok(0), Ok(None)),
            ("15", Ok(15), Ok(Some(15_000))),
            (
                "18446744073709551615",
                Ok(u64::MAX),
                Err("cannot parse \"18446744073709551615\" to a valid duration. It overflows int64"),
            ),
            (
                "18446744073709551616",
                Err("strconv.ParseUint: parsing \"18446744073709551616\": value out of range"),
                Err("cannot parse \"18446744073709551616\" to a valid duration. It overflows int64"),
            ),
            (
                "-1",
                Err("strconv.ParseUint: parsing \"-1\": invalid syntax"),
                Err("must not be negative, got -1s"),
            ),
            (
                "%2B1",
                Err("strconv.ParseUint: parsing \"+1\": invalid syntax"),
                Ok(Some(1_000)),
            ),
            (
                "1m30s",
                Err("strconv.ParseUint: parsing \"1m30s\": invalid syntax"),
                Ok(Some(90_000)),
            ),
        ] {
            let params = params(Method::GET, "", &format!("n={text}"), "").await;
            let worded = |error: ApiError| format!("{error:?}");
            let refused = |text: &str| format!("{:?}", ApiError::bad_data(format!("error parsing n: {text}")));
            assert_eq!(params.most("n").map_err(worded), most.map_err(refused), "{text}");
            let ms = params.longest("n").map(|found| found.map(Duration::as_millis));
            assert_eq!(ms.map_err(worded), longest.map_err(refused), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_units() {
        assert_eq!(
            (parse_duration("15"), parse_duration("0.5"), parse_duration("1m30s")),
            (Ok(15_000), Ok(500), Ok(90_000))
        );
        assert!(parse_duration("1e300").unwrap_err().contains("overflows"));
        assert!(parse_duration("fast").is_err());
    }

    #[test]
    fn forms_are_decoded() {
        let pairs = decode(b"match[]=up%7Ba%3D%22b+c%22%7D&match%5B%5D=down&empty=&flag");
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("match[]", r#"up{a="b c"}"#),
                ("match[]", "down"),
                ("empty", ""),
                ("flag", "")
            ]
        );
    }
}
