//! Probes: httpGet, tcpSocket and grpc, with the thresholds of Kubernetes.

use crate::{Result, fail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What a probe's history says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not enough answers yet.
    Unknown,
    /// `successThreshold` good answers in a row were the last change.
    Success,
    /// `failureThreshold` bad answers in a row were the last change.
    Failure,
}

/// One probe of one run of a container.
#[derive(Debug)]
pub(super) struct Probe {
    spec: Value,
    due: Instant,
    period: Duration,
    timeout: Duration,
    successes: u64,
    failures: u64,
    /// The verdict.
    pub(super) verdict: Verdict,
    /// What the last bad answer was.
    pub(super) last_error: String,
}

impl Probe {
    /// `spec` is a container's `readinessProbe` or another; `None` where it has none.
    pub(super) fn new(spec: &Value, now: Instant) -> Option<Self> {
        let seconds = |key: &str, default: u64| Duration::from_secs(spec[key].as_u64().unwrap_or(default));
        spec.is_object().then(|| Self {
            due: now + seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10),
            timeout: seconds("timeoutSeconds", 1),
            successes: 0,
            failures: 0,
            verdict: Verdict::Unknown,
            last_error: String::new(),
            spec: spec.clone(),
        })
    }

    /// Asks when it is time to. A startup or readiness probe without a verdict is asked each 200 ms: a stand-in need not
    /// spare the node, and a test need not wait out `periodSeconds` for each pod.
    pub(super) async fn poll(&mut self, address: &str, ports: &BTreeMap<String, u16>, now: Instant) {
        if now < self.due {
            return;
        }
        let limit = tokio::time::timeout(self.timeout, ask(&self.spec, address, ports));
        let answer = limit
            .await
            .unwrap_or_else(|_| Err(crate::Failure::new("no answer in time")));
        let threshold = |key: &str, default: u64| self.spec[key].as_u64().unwrap_or(default);
        match answer {
            Ok(()) => {
                self.failures = 0;
                self.successes += 1;
                if self.successes >= threshold("successThreshold", 1) {
                    self.verdict = Verdict::Success;
                }
            }
            Err(error) => {
                self.successes = 0;
                self.failures += 1;
                self.last_error = error.to_string();
                if self.failures >= threshold("failureThreshold", 3) && self.verdict == Verdict::Success {
                    self.verdict = Verdict::Failure;
                }
            }
        }
        let eager = self.verdict == Verdict::Unknown || self.failures > 0;
        self.due = now + if eager { Duration::from_millis(200) } else { self.period };
    }
}

/// The port a probe names or numbers.
fn port(value: &Value, ports: &BTreeMap<String, u16>) -> Result<u16> {
    let number = match value {
        Value::String(name) => ports.get(name).copied(),
        number => number.as_u64().and_then(|number| u16::try_from(number).ok()),
    };
    number.map_or_else(|| fail!("no port {value}"), Ok)
}

async fn ask(spec: &Value, address: &str, ports: &BTreeMap<String, u16>) -> Result<()> {
    if let Some(http) = spec.get("httpGet") {
        let scheme = if http["scheme"] == "HTTPS" { "https" } else { "http" };
        let path = http["path"].as_str().unwrap_or("/");
        let url = format!("{scheme}://{address}:{}{path}", port(&http["port"], ports)?);
        // As a kubelet: probes do not verify certificates.
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_danger_accept_invalid_certs(true)
            .build()?;
        let status = client.get(&url).send().await?.status();
        if !(200..400).contains(&status.as_u16()) {
            fail!("GET {url}: {status}");
        }
        return Ok(());
    }
    if let Some(number) = spec.get("tcpSocket").or_else(|| spec.get("grpc")) {
        // A gRPC server that accepts is as far as this stand-in looks: kubelets do not probe gRPC over TLS either.
        tokio::net::TcpStream::connect((address, port(&number["port"], ports)?)).await?;
        return Ok(());
    }
    fail!("probe {spec} is not supported")
}
