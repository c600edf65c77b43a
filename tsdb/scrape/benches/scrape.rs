//! What a sample costs: text to head without a network, and whole scrapes over loopback.
//!
//! Prints nanoseconds per sample. The second figure is the CPU time of the whole process, the serving side included.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use leadline_model::clock::{ManualClock, SystemClock};
use leadline_model::port::Appender;
use leadline_model::target::{Board, TargetGroup};
use leadline_model::{Clock, Labels};
use leadline_scrape::ingest::{Ingest, Rules, Scratch};
use leadline_scrape::{Job, Manager, Parts, Stats};
use leadline_storage::{Head, Settings};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SERIES: usize = 2_000;
const TARGETS: usize = 50;

/// 2,000 counters of about 82 bytes a line that move by different steps.
fn body(round: usize) -> String {
    let mut text = String::with_capacity(SERIES * 90);
    for i in 0..SERIES {
        let name = i % 20;
        let value = 1_000_000 + round * (i % 97 + 1);
        let _ = writeln!(
            text,
            "app_metric_{name}_total{{path=\"/api/v1/items\",code=\"200\",shard=\"{i:06}\"}} {value}"
        );
    }
    text
}

/// Text to head, one target, no network.
fn ingest() {
    const ROUNDS: usize = 300;
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let Ok(head) = Head::new(Settings::default(), clock.clone()) else {
        return;
    };
    let labels = Labels::from_pairs([("job", "bench"), ("instance", "127.0.0.1:9100")]);
    let rules = Rules {
        job: Arc::new(Job::new("bench")),
        labels,
    };
    let mut ingest = Ingest::new(head.new_owner(), head.clone(), Arc::default(), 1, rules);
    let mut scratch = Scratch::default();
    let bodies: Vec<String> = (0..ROUNDS).map(body).collect();
    let mut times = Vec::new();
    for text in &bodies {
        let now = clock.advance(5_000);
        let started = Instant::now();
        if ingest.good(text.as_bytes(), now, 0.001, &mut scratch).is_err() {
            return;
        }
        times.push(started.elapsed().as_nanos() as f64 / SERIES as f64);
    }
    let first = times.remove(0);
    times.sort_by(f64::total_cmp);
    println!(
        "bytes per line           {:>8.1}",
        bodies[0].len() as f64 / SERIES as f64
    );
    println!("first scrape             {first:>8.1} ns per new series");
    println!("known series, median     {:>8.1} ns per sample", times[times.len() / 2]);
    println!(
        "known series, mean       {:>8.1} ns per sample",
        times.iter().sum::<f64>() / times.len() as f64
    );
}

/// CPU time of this process, user and system, in clock ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or("").split(' ').collect();
    [11, 12]
        .iter()
        .filter_map(|i| fields.get(*i)?.parse::<u64>().ok())
        .sum()
}

async fn serve() -> std::io::Result<std::net::SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let text = Bytes::from(body(1));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let text = text.clone();
            let service = hyper::service::service_fn(move |_: Request<Incoming>| {
                let response = Response::builder()
                    .header("content-type", "text/plain")
                    .body(Full::new(text.clone()));
                async move { response }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

/// Whole scrapes of 50 targets once a second.
async fn whole() -> std::io::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Ok(head) = Head::new(Settings::default(), clock.clone()) else {
        return Ok(());
    };
    let manager = Manager::new(Parts {
        appender: head,
        metadata: false,
        label_types: false,
        board: Board::new(),
        clock,
        runtime: Box::new(|_| tokio::runtime::Handle::current()),
        seed: 1,
    });
    let mut job = Job::new("bench");
    (job.interval_ms, job.timeout_ms, job.enable_compression) = (1_000, 1_000, false);
    if manager.apply(vec![job]).is_err() {
        return Ok(());
    }
    let mut targets = Vec::new();
    for _ in 0..TARGETS {
        targets.push(Labels::from_pairs([("__address__", serve().await?.to_string())]));
    }
    let group = TargetGroup {
        source: "0".to_owned(),
        labels: Labels::empty(),
        targets,
    };
    manager.set_groups("bench", vec![Arc::new(group)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let stats: Arc<Stats> = manager.stats();
    let (samples, ticks) = (stats.samples.load(Ordering::Relaxed), cpu_ticks());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (samples, ticks) = (stats.samples.load(Ordering::Relaxed) - samples, cpu_ticks() - ticks);
    let nanoseconds = ticks as f64 * 1e7 / samples.max(1) as f64;
    println!("whole scrapes, all in    {nanoseconds:>8.1} ns CPU per sample ({samples} samples, both ends)");
    Ok(())
}

fn main() -> std::io::Result<()> {
    ingest();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(whole())
}
