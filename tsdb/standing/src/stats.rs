//! Counters that prove how much is evaluated, and how little.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened to one expression, or to all of them, since it was registered or the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Evaluations, failed ones included.
    pub evaluations: u64,
    /// Evaluations that failed.
    pub failures: u64,
    /// Commits that touched the expression.
    pub commits: u64,
    /// Evaluations that an aligned tick caused.
    pub ticks: u64,
    /// Questions.
    pub questions: u64,
    /// Questions that were answered from the index, without an evaluation.
    pub from_index: u64,
    /// Snapshots that subscribers were woken with.
    pub pushed: u64,
}

/// One expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionStats {
    /// The expression as the engine prints it.
    pub text: String,
    /// What happened to it.
    pub counts: Counts,
    /// How long its last evaluation took, seconds.
    pub cost_seconds: f64,
    /// How many hold it.
    pub registrations: usize,
    /// How many are subscribed.
    pub subscribers: usize,
    /// Whether it is cold: observation does not cover what it reads since the start.
    pub cold: bool,
    /// Rows of its newest result that are warming.
    pub warming: usize,
    /// Evaluation time (ms) of its newest result, if it has one.
    pub evaluated_at: Option<i64>,
}

/// The room at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stats {
    /// Of all expressions together, those that were forgotten included.
    pub total: Counts,
    /// Expressions that are registered.
    pub registered: usize,
    /// Expressions that were forgotten because nobody asked.
    pub expired: u64,
    /// Times that commits came faster than they were taken in, so that everything counted as touched.
    pub lagged: u64,
    /// Each expression, sorted by text.
    pub expressions: Vec<ExpressionStats>,
}

/// Counts as they are counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) evaluations: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) ticks: AtomicU64,
    pub(crate) questions: AtomicU64,
    pub(crate) from_index: AtomicU64,
    pub(crate) pushed: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            evaluations: of(&self.evaluations),
            failures: of(&self.failures),
            commits: of(&self.commits),
            ticks: of(&self.ticks),
            questions: of(&self.questions),
            from_index: of(&self.from_index),
            pushed: of(&self.pushed),
        }
    }

    /// Adds what a forgotten expression had counted.
    pub(crate) fn absorb(&self, counts: &Counts) {
        let add = |counter: &AtomicU64, n| counter.fetch_add(n, Ordering::Relaxed);
        add(&self.evaluations, counts.evaluations);
        add(&self.failures, counts.failures);
        add(&self.commits, counts.commits);
        add(&self.ticks, counts.ticks);
        add(&self.questions, counts.questions);
        add(&self.from_index, counts.from_index);
        add(&self.pushed, counts.pushed);
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
