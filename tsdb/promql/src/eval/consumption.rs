//! Counts the samples that an expression consumes, step by step, where somebody asks (`util/stats/query_stats.go`). What is
//! decoded says nothing about that: each step counts what it alone would look at.

use super::grid::{Frame, Grid};
use super::histogram_points::{HistogramPoint, weight};
use super::ranges::{Cutter, Loaded, Ranges, Source};
use super::{Cell, Moved};
use crate::stats::{Consumed, Counting, StepConsumed};

/// Steps that are told apart; a subquery can have more, which are counted with the last.
const MOST_STEPS: usize = 1 << 20;

/// The counts of the query, and above them those of what is evaluated at times of its own. Empty where nobody asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consumption {
    stack: Vec<Counts>,
    per_step: bool,
}

/// The counts of one frame's steps.
#[derive(Debug, Clone)]
struct Counts {
    frame: Frame,
    /// What each step by itself consumes.
    total: Vec<u64>,
    /// The same without what the steps before it consumed.
    read: Vec<u64>,
    /// All that was read from the store so far, of what is evaluated at times of its own too, whether or not a step sees it.
    charged: u64,
}

impl Counts {
    fn new(frame: Frame) -> Self {
        let steps = frame.steps.clamp(1, MOST_STEPS);
        Self {
            frame,
            total: vec![0; steps],
            read: vec![0; steps],
            charged: 0,
        }
    }

    /// What a step reads from the store.
    fn add(&mut self, step: usize, total: u64, read: u64) {
        self.charged = self.charged.saturating_add(read);
        self.merge(step, total, read);
    }

    /// What a step has of what was charged before.
    fn merge(&mut self, step: usize, total: u64, read: u64) {
        let step = step.min(self.total.len() - 1);
        if let (Some(t), Some(r)) = (self.total.get_mut(step), self.read.get_mut(step)) {
            *t = t.saturating_add(total);
            *r = r.saturating_add(read);
        }
    }

    fn sums(&self) -> (u64, u64) {
        let sum = |counts: &[u64]| counts.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
        (sum(&self.total), sum(&self.read))
    }
}

impl Consumption {
    /// Of a query at the times of `frame`.
    pub(crate) fn new(counting: Counting, frame: Frame) -> Self {
        let mut new = Self {
            stack: Vec::new(),
            per_step: counting == Counting::Steps,
        };
        if counting > Counting::Off {
            new.stack.push(Counts::new(frame));
        }
        new
    }

    /// What was counted; of a query that failed, what was counted until then.
    pub(crate) fn finish(&mut self) -> Option<Consumed> {
        let counts = self.stack.drain(..).next()?;
        let (total, read) = counts.sums();
        let steps = counts.frame.times().zip(counts.total.iter().zip(&counts.read));
        let steps = steps
            .take(if self.per_step { usize::MAX } else { 0 })
            .map(|(t, (&total, &read))| StepConsumed { t, total, read })
            .collect();
        Some(Consumed { total, read, steps })
    }

    /// All that was read from the store so far (`promql/engine.go`, queryBudget); 0 where nobody counts.
    #[inline]
    pub(crate) fn charged(&self) -> u64 {
        self.stack
            .iter()
            .fold(0, |sum, counts| sum.saturating_add(counts.charged))
    }

    /// What is evaluated at the times of `frame` is counted apart, until [`Self::repeat`] or [`Self::consume_subquery`].
    pub(super) fn below(&mut self, frame: Frame) {
        if !self.stack.is_empty() {
            self.stack.push(Counts::new(frame));
        }
    }

    /// What was counted apart is the same at every step, and was read once.
    pub(super) fn repeat(&mut self) {
        let Some(child) = self.stack.pop() else { return };
        let Some(counts) = self.stack.last_mut() else { return };
        let (total, read) = child.sums();
        counts.charged = counts.charged.saturating_add(child.charged);
        counts.merge(0, 0, read);
        for step in 0..counts.total.len() {
            counts.merge(step, total, 0);
        }
    }

    /// What was counted apart is a subquery's, of which each step of `parent` sees the window of `range_ms`.
    pub(super) fn consume_subquery(&mut self, parent: Frame, moved: Moved, range_ms: i64) {
        let Some(child) = self.stack.pop() else { return };
        let Some(counts) = self.stack.last_mut() else { return };
        counts.charged = counts.charged.saturating_add(child.charged);
        let (mut total, read) = child.sums();
        if parent.steps <= 1 {
            // All of it was evaluated for this one step.
            return counts.merge(0, total, read);
        }
        let times: Vec<_> = child.frame.times().take(child.total.len()).collect();
        let (mut from, mut to) = (0, 0);
        total = 0;
        for step in 0..parent.steps {
            let end = moved.time(parent.at(step));
            let start = end.saturating_sub(range_ms);
            let mut fresh = 0u64;
            while times.get(to).is_some_and(|t| *t <= end) {
                total += child.total[to];
                if times[to] > start {
                    fresh += child.read[to];
                }
                to += 1;
            }
            while from < to && times[from] <= start {
                total -= child.total[from];
                from += 1;
            }
            counts.merge(step, total, fresh);
        }
    }

    /// The last row of an instant selector; `fixed` where all steps read at one time.
    #[inline]
    pub(super) fn consume_instants(&mut self, grid: &Grid, fixed: bool) {
        if let (Some(counts), Some(row)) = (self.stack.last_mut(), grid.len().checked_sub(1)) {
            instants(counts, grid, row, fixed);
        }
    }

    /// The numbers of one series of an instant selector; `fixed` where all steps read at one time.
    #[inline]
    pub(super) fn consume_numbers(&mut self, present: &[bool], fixed: bool) {
        if let Some(counts) = self.stack.last_mut() {
            for (step, _) in present.iter().enumerate().filter(|(_, present)| **present) {
                counts.add(step, 1, u64::from(!fixed || step == 0));
            }
        }
    }

    /// The windows of one series of a range vector; those of a subquery were counted when it was evaluated.
    #[inline]
    pub(super) fn consume_windows(&mut self, ranges: &Ranges, loaded: &Loaded, frame: Frame) {
        if let (Some(counts), Source::Stored(_)) = (self.stack.last_mut(), &ranges.source) {
            windows(counts, ranges, loaded, frame);
        }
    }
}

fn instants(counts: &mut Counts, grid: &Grid, row: usize, fixed: bool) {
    for step in 0..grid.steps {
        let seen = match grid.cell(row, step) {
            Some(Cell::Float(_)) => 1,
            Some(Cell::Histogram(h)) => weight(&h) as u64,
            None => continue,
        };
        counts.add(step, seen, if fixed && step > 0 { 0 } else { seen });
    }
}

fn windows(counts: &mut Counts, ranges: &Ranges, loaded: &Loaded, frame: Frame) {
    let (times, points) = (&loaded.samples.t, &loaded.histograms.points);
    let weigh = |points: &[HistogramPoint]| points.iter().map(|p| weight(&p.h)).sum::<usize>();
    let (mut floats, mut histograms) = (Cutter::default(), Cutter::default());
    let (before, behind) = ranges.margins;
    for step in 0..frame.steps {
        let end = ranges.moved.time(frame.at(step)).saturating_add(behind);
        let start = end
            .saturating_sub(behind)
            .saturating_sub(ranges.range_ms)
            .saturating_sub(before);
        let numbers = floats.cut(times, |t| *t, start, end);
        let cut = &points[histograms.cut(points, |p| p.t, start, end)];
        let all = numbers.len() + weigh(cut);
        // The step before saw what is not newer than its end.
        let seen = end.saturating_sub(frame.step);
        let fresh = match (step, ranges.moved.fixed) {
            (0, _) => all,
            (_, Some(_)) => 0,
            _ => {
                let numbers = &times[numbers];
                numbers.len() - numbers.partition_point(|t| *t <= seen)
                    + weigh(&cut[cut.partition_point(|p| p.t <= seen)..])
            }
        };
        counts.add(step, all as u64, fresh as u64);
    }
}
