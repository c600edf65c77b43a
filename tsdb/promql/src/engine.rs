//! The engine: takes queries, makes them wait for their turn, runs them within their limits.
//!
//! **Where a query runs.** Evaluation is synchronous. A query that is small runs right where its future is polled: it
//! costs microseconds, a hop to another thread and back costs as much again. Small is an instant query that took less than
//! [`INLINE_BELOW_US`] when it was last run at about that time, unless the store's index tells that it may take many times as
//! long, and one that never ran, or a range query, if the index tells that it will (`small.rs`). Queries are kept by their text
//! (`kept.rs`), so that this holds for who sends it each time, too. Everything else runs on the blocking pool, so that the executor's threads stay free. Dropping the
//! future of such a query stops it at its next look at the clock.

use crate::cost::CostLimits;
use crate::diagnostic::ParseError;
use crate::error::Error;
use crate::eval::QueryRange;
use crate::job::Job;
use crate::kept::KeptQueries;
use crate::log::{Origin, Pending, QueryLog};
use crate::query::Query;
use crate::settings::Settings;
use crate::small::{self, Guess};
use crate::stats::{Counting, QueryStats};
use crate::value::QueryResult;
use leadline_model::Timestamp;
use leadline_model::duration::Duration;
use leadline_model::port::{ActiveQueries, PrepareError, Queryable, Shape};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Queries that take less than this (microseconds) run on the caller's thread.
pub const INLINE_BELOW_US: u64 = 500;

/// Where the store's index tells of more than this (microseconds), that a query took little before is not trusted. The guess is
/// on the safe side, often by ten times: an index knows the shortest list of postings, and not what is left of it.
const TRUSTED_BELOW_US: u64 = 40 * INLINE_BELOW_US;

/// One reading of the store beside queries (lists of series, labels, exemplars) runs for so many queries that may run.
const READINGS: usize = 4;

/// Runs PromQL on a store.
pub struct Engine {
    pub(crate) store: Arc<dyn Queryable>,
    settings: Arc<Settings>,
    /// Distance (ms) of the steps of a subquery that names none. It is read where a query begins, so that prepared ones
    /// follow it.
    subquery_step_ms: AtomicI64,
    /// What queries may cost, with `query-cost`.
    limits: RwLock<CostLimits>,
    turns: Arc<Semaphore>,
    /// Of what reads the store beside queries, so that lists never make queries wait.
    pub(crate) readings: Arc<Semaphore>,
    waiting: AtomicUsize,
    watchers: Watchers,
    kept: KeptQueries,
    counts: Counts,
}

/// How queries that were answered came about.
#[derive(Debug, Default)]
pub struct Counts {
    /// Queries that ran on the caller's thread.
    pub inline: AtomicU64,
    /// Queries that ran on the blocking pool.
    pub pooled: AtomicU64,
    /// Texts that were asked ([`Engine::query`]).
    pub asked: AtomicU64,
    /// Those of them whose query was kept from the last time.
    pub kept: AtomicU64,
    /// Aggregations that were answered series by series, from groups that the store told.
    pub streamed: AtomicU64,
    /// Queries that read too many series ([`CostLimits`]).
    pub refused_series: AtomicU64,
    /// Queries that read too many samples.
    pub refused_samples: AtomicU64,
    /// Queries that took longer than such a limit.
    pub refused_duration: AtomicU64,
}

impl Counts {
    fn add(&self, stats: &QueryStats) {
        let ran = if stats.inline { &self.inline } else { &self.pooled };
        ran.fetch_add(1, Ordering::Relaxed);
        if stats.streamed > 0 {
            self.streamed.fetch_add(stats.streamed, Ordering::Relaxed);
        }
    }

    /// Counts a query that cost too much; `timed` says whether it was such a limit that a timeout came from.
    fn refused(&self, error: &Error, timed: bool) {
        let counter = match error {
            Error::TooManySeries(_) => &self.refused_series,
            Error::TooManySamplesRead(_) => &self.refused_samples,
            Error::Timeout(_) if timed => &self.refused_duration,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who is told of queries.
#[derive(Clone, Default)]
pub struct Watchers {
    /// Notes which queries run, except those that were quick when they were last run.
    pub active: Option<Arc<dyn ActiveQueries>>,
    /// Is told of queries with an origin when they end.
    pub log: Option<Arc<dyn QueryLog>>,
}

/// What one request may change of the engine's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How far back (ms) instant selectors look, instead of the engine's setting.
    pub lookback_ms: Option<i64>,
    /// Whether `rate` and its like see resets in the start times of samples, instead of the engine's setting
    /// ([`Features::start_timestamps`](crate::syntax::Features)).
    pub start_timestamps: Option<bool>,
    /// Time limit; longer than the engine's has no effect.
    pub timeout: Option<Duration>,
    /// Whether [`QueryResult::nodes`] is to be told.
    pub explain: bool,
    /// Whether nobody reads the provenance of a vector's values: then it is [`Provenance::none`] for each.
    ///
    /// [`Provenance::none`]: leadline_model::provenance::Provenance::none
    pub untraced: bool,
    /// What is counted of the samples that it consumes.
    pub counting: Counting,
    /// What it may cost, where the engine limits that; not more than the engine allows.
    pub cost: CostLimits,
    /// Where the query comes from, if its end is to be told to the log.
    pub origin: Option<Origin>,
}

impl Engine {
    /// An engine on `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Queryable>, settings: Settings) -> Arc<Self> {
        Self::watched(store, settings, Watchers::default())
    }

    /// An engine on `store` that tells `watchers` of its queries; queries that run on the caller's thread are not told as
    /// active.
    #[must_use]
    pub fn watched(store: Arc<dyn Queryable>, settings: Settings, watchers: Watchers) -> Arc<Self> {
        let most = settings.max_concurrency;
        let readings = Arc::new(Semaphore::new((most / READINGS).clamp(1, Semaphore::MAX_PERMITS)));
        let turns = Arc::new(Semaphore::new(
            settings.max_concurrency.clamp(1, Semaphore::MAX_PERMITS),
        ));
        Arc::new(Self {
            store,
            subquery_step_ms: AtomicI64::new(settings.subquery_step.as_millis()),
            limits: RwLock::default(),
            settings: Arc::new(settings),
            turns,
            readings,
            waiting: AtomicUsize::new(0),
            watchers,
            kept: KeptQueries::new(),
            counts: Counts::default(),
        })
    }

    /// The limits and defaults.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the distance of the steps of subqueries that name none, for queries that begin from now on: Prometheus takes
    /// its global evaluation interval, also that of a reload (`noStepSubqueryInterval` of `cmd/prometheus/main.go`).
    pub fn set_subquery_step(&self, step: Duration) {
        self.subquery_step_ms.store(step.as_millis(), Ordering::Relaxed);
    }

    /// Sets what queries that begin from now on may cost. It says nothing without the feature `query-cost`.
    pub fn set_cost_limits(&self, limits: CostLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// What a query may cost that asks for limits of its own.
    ///
    /// # Errors
    /// As [`CostLimits::lowered_to`].
    pub fn cost_limits(&self, asked: CostLimits) -> Result<CostLimits, String> {
        if !self.settings.features.query_cost {
            return Ok(CostLimits::default());
        }
        let own = *self.limits.read().unwrap_or_else(PoisonError::into_inner);
        own.lowered_to(asked, self.settings.timeout)
    }

    /// Parses and checks an expression for [`Self::instant`] and [`Self::range`], or takes what was made of the same text before.
    ///
    /// # Errors
    /// [`Error::Prepare`] points at the mistake.
    pub fn parse(&self, text: &str) -> Result<Query, Error> {
        self.query(text).map_err(|e| Error::Prepare(PrepareError::from(e)))
    }

    /// As [`Self::parse`], for who shows the text with a mistake in it.
    ///
    /// # Errors
    /// The first mistake and its place.
    pub fn query(&self, text: &str) -> Result<Query, ParseError> {
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        if let Some(query) = self.kept.get(text) {
            self.counts.kept.fetch_add(1, Ordering::Relaxed);
            return Ok(query);
        }
        let query = Query::parse_with(text, self.settings.features)?;
        self.kept.keep(text, &query);
        Ok(query)
    }

    /// Evaluates a query at one time (ms).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn instant(&self, query: &Query, at: Timestamp, options: Options) -> Result<QueryResult, Error> {
        self.run(query, QueryRange::instant(at), false, options).await
    }

    /// Evaluates a query at `start`, `start + step`, ... up to `end` (ms).
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the times make no range or the query's type has no value at a time; [`Error`].
    pub async fn range(
        &self,
        query: &Query,
        (start, end, step): (Timestamp, Timestamp, i64),
        options: Options,
    ) -> Result<QueryResult, Error> {
        if step <= 0 {
            return Err(Error::BadRequest(
                "the step of a range query must be greater than 0".to_owned(),
            ));
        }
        if end < start {
            return Err(Error::BadRequest(
                "end timestamp must not be before start time".to_owned(),
            ));
        }
        if !matches!(query.shape(), Shape::Scalar | Shape::Vector) {
            let text = format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                crate::check::describe(query.shape())
            );
            return Err(Error::BadRequest(text));
        }
        self.run(query, QueryRange { start, end, step }, true, options).await
    }

    async fn run(
        &self,
        query: &Query,
        times: QueryRange,
        over_time: bool,
        options: Options,
    ) -> Result<QueryResult, Error> {
        let asked = Instant::now();
        let limits = self.cost_limits(options.cost).map_err(Error::BadRequest)?;
        let longest = limits.duration.unwrap_or(self.settings.timeout);
        let timeout = options.timeout.map_or(longest, |t| t.min(longest));
        // Only then it is the limit's doing when time is up.
        let timed = limits.duration == Some(timeout);
        let pending = self.pending(query, (times, over_time), options.origin);
        let turn = match self.turn(&self.turns, timeout).await {
            Ok(turn) => turn,
            Err(error) => {
                self.counts.refused(&error, timed);
                if let Some(pending) = pending {
                    pending.refused(&error);
                }
                return Err(error);
            }
        };
        let lookback_ms = options
            .lookback_ms
            .filter(|ms| *ms > 0)
            .unwrap_or(self.settings.lookback_ms);
        let guess = |below_us| small::guess(&*self.store, query, (times, lookback_ms), below_us);
        let cheap = match query.last_us(times.start).filter(|_| !over_time) {
            Some(us) => us < INLINE_BELOW_US && guess(TRUSTED_BELOW_US) != Guess::Above,
            None => guess(INLINE_BELOW_US) == Guess::Below,
        };
        let job = Job {
            store: Arc::clone(&self.store),
            settings: Arc::clone(&self.settings),
            query: query.clone(),
            times,
            over_time,
            explain: options.explain,
            untraced: options.untraced,
            // Whoever reads the log wants the sums at least.
            counting: options
                .counting
                .max(match pending.is_some() || limits.samples_read > 0 {
                    true => Counting::Sums,
                    false => Counting::Off,
                }),
            limits,
            lookback_ms,
            start_timestamps: options
                .start_timestamps
                .unwrap_or(self.settings.features.start_timestamps),
            subquery_step_ms: self.subquery_step_ms.load(Ordering::Relaxed),
            queued_us: u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX),
            deadline: asked + timeout.to_std(),
            cancelled: Arc::new(AtomicBool::new(false)),
            pending,
        };
        let mut result = if cheap {
            job.run()
        } else {
            on_blocking_pool(job, turn, self.watchers.active.clone()).await
        };
        match &mut result {
            Ok(result) => {
                result.stats.inline = cheap;
                self.counts.add(&result.stats);
            }
            Err(error) => self.counts.refused(error, timed),
        }
        result
    }

    /// How the queries that were answered so far came about.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The query as one whose end is told, where it is.
    fn pending(&self, query: &Query, times: (QueryRange, bool), origin: Option<Origin>) -> Option<Pending> {
        let log = self.watchers.log.as_ref().filter(|log| log.is_on())?;
        Some(Pending::new(log, query, times, origin?))
    }

    /// Waits for a free place among the running queries, or among the readings.
    pub(crate) async fn turn(&self, turns: &Arc<Semaphore>, timeout: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let closed = |_| Error::Canceled("query queue");
        if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = Waiting::enter(&self.waiting, self.settings.max_waiting)?;
        let turn = Arc::clone(turns).acquire_owned();
        match tokio::time::timeout(timeout.to_std(), turn).await {
            Ok(turn) => turn.map_err(closed),
            Err(_) => Err(Error::Timeout("query queue")),
        }
    }
}

/// Runs a job on the blocking pool; it keeps its turn until it has really ended.
async fn on_blocking_pool(
    job: Job,
    turn: OwnedSemaphorePermit,
    active: Option<Arc<dyn ActiveQueries>>,
) -> Result<QueryResult, Error> {
    let _guard = CancelOnDrop(Arc::clone(&job.cancelled));
    let running = tokio::task::spawn_blocking(move || {
        let noted = active.and_then(|active| Noted::begin(active, job.query.text()));
        let result = job.run();
        // Its place is free before the next one begins.
        drop(noted);
        drop(turn);
        result
    });
    running
        .await
        .unwrap_or_else(|_| Err(Error::execution("the evaluation ended unexpectedly")))
}

/// Tells a running job that nobody waits for it.
pub(crate) struct CancelOnDrop(pub(crate) Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A query that is noted as running.
struct Noted {
    active: Arc<dyn ActiveQueries>,
    place: u32,
}

impl Noted {
    fn begin(active: Arc<dyn ActiveQueries>, query: &str) -> Option<Self> {
        let place = active.begin(query)?;
        Some(Self { active, place })
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.active.end(self.place);
    }
}

/// A place in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Result<Self, Error> {
        let place = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= most {
            Err(Error::Overloaded)
        } else {
            Ok(place)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
