//! What a standing query answers.

use leadline_model::port::{EvaluateError, Generation};
use leadline_model::provenance::Provenance;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a value can be trusted to cover its window yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warmth {
    /// Observation covers what the expression reads.
    Warm,
    /// Not yet: why, and when it will be (ms), where that can be told.
    Cold {
        /// For people: "warming up: …".
        reason: String,
        /// When it will be warm, if nothing fails until then.
        until: Option<Timestamp>,
        /// One of the targets that are waited for because they never answered.
        example: Option<OwnerId>,
    },
}

/// How much of what should feed a value is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completeness {
    /// Targets that feed the value now, or did while they were discovered.
    pub feeders: usize,
    /// Those of them that are down yet still discovered, or came back so lately that the window still reaches into a long
    /// outage.
    pub down: Vec<OwnerId>,
}

impl Completeness {
    /// The share of feeders that is down, 0 to 1.
    #[must_use]
    pub fn missing(&self) -> f64 {
        if self.feeders == 0 {
            0.0
        } else {
            self.down.len() as f64 / self.feeders as f64
        }
    }
}

/// Of a row: none of the targets that feed it was observed for as long as it reads back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warming {
    /// Since when (ms) they were observed, all together.
    pub since: Timestamp,
    /// For how long (ms) they have to be.
    pub need_ms: i64,
}

impl Warming {
    /// When (ms) it ends, if nothing fails until then.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.since.saturating_add(self.need_ms)
    }
}

/// What to do with a value that lacks part of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnPartial {
    /// Answer it where it is not below the last complete value, else refuse: it may raise but never lower.
    #[default]
    Raise,
    /// Refuse it.
    Error,
    /// Answer it as if it were complete.
    Serve,
}

/// One value of a snapshot.
#[derive(Debug, Clone)]
pub struct Row {
    /// The result's labels.
    pub labels: Labels,
    /// The number, as evaluated.
    pub value: f64,
    /// What went into it.
    pub provenance: Provenance,
    /// Whether its feeders are all there.
    pub completeness: Completeness,
    /// That its feeders are younger than its window, where they are. What was observed of them is less than the truth.
    pub warming: Option<Warming>,
    /// The newest value of the same labels whose feeders were all there (this one, when they are), as far as it is known:
    /// before the start, where none was since. Of a target that is silent since the start and of which nothing more can be
    /// known, the first value that came long after.
    pub last_complete: Option<f64>,
}

/// What a policy makes of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The value may be answered.
    Serve(f64),
    /// It must not be: why.
    Refuse(String),
}

/// What an expression gave before the start, when all of those targets were up that fed it and never answered since.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Its values, without those that were not numbers.
    pub values: HashMap<Labels, f64>,
    /// Those targets.
    pub missing: Vec<OwnerId>,
}

/// The newest evaluation of a standing query.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// At least the commits up to here were seen.
    pub generation: Generation,
    /// Evaluation time, ms.
    pub at: Timestamp,
    /// Whether the window is covered.
    pub warmth: Warmth,
    /// The rows, or why there are none.
    pub rows: Result<Vec<Row>, EvaluateError>,
    /// Rows by the values of the labels that [`crate::snapshot::Snapshot::find`] is asked for, in the order in which
    /// they were registered, joined by `\u{1f}`.
    pub(crate) index: HashMap<Box<str>, Vec<u32>>,
    /// Completeness of the expression as a whole: it holds for an empty result too.
    pub completeness: Completeness,
    /// Those of the targets that are down that were silent since the start and for so long that what the others give is the
    /// measure, where there is none.
    pub settled: Vec<OwnerId>,
    /// What was before the start, where targets that fed the expression then never answered this process.
    pub before: Option<Arc<Before>>,
}

impl Snapshot {
    /// The rows whose `index_by` labels have these values, in registration order of the labels. A label that the row
    /// lacks counts as empty.
    #[must_use]
    pub fn find(&self, values: &[&str]) -> Vec<&Row> {
        let Ok(rows) = &self.rows else { return Vec::new() };
        let places = self
            .index
            .get(values.join("\u{1f}").as_str())
            .map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|&i| rows.get(i as usize)).collect()
    }
}

/// A shared snapshot.
pub type Shared = Arc<Snapshot>;
