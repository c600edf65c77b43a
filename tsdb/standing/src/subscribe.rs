//! One way of looking at an expression's rows: by which labels, with which tolerance; and who is told of new ones.

use crate::freshness::is_partial;
use crate::snapshot::{Before, Completeness, Row, Snapshot, Warming, Warmth};
use leadline_model::port::{EvaluateError, Generation, Value};
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;

/// What all registrations of one expression share that index it alike.
#[derive(Debug)]
pub(crate) struct View {
    by: Vec<String>,
    partial: f64,
    newest: watch::Sender<Option<Arc<Snapshot>>>,
    /// The newest complete value of each row, and when (ms) the row was last there.
    complete: Mutex<HashMap<Labels, (Option<f64>, Timestamp)>>,
}

/// An evaluation with everything that is known about it.
pub(crate) struct Judged<'a> {
    pub(crate) generation: Generation,
    pub(crate) at: Timestamp,
    pub(crate) outcome: Result<&'a [Value], &'a EvaluateError>,
    pub(crate) warmth: &'a Warmth,
    /// Of each value, in order.
    pub(crate) rows: &'a [Completeness],
    /// Of each value, in order.
    pub(crate) warming: &'a [Option<Warming>],
    pub(crate) whole: &'a Completeness,
    /// What was before the start, where that is the measure.
    pub(crate) before: Option<&'a Arc<Before>>,
    /// Of each value, in order: whether it becomes the measure where there is none.
    pub(crate) settled: &'a [bool],
    /// Those of the whole's targets that are down that were silent for as long.
    pub(crate) silent: &'a [OwnerId],
}

impl View {
    pub(crate) fn new(by: Vec<String>, partial: f64) -> Self {
        Self {
            by,
            partial,
            newest: watch::Sender::new(None),
            complete: Mutex::default(),
        }
    }

    /// Whether this is the view that a registration wants.
    pub(crate) fn is(&self, by: &[String], partial: f64) -> bool {
        self.by == by && self.partial.to_bits() == partial.to_bits()
    }

    pub(crate) fn newest(&self) -> Option<Arc<Snapshot>> {
        self.newest.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        let mut receiver = self.newest.subscribe();
        receiver.mark_changed();
        receiver
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.newest.receiver_count()
    }

    /// Forgets the rows and what was remembered of them.
    pub(crate) fn clear(&self) {
        self.complete.lock().clear();
        self.newest.send_replace(None);
    }

    /// Publishes an evaluation; rows that did not appear since `forget` (ms) lose their last complete value.
    pub(crate) fn publish(&self, judged: &Judged<'_>, now: Timestamp, forget: Timestamp) {
        let rows = match judged.outcome {
            Ok(values) => Ok(self.rows(values, judged, now, forget)),
            Err(error) => Err(error.clone()),
        };
        let warmth = judged.warmth.clone();
        let mut snapshot = Snapshot::new(
            judged.generation,
            judged.at,
            warmth,
            rows,
            judged.whole.clone(),
            &self.by,
        );
        snapshot.settled = judged.silent.to_vec();
        snapshot.before = judged.before.map(Arc::clone);
        self.newest.send_replace(Some(Arc::new(snapshot)));
    }

    /// A value counts as complete while no more than the tolerated share of its feeders is missing and it covers its
    /// window: what a cold or warming rate shows must not become the measure for a partial one.
    fn rows(&self, values: &[Value], judged: &Judged<'_>, now: Timestamp, forget: Timestamp) -> Vec<Row> {
        let mut complete = self.complete.lock();
        let mut rows = Vec::with_capacity(values.len());
        let of_rows = judged.rows.iter().zip(judged.warming).zip(judged.settled);
        for (value, ((completeness, &warming), &settled)) in values.iter().zip(of_rows) {
            let before = judged.before.and_then(|before| before.values.get(&value.labels));
            let covered = *judged.warmth == Warmth::Warm && warming.is_none();
            let whole = covered && !is_partial(self.partial, completeness);
            let remembered = match complete.get_mut(&value.labels) {
                Some(remembered) => remembered,
                None => complete.entry(value.labels.clone()).or_insert((None, now)),
            };
            remembered.1 = now;
            let first = covered && settled && remembered.0.is_none() && before.is_none();
            if (whole || first) && !value.value.is_nan() {
                remembered.0 = Some(value.value);
            }
            rows.push(Row {
                labels: value.labels.clone(),
                value: value.value,
                provenance: value.provenance.clone(),
                completeness: completeness.clone(),
                warming,
                last_complete: remembered.0.or(before.copied()),
            });
        }
        complete.retain(|_, remembered| remembered.1 >= forget);
        rows
    }
}
