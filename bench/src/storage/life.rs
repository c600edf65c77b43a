//! One system's life: it is started, scrapes, compacts, is killed, starts again, and sees rollouts.

use super::figures::{Compaction, Figures, PerSample, Replay, Rollout, Steady};
use super::load::Load;
use super::scenario::{Phase, Scenario};
use super::system::{Home, Installed};
use super::watch::Watch;
use super::{ask, disk};
use crate::error::BenchError;
use crate::print;
use crate::process::{Memory, Process};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for what must come about.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often all pods are replaced.
const ROLLOUTS: usize = 3;

struct Life<'a> {
    installed: &'a Installed,
    scenario: &'a Scenario,
    load: Load,
    home: Home,
    process: Process,
    watch: Watch,
}

/// What was used and served up to a moment.
struct Mark {
    at: Instant,
    cpu: f64,
    samples: f64,
}

/// Goes through the scenario's phases with files in `folder`. A phase that fails says so and leaves its figures out; the
/// error is the first one's.
pub(super) async fn measure(
    installed: &Installed,
    scenario: &Scenario,
    folder: &Path,
) -> Result<(Figures, Result<(), BenchError>), BenchError> {
    let load = Load::start(scenario.targets, scenario.series)?;
    let home = Home::new(folder, scenario, load.targets())?;
    tokio::time::sleep(scenario.until_block()).await;
    let process = installed.start(&home, scenario)?;
    let mut life = Life {
        watch: Watch::over(&process),
        installed,
        scenario,
        load,
        home,
        process,
    };
    let begun = life.begin().await;
    begun.map_err(|error| life.blame(&error))?;
    Ok(life.phases().await)
}

impl Life<'_> {
    async fn begin(&self) -> Result<(), BenchError> {
        self.load.wait(2, PATIENCE).await?;
        self.settled(None).await
    }

    async fn phases(&mut self) -> (Figures, Result<(), BenchError>) {
        let (mut figures, mut first) = (Figures::default(), Ok(()));
        for phase in &self.scenario.phases {
            self.say(&format!("{phase:?}"));
            if let Err(error) = self.phase(*phase, &mut figures).await {
                let error = self.blame(&error);
                print(&format!("  {error}"));
                first = first.and(Err(error));
            }
        }
        (figures, first)
    }

    async fn phase(&mut self, phase: Phase, figures: &mut Figures) -> Result<(), BenchError> {
        match phase {
            Phase::Steady => figures.steady = Some(self.steady().await?),
            Phase::Compaction if self.installed.system.has_blocks() => {
                figures.compaction = Some(self.compaction().await?);
            }
            Phase::Compaction => {}
            Phase::Replay => figures.replay = Some(self.replay().await?),
            Phase::Rollout => figures.rollout = Some(self.rollout().await?),
        }
        Ok(())
    }

    /// The error with the system's name and the end of its log.
    fn blame(&self, error: &BenchError) -> BenchError {
        let (name, log) = (&self.installed.version, self.process.log_tail());
        BenchError::Unexpected(format!("{name}: {error}; its log ends: {log}"))
    }

    async fn steady(&self) -> Result<Steady, BenchError> {
        let log = self.home.log_bytes()?;
        let begin = self.mark().await?;
        let half = Duration::from_secs(self.scenario.steady) / 2;
        tokio::time::sleep(half).await;
        let middle = Instant::now();
        tokio::time::sleep(half).await;
        let end = self.mark().await?;
        let (bytes, samples) = if self.installed.system.has_blocks() {
            ((self.home.log_bytes()? - log) as f64, end.samples - begin.samples)
        } else {
            (disk::bytes(&self.home.data().join("data"))? as f64, end.samples)
        };
        Ok(Steady {
            cpu: begin.cpu_per_million(&end),
            memory: self.watch.mean(middle)?,
            disk_bytes: bytes / samples,
        })
    }

    async fn compaction(&self) -> Result<Compaction, BenchError> {
        let begin = self.mark().await?;
        // The first block needs one and a half ranges, the next level at most six more, written out within one.
        let patience = Duration::from_secs(self.scenario.block_range * 9);
        let blocks = loop {
            let blocks = disk::blocks(&self.home.data())?;
            if blocks.highest().0 >= self.scenario.level {
                break blocks;
            }
            if begin.at.elapsed() > patience {
                return Err(BenchError::Unexpected(format!(
                    "no block of level {} within {patience:?}, but {} of at most level {}",
                    self.scenario.level,
                    blocks.count(),
                    blocks.highest().0
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        // The head is cut and the log made shorter behind the block.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let end = self.mark().await?;
        Ok(Compaction {
            cpu: begin.cpu_per_million(&end),
            peak: self.watch.peak(begin.at)?,
            lowest: per_sample(blocks.lowest()),
            highest: per_sample(blocks.highest()),
            seconds: (end.at - begin.at).as_secs_f64(),
        })
    }

    async fn replay(&mut self) -> Result<Replay, BenchError> {
        let interval = self.scenario.intervals(1);
        let began = Instant::now();
        tokio::time::sleep(interval).await;
        let before = self.watch.mean(began)?;
        let (second, _) = ask::samples(self.home.web, None).await?;
        // What was being scraped at that second has arrived by then.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (_, had) = ask::samples(self.home.web, Some(second)).await?;
        self.process.kill()?;
        let log_bytes = self.home.log_bytes()? as f64;
        let began = Instant::now();
        self.process = self.installed.start(&self.home, self.scenario)?;
        self.watch = Watch::over(&self.process);
        self.settled(None).await?;
        let seconds = began.elapsed().as_secs_f64();
        let (cpu, peak) = (self.process.cpu()?, self.peak_since_start(began)?);
        let (_, has) = ask::samples(self.home.web, Some(second)).await?;
        // Series that end before the new process has seen them never become stale.
        self.load.wait(2, PATIENCE).await?;
        Ok(Replay {
            seconds,
            cpu,
            peak,
            before,
            log_bytes,
            lost: had - has,
        })
    }

    /// The kernel's own high-water mark where the looks were too rare to see it.
    fn peak_since_start(&self, began: Instant) -> Result<Memory, BenchError> {
        let seen = self.watch.peak(began)?;
        Ok(Memory {
            rss: seen.rss.max(self.process.peak_rss()?),
            ..seen
        })
    }

    async fn rollout(&self) -> Result<Rollout, BenchError> {
        let began = Instant::now();
        tokio::time::sleep(self.scenario.intervals(2)).await;
        let before = self.watch.mean(began)?;
        let begin = self.mark().await?;
        for n in 1..=ROLLOUTS {
            self.load.roll_out(2, PATIENCE).await?;
            self.say(&format!("rollout {n} of {ROLLOUTS} was scraped"));
        }
        self.settled(Some(ROLLOUTS)).await?;
        self.settled(None).await?;
        let end = self.mark().await?;
        tokio::time::sleep(Duration::from_secs(self.scenario.settle)).await;
        let settled = Instant::now();
        tokio::time::sleep(self.scenario.intervals(1)).await;
        Ok(Rollout {
            seconds: (end.at - begin.at).as_secs_f64(),
            cpu: end.cpu - begin.cpu,
            before,
            peak: self.watch.peak(begin.at)?,
            after: self.watch.mean(settled)?,
        })
    }

    /// Waits until queries see every series that is live, of `generation` where one is given.
    async fn settled(&self, generation: Option<usize>) -> Result<(), BenchError> {
        let wanted = ask::expected(self.scenario);
        let query = ask::live(generation);
        tokio::select! {
            seen = ask::until(self.home.web, &query, wanted, PATIENCE) => seen,
            ended = self.process.ended() => Err(ended),
        }
    }

    async fn mark(&self) -> Result<Mark, BenchError> {
        Ok(Mark {
            at: Instant::now(),
            cpu: self.process.cpu()?,
            samples: self.load.served().await?.scrapes as f64 * self.scenario.series as f64,
        })
    }

    fn say(&self, what: &str) {
        print(&format!("  {}: {what}", self.installed.version));
    }
}

impl Mark {
    fn cpu_per_million(&self, end: &Self) -> f64 {
        (end.cpu - self.cpu) / (end.samples - self.samples) * 1e6
    }
}

fn per_sample((level, sums): (u64, disk::Level)) -> PerSample {
    PerSample {
        level,
        chunks: sums.chunk_bytes / sums.samples,
        all: sums.bytes / sums.samples,
    }
}
