//! PromQL over HTTP on the same data, beside Prometheus and VictoriaMetrics: latency, CPU and memory of 40 queries.

mod asked;
mod data;
mod digest;
mod kept;
mod life;
mod questions;
mod scenario;
mod series;
mod table;

use crate::error::BenchError;
use crate::storage::system::{Installed, System};
use crate::{Cli, print};
use clap::{Args, ValueEnum};
use kept::Kept;
use scenario::Scenario;
use std::time::Instant;

/// What `promql` measures; `--system`, `--quick`, `--fresh`, `--results` and `--victoria-metrics` are those of `storage`.
#[derive(Debug, Args)]
#[command(next_help_heading = "PromQL")]
#[group(skip)]
pub(crate) struct Options {
    /// Pods of 1,000 series each; 10 with --quick.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    pods: u16,
    /// Samples of each series, 15 s apart.
    #[arg(long, default_value_t = 480, value_parser = clap::value_parser!(u16).range(2..))]
    samples: u16,
    /// How often each query is asked, the small ones four times as often; 20 with --quick.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    asks: u16,
    /// In how many passes over all queries, so that a slow minute of the machine is a part of every query's figures and not all of
    /// one's.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    passes: u16,
}

/// Asks every system, one after the other, and prints the table. A system that fails is left out of it from there on,
/// and is the error at the end.
pub(crate) async fn compare(cli: &Cli) -> Result<(), BenchError> {
    let options = &cli.storage;
    let scenario = scenario(cli);
    let systems = match options.system.as_slice() {
        [] => System::value_variants(),
        some => some,
    };
    let found = systems
        .iter()
        .map(|s| s.find(&cli.leadline, options.victoria_metrics.as_deref()));
    let installed: Vec<Installed> = found.collect::<Result<_, _>>()?;
    print(&scenario.describe());
    std::fs::create_dir_all(&options.results)?;
    let questions = questions::all();
    let (mut results, mut failed) = (Vec::new(), Ok(()));
    for system in &installed {
        let began = Instant::now();
        let earlier = (!options.fresh).then(|| Kept::load(&options.results, system, &scenario));
        let mut kept = earlier.flatten().unwrap_or_else(|| Kept::new(system, &scenario));
        if questions.iter().all(|q| kept.find(&q.name).is_some()) {
            print(&format!("  {}: taken from an earlier run", system.version));
        } else {
            let outcome = life::measure(system, &scenario, &questions, &options.results, &mut kept).await;
            print(&format!("  {}: took {} s", system.version, began.elapsed().as_secs()));
            failed = failed.and(outcome);
        }
        results.push(kept);
    }
    let wrong = table::show(&scenario, &questions, &results);
    // VictoriaMetrics answers some questions otherwise by design.
    let comparable = installed.get(1).is_some_and(|second| second.system.has_blocks());
    if comparable && !wrong.is_empty() {
        let message = format!("answers differ from Prometheus': {}", wrong.join("; "));
        failed = failed.and(Err(BenchError::Unexpected(message)));
    }
    failed
}

/// Small questions are asked so many times as often.
const SMALL_MORE: usize = 4;

fn scenario(cli: &Cli) -> Scenario {
    let options = &cli.promql;
    let most = |n: u16, quick: u16| usize::from(if cli.storage.quick { n.min(quick) } else { n });
    let asks = most(options.asks, 20);
    Scenario {
        pods: most(options.pods, 10),
        samples: usize::from(options.samples),
        interval: 15,
        asks,
        small_asks: SMALL_MORE * asks,
        passes: usize::from(options.passes),
    }
}
