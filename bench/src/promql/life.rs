//! One system: started on the data, asked every question, ended.

use super::asked::Asked;
use super::data;
use super::kept::Kept;
use super::questions::Question;
use super::scenario::Scenario;
use crate::client::Client;
use crate::error::BenchError;
use crate::peer::free_address;
use crate::print;
use crate::process::Process;
use crate::stopwatch::Stopwatch;
use crate::storage::system::{CONFIG, Installed, System};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for a system to open its data.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks every question and keeps what each cost.
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
    let mut asked = Vec::with_capacity(questions.len());
    let mut client = Client::connect(web, None).await?;
    for question in questions {
        asked.push(Asked::first(&mut client, question, scenario).await?);
    }
    let mut watch = Stopwatch::connect(web)?;
    for _ in 0..scenario.passes {
        for question in &mut asked {
            question.again(&mut watch, &process, scenario.passes)?;
        }
    }
    kept.figures = asked.into_iter().map(Asked::figures).collect();
    kept.store(results, installed)
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
