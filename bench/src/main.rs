//! Leadline and its peers, side by side in one run.
//!
//! ```text
//! tests/programs/build prometheus kubernetes etcd      # once
//! tests/programs/debian victoria-metrics               # once
//! cargo build --release
//! cargo run --release -p leadline-bench                # everything; or one of: scrape, adapter, storage, promql
//! ```
//!
//! The systems run one after the other under the same load, on the same machine. What is printed goes into
//! `docs/performance.md` with the command that made it.

mod adapter;
mod client;
mod error;
mod latency;
mod load;
mod peer;
mod process;
mod promql;
mod scrape;
mod stopwatch;
mod storage;

use clap::{Parser, ValueEnum};
use error::BenchError;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Compares leadline with the systems it replaces.
#[derive(Debug, Parser)]
struct Cli {
    /// What to measure; everything by default.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Seconds of steady state over which CPU is counted.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Targets that are scraped.
    #[arg(long, default_value_t = 50)]
    targets: usize,
    /// Series per target; a multiple of 100.
    #[arg(long, default_value_t = 2000)]
    series: usize,
    /// The leadline binary.
    #[arg(long, default_value = "target/release/leadline")]
    leadline: std::path::PathBuf,
    #[command(flatten)]
    storage: storage::Options,
    #[command(flatten)]
    promql: promql::Options,
    /// Serves this many targets of this many series each: what `storage` starts as its load.
    #[arg(long, hide = true, num_args = 2)]
    generate: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// CPU and memory of scraping, and the HPA's query over HTTP, beside Prometheus.
    Scrape,
    /// Latency of the custom metrics API for 10, 100 and 1,000 pods.
    Adapter,
    /// The store on disk: log, blocks, replay and rollouts, beside Prometheus and VictoriaMetrics.
    Storage,
    /// Queries over HTTP on the same data, beside Prometheus and VictoriaMetrics.
    Promql,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Fails only when it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Ended early it still ends what it started: programs are killed as they are dropped.
    let outcome = tokio::select! {
        // On a thread of the runtime: the main one would be woken by another for every byte that arrives.
        outcome = tokio::spawn(run(Cli::parse())) => outcome.unwrap_or_else(|e| Err(BenchError::Unexpected(e.to_string()))),
        signal = ended() => signal,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Waits for SIGINT or SIGTERM.
async fn ended() -> Result<(), BenchError> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    Err(BenchError::Unexpected("ended by a signal".to_owned()))
}

async fn run(cli: Cli) -> Result<(), BenchError> {
    if let Some([targets, series]) = cli.generate.as_deref() {
        return Ok(storage::generate(*targets, *series).await?);
    }
    let wanted = |part| cli.parts.is_empty() || cli.parts.contains(&part);
    if wanted(Part::Scrape) {
        scrape::compare(&cli).await?;
    }
    if wanted(Part::Adapter) {
        adapter::measure(&cli).await?;
    }
    if wanted(Part::Storage) {
        storage::compare(&cli).await?;
    }
    if wanted(Part::Promql) {
        promql::compare(&cli).await?;
    }
    Ok(())
}

/// Prints a line of the report.
#[expect(clippy::print_stdout, reason = "the report is this program's result")]
fn print(line: &str) {
    println!("{line}");
}
