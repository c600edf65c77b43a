//! The four ports between the rooms.
//!
//! * [`Appender`]: one commit is one scrape (or one rule result, one pushed request). It lands whole or not at all.
//! * [`Queryable`]: matchers and a time range to series. A reader sees every commit published before it began and
//!   never half of one.
//! * [`Commits`]: what a commit touched, so that only those wake whom it concerns.
//! * [`Evaluate`]: an expression and a time to values with provenance. The embedded engine implements it.

use crate::exemplar::Exemplar;
use crate::histogram::{AnyHistogram, HistogramSample};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::metadata::Metadata;
use crate::provenance::Provenance;
use crate::sample::{Sample, Samples, Timestamp};
use crate::target::OwnerId;
use std::any::Any;
use std::sync::Arc;

/// A series in the store; never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// A commit's number. A reader that asks at generation n sees at least the commits 1..=n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(pub u64);

/// A registered selector's number; never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SelectorId(pub u32);

// ---------------------------------------------------------------------------------------------------- Appender

/// Whose series a batch entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A series that an earlier commit resolved.
    Known(SeriesRef),
    /// The n-th of [`Batch::created`].
    New(u32),
}

/// One sample of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The series.
    pub series: Slot,
    /// Time, ms.
    pub t: Timestamp,
    /// Value.
    pub v: f64,
}

/// What came of the attempt that a commit records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// A good scrape, a rule result, a pushed request.
    Good,
    /// A failed scrape: the batch holds stale markers and the report series.
    Failed,
    /// The owner is gone for good: the batch holds its last stale markers.
    Gone,
}

/// All that one scrape wants to write.
#[derive(Debug)]
pub struct Batch {
    /// Who writes.
    pub owner: OwnerId,
    /// The time on the owner's grid that this commit stands for, ms.
    pub slot: Timestamp,
    /// Whether the attempt succeeded.
    pub attempt: Attempt,
    /// Label sets that the owner has no reference for yet. The store may know them already.
    pub created: Vec<Labels>,
    /// The samples, in any order; of equal (series, time) the first wins.
    pub entries: Vec<Entry>,
    /// What few batches have.
    pub extras: Extras,
}

/// What a batch may bring besides float samples.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Native histograms. Like [`Batch::entries`], and of equal (series, time) a float wins.
    pub histograms: Vec<HistogramEntry>,
    /// Exemplars; kept as long as there is room for them.
    pub exemplars: Vec<ExemplarEntry>,
    /// Kind, unit and help, where they changed since the owner told them last.
    pub metadata: Vec<MetadataEntry>,
    /// So many of the last of [`Batch::created`] are to be made where there is no room for more series: what tells that the
    /// others are missing. The store has little room beyond its cap.
    pub vital: u32,
    /// So many of the last of [`Batch::entries`] are what the owner tells of the attempt itself. Where the store refuses one of
    /// them for its time, it has newer samples of the owner, and nothing of the attempt counts: it is a failed one.
    pub report: u32,
    /// Stale markers that come out of order are refused, however late samples may come: since the time they are of somebody
    /// else went on with the series (`scrape/scrape_append_v2.go` of Prometheus has it so for all that scraping marks).
    pub refuse_late_markers: bool,
}

impl Extras {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.exemplars.is_empty() && self.metadata.is_empty()
    }
}

/// One native histogram of a batch.
#[derive(Debug, Clone)]
pub struct HistogramEntry {
    /// The series.
    pub series: Slot,
    /// Time, ms.
    pub t: Timestamp,
    /// The distribution.
    pub h: AnyHistogram,
}

/// One exemplar of a batch.
#[derive(Debug, Clone)]
pub struct ExemplarEntry {
    /// The series.
    pub series: Slot,
    /// The observation.
    pub exemplar: Exemplar,
}

/// What a batch says about one series' metric.
#[derive(Debug, Clone)]
pub struct MetadataEntry {
    /// The series.
    pub series: Slot,
    /// Kind, unit and help.
    pub metadata: Metadata,
}

/// Why a single sample or series was not taken. The rest of the batch is unaffected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Older than the series' newest sample.
    OutOfOrder,
    /// Same time as the newest sample, another value.
    Duplicate,
    /// Older than what the store keeps.
    TooOld,
    /// More than ten minutes ahead of the clock.
    TooFarAhead,
    /// The store's cap on series is reached; the series was not created. The commit is published as one that failed, and its
    /// owner feeds the selectors that the series would match.
    SeriesLimit,
    /// The reference is unknown (the series was dropped): resolve it again.
    UnknownSeries,
    /// The parts of a histogram do not go together, or an exemplar's labels are too long.
    Invalid,
    /// The disk takes nothing, and what memory holds for it has reached the store's limit: the whole batch fails with
    /// [`AppendError::Unwritable`], and is counted as this.
    MemoryLimit,
}

impl Refusal {
    /// The word used in metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfOrder => "out_of_order",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::SeriesLimit => "series_limit",
            Self::UnknownSeries => "unknown_series",
            Self::Invalid => "invalid",
            Self::MemoryLimit => "memory_limit",
        }
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The commit's number.
    pub generation: Generation,
    /// The references of [`Batch::created`], in its order; `None` where a limit refused one.
    pub refs: Vec<Option<SeriesRef>>,
    /// Samples that were stored.
    pub appended: usize,
    /// Series that did not exist before.
    pub new_series: usize,
    /// (index into [`Batch::entries`], why) of every sample that was not stored; a sample that repeats a stored one
    /// bit for bit is no refusal.
    pub refused: Vec<(u32, Refusal)>,
    /// The same of [`Extras::histograms`].
    pub refused_histograms: Vec<(u32, Refusal)>,
    /// The same of [`Extras::exemplars`].
    pub refused_exemplars: Vec<(u32, Refusal)>,
}

/// Why a whole batch was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The store cannot write (a full disk, say).
    #[error("the store cannot write: {0}")]
    Unwritable(String),
}

/// Takes samples in.
pub trait Appender: Send + Sync {
    /// A new owner, which the store gives a home for its series.
    fn new_owner(&self) -> OwnerId;

    /// Commits a batch: it lands whole (except what [`Outcome::refused`] names) or not at all. When this returns,
    /// every reader that begins later sees it.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of the batch was stored then.
    fn commit(&self, batch: &Batch) -> Result<Outcome, AppendError>;
}

// --------------------------------------------------------------------------------------------------- Queryable

/// The series that matched, frozen at the moment of the selection.
pub trait SeriesSet: Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether none matched.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label set of the i-th series, `i < len()`.
    fn labels(&self, i: usize) -> Labels;

    /// Who wrote the i-th series last.
    fn owner(&self, i: usize) -> Option<OwnerId>;

    /// Replaces `into` by the samples of the i-th series with `mint <= t <= maxt` (ms), stale markers included.
    ///
    /// # Errors
    /// [`QueryError`] when stored data cannot be read.
    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError>;

    /// Replaces `into` by the native histograms of the i-th series with `mint <= t <= maxt` (ms), stale markers included.
    /// A series has a float or a histogram at one time, never both.
    ///
    /// # Errors
    /// [`QueryError`] when stored data cannot be read.
    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        let _ = (i, mint, maxt);
        into.clear();
        Ok(())
    }

    /// [`Self::read`] and [`Self::read_histograms`] at once. A store that has to fetch what it decodes fetches it once here.
    ///
    /// # Errors
    /// [`QueryError`] when stored data cannot be read.
    fn read_all(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        self.read(i, mint, maxt, floats)?;
        self.read_histograms(i, mint, maxt, histograms)
    }

    /// Replaces `into` by (time, start) of those samples of the i-th series with `mint <= t <= maxt` whose start time is
    /// known: when (ms) the counter or histogram began to count (`created` of OpenMetrics). In the order of time.
    ///
    /// # Errors
    /// [`QueryError`] when stored data cannot be read.
    fn start_times(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<(Timestamp, Timestamp)>,
    ) -> Result<(), QueryError> {
        let _ = (i, mint, maxt);
        into.clear();
        Ok(())
    }

    /// The newest sample of the i-th series with `mint <= t <= maxt` (ms), which may be a stale marker: the last that
    /// [`Self::read`] gives. A store that knows it without decoding answers faster than this default, which reads.
    ///
    /// # Errors
    /// [`QueryError`] when stored data cannot be read.
    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        let mut samples = Samples::default();
        self.read(i, mint, maxt, &mut samples)?;
        let last = samples.t.last().zip(samples.v.last());
        Ok(last.map(|(&t, &v)| Sample { t, v }))
    }
}

/// A set that several hold.
impl<S: SeriesSet + ?Sized> SeriesSet for Arc<S> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn labels(&self, i: usize) -> Labels {
        (**self).labels(i)
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        (**self).owner(i)
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        (**self).read(i, mint, maxt, into)
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        (**self).read_histograms(i, mint, maxt, into)
    }

    fn read_all(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        (**self).read_all(i, mint, maxt, floats, histograms)
    }

    fn start_times(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<(Timestamp, Timestamp)>,
    ) -> Result<(), QueryError> {
        (**self).start_times(i, mint, maxt, into)
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        (**self).newest(i, mint, maxt)
    }
}

/// Why the store could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// Stored bytes are not what they must be.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// The window reaches into time that is not loaded yet.
    #[error("not available yet: {0}")]
    Unavailable(String),
}

/// What an aggregation is going to do with the series that it selects.
#[derive(Debug, Clone, Copy)]
pub struct Grouping<'a> {
    /// The labels that make the groups: sorted, unique.
    pub names: &'a [String],
    /// Whether all labels but these make them.
    pub without: bool,
    /// What has to come in the order of labels.
    pub order: GroupOrder,
    /// Labels that all series must have alike; where they do not, there is no answer.
    pub alike: &'a [&'a str],
    /// Whether of numbers only the newest is looked at, with [`SeriesSet::newest`]: a store need not keep the others ready.
    pub newest: bool,
}

/// What of grouped series has to come in the order of their labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupOrder {
    /// Nothing.
    Any,
    /// What is told of the groups. The series come in any order, but the place of each is told.
    Groups,
    /// The series.
    Series,
}

/// Series that a store has sorted into groups without making the labels of each.
pub struct GroupedSeries {
    /// The series. Labels of one, also in errors, are those of its group.
    pub set: Box<dyn SeriesSet>,
    /// For each series its group, a place in [`Self::labels`].
    pub group_of: Arc<[u32]>,
    /// The labels of each group, in no order.
    pub labels: Arc<[Labels]>,
    /// With [`GroupOrder::Groups`] for each series a number of its own, in the order of labels though not without gaps, so that
    /// groups can be brought into the order of the first of their series that turns out to have a value; else empty.
    pub places: Arc<[u32]>,
}

/// Gives series out.
pub trait Queryable: Send + Sync {
    /// The series that fulfil all matchers and may have samples with `mint <= t <= maxt` (ms), sorted by labels when
    /// `sorted` asks for it.
    ///
    /// # Errors
    /// [`QueryError`].
    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError>;

    /// No more than so many series fulfil all matchers, where that can be told from an index in memory and samples since
    /// `mint` (ms) are in memory as well; `None` says nothing.
    fn at_most(&self, matchers: &[Matcher], mint: Timestamp) -> Option<usize> {
        let _ = (matchers, mint);
        None
    }

    /// As [`Self::select`], sorted into groups; `None` where the store cannot do that faster than who asks for it.
    ///
    /// # Errors
    /// [`QueryError`].
    fn select_groups(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        let _ = (matchers, mint, maxt, grouping);
        Ok(None)
    }

    /// The names of labels on series that match (all series when `matchers` is empty), sorted.
    ///
    /// # Errors
    /// [`QueryError`].
    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError>;

    /// The values of one label on series that match, sorted.
    ///
    /// # Errors
    /// [`QueryError`].
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError>;

    /// The exemplars of series that fulfil all matchers, with `mint <= t <= maxt` (ms), by series and then by time.
    ///
    /// # Errors
    /// [`QueryError`].
    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        let _ = (matchers, mint, maxt);
        Ok(Vec::new())
    }

    /// The newest published commit.
    fn generation(&self) -> Generation;
}

/// Notes which queries run, so that after a crash it can be seen which one may have caused it.
pub trait ActiveQueries: Send + Sync {
    /// Notes that a query runs, and where; `None` when there is no room or it could not be noted, which is no reason not
    /// to run it.
    fn begin(&self, query: &str) -> Option<u32>;

    /// The query that was noted there has ended.
    fn end(&self, place: u32);
}

// ----------------------------------------------------------------------------------------------------- Commits

/// What one commit touched.
#[derive(Debug, Clone)]
pub struct CommitEvent {
    /// The commit.
    pub generation: Generation,
    /// Its time on the grid, ms.
    pub slot: Timestamp,
    /// Who committed.
    pub owner: OwnerId,
    /// Whether the attempt succeeded. What the cap on series refused a part of did not.
    pub attempt: Attempt,
    /// The registered selectors that a touched series matches, or one that was refused for want of room; sorted, unique.
    pub touched: Arc<[SelectorId]>,
}

/// Tells what commits touch.
pub trait Commits: Send + Sync {
    /// Registers a selector. Series that exist already are matched at once.
    fn register(&self, matchers: Arc<[Matcher]>) -> SelectorId;

    /// Forgets a selector.
    fn deregister(&self, selector: SelectorId);

    /// The owners that feed a selector: those of whose series, now or earlier while they are not gone, one matched.
    /// Sorted.
    fn feeders(&self, selector: SelectorId) -> Vec<OwnerId>;

    /// Every commit from now on, after its publication. A receiver that lags is told so and must assume that
    /// everything was touched.
    fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Arc<CommitEvent>>;
}

// ---------------------------------------------------------------------------------------------------- Evaluate

/// What kind of value an expression has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One number without labels.
    Scalar,
    /// Labelled numbers.
    Vector,
    /// Labelled ranges of samples; no value to scale on.
    Matrix,
    /// A text; no value to scale on.
    String,
}

/// A selector of a plan.
#[derive(Debug, Clone)]
pub struct PlanSelector {
    /// Its matchers, `__name__` included.
    pub matchers: Arc<[Matcher]>,
    /// How far back (ms) it reads from the evaluation time through ranges, subqueries and offsets, without lookback;
    /// 0 for a plain instant selector.
    pub window_ms: i64,
}

/// A checked expression that an engine can run; cheap to clone through its `Arc`.
pub struct Plan {
    /// The expression as the engine prints it (after injection); equal texts are equal expressions.
    pub text: String,
    /// What it evaluates to.
    pub shape: Shape,
    /// The selectors it reads.
    pub selectors: Vec<PlanSelector>,
    /// Whether the value can change without a commit: `time()`, `absent()`, ranges, lookback expiry of a selector.
    pub moves_with_time: bool,
    /// Whatever the engine needs to run it.
    pub engine: Arc<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("text", &self.text)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// Why an expression was refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PrepareError {
    /// Line in the expression, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// What is wrong and what was expected.
    pub message: String,
}

/// One value of an evaluation.
#[derive(Debug, Clone)]
pub struct Value {
    /// The result's labels; empty for a scalar.
    pub labels: Labels,
    /// The number.
    pub value: f64,
    /// What went into it.
    pub provenance: Provenance,
}

/// The result of evaluating a plan at one time.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// At least the commits up to here were seen.
    pub generation: Generation,
    /// The evaluation time, ms.
    pub at: Timestamp,
    /// The values; of a scalar exactly one.
    pub values: Vec<Value>,
    /// Warnings in PromQL's words.
    pub warnings: Vec<String>,
}

/// Why an evaluation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EvaluateError {
    /// The expression cannot be evaluated on this data (many-to-many matching, say).
    #[error("{0}")]
    Execution(String),
    /// The time limit was reached.
    #[error("query timed out in {0}")]
    Timeout(String),
    /// A limit on samples was reached.
    #[error("query processing would load too many samples into memory in {0}")]
    TooManySamples(String),
    /// Too many evaluations wait already.
    #[error("too many queries are waiting")]
    Overloaded,
    /// The store could not answer.
    #[error(transparent)]
    Storage(#[from] QueryError),
}

/// Evaluates expressions at one time, with provenance.
#[async_trait::async_trait]
pub trait Evaluate: Send + Sync {
    /// Parses and checks `text`; `inject` is added to every selector of its tree (never to its text).
    ///
    /// # Errors
    /// [`PrepareError`] points at the place.
    fn prepare(&self, text: &str, inject: &[Matcher]) -> Result<Arc<Plan>, PrepareError>;

    /// Evaluates `plan` at `at` (ms).
    ///
    /// # Errors
    /// [`EvaluateError`].
    async fn evaluate(&self, plan: &Arc<Plan>, at: Timestamp) -> Result<Evaluation, EvaluateError>;
}
