//! The framing of answers.

use crate::answer::PIECE;
use crate::plain;
use axum::body::{Body, Bytes};
use axum::http::{Method, Uri};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use leadline_model::port::QueryError;
use leadline_promql::diagnostic::ParseError;
use leadline_promql::error::Error;
use std::convert::Infallible;

/// Warnings, and infos, of one answer.
const MOST_NOTES: usize = 10;

/// After so many pieces of a body other tasks have their turn; to a client that reads fast it could be written in one go.
const PIECES_AT_ONCE: usize = 16;

/// An error in the API's words.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ApiError {
    /// The request is wrong: 400.
    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "bad_data",
            message: message.into(),
        }
    }

    /// A parameter is wrong: 400, in the words Prometheus uses.
    pub(crate) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {reason}"))
    }

    /// There is no such thing: 404.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "not_found",
            message: message.into(),
        }
    }

    /// The part that answers is off or not ready: 503.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message.into())
    }

    /// It should have worked: 500.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message.into())
    }

    fn new(status: StatusCode, kind: &'static str, message: String) -> Self {
        Self { status, kind, message }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Prepare(_) | Error::BadRequest(_) => Self::bad_data(message),
            Error::Execution(_) | Error::TooManySamples(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message)
            }
            Error::TooManySeries(_) | Error::TooManySamplesRead(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "cost_limit", message)
            }
            Error::Timeout(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message),
            Error::Canceled(_) => Self::new(closed_request(), "canceled", message),
            Error::Overloaded => Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message),
            Error::Storage(QueryError::Unavailable(_)) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            Error::Storage(QueryError::Corrupt(_)) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message),
        }
    }
}

/// The client went away: 499, which nginx made known.
fn closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        Error::from(error).into()
    }
}

/// Why a text is no expression, in one line as Prometheus tells it: where, and without advice.
pub(crate) fn parse_error(text: &str, error: &ParseError) -> String {
    let ParseError {
        line, column, message, ..
    } = error;
    if text.is_empty() {
        return format!("unknown position: parse error: {message}");
    }
    format!("{line}:{column}: parse error: {message}")
}

/// Runs what may read from the disk where it keeps nobody else waiting.
pub(crate) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => Err(ApiError::internal(error.to_string())),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = String::from(r#"{"status":"error","errorType":"#);
        push_text(&mut body, self.kind);
        body.push_str(r#","error":"#);
        push_text(&mut body, &self.message);
        body.push('}');
        json(self.status, Body::from(body))
    }
}

/// What stands before the data of a success.
pub(crate) const SUCCESS: &str = r#"{"status":"success","data":"#;
/// What stands behind its data and notes.
pub(crate) const END: &str = "}";

/// `{"status":"success","data":…}` around `data`, which is JSON already. A long one goes out in pieces, and is not copied.
pub(crate) fn success(data: String, warnings: &[String], infos: &[String]) -> Response {
    let end = [&notes(warnings, infos), END].concat();
    if data.len() < PIECE {
        return json(StatusCode::OK, Body::from([SUCCESS, &data, &end].concat()));
    }
    let mut data = Bytes::from(data);
    let pieces = std::iter::from_fn(move || match data.len().min(PIECE) {
        0 => None,
        next => Some(data.split_to(next)),
    });
    streamed(
        std::iter::once(Bytes::from(SUCCESS))
            .chain(pieces)
            .chain([Bytes::from(end)]),
    )
}

/// What follows the data of a success: warnings and infos, where there are any.
pub(crate) fn notes(warnings: &[String], infos: &[String]) -> String {
    let (warnings, infos) = (first(warnings, "warning"), first(infos, "info"));
    let mut out = String::new();
    for (name, notes) in [("warnings", warnings), ("infos", infos)] {
        if !notes.is_empty() {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            push_list(&mut out, notes.iter().map(String::as_str));
        }
    }
    out
}

/// An answer of one piece goes out at once and with its length; a bigger one as its pieces are taken.
pub(crate) fn streamed<A>(mut answer: A) -> Response
where
    A: Iterator<Item: Into<Bytes> + Send> + Send + 'static,
{
    let first: Bytes = answer.next().map(Into::into).unwrap_or_default();
    if answer.size_hint() == (0, Some(0)) {
        return json(StatusCode::OK, Body::from(first));
    }
    let answer = answer.map(Into::into);
    let pieces = std::iter::once(first).chain(answer).enumerate();
    let pieces = futures::stream::iter(pieces).then(|(i, piece)| async move {
        if i % PIECES_AT_ONCE == PIECES_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        Ok::<_, Infallible>(piece)
    });
    json(StatusCode::OK, Body::from_stream(pieces))
}

/// As many notes as Prometheus answers (`web/api/v1/api.go`, `respond`), and how many there are besides.
fn first(notes: &[String], kind: &str) -> Vec<String> {
    let mut first: Vec<String> = notes.iter().take(MOST_NOTES).cloned().collect();
    if notes.len() > MOST_NOTES {
        let more = notes.len() - MOST_NOTES;
        first.push(format!("{more} more {kind} annotations omitted"));
    }
    first
}

fn json(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}

/// Appends a JSON list of texts.
pub(crate) fn push_list<'a>(out: &mut String, items: impl Iterator<Item = &'a str>) {
    out.push('[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(out, item);
    }
    out.push(']');
}

/// Appends a JSON text as Go's `encoding/json` writes one: also safe within HTML.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    text.chars().for_each(|c| push_char(out, c));
    out.push('"');
}

fn push_char(out: &mut String, c: char) {
    use std::fmt::Write;
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if (c as u32) < 0x20 || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
            let written = write!(out, "\\u{:04x}", c as u32);
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        c => out.push(c),
    }
}

/// Appends a JSON text of a label: what means something in HTML stays (`web/api/v1/json_codec.go`, marshalLabelsJSON).
fn push_label(out: &mut String, text: &str) {
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(text.contains('"') && text.contains('é'));
    let plain = |c: char| c >= ' ' && c != '"' && c != '\\';
    if !plain::is_marked(text.as_bytes()) {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut rest = text;
    out.push('"');
    while let Some(at) = rest.find(|c| !plain(c)) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let end = after.chars().next().map_or(0, char::len_utf8);
        after[..end].chars().for_each(|c| push_char(out, c));
        rest = &after[end..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends a label set as a JSON object.
pub(crate) fn push_labels(out: &mut String, labels: &leadline_model::Labels) {
    let mut room = [0; plain::ROOM];
    if let Some(text) = plain::object(labels, &mut room) {
        out.push_str(text);
        return;
    }
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_label(out, name);
        out.push(':');
        push_label(out, value);
    }
    out.push('}');
}

/// Any other path below this router.
pub(crate) async fn not_found(uri: Uri) -> ApiError {
    ApiError::not_found(format!("no such page: {}", uri.path()))
}

/// A known path, another method.
pub(crate) async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "bad_data",
        format!("method {method} is not allowed here"),
    )
}

#[cfg(test)]
mod tests {
    use super::{push_label, push_text, streamed, success};
    use crate::answer::{Answer, PIECE};
    use http_body_util::BodyExt;
    use leadline_promql::value::{RangeSeries, Value};

    #[tokio::test]
    async fn a_small_answer_has_its_length_and_a_big_one_is_never_whole() {
        for (points, small) in [(10, true), (20_000, false)] {
            let series = RangeSeries {
                points: (0..points).map(|i| (i * 1_000, 0.5)).collect(),
                ..RangeSeries::default()
            };
            let answer = || Answer::new(Value::Matrix(vec![series.clone()]), 0, "", "");
            let mut body = streamed(answer()).into_body();
            let exact = axum::body::HttpBody::size_hint(&body).exact();
            assert_eq!(exact.is_some(), small);
            let mut whole = Vec::new();
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                assert!(data.len() < PIECE + 256);
                whole.extend(data);
            }
            assert_eq!(String::from_utf8(whole).unwrap(), answer().collect::<String>());
        }
    }

    #[tokio::test]
    async fn data_that_are_written_already_go_out_whole_and_in_pieces() {
        for len in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 1] {
            let data = "7".repeat(len);
            let mut body = success(data.clone(), &["w".to_owned()], &[]).into_body();
            let mut whole = Vec::new();
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(piece.len() < PIECE + 256, "{len}");
                whole.extend(piece);
            }
            let expected = format!(r#"{{"status":"success","data":{data},"warnings":["w"]}}"#);
            assert!(whole == expected.as_bytes(), "{len}");
        }
    }

    #[test]
    fn text_is_escaped_so_that_json_reads_it_back() {
        for text in ["", "a\"b\\c", "line\nbreak\ttab\u{1}", "\u{2028}é🦀", "</script>"] {
            let mut out = String::new();
            push_text(&mut out, text);
            assert!(!out.contains(['<', '&', '\u{2028}']));
            let mut label = String::new();
            push_label(&mut label, text);
            for out in [out, label] {
                let back: String = serde_json::from_str(&out).unwrap();
                assert_eq!(back, text);
            }
        }
    }
}
