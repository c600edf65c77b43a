//! From an HTTP answer to text that the parser reads.

use crate::config::Protocol;
use crate::error::ScrapeError;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, header};
use std::io::Read;

/// What is asked for: the text formats, with UTF-8 names first. OpenMetrics and protobuf are not read yet.
pub const ACCEPT: &str = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// Whether the parser reads what `Content-Type` says, or what the job says where that is missing or unknown. Parameters
/// (version, escaping, charset) change nothing: of the text formats the parser reads each the same way.
///
/// # Errors
/// [`ScrapeError::ContentType`]: what was found and what was expected.
pub fn check_content_type(headers: &HeaderMap, fallback: Option<Protocol>) -> Result<(), ScrapeError> {
    let fail = |text: String| Err(ScrapeError::ContentType(text));
    let text = headers
        .get(header::CONTENT_TYPE)
        .map_or("", |v| v.to_str().unwrap_or("?"))
        .trim();
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(text.matches(';').count() > 3);
    let media_type = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media_type.as_str() {
        "text/plain" => return Ok(()),
        "application/openmetrics-text" | "application/vnd.google.protobuf" => {
            return fail(format!(
                "Content-Type {text:?} is not supported yet, expected text/plain"
            ));
        }
        _ => {}
    }
    match fallback {
        Some(protocol) if protocol.is_text() => Ok(()),
        _ if text.is_empty() => fail("no Content-Type, expected text/plain or fallback_scrape_protocol".to_owned()),
        _ => fail(format!(
            "unknown Content-Type {text:?}, expected text/plain or fallback_scrape_protocol"
        )),
    }
}

/// Makes of a body what it was before it was compressed, as `Content-Encoding` says; `spare` is left with what came.
/// No more than `limit` bytes are made.
///
/// # Errors
/// [`ScrapeError::Encoding`] and [`ScrapeError::BodySize`].
pub fn decode(headers: &HeaderMap, limit: u64, body: &mut Vec<u8>, spare: &mut Vec<u8>) -> Result<(), ScrapeError> {
    if encoding(headers)? == Encoding::Gzip {
        std::mem::swap(body, spare);
        gunzip(spare, limit, body)?;
    }
    Ok(())
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ScrapeError> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(Encoding::Identity);
    };
    match value.as_bytes().to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(Encoding::Identity),
        b"gzip" => Ok(Encoding::Gzip),
        _ => Err(ScrapeError::Encoding(format!(
            "Content-Encoding {value:?}, expected gzip or identity"
        ))),
    }
}

/// Replaces `into` by what `compressed` holds; fails as soon as that reaches `limit` bytes.
fn gunzip(compressed: &[u8], limit: u64, into: &mut Vec<u8>) -> Result<(), ScrapeError> {
    into.clear();
    let read = MultiGzDecoder::new(compressed)
        .take(limit)
        .read_to_end(into)
        .map_err(|e| ScrapeError::Encoding(format!("the body is no whole gzip stream: {e}")))?;
    if read as u64 >= limit {
        Err(ScrapeError::BodySize(limit))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_text_is_read_and_the_rest_says_why() {
        let text = Some(Protocol::PrometheusText004);
        for (content_type, fallback, expected) in [
            (Some("text/plain"), None, Ok(())),
            (Some("Text/Plain; version=0.0.4; charset=utf-8"), None, Ok(())),
            (Some("text/plain; version=1.0.0; escaping=underscores"), None, Ok(())),
            (None, None, Err("no Content-Type")),
            (None, text, Ok(())),
            (Some("text/html"), None, Err("unknown Content-Type \"text/html\"")),
            (Some("text/html"), text, Ok(())),
            (
                Some("application/openmetrics-text; version=1.0.0"),
                text,
                Err("not supported yet"),
            ),
            (Some("application/vnd.google.protobuf"), None, Err("not supported yet")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = content_type {
                headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            }
            let got = check_content_type(&headers, fallback).map_err(|e| e.to_string());
            match expected {
                Ok(()) => assert_eq!(got, Ok(()), "{content_type:?}"),
                Err(part) => assert!(
                    got.as_ref().is_err_and(|e| e.contains(part)),
                    "{content_type:?}: {got:?}"
                ),
            }
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_read_whole_and_capped() {
        let mut out = Vec::new();
        let two = [gzip(b"a 1\n"), gzip(b"b 2\n")].concat();
        gunzip(&two, 100, &mut out).unwrap();
        assert_eq!(out, b"a 1\nb 2\n");
        assert!(matches!(
            gunzip(&gzip(&[b'#'; 100_000]), 1_000, &mut out),
            Err(ScrapeError::BodySize(1_000))
        ));
        assert!(out.len() <= 1_000);
        let whole = gzip(b"a 1\n");
        assert!(matches!(
            gunzip(&whole[..whole.len() - 4], 100, &mut out),
            Err(ScrapeError::Encoding(_))
        ));
        assert!(matches!(gunzip(b"a 1\n", 100, &mut out), Err(ScrapeError::Encoding(_))));
    }
}
