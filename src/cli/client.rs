//! The HTTP client of commands that ask a running leadline.

use std::net::IpAddr;
use std::time::Duration;

/// A client for `url` that gives up after `patience`. Loopback is asked itself, whatever proxy the environment names, as by
/// Go's clients, Prometheus' own among them (`http.ProxyFromEnvironment`).
///
/// # Errors
/// What is wrong with the machine's TLS or with a proxy that the environment names.
pub(crate) fn client(url: &str, patience: Duration) -> Result<reqwest::Client, String> {
    let builder = reqwest::Client::builder().timeout(patience);
    let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
    builder.build().map_err(|e| e.to_string())
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_is_told_from_everything_else() {
        for (url, expected) in [
            ("http://127.0.0.1:9090", true),
            ("http://127.8.0.1/x", true),
            ("http://LOCALHOST:9090/", true),
            ("https://[::1]:9090", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://10.0.0.1:9090", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://127.0.0.1@example.com", false),
            ("127.0.0.1:9090", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
