//! How much is scraped, and how long each phase lasts.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A size of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// 50 targets of 200 series every second: whether the benchmark works, not figures.
    #[value(name = "10k")]
    TenThousand,
    /// 50 targets of 2,000 series every 5 s.
    #[value(name = "100k")]
    HundredThousand,
    /// 500 targets of 2,000 series every 15 s.
    #[value(name = "1m")]
    Million,
}

/// A phase in a system's life, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// CPU, memory and log bytes before the first block is cut.
    Steady,
    /// The same until blocks of the wanted level are there.
    Compaction,
    /// SIGKILL, a second start, and the first right answer.
    Replay,
    /// Every pod is replaced three times.
    Rollout,
}

/// What a system lives through; results are kept under it and stand for no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scenario {
    /// Targets that are scraped.
    pub(crate) targets: usize,
    /// Series of each.
    pub(crate) series: usize,
    /// Scrape interval, seconds.
    pub(crate) interval: u64,
    /// Time that a block of the first level spans, seconds.
    pub(crate) block_range: u64,
    /// Level of the block that ends the compaction phase.
    pub(crate) level: u64,
    /// Seconds of steady state.
    pub(crate) steady: u64,
    /// Seconds between the last rollout and the memory after it.
    pub(crate) settle: u64,
    /// What is gone through.
    pub(crate) phases: Vec<Phase>,
}

impl Scenario {
    /// The scenario of a size, `steady` seconds of steady state long.
    pub(crate) fn of(size: Size, steady: u64) -> Self {
        let (targets, series, interval, block_range, level) = match size {
            Size::TenThousand => (50, 200, 1, 20, 2),
            Size::HundredThousand => (50, 2_000, 5, 60, 2),
            // A second level would take five minutes more for each system.
            Size::Million => (500, 2_000, 15, 75, 1),
        };
        Self {
            targets,
            series,
            interval,
            block_range,
            level,
            steady,
            settle: settle(block_range),
            phases: Phase::value_variants().to_vec(),
        }
    }

    /// The same with blocks of `range` seconds.
    pub(crate) fn with_block_range(self, range: u64) -> Self {
        Self {
            block_range: range,
            settle: settle(range),
            ..self
        }
    }

    /// All series, at any time.
    pub(crate) fn live(&self) -> f64 {
        (self.targets * self.series) as f64
    }

    /// How long it is to the beginning of the next block's time. A system that begins there cuts its first block one and a
    /// half ranges later, behind the steady state; one that begins anywhere may cut one soon.
    pub(crate) fn until_block(&self) -> Duration {
        let range = u128::from(self.block_range.max(1)) * 1_000;
        #[expect(
            clippy::disallowed_methods,
            reason = "blocks of every system are aligned to this clock"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = range - now.as_millis() % range;
        // Ranges of hours are not waited for: there the steady state is short beside them.
        Duration::from_millis(left.min(120_000) as u64)
    }

    /// `n` scrape intervals.
    pub(crate) fn intervals(&self, n: u64) -> Duration {
        Duration::from_secs(n * self.interval)
    }
}

/// What ended leaves the head when the block of its last sample is cut: at the latest one and a half ranges later, and
/// those who cut look every minute or more often.
fn settle(block_range: u64) -> u64 {
    block_range * 2
}

impl Scenario {
    /// As the report says it.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{} targets x {} series every {} s, blocks of {} s, {} s of steady state, {} s after rollouts",
            self.targets, self.series, self.interval, self.block_range, self.steady, self.settle
        )
    }
}

/// As files are named.
impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}x{}-{}s-{}s",
            self.targets, self.series, self.interval, self.block_range
        )
    }
}
