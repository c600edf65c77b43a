//! The load generator: a process of its own, so that its CPU and memory are nobody's figures.
//!
//! It prints one line of JSON with its addresses, then serves every target's page on a port of its own and, on the
//! control port, `GET /` (scrapes answered), `POST /mark` (each target's count begins anew) and `POST /rollout` (all pods
//! are replaced, and a mark).

use super::page::Page;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// Where the generator listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Addresses {
    /// Of its control port.
    pub(super) control: SocketAddr,
    /// Of the targets.
    pub(super) targets: Vec<SocketAddr>,
}

/// What was served until now.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Served {
    /// Pages, of any generation.
    pub(super) scrapes: u64,
    /// Pages since the last mark, of the target that had the fewest.
    pub(super) least: u64,
}

struct Counts {
    scrapes: AtomicU64,
    generation: AtomicUsize,
    /// Of each target, since the last mark.
    of_target: Vec<AtomicU64>,
}

struct Target {
    number: usize,
    page: Mutex<Page>,
    counts: Arc<Counts>,
}

/// Serves `targets` targets of `series` series until the process is ended.
pub(crate) async fn serve(targets: usize, series: usize) -> std::io::Result<()> {
    let counts = Arc::new(Counts {
        scrapes: AtomicU64::new(0),
        generation: AtomicUsize::new(0),
        of_target: std::iter::repeat_with(AtomicU64::default).take(targets).collect(),
    });
    let mut addresses = Vec::new();
    for n in 0..targets {
        let target = Arc::new(Target {
            number: n,
            page: Mutex::new(Page::new(n, series)),
            counts: Arc::clone(&counts),
        });
        addresses.push(spawn(Router::new().route("/metrics", get(page)).with_state(target)).await?);
    }
    let control = Router::new()
        .route("/", get(served))
        .route("/mark", post(mark))
        .route("/rollout", post(rollout));
    let addresses = Addresses {
        control: spawn(control.with_state(counts)).await?,
        targets: addresses,
    };
    crate::print(&serde_json::to_string(&addresses)?);
    std::future::pending().await
}

async fn spawn(router: Router) -> std::io::Result<SocketAddr> {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move { axum::serve(socket, router).await });
    Ok(address)
}

async fn page(State(target): State<Arc<Target>>) -> ([(http::HeaderName, &'static str); 1], Bytes) {
    let counts = &target.counts;
    let mut page = target.page.lock().await;
    let generation = counts.generation.load(Ordering::SeqCst);
    let body = Bytes::copy_from_slice(page.scrape(generation));
    counts.scrapes.fetch_add(1, Ordering::SeqCst);
    if let Some(count) = counts.of_target.get(target.number) {
        count.fetch_add(1, Ordering::SeqCst);
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(http::header::CONTENT_TYPE, kind)], body)
}

async fn served(State(counts): State<Arc<Counts>>) -> axum::Json<Served> {
    let each = counts.of_target.iter().map(|c| c.load(Ordering::SeqCst));
    axum::Json(Served {
        scrapes: counts.scrapes.load(Ordering::SeqCst),
        least: each.min().unwrap_or(0),
    })
}

/// A page that is being made meanwhile may count: who waits for two has one that was begun since for certain.
async fn mark(State(counts): State<Arc<Counts>>) {
    for count in &counts.of_target {
        count.store(0, Ordering::SeqCst);
    }
}

async fn rollout(State(counts): State<Arc<Counts>>) {
    counts.generation.fetch_add(1, Ordering::SeqCst);
    mark(State(counts)).await;
}
