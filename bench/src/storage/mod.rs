//! The store on disk, beside Prometheus and VictoriaMetrics: what scraping, compaction, replay and rollouts cost.

mod ask;
mod disk;
mod figures;
mod generator;
mod kept;
mod life;
mod load;
mod page;
mod scenario;
pub(crate) mod system;
mod table;
mod watch;

use crate::error::BenchError;
use crate::{Cli, print};
use clap::{Args, ValueEnum};
pub(crate) use generator::serve as generate;
use kept::Kept;
use scenario::{Phase, Scenario, Size};
use std::path::PathBuf;
use std::time::Instant;
use system::{Installed, System};

/// What `storage` measures.
#[derive(Debug, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct Options {
    /// How much is scraped.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Size::HundredThousand, Size::Million])]
    scenario: Vec<Size>,
    /// What is gone through, always in this order; everything by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    phase: Vec<Phase>,
    /// Which systems are measured; all by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) system: Vec<System>,
    /// Seconds that a block of the first level spans, instead of a scenario's own; 7200 is what is shipped, with which no
    /// compaction is seen within minutes.
    #[arg(long)]
    block_range: Option<u64>,
    /// Seconds between the last rollout and the memory after it; two block ranges by default.
    #[arg(long)]
    settle: Option<u64>,
    /// Only whether everything works: 10k series, 15 s of steady state.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measures again what an earlier run of the same builds has measured already.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Where results are kept.
    #[arg(long, default_value = "target/bench")]
    pub(crate) results: PathBuf,
    /// The VictoriaMetrics binary, instead of Debian's.
    #[arg(long)]
    pub(crate) victoria_metrics: Option<PathBuf>,
}

/// Measures every system in every scenario, one after the other, and prints a table per scenario. A phase that fails
/// is left out of the table and is the error at the end.
pub(crate) async fn compare(cli: &Cli) -> Result<(), BenchError> {
    let options = &cli.storage;
    let systems = match options.system.as_slice() {
        [] => System::value_variants(),
        some => some,
    };
    let found = systems
        .iter()
        .map(|s| s.find(&cli.leadline, options.victoria_metrics.as_deref()));
    let installed: Vec<Installed> = found.collect::<Result<_, _>>()?;
    let mut failed = Ok(());
    for scenario in scenarios(cli) {
        print(&scenario.describe());
        let mut results = Vec::new();
        for system in &installed {
            let (kept, outcome) = result(options, system, &scenario).await?;
            results.push(kept);
            failed = failed.and(outcome);
        }
        table::show(&scenario, &results);
    }
    failed
}

fn scenarios(cli: &Cli) -> Vec<Scenario> {
    let options = &cli.storage;
    let (sizes, steady) = if options.quick {
        (vec![Size::TenThousand], cli.seconds.min(15))
    } else {
        (options.scenario.clone(), cli.seconds)
    };
    let scenario = |size| {
        let mut scenario = Scenario::of(size, steady);
        if let Some(range) = options.block_range {
            scenario = scenario.with_block_range(range);
        }
        scenario.settle = options.settle.unwrap_or(scenario.settle);
        if !options.phase.is_empty() {
            scenario.phases.retain(|p| options.phase.contains(p));
        }
        scenario
    };
    sizes.into_iter().map(scenario).collect()
}

/// One system's result, which is kept when every phase was gone through, and the error of the first that was not.
async fn result(
    options: &Options,
    installed: &Installed,
    scenario: &Scenario,
) -> Result<(Kept, Result<(), BenchError>), BenchError> {
    if !options.fresh
        && let Some(kept) = Kept::load(&options.results, installed, scenario)
    {
        print(&format!("  {}: taken from an earlier run", installed.version));
        return Ok((kept, Ok(())));
    }
    let began = Instant::now();
    std::fs::create_dir_all(&options.results)?;
    // On the disk that results are on: a temporary folder may be memory.
    let folder = tempfile::tempdir_in(&options.results)?;
    let (figures, outcome) = life::measure(installed, scenario, folder.path()).await?;
    let kept = Kept::new(installed, scenario, figures);
    if outcome.is_ok() {
        kept.store(&options.results, installed)?;
    }
    print(&format!(
        "  {}: took {} s",
        installed.version,
        began.elapsed().as_secs()
    ));
    Ok((kept, outcome))
}
