//! From a rule's snapshot to the values of an answer, by the rule's policies.

use crate::config::{OnDuplicate, OnNegative, OnStale, OnUnusable, OnWarming, Scope};
use crate::error::ApiError;
use crate::quantity::Milli;
use crate::registry::Rule;
use leadline_cluster::Selector;
use leadline_model::Timestamp;
use leadline_model::duration::Duration;
use leadline_model::labels::Labels;
use leadline_model::port::EvaluateError;
use leadline_model::target::{Board, TargetState};
use leadline_standing::{Row, Snapshot, Verdict, Warming, freshness, staleness};

/// Why a value was left out, in the words of the metric `left_out_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The query has no result for the object.
    NoResult,
    /// Older than the rule's maximal age.
    Stale,
    /// Not a number.
    Nan,
    /// Infinite.
    Inf,
    /// Too many of the targets that feed it are down.
    Partial,
    /// The targets that feed it are younger than the window.
    Warming,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::NoResult,
        Self::Stale,
        Self::Nan,
        Self::Inf,
        Self::Partial,
        Self::Warming,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoResult => "no_result",
            Self::Stale => "stale",
            Self::Nan => "nan",
            Self::Inf => "inf",
            Self::Partial => "partial",
            Self::Warming => "warming",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::NoResult => "without a result",
            Self::Stale => "stale",
            Self::Nan => "NaN",
            Self::Inf => "infinite",
            Self::Partial => "partial",
            Self::Warming => "warming up",
        }
    }
}

/// A value as it is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// The number.
    pub milli: Milli,
    /// When its stalest series was sampled last, ms.
    pub timestamp: Timestamp,
    /// Whether the number was cut to what a quantity holds.
    pub clamped: bool,
}

/// What the policies make of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick {
    /// It is answered.
    Value(Answer),
    /// It is left out of the answer.
    LeftOut(Reason),
    /// The whole answer is an error.
    Failed(ApiError),
}

/// A value before it becomes a quantity.
enum Judged {
    Value(f64, Timestamp),
    LeftOut(Reason),
    Failed(ApiError),
}

/// What a rule's values are judged by.
pub struct Judge<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its newest evaluation.
    pub snapshot: &'a Snapshot,
    /// The targets.
    pub board: &'a Board,
    /// ms.
    pub now: Timestamp,
    /// Selects results by their labels.
    pub metric_selector: &'a Selector,
    /// The namespace whose readers are answered.
    pub reader: Option<&'a str>,
}

impl Judge<'_> {
    /// Whether there is anything to judge: the snapshot is warm and the evaluation succeeded.
    ///
    /// # Errors
    /// 503 with "warming up …" while it is cold, else why the evaluation failed.
    pub fn rows(&self) -> Result<&[Row], ApiError> {
        let name = self.rule.name();
        freshness::check_warm_for(self.snapshot, self.now, self.board, |target| self.may_name(target))
            .map_err(|why| ApiError::unavailable(format!("metric {name}: {why}")))?;
        self.snapshot.rows.as_deref().map_err(|error| {
            let message = format!("metric {name}: {error}");
            match error {
                EvaluateError::Timeout(_) => ApiError::new(crate::error::Kind::Timeout, message),
                EvaluateError::Execution(_) => ApiError::internal(message),
                EvaluateError::TooManySamples(_) | EvaluateError::Overloaded | EvaluateError::Storage(_) => {
                    ApiError::unavailable(message)
                }
            }
        })
    }

    /// Whether whoever may read the metric in the reader's namespace may hear of a target: those of other namespaces are none of
    /// their business where the rule's scope is the namespace, though one expression reads them all.
    #[must_use]
    pub fn may_name(&self, target: &TargetState) -> bool {
        let config = &self.rule.config;
        let theirs = target.labels.get(config.namespace_label());
        match (config.scope, self.reader, theirs) {
            (Scope::Namespace, Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        }
    }

    /// Whether the metric-label selector lets a row through.
    #[must_use]
    pub fn selects(&self, row: &Row) -> bool {
        self.metric_selector.is_empty() || self.metric_selector.matches_with(|key| row.labels.get(key))
    }

    /// The value of one object from its rows.
    #[must_use]
    pub fn object(&self, rows: &[&Row]) -> Pick {
        if let Some(warming) = self.too_young(rows) {
            let omit = if self.rule.is_pods() {
                OnWarming::Omit
            } else {
                OnWarming::Error
            };
            match self.rule.config.on_warming.unwrap_or(omit) {
                OnWarming::Omit => return Pick::LeftOut(Reason::Warming),
                OnWarming::Error => return Pick::Failed(self.warming_error(&warming)),
                OnWarming::Serve => {}
            }
        }
        let old: Vec<&Row> = rows.iter().copied().filter(|row| !self.leaves_out(row)).collect();
        match old.as_slice() {
            [] => Pick::LeftOut(Reason::NoResult),
            [row] => self.row(row),
            several => self.several(several, self.rule.config.on_duplicate.unwrap_or(OnDuplicate::Error)),
        }
    }

    /// That these rows are not answered as they are: one of them is warming where the rule says `error`, else all are. `None`
    /// where the rule says `serve`.
    #[must_use]
    pub fn too_young(&self, rows: &[&Row]) -> Option<Warming> {
        match self.rule.config.on_warming {
            Some(OnWarming::Serve) => None,
            Some(OnWarming::Error) => rows.iter().filter_map(|row| row.warming).max_by_key(Warming::until),
            Some(OnWarming::Omit) | None => warming_of(rows),
        }
    }

    /// Whether a row has no part in what several others make: it is warming, and the rule says `omit` or merges by what a
    /// value that is too low lowers. What it adds to a sum or a maximum is no less than nothing.
    #[must_use]
    pub fn leaves_out(&self, row: &Row) -> bool {
        let config = &self.rule.config;
        let lowers = matches!(config.on_duplicate, Some(OnDuplicate::Avg | OnDuplicate::Min));
        row.warming.is_some()
            && match config.on_warming {
                Some(OnWarming::Omit) => true,
                Some(OnWarming::Error | OnWarming::Serve) => false,
                None => lowers,
            }
    }

    /// The error of a value whose targets are too young, as a cold metric's.
    #[must_use]
    pub fn warming_error(&self, warming: &Warming) -> ApiError {
        let why = freshness::describe_warming(warming, self.now);
        ApiError::unavailable(format!("metric {}: {why}", self.rule.name()))
    }

    /// The value of one row, but for [`warming_of`].
    #[must_use]
    pub fn row(&self, row: &Row) -> Pick {
        match self.judge(row) {
            Judged::Value(value, timestamp) => self.answer(value, timestamp),
            Judged::LeftOut(reason) => Pick::LeftOut(reason),
            Judged::Failed(error) => Pick::Failed(error),
        }
    }

    /// One value of several rows.
    #[must_use]
    pub fn several(&self, rows: &[&Row], how: OnDuplicate) -> Pick {
        if how == OnDuplicate::Error && rows.len() > 1 {
            let labels: Vec<String> = rows.iter().take(2).map(|r| r.labels.to_string()).collect();
            return Pick::Failed(self.fault(&format!(
                "{} results where one was expected: {}{}",
                rows.len(),
                labels.join(", "),
                if rows.len() > 2 { ", …" } else { "" }
            )));
        }
        let (mut values, mut oldest) = (Vec::with_capacity(rows.len()), Timestamp::MAX);
        for row in rows {
            match self.judge(row) {
                Judged::Value(value, timestamp) => {
                    values.push(value);
                    oldest = oldest.min(timestamp);
                }
                // What is no number has no part in the whole; what is missing makes the whole wrong.
                Judged::LeftOut(Reason::Nan | Reason::Inf) => {}
                Judged::LeftOut(reason) => return Pick::LeftOut(reason),
                Judged::Failed(error) => return Pick::Failed(error),
            }
        }
        match values.is_empty() {
            true => Pick::LeftOut(Reason::Nan),
            false => self.answer(merge(&values, how), oldest),
        }
    }

    fn answer(&self, value: f64, timestamp: Timestamp) -> Pick {
        Milli::from_f64(value).map_or(Pick::LeftOut(Reason::Nan), |c| {
            Pick::Value(Answer {
                milli: c.milli,
                timestamp,
                clamped: c.clamped,
            })
        })
    }

    fn judge(&self, row: &Row) -> Judged {
        let config = &self.rule.config;
        if let Some(age) = self.stale_age(row) {
            let omit = if self.rule.is_pods() {
                OnStale::Omit
            } else {
                OnStale::Error
            };
            match config.on_stale.unwrap_or(omit) {
                OnStale::Omit => return Judged::LeftOut(Reason::Stale),
                OnStale::Error => return Judged::Failed(self.stale_error(row, age)),
                OnStale::Serve => {}
            }
        }
        let shown = |target: &TargetState| self.may_name(target);
        let verdict = freshness::judge_for(config.on_partial, config.partial.value, row, self.board, shown);
        match verdict {
            Verdict::Serve(_) => {}
            Verdict::Refuse(_) if self.rule.is_pods() => return Judged::LeftOut(Reason::Partial),
            Verdict::Refuse(why) => {
                return Judged::Failed(ApiError::unavailable(format!("metric {}: {why}", self.rule.name())));
            }
        }
        let timestamp = self.timestamp(row);
        if !row.value.is_finite() {
            return self.unusable(row, timestamp);
        }
        if row.value < 0.0 {
            return match config.on_negative {
                OnNegative::Serve => Judged::Value(row.value, timestamp),
                OnNegative::Clamp => Judged::Value(0.0, timestamp),
                OnNegative::Error => {
                    Judged::Failed(self.fault(&format!("{} of {} is negative", row.value, row.labels)))
                }
            };
        }
        Judged::Value(row.value, timestamp)
    }

    fn unusable(&self, row: &Row, timestamp: Timestamp) -> Judged {
        let config = &self.rule.config;
        let (policy, reason) = if row.value.is_nan() {
            (config.on_nan, Reason::Nan)
        } else {
            (config.on_inf, Reason::Inf)
        };
        match policy {
            OnUnusable::Omit => Judged::LeftOut(reason),
            OnUnusable::Zero => Judged::Value(0.0, timestamp),
            OnUnusable::Error => Judged::Failed(self.fault(&format!("{} is {}", row.labels, reason.phrase()))),
        }
    }

    fn fault(&self, what: &str) -> ApiError {
        ApiError::internal(format!("metric {}: {what}", self.rule.name()))
    }

    fn stale_error(&self, row: &Row, age_ms: i64) -> ApiError {
        let why = self.rule.age_limit.describe(row, age_ms, self.board);
        ApiError::unavailable(format!("metric {}: {why}", self.rule.name()))
    }

    /// When a value was sampled: the newest sample of its stalest series. What read no series was computed.
    #[must_use]
    pub fn timestamp(&self, row: &Row) -> Timestamp {
        staleness::sampled_at(row, self.snapshot)
    }

    /// The age (ms) of a value, when it is more than the rule allows.
    fn stale_age(&self, row: &Row) -> Option<i64> {
        self.rule.age_limit.stale_age(row, self.snapshot, self.board, self.now)
    }

    /// The greatest age (ms) of a value that is not stale.
    #[must_use]
    pub fn max_age_ms(&self, row: &Row) -> i64 {
        self.rule.age_limit.max_age_ms(row, self.board)
    }

    /// Why an answer about objects is empty, in one line: what was selected, what became of it, and what the query gave.
    #[must_use]
    pub fn why_empty(&self, selected: usize, noun: &str, left_out: &LeftOut) -> String {
        let mut parts = vec![format!("{selected} {noun} selected, 0 with a value")];
        parts.extend(left_out.phrases());
        if let Some((age, max_age)) = self.newest_stale() {
            parts.push(format!("newest sample {age} old > max age {max_age}"));
        }
        parts.extend(self.what_rows_lack());
        parts.join("; ")
    }

    /// Age of the freshest row that is stale, and what would have been allowed.
    fn newest_stale(&self) -> Option<(Duration, Duration)> {
        let rows = self.snapshot.rows.as_deref().unwrap_or_default();
        let stale = rows.iter().filter_map(|r| self.stale_age(r).map(|age| (age, r)));
        let (age, row) = stale.min_by_key(|(age, _)| *age)?;
        Some((Duration::from_millis(age), Duration::from_millis(self.max_age_ms(row))))
    }

    /// What is odd about the query's result as a whole.
    fn what_rows_lack(&self) -> Option<String> {
        let rows = self.snapshot.rows.as_deref().unwrap_or_default();
        if rows.is_empty() {
            return Some("the query has no result".into());
        }
        if !self.metric_selector.is_empty() && !rows.iter().any(|r| self.selects(r)) {
            return Some(format!("no result matches metric selector {}", self.metric_selector));
        }
        let lacks = |label: &str| !label.is_empty() && rows.iter().all(|r| r.labels.get(label).is_none());
        let namespaced =
            matches!(&self.rule.describes, crate::config::check::Describes::Objects(_, Some(k)) if k.namespaced);
        let mut labels = vec![self.rule.name_label.as_str()];
        if namespaced {
            labels.push(self.rule.config.namespace_label());
        }
        let missing: Vec<&str> = labels.into_iter().filter(|l| lacks(l)).collect();
        (!missing.is_empty()).then(|| format!("the query has results, but none has the label {}", missing.join(" or ")))
    }
}

/// One number of several; `values` is not empty.
pub(crate) fn merge(values: &[f64], how: OnDuplicate) -> f64 {
    let sum: f64 = values.iter().sum();
    match how {
        OnDuplicate::Error | OnDuplicate::Sum => sum,
        OnDuplicate::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        OnDuplicate::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        OnDuplicate::Avg => sum / values.len() as f64,
    }
}

/// That every one of these rows is warming, and when the first of them no longer is. One that is not stands for the
/// others: what begins beside it adds to it.
#[must_use]
pub fn warming_of(rows: &[&Row]) -> Option<Warming> {
    let warming: Option<Vec<Warming>> = rows.iter().map(|row| row.warming).collect();
    warming?.into_iter().min_by_key(Warming::until)
}

/// How many values were left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut([u64; Reason::ALL.len()]);

impl LeftOut {
    /// One more.
    pub fn add(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// How many were left out for this reason.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// The counts that are not zero.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.0).filter(|(_, n)| *n > 0)
    }

    fn phrases(&self) -> impl Iterator<Item = String> {
        self.counts().map(|(reason, n)| format!("{n} {}", reason.phrase()))
    }
}

/// The labels of a result as an answer shows them: without the metric's name.
#[must_use]
pub fn metric_labels(labels: &Labels) -> Labels {
    labels.without(|name| name == leadline_model::labels::NAME)
}
