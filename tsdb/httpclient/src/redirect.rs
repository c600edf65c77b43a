//! Where a redirect leads.

use crate::connect::Origin;
use crate::error::FetchError;
use http::{HeaderMap, StatusCode, Uri, header};

/// The URL that an answer redirects to, or `None` when it does not.
pub(crate) fn target(from: &Uri, status: StatusCode, headers: &HeaderMap) -> Result<Option<Uri>, FetchError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(header::LOCATION) else { return Ok(None) };
    let fail = |url: String| FetchError::Url { url, reason: "expected a Location header that leads to http or https" };
    let text = location.to_str().map_err(|_| fail(format!("{location:?}")))?;
    let text = text.split('#').next().unwrap_or(text);
    let absolute = resolve(from, text);
    absolute.parse().map(Some).map_err(|_| fail(text.to_owned()))
}

/// RFC 3986, section 5.2, without the removal of dot segments, which servers do themselves.
fn resolve(from: &Uri, text: &str) -> String {
    let scheme = from.scheme_str().unwrap_or("http");
    let authority = from.authority().map_or("", |a| a.as_str());
    if text.contains("://") {
        return text.to_owned();
    }
    if let Some(rest) = text.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    if text.starts_with('/') {
        return format!("{scheme}://{authority}{text}");
    }
    let path = from.path();
    let folder = match text.starts_with('?') {
        true => path,
        false => &path[..path.rfind('/').map_or(0, |at| at + 1)],
    };
    format!("{scheme}://{authority}{folder}{text}")
}

/// Whether credentials meant for `first` may go to `next`: the same host, and never from TLS to plain text.
pub(crate) fn keeps_credentials(first: &Origin, next: &Origin) -> bool {
    first.host.eq_ignore_ascii_case(&next.host) && (next.secure || !first.secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved_against_the_request() {
        let from: Uri = "http://a:1/x/y?q=1".parse().unwrap();
        for (location, expected) in [
            ("http://b/z", "http://b/z"),
            ("//b:2/z", "http://b:2/z"),
            ("/z?w=1#f", "http://a:1/z?w=1"),
            ("z", "http://a:1/x/z"),
            ("?w=2", "http://a:1/x/y?w=2"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().unwrap());
            let found = target(&from, StatusCode::FOUND, &headers).unwrap().unwrap();
            assert_eq!(found.to_string(), expected, "{location}");
        }
    }

    #[test]
    fn credentials_stay_with_their_host() {
        let of = |url: &str| Origin::of(&url.parse().unwrap()).unwrap();
        for (first, next, kept) in [
            ("http://a:1/", "http://a:2/", true),
            ("http://a/", "https://A/", true),
            ("https://a/", "http://a/", false),
            ("http://a/", "http://b/", false),
            ("http://a/", "http://a.b/", false),
        ] {
            assert_eq!(keeps_credentials(&of(first), &of(next)), kept, "{first} to {next}");
        }
    }
}
