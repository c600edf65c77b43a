//! What an evaluation carries along: the store, its limits, its notes and its counters.

use super::consumption::Consumption;
use super::grid::Frame;
use super::notes::Notes;
use super::profile::Profile;
use super::statistics::Statistics;
use crate::error::Error;
use crate::settings::Settings;
use crate::stats::QueryStats;
use leadline_model::Timestamp;
use leadline_model::port::Queryable;
use leadline_model::sample::Samples;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Where a query stands when it is stopped.
const STAGE: &str = "expression evaluation";
/// What Prometheus says is going on when samples run out.
const SAMPLES_STAGE: &str = "query execution";

/// How many units of work pass between two looks at the clock.
const TICKS: u32 = 128;

/// The state of one evaluation.
pub(crate) struct Context<'a> {
    /// Gives the series.
    pub(crate) store: &'a dyn Queryable,
    /// Limits and defaults.
    pub(crate) settings: &'a Settings,
    /// How far back (ms) instant selectors look.
    pub(crate) lookback_ms: i64,
    /// The whole query's start, end and step (ms), which `@ start()`, `@ end()` and `step()` mean.
    pub(crate) query: QueryRange,
    /// Whether series are read in the order of their labels, because the order shows in the result.
    pub(crate) ordered: bool,
    /// Whether something is read at a fixed time, so that there may be parts that are evaluated once.
    pub(crate) fixes: bool,
    /// Warnings and infos.
    pub(crate) notes: Notes,
    /// Counters.
    pub(crate) stats: QueryStats,
    /// What is consumed, when somebody asks.
    pub(crate) consumption: Consumption,
    /// What the nodes around the one that is evaluated do with histograms.
    pub(crate) statistics: Statistics,
    /// What each node costs, when somebody asks.
    pub(crate) profile: Option<Profile>,
    deadline: Instant,
    cancelled: &'a AtomicBool,
    live: usize,
    ticks: u32,
}

/// The times of the whole query, ms; of an instant query `start == end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryRange {
    /// First evaluation time.
    pub(crate) start: Timestamp,
    /// End as asked for; the last evaluation may be before it.
    pub(crate) end: Timestamp,
    /// Distance of the evaluations.
    pub(crate) step: i64,
}

impl QueryRange {
    /// What `step()` means, ms: 0 of an instant query.
    pub(crate) fn step_ms(self) -> i64 {
        if self.start == self.end { 0 } else { self.step }
    }

    /// The evaluation times.
    pub(crate) fn frame(self) -> Frame {
        if self.start == self.end {
            Frame::instant(self.start)
        } else {
            Frame::range(self.start, self.end, self.step)
        }
    }
}

impl<'a> Context<'a> {
    /// A fresh evaluation.
    pub(crate) fn new(
        store: &'a dyn Queryable,
        settings: &'a Settings,
        lookback_ms: i64,
        query: QueryRange,
        deadline: Instant,
        cancelled: &'a AtomicBool,
    ) -> Self {
        Self {
            store,
            settings,
            lookback_ms,
            query,
            ordered: false,
            fixes: false,
            notes: Notes::default(),
            stats: QueryStats::default(),
            consumption: Consumption::default(),
            statistics: Statistics::default(),
            profile: None,
            deadline,
            cancelled,
            live: 0,
            ticks: 0,
        }
    }

    /// Counts a unit of work (a series, a step) and stops the evaluation when nobody waits or time is up.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Canceled`].
    #[inline]
    pub(crate) fn tick(&mut self) -> Result<(), Error> {
        self.ticks += 1;
        if self.ticks < TICKS { Ok(()) } else { self.check() }
    }

    /// Looks at the clock.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Canceled`].
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        self.ticks = 0;
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Canceled(STAGE));
        }
        if Instant::now() >= self.deadline {
            return Err(Error::Timeout(STAGE));
        }
        Ok(())
    }

    /// Counts samples that are held from now on.
    ///
    /// # Errors
    /// [`Error::TooManySamples`].
    #[inline]
    pub(crate) fn hold(&mut self, samples: usize) -> Result<(), Error> {
        self.live = self.live.saturating_add(samples);
        self.stats.peak_samples = self.stats.peak_samples.max(self.live as u64);
        if self.live > self.settings.max_samples {
            Err(Error::TooManySamples(SAMPLES_STAGE))
        } else {
            Ok(())
        }
    }

    /// Counts samples as gone.
    #[inline]
    pub(crate) fn release(&mut self, samples: usize) {
        self.live = self.live.saturating_sub(samples);
    }

    /// Refuses what cannot fit, before anything of that size is allocated.
    ///
    /// # Errors
    /// [`Error::TooManySamples`].
    pub(crate) fn must_fit(&self, samples: usize) -> Result<(), Error> {
        if samples > self.settings.max_samples {
            Err(Error::TooManySamples(SAMPLES_STAGE))
        } else {
            Ok(())
        }
    }

    /// How many samples are held.
    pub(crate) fn held(&self) -> usize {
        self.live
    }

    /// Says that of what was held only `samples` are left.
    pub(crate) fn settle(&mut self, samples: usize) {
        self.live = samples;
    }

    /// Counts a series that was decoded; its samples must fit beside what is held, but are not held.
    ///
    /// # Errors
    /// [`Error::TooManySamples`], [`Error::Timeout`], [`Error::Canceled`].
    pub(crate) fn decoded(&mut self, samples: &Samples) -> Result<(), Error> {
        self.stats.series_read += 1;
        self.stats.samples_read += samples.len() as u64;
        let before = self.live;
        self.hold(samples.len())?;
        self.live = before;
        self.tick()
    }
}
