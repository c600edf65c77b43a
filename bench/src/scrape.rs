//! Scraping: CPU per million samples, memory per series, and the HPA's query over HTTP.

use crate::client::Client;
use crate::error::BenchError;
use crate::latency::Latency;
use crate::load::Load;
use crate::peer::Peer;
use crate::process::Process;
use crate::stopwatch::Stopwatch;
use crate::{Cli, print};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What an HPA on requests per second asks.
const QUERY: &str = "sum by (pod) (rate(app_metric_000_total[1m]))";
/// Scrape interval, seconds.
const INTERVAL: u64 = 5;
/// Queries that are timed.
const QUERIES: usize = 300;
/// Longest wait for the first data, seconds.
const PATIENCE: u64 = 60;

struct Figures {
    cpu_per_million: f64,
    rss_per_series: f64,
    query_p50: f64,
    query_p99: f64,
    query_cpu_ms: f64,
}

/// Measures every system and prints the table.
pub(crate) async fn compare(cli: &Cli) -> Result<(), BenchError> {
    print(&format!(
        "scraping {} targets x {} series every {INTERVAL} s, CPU over {} s of steady state; query: {QUERY} over {} series",
        cli.targets,
        cli.series,
        cli.seconds,
        cli.targets * cli.series / 100
    ));
    let ours = measure(cli, Peer::Leadline).await?;
    let theirs = measure(cli, Peer::Prometheus).await?;
    print("");
    print(&format!(
        "{:<34} {:>12} {:>18} {:>8}",
        "",
        Peer::Leadline.name(),
        Peer::Prometheus.name(),
        "ratio"
    ));
    for (name, a, b) in [
        (
            "CPU seconds per million samples",
            ours.cpu_per_million,
            theirs.cpu_per_million,
        ),
        ("RSS bytes per series", ours.rss_per_series, theirs.rss_per_series),
        ("query p50, ms", ours.query_p50, theirs.query_p50),
        ("query p99, ms", ours.query_p99, theirs.query_p99),
        ("query CPU, ms", ours.query_cpu_ms, theirs.query_cpu_ms),
    ] {
        print(&format!("{name:<34} {a:>12.3} {b:>18.3} {:>8.2}", a / b));
    }
    Ok(())
}

async fn measure(cli: &Cli, peer: Peer) -> Result<Figures, BenchError> {
    let load = Load::start(cli.targets, cli.series).await?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yml");
    let targets: Vec<String> = load.addresses.iter().map(|a| format!("\"{a}\"")).collect();
    std::fs::write(
        &config,
        format!(
            "global: {{scrape_interval: {INTERVAL}s, scrape_timeout: {INTERVAL}s}}\n\
             scrape_configs: [{{job_name: bench, static_configs: [{{targets: [{}]}}]}}]\n",
            targets.join(",")
        ),
    )?;
    let (process, web) = peer.start(&cli.leadline, &config, folder.path())?;
    wait_for_scrapes(&load, &process, 2 * cli.targets as u64, peer).await?;
    // A rate over a minute needs a minute of data; so does a fair resident size.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (began, cpu, scrapes) = (Instant::now(), process.cpu()?, load.scrapes());
    tokio::time::sleep(Duration::from_secs(cli.seconds)).await;
    let samples = (load.scrapes() - scrapes) as f64 * load.series as f64;
    let used = process.cpu()? - cpu;
    print(&format!(
        "{}: {samples} samples in {:.1} s",
        peer.name(),
        began.elapsed().as_secs_f64()
    ));
    let rss = process.rss()?;
    let (latency, query_cpu) = query(web, &process, cli).await?;
    Ok(Figures {
        cpu_per_million: used / samples * 1e6,
        rss_per_series: rss / (cli.targets * cli.series) as f64,
        query_p50: latency.ms(0.5),
        query_p99: latency.ms(0.99),
        query_cpu_ms: query_cpu,
    })
}

async fn wait_for_scrapes(load: &Load, process: &Process, least: u64, peer: Peer) -> Result<(), BenchError> {
    let began = Instant::now();
    while load.scrapes() < least {
        if began.elapsed().as_secs() > PATIENCE {
            let what = format!("{} scraping every target twice", peer.name());
            return Err(BenchError::Late {
                what,
                seconds: PATIENCE,
                log: process.log_tail(),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Latency of the query, and CPU per query in ms (what scraping costs meanwhile is in it, for both systems alike).
async fn query(web: SocketAddr, process: &Process, cli: &Cli) -> Result<(Latency, f64), BenchError> {
    let path = format!(
        "/api/v1/query?query={}",
        QUERY.replace(' ', "%20").replace('[', "%5B").replace(']', "%5D")
    );
    let mut client = Client::connect(web, None).await?;
    let (status, body) = client.get(&path).await?;
    let found = String::from_utf8_lossy(&body).matches("\"pod\"").count();
    if status != 200 || found != cli.targets {
        return Err(BenchError::Unexpected(format!(
            "{path}: {status}, {found} pods: {}",
            String::from_utf8_lossy(&body)
        )));
    }
    let cpu = process.cpu()?;
    let latency = Latency::of(Stopwatch::connect(web)?.time(&path, QUERIES)?);
    let per_query = (process.cpu()? - cpu) * 1000.0 / (QUERIES + QUERIES / 10) as f64;
    Ok((latency, per_query))
}
