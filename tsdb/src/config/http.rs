//! The keys of `http_config` that a job has among its own.

use super::scrape::ScrapeConfig;
use super::yaml::{ConfigError, Place};
use leadline_httpclient::Settings;
use serde_saphyr::Spanned;

fn inner<T: Clone>(value: Option<&Spanned<T>>) -> Option<T> {
    value.map(|v| v.value.clone())
}

/// The job's settings, checked.
pub(super) fn settings(file: &str, job: &ScrapeConfig) -> Result<Settings, ConfigError> {
    let settings = Settings {
        basic_auth: inner(job.basic_auth.as_ref()),
        authorization: inner(job.authorization.as_ref()),
        bearer_token: inner(job.bearer_token.as_ref()),
        bearer_token_file: inner(job.bearer_token_file.as_ref()),
        oauth2: inner(job.oauth2.as_ref()),
        tls_config: inner(job.tls_config.as_ref()),
        follow_redirects: job.follow_redirects,
        enable_http2: job.enable_http2,
        proxy_url: inner(job.proxy_url.as_ref()),
        no_proxy: inner(job.no_proxy.as_ref()),
        proxy_from_environment: job.proxy_from_environment.as_ref().is_some_and(|p| p.value),
        proxy_connect_header: inner(job.proxy_connect_header.as_ref()),
        http_headers: inner(job.http_headers.as_ref()),
    };
    settings.validate().map(|()| settings).map_err(|error| {
        let key = error.field.split('.').next().unwrap_or_default();
        let message = match error.reason.as_str() {
            "not supported yet" => format!("not supported yet: {}", error.field),
            _ => error.to_string(),
        };
        place(job, key)
            .unwrap_or_else(|| Place::of(&job.job_name))
            .error(file, message)
    })
}

/// Where the key of that name stands.
fn place(job: &ScrapeConfig, key: &str) -> Option<Place> {
    match key {
        "basic_auth" => job.basic_auth.as_ref().map(Place::of),
        "authorization" => job.authorization.as_ref().map(Place::of),
        "bearer_token" => job.bearer_token.as_ref().map(Place::of),
        "bearer_token_file" => job.bearer_token_file.as_ref().map(Place::of),
        "oauth2" => job.oauth2.as_ref().map(Place::of),
        "tls_config" => job.tls_config.as_ref().map(Place::of),
        "proxy_url" => job.proxy_url.as_ref().map(Place::of),
        "no_proxy" => job.no_proxy.as_ref().map(Place::of),
        "proxy_from_environment" => job.proxy_from_environment.as_ref().map(Place::of),
        "proxy_connect_header" => job.proxy_connect_header.as_ref().map(Place::of),
        "http_headers" => job.http_headers.as_ref().map(Place::of),
        _ => None,
    }
}
