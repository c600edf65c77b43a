//! How much data is asked about, and how often.

use super::series::{BEGIN, SERIES};
use serde::{Deserialize, Serialize};

/// What is measured; results are kept under it and stand for no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scenario {
    /// Pods of 1,000 series each.
    pub(super) pods: usize,
    /// Samples of each series.
    pub(super) samples: usize,
    /// Seconds between two.
    pub(super) interval: usize,
    /// How often each question is asked.
    pub(super) asks: usize,
    /// How often a small one is, whatever system answers: of a hundred asks p99 is the slowest but one, which in a fraction of
    /// a millisecond is what the machine did beside it.
    pub(super) small_asks: usize,
    /// In how many passes over all questions.
    pub(super) passes: usize,
}

impl Scenario {
    /// The newest time there is, s.
    pub(super) fn now(&self) -> i64 {
        BEGIN / 1_000 + ((self.samples - 1) * self.interval) as i64
    }

    /// How often a question is asked, small or not.
    pub(super) fn times(&self, small: bool) -> usize {
        if small { self.small_asks } else { self.asks }
    }

    /// The name of its data, which does not depend on how often it is asked.
    pub(super) fn data(&self) -> String {
        format!("promql-data-{}x{SERIES}-{}x{}s", self.pods, self.samples, self.interval)
    }

    /// As the report says it.
    pub(super) fn describe(&self) -> String {
        format!(
            "{} series, {} samples each {} s apart; every query {} times over one connection, the \
             small ones {} times, in {} passes over all of them, each after a tenth as many",
            self.pods * SERIES,
            self.samples,
            self.interval,
            self.asks,
            self.small_asks,
            self.passes
        )
    }
}

/// As files are named.
impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{SERIES}-{}x{}s", self.pods, self.samples, self.interval)
    }
}
