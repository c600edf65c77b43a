//! `/healthz`, `/livez`, `/readyz` and `/version`. Health is told to everybody, before authentication.

use super::route::Health;
use super::{Adapter, status};
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

/// A check and what came of it.
type Outcome = (String, Result<(), String>);

/// Text `ok`, or what is wrong with status 500; with `?verbose` every check; `?exclude=` leaves checks out.
pub(crate) fn answer(adapter: &Adapter, endpoint: Health, request: &Request) -> Response {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let message = format!("{} is not supported, only GET is", request.method());
        return status::response(&crate::error::ApiError::new(
            crate::error::Kind::MethodNotAllowed,
            message,
        ));
    }
    let query = request.uri().query().unwrap_or("");
    let pairs: Vec<(&str, &str)> = query.split('&').map(|p| p.split_once('=').unwrap_or((p, ""))).collect();
    let verbose = pairs.iter().any(|(k, _)| *k == "verbose");
    let excluded: Vec<&str> = pairs.iter().filter(|(k, _)| *k == "exclude").map(|(_, v)| *v).collect();
    let outcomes = match endpoint {
        Health::Readyz => ready(adapter),
        Health::Healthz | Health::Livez => vec![("ping".to_owned(), Ok(()))],
    };
    let failed = outcomes
        .iter()
        .any(|(name, o)| o.is_err() && !excluded.contains(&name.as_str()));
    let text = match (failed, verbose) {
        (false, false) => "ok".to_owned(),
        _ => report(endpoint, &outcomes, &excluded, failed),
    };
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    status::body(if failed { 500 } else { 200 }, content_type, text, status::PRIVATE)
}

/// What has to hold before requests are sent here. Not: that any metric has a value, for that is told per metric.
fn ready(adapter: &Adapter) -> Vec<Outcome> {
    let authentication = match adapter.authenticator.trust() {
        Some(_) => Ok(()),
        None => Err("extension-apiserver-authentication is not loaded yet".to_owned()),
    };
    let mut outcomes = vec![
        ("ping".to_owned(), Ok(())),
        ("authentication".to_owned(), authentication),
    ];
    outcomes.extend(adapter.checks.iter().map(|c| (c.name().to_owned(), c.check())));
    outcomes
}

fn report(endpoint: Health, outcomes: &[Outcome], excluded: &[&str], failed: bool) -> String {
    let mut text = String::new();
    for (name, outcome) in outcomes {
        match outcome {
            _ if excluded.contains(&name.as_str()) => text += &format!("[+]{name} excluded: ok\n"),
            Ok(()) => text += &format!("[+]{name} ok\n"),
            Err(why) => text += &format!("[-]{name} failed: {why}\n"),
        }
    }
    let word = match endpoint {
        Health::Healthz => "healthz",
        Health::Livez => "livez",
        Health::Readyz => "readyz",
    };
    text + &format!("{word} check {}\n", if failed { "failed" } else { "passed" })
}

/// `version.Info`.
pub(crate) fn version(version: &str) -> Value {
    let mut numbers = version.split('.');
    let mut number = || numbers.next().unwrap_or("0").to_owned();
    json!({
        "major": number(),
        "minor": number(),
        "gitVersion": format!("v{version}"),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
