//! One system: started on the data, asked every question, ended.

use super::data;
use super::digest::Digest;
use super::kept::{Figures, Kept};
use super::questions::Question;
use super::scenario::Scenario;
use crate::client::Client;
use crate::error::BenchError;
use crate::peer::free_address;
use crate::print;
use crate::process::Process;
use crate::storage::system::{CONFIG, Installed, System};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for a system to open its data.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks the questions that `kept` has no figures of yet and keeps each as soon as it is measured.
pub(super) async fn measure(
    installed: &Installed,
    scenario: &Scenario,
    questions: &[Question],
    results: &Path,
    kept: &mut Kept,
) -> Result<(), BenchError> {
    // On the disk that results are on: a temporary folder may be memory.
    let folder = tempfile::tempdir_in(results)?;
    if installed.system.has_blocks() {
        data::copy(&data::directory(results, scenario)?, &folder.path().join("data"))?;
    }
    let web = free_address()?;
    let process = start(installed, folder.path(), web)?;
    ready(installed.system, &process, web).await?;
    if !installed.system.has_blocks() {
        print("  sending the data to VictoriaMetrics");
        data::import(web, scenario).await?;
    }
    let mut client = Client::connect(web, None).await?;
    for question in questions {
        if kept.find(&question.name).is_none() {
            let figures = ask(&mut client, &process, question, scenario).await?;
            kept.figures.push(figures);
            kept.store(results, installed)?;
        }
    }
    Ok(())
}

fn start(installed: &Installed, folder: &Path, web: SocketAddr) -> Result<Process, BenchError> {
    std::fs::write(folder.join(CONFIG), "global: {}\n")?;
    installed.launch(
        folder,
        web,
        &["--storage.tsdb.retention.time=100y".to_owned()],
        &["-retentionPeriod=100y".to_owned()],
    )
}

/// Waits until the log is read and queries are answered.
async fn ready(system: System, process: &Process, web: SocketAddr) -> Result<(), BenchError> {
    let path = if system.has_blocks() { "/-/ready" } else { "/health" };
    let began = Instant::now();
    loop {
        if let Ok(mut client) = Client::connect(web, None).await
            && let Ok((200, _)) = client.get(path).await
        {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(BenchError::Late {
                what: "the first answer".to_owned(),
                seconds: PATIENCE.as_secs(),
                log: process.log_tail(),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ask(
    client: &mut Client,
    process: &Process,
    question: &Question,
    scenario: &Scenario,
) -> Result<Figures, BenchError> {
    let path = question.path(scenario.now());
    let (status, body) = client.get(&path).await?;
    if status != 200 {
        let text = String::from_utf8_lossy(&body).into_owned();
        return Err(BenchError::Unexpected(format!("{}: {status}: {text}", question.name)));
    }
    let answer = Digest::of(&body)?;
    process.forget_peak()?;
    let before = process.cpu()?;
    let asks = if question.is_small() {
        scenario.small_asks
    } else {
        scenario.asks
    };
    let latency = client.time(&path, asks).await?;
    // A tenth more is asked to warm up.
    let asked = (asks + asks / 10) as f64;
    Ok(Figures {
        question: question.name.clone(),
        p50: latency.ms(0.5),
        p99: latency.ms(0.99),
        cpu: (process.cpu()? - before) * 1_000.0 / asked,
        peak: process.peak_rss()?,
        answer,
    })
}
