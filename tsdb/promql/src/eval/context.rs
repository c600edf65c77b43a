//! What an evaluation carries along: the store, its limits, its notes and its counters.

use super::consumption::Consumption;
use super::grid::Frame;
use super::notes::Notes;
use super::patience::Patience;
use super::profile::Profile;
use super::statistics::Statistics;
use crate::cost::CostLimits;
use crate::error::Error;
use crate::settings::Settings;
use crate::stats::QueryStats;
use leadline_model::Timestamp;
use leadline_model::port::Queryable;

/// What Prometheus says is going on when samples, or what a query may cost, run out.
const SAMPLES_STAGE: &str = "query execution";

/// How many samples are worked on between two looks at the clock. What an evaluation does with them takes some hundred
/// microseconds at most.
const LOOK_EVERY: usize = 1 << 15;

/// For how many samples whatever else has to be done for a series, a group or a node counts.
const TICK: usize = 1 << 8;

/// The state of one evaluation.
pub(crate) struct Context<'a> {
    /// Gives the series.
    pub(crate) store: &'a dyn Queryable,
    /// Limits and defaults.
    pub(crate) settings: &'a Settings,
    /// How far back (ms) instant selectors look.
    pub(crate) lookback_ms: i64,
    /// Distance (ms) of the steps of a subquery that names none.
    pub(crate) subquery_step_ms: i64,
    /// Whether the start times of samples are used.
    pub(crate) start_timestamps: bool,
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
    pub(crate) profile: Option<Profile<'a>>,
    /// What it may cost.
    pub(crate) limits: CostLimits,
    patience: &'a dyn Patience,
    live: usize,
    /// Samples that were worked on since the last look at the clock.
    spent: usize,
}

/// The times of the whole query, ms; of an instant query `start == end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryRange {
    /// First evaluation time.
    pub(crate) start: Timestamp,
    /// End as asked for; the last evaluation may be before it.
    pub(crate) end: Timestamp,
    /// Distance of the evaluations, 0 of an instant query.
    pub(crate) step: i64,
}

impl QueryRange {
    /// The times of an instant query.
    pub(crate) fn instant(at: Timestamp) -> Self {
        Self {
            start: at,
            end: at,
            step: 0,
        }
    }

    /// What the function `step()` answers, ms: 0 of a range of one time too (`foldQueryContextFunctions` of
    /// `promql/engine.go`), other than `step()` within a length of time.
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
        patience: &'a dyn Patience,
    ) -> Self {
        Self {
            store,
            settings,
            lookback_ms,
            subquery_step_ms: settings.subquery_step.as_millis(),
            start_timestamps: settings.features.start_timestamps,
            query,
            ordered: false,
            fixes: false,
            notes: Notes::default(),
            stats: QueryStats::default(),
            consumption: Consumption::default(),
            statistics: Statistics::default(),
            profile: None,
            limits: CostLimits::default(),
            patience,
            live: 0,
            spent: 0,
        }
    }

    /// Counts what has to be done for a series, a group or a node, and stops the evaluation when nobody waits or time is
    /// up.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Canceled`].
    #[inline]
    pub(crate) fn tick(&mut self) -> Result<(), Error> {
        self.spend(TICK)
    }

    /// Counts samples that are worked on: what depends on their number has no other bound.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Canceled`].
    #[inline]
    pub(crate) fn spend(&mut self, samples: usize) -> Result<(), Error> {
        self.spent = self.spent.saturating_add(samples);
        if self.spent < LOOK_EVERY { Ok(()) } else { self.check() }
    }

    /// Looks at the clock.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Canceled`].
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        self.spent = 0;
        self.patience.look()
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

    /// Refuses to go on where the query has cost too much.
    ///
    /// # Errors
    /// [`Error::TooManySeries`], [`Error::TooManySamplesRead`].
    pub(crate) fn check_cost(&self) -> Result<(), Error> {
        let above = |most: u64, cost: u64| most > 0 && cost > most;
        if above(self.limits.series, self.stats.series_read) {
            return Err(Error::TooManySeries(SAMPLES_STAGE));
        }
        if above(self.limits.samples_read, self.consumption.charged()) {
            return Err(Error::TooManySamplesRead(SAMPLES_STAGE));
        }
        Ok(())
    }

    /// Counts a series that was decoded; its `samples` must fit beside what is held, but are not held.
    ///
    /// # Errors
    /// [`Error::TooManySamples`], [`Error::Timeout`], [`Error::Canceled`]; as [`Self::check_cost`] of what was read before.
    #[inline]
    pub(crate) fn decoded(&mut self, samples: usize) -> Result<(), Error> {
        self.stats.series_read += 1;
        self.stats.samples_read += samples as u64;
        self.check_cost()?;
        let before = self.live;
        self.hold(samples)?;
        self.live = before;
        self.spend(TICK.saturating_add(samples))
    }
}
