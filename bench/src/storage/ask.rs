//! Instant queries with one number as their answer.

use super::page::NAMES;
use super::scenario::Scenario;
use crate::client::{Client, escaped};
use crate::error::BenchError;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One metric of the load, which every target has.
const METRIC: &str = "app_metric_000_total";
/// Between two tries, while an answer is awaited.
const RETRY: Duration = Duration::from_millis(20);

/// How many series of one metric are live, of the pods of `generation` alone where one is given.
pub(super) fn live(generation: Option<usize>) -> String {
    match generation {
        Some(g) => format!("count({METRIC}{{pod=~\".*-{g}\"}})"),
        None => format!("count({METRIC})"),
    }
}

/// How many there must be.
pub(super) fn expected(scenario: &Scenario) -> f64 {
    scenario.live() / NAMES as f64
}

/// The second asked about, Unix time (now unless given), and the samples of one metric in the half hour before it.
pub(super) async fn samples(web: SocketAddr, second: Option<f64>) -> Result<(f64, f64), BenchError> {
    answer(web, &format!("sum(count_over_time({METRIC}[30m]))"), second).await
}

/// Asks until the answer is `wanted`.
pub(super) async fn until(web: SocketAddr, query: &str, wanted: f64, patience: Duration) -> Result<(), BenchError> {
    let began = Instant::now();
    loop {
        match answer(web, query, None).await {
            Ok((_, number)) if number == wanted => return Ok(()),
            _ if began.elapsed() < patience => tokio::time::sleep(RETRY).await,
            Ok((_, number)) => {
                return Err(BenchError::Unexpected(format!(
                    "{query} is {number} after {patience:?}, not {wanted}"
                )));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Time and value of the answer's first series; no series is none at no time.
async fn answer(web: SocketAddr, query: &str, second: Option<f64>) -> Result<(f64, f64), BenchError> {
    let at = second.map_or(String::new(), |second| format!("&time={second}"));
    let path = format!("/api/v1/query?query={}{at}", escaped(query));
    let (status, body) = Client::connect(web, None).await?.get(&path).await?;
    let sample = serde_json::from_slice::<Value>(&body).ok().and_then(|v| sample(&v));
    sample.ok_or_else(|| BenchError::Unexpected(format!("{path}: {status}: {}", String::from_utf8_lossy(&body))))
}

/// Nothing where no series was found, which is no error.
fn sample(answer: &Value) -> Option<(f64, f64)> {
    let series = answer.pointer("/data/result")?.as_array()?;
    let Some(first) = series.first() else {
        return Some((f64::NAN, 0.0));
    };
    let time = first.pointer("/value/0")?.as_f64()?;
    let number = first.pointer("/value/1")?.as_str()?;
    Some((time, number.parse().ok()?))
}
