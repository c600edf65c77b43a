//! The scraped load: targets with counters that move at every scrape, rendered by this process, which is not measured.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;

/// Metric names per target; the other dimension is a label.
const NAMES: usize = 100;

/// Targets that are served.
pub(crate) struct Load {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    served: Arc<AtomicU64>,
    /// Lines of samples per scrape of one target.
    pub series: usize,
}

struct Target {
    /// Everything of a line up to the value.
    prefixes: Vec<String>,
    scrapes: AtomicU64,
    served: Arc<AtomicU64>,
}

impl Load {
    /// Serves `targets` targets of `series` series on loopback.
    pub(crate) async fn start(targets: usize, series: usize) -> std::io::Result<Self> {
        let served = Arc::new(AtomicU64::new(0));
        let mut addresses = Vec::new();
        for n in 0..targets {
            let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
            addresses.push(socket.local_addr()?);
            let target = Target {
                prefixes: prefixes(n, series),
                scrapes: AtomicU64::new(0),
                served: Arc::clone(&served),
            };
            let router = Router::new().route("/metrics", get(page)).with_state(Arc::new(target));
            tokio::spawn(async move { axum::serve(socket, router).await });
        }
        Ok(Self {
            addresses,
            served,
            series,
        })
    }

    /// Scrapes that were answered until now.
    pub(crate) fn scrapes(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

fn prefixes(target: usize, series: usize) -> Vec<String> {
    let per_name = series / NAMES;
    (0..NAMES)
        .flat_map(|name| (0..per_name).map(move |i| (name, i)))
        .map(|(name, i)| {
            format!("app_metric_{name:03}_total{{namespace=\"bench\",pod=\"app-{target:03}\",method=\"GET\",path=\"/api/{i:02}\"}} ")
        })
        .collect()
}

async fn page(State(target): State<Arc<Target>>) -> ([(http::HeaderName, &'static str); 1], String) {
    let scrape = target.scrapes.fetch_add(1, Ordering::Relaxed) + 1;
    target.served.fetch_add(1, Ordering::Relaxed);
    let mut body = String::with_capacity(target.prefixes.len() * 90);
    for (i, prefix) in target.prefixes.iter().enumerate() {
        // Different rates per series, so that values are neither constant nor all alike.
        let value = scrape * (i as u64 % 37 + 1) + (scrape * 31 + i as u64 * 17) % 11;
        body.push_str(prefix);
        let written = writeln!(body, "{value}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    (
        [(http::header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        body,
    )
}
