//! One request to one target.

use crate::body::{ACCEPT, check_content_type, decode};
use crate::config::{DEFAULT_BODY_CAP, Job};
use crate::error::ScrapeError;
use crate::ingest::Scratch;
use crate::stats::{Stats, add};
use crate::target::Target;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use leadline_httpclient::{Client, Connections, FetchError, Get};
use std::time::Duration;

/// What is sent with every request of a target.
pub(crate) fn headers(job: &Job, target: &Target) -> HeaderMap {
    const TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
    let mut headers = HeaderMap::new();
    let encoding = if job.enable_compression { "gzip" } else { "identity" };
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("leadline/", env!("CARGO_PKG_VERSION"))),
    );
    if let Ok(seconds) = HeaderValue::from_str(&(target.timeout_ms as f64 / 1000.0).to_string()) {
        headers.insert(TIMEOUT, seconds);
    }
    headers
}

/// Fetches the target's text into `scratch.body`, within its timeout.
pub(crate) async fn fetch(
    job: &Job,
    target: &Target,
    client: &Client,
    connections: &mut Connections,
    stats: &Stats,
    scratch: &mut Scratch,
) -> Result<(), ScrapeError> {
    let limit = match job.limits.body_size_limit {
        0 => DEFAULT_BODY_CAP,
        limit => limit,
    };
    let headers = headers(job, target);
    let get = Get {
        uri: &target.uri,
        headers: &headers,
        body_limit: limit,
    };
    let timeout = Duration::from_millis(target.timeout_ms.unsigned_abs());
    let answer = match tokio::time::timeout(timeout, client.get(connections, get, &mut scratch.body)).await {
        Err(_) => return Err(ScrapeError::Timeout(target.timeout_ms)),
        Ok(Err(FetchError::BodyTooLarge(limit))) => return Err(ScrapeError::BodySize(limit)),
        Ok(answer) => answer?,
    };
    add(&stats.transferred_bytes, scratch.body.len());
    if answer.status != StatusCode::OK {
        return Err(ScrapeError::Status(answer.status));
    }
    decode(&answer.headers, limit, &mut scratch.body, &mut scratch.compressed)?;
    add(&stats.body_bytes, scratch.body.len());
    check_content_type(&answer.headers, job.fallback_scrape_protocol)
}
