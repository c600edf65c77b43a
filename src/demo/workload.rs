//! The demo's sample workload: three "pods" that serve requests and a queue, each a real HTTP server with `/metrics`.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use leadline_model::{Clock, Timestamp};
use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics::{Kind, Page};

/// How long the load takes to rise and fall once, seconds.
const PERIOD_S: f64 = 120.0;

/// One exporter of the workload.
pub(crate) struct Exporter {
    /// `pod` label of what it exposes.
    pub pod: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The load over time, from the moment the demo began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    began: Timestamp,
}

impl Load {
    /// Load that begins at `began` (ms), low.
    pub(crate) fn from(began: Timestamp) -> Self {
        Self { began }
    }

    fn seconds(self, now: Timestamp) -> f64 {
        (now - self.began) as f64 / 1000.0
    }

    /// Requests that a pod has served until `now` (ms): the integral of 6 + 5·(1 - cos) requests a second, so that the
    /// counter follows the clock.
    fn requests(self, now: Timestamp, share: f64) -> f64 {
        let t = self.seconds(now);
        (share * (11.0 * t - 5.0 * PERIOD_S / TAU * (TAU * t / PERIOD_S).sin())).max(0.0)
    }

    /// Messages in the queue at `now` (ms): nothing for half of the period, then up to 60.
    fn queue(self, now: Timestamp) -> f64 {
        (60.0 * -(TAU * self.seconds(now) / PERIOD_S).cos()).max(0.0).round()
    }
}

/// Starts the exporters on loopback ports that the system chooses.
///
/// # Errors
/// A socket could not be bound.
pub(crate) async fn start(clock: Arc<dyn Clock>, stop: CancellationToken) -> std::io::Result<Vec<Exporter>> {
    let load = Load::from(clock.now());
    let mut exporters = Vec::new();
    for (pod, share) in [("web-1", 0.8), ("web-2", 1.0), ("web-3", 1.2), ("queue-0", 0.0)] {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = socket.local_addr()?;
        let clock = Arc::clone(&clock);
        let page = move || {
            let now = clock.now();
            async move { ([(CONTENT_TYPE, Page::CONTENT_TYPE)], render(load, now, share)) }
        };
        let router = Router::new().route("/metrics", get(page));
        let stop = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(socket, router)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::warn!(pod, %error, "the demo's exporter ended");
            }
        });
        exporters.push(Exporter { pod, address });
    }
    Ok(exporters)
}

fn render(load: Load, now: Timestamp, share: f64) -> String {
    let mut page = Page::default();
    if share > 0.0 {
        let requests = load.requests(now, share);
        page.family(
            Kind::Counter,
            "http_requests_total",
            "requests served",
            &["code"],
            [
                (["200"], (requests * 0.98).floor()),
                (["500"], (requests * 0.02).floor()),
            ],
        );
    } else {
        page.family(
            Kind::Gauge,
            "queue_depth",
            "messages that wait",
            &["queue"],
            [(["work"], load.queue(now))],
        );
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_only_grow_and_the_queue_is_empty_for_a_part_of_the_time() {
        let load = Load::from(0);
        let mut last = 0.0;
        let mut empty = 0;
        for second in 0..240 {
            let requests = load.requests(second * 1000, 1.0);
            assert!(requests >= last, "at {second} s");
            last = requests;
            empty += usize::from(load.queue(second * 1000) == 0.0);
        }
        assert!((100..140).contains(&empty), "empty for {empty} of 240 s");
    }
}
