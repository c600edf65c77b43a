//! What the store must hold: a plain map, and what may be asked of it after each step.

use crate::value::{self, Kind, Value};
use leadline_model::labels::Labels;
use leadline_model::matcher::{Matcher, all_match};
use leadline_model::port::{Queryable, SeriesSet};
use leadline_model::sample::{Samples, Timestamp};
use std::collections::BTreeMap;

/// What is known of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A sync completed after it was taken: it is there whatever happens.
    Durable,
    /// It is there as long as nothing crashes.
    Taken,
    /// It was deleted and is not there, but a crash may bring it back.
    Deleted,
    /// There was a crash: the first look tells.
    Doubted,
    /// It may be there or not: past the retention, a deletion failed half-way, written into what was deleted.
    Free,
}

#[derive(Debug)]
struct Cell {
    value: Value,
    state: State,
}

/// All that was written to a series.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    cells: BTreeMap<Timestamp, Cell>,
    deleted: Vec<(Timestamp, Timestamp)>,
    /// Time of the newest sample that was ever taken.
    pub(crate) newest: Timestamp,
}

/// What was read: samples by series and time.
pub(crate) type Dump = BTreeMap<Labels, BTreeMap<Timestamp, Value>>;

/// What must be there.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) series: BTreeMap<Labels, History>,
    /// Cells that were compared, as a measure of what was checked.
    pub(crate) compared: u64,
    /// The series that was found wrong.
    pub(crate) suspect: Option<Labels>,
}

impl Model {
    /// A sample was taken.
    pub(crate) fn taken(
        &mut self,
        labels: &Labels,
        (id, kind): (u64, Kind),
        t: Timestamp,
        value: Value,
    ) -> Result<(), String> {
        let history = self.series.entry(labels.clone()).or_insert_with(|| History {
            id,
            kind,
            cells: BTreeMap::new(),
            deleted: Vec::new(),
            newest: Timestamp::MIN,
        });
        history.newest = history.newest.max(t);
        let hidden = history.deleted.iter().any(|&(mint, maxt)| mint <= t && t <= maxt);
        match history.cells.get_mut(&t) {
            Some(cell) if cell.value != value && matches!(cell.state, State::Durable | State::Taken) => Err(format!(
                "{labels} at {t}: {value:?} was taken, and {:?} is there",
                cell.value
            )),
            Some(cell) if matches!(cell.state, State::Durable | State::Taken) => Ok(()),
            _ => {
                let state = if hidden { State::Free } else { State::Taken };
                history.cells.insert(t, Cell { value, state });
                Ok(())
            }
        }
    }

    /// The times at which a series has the value that its writer would give it there.
    pub(crate) fn said(&self, labels: &Labels, value: impl Fn(Timestamp) -> Value) -> Vec<Timestamp> {
        let cells = self.series.get(labels).into_iter().flat_map(|history| &history.cells);
        cells
            .filter(|(t, cell)| cell.value == value(**t))
            .map(|(t, _)| *t)
            .collect()
    }

    /// The time (ms) of the newest sample that was ever taken.
    pub(crate) fn newest(&self) -> Timestamp {
        let all = self.series.values().map(|history| history.newest);
        all.max().unwrap_or(Timestamp::MIN)
    }

    /// Whether a sample must be there.
    pub(crate) fn requires(&self, labels: &Labels, t: Timestamp) -> bool {
        let cell = self.series.get(labels).and_then(|history| history.cells.get(&t));
        cell.is_some_and(|cell| matches!(cell.state, State::Durable | State::Taken))
    }

    /// Nothing is sure about a sample any more.
    pub(crate) fn free(&mut self, labels: &Labels, t: Timestamp) {
        let cell = self
            .series
            .get_mut(labels)
            .and_then(|history| history.cells.get_mut(&t));
        cell.into_iter().for_each(|cell| cell.state = State::Free);
    }

    /// A sync completed.
    pub(crate) fn synced(&mut self) {
        for history in self.series.values_mut() {
            history.cells.retain(|_, cell| cell.state != State::Deleted);
            for cell in history.cells.values_mut().filter(|cell| cell.state == State::Taken) {
                cell.state = State::Durable;
            }
        }
    }

    /// Samples were deleted; `whole` says whether the deletion succeeded.
    pub(crate) fn deleted(&mut self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp, whole: bool) {
        for (_, history) in self.series.iter_mut().filter(|(labels, _)| all_match(matchers, labels)) {
            let state = if whole { State::Deleted } else { State::Free };
            for (_, cell) in history.cells.range_mut(mint..=maxt) {
                if cell.state != State::Free || whole {
                    cell.state = state;
                }
            }
            history.deleted.push((mint, maxt.min(history.newest)));
        }
    }

    /// Whether anything was ever deleted.
    pub(crate) fn has_deletions(&self) -> bool {
        self.series.values().any(|history| !history.deleted.is_empty())
    }

    /// What is older than `bound` (ms) may go.
    pub(crate) fn expired(&mut self, bound: Timestamp) {
        for history in self.series.values_mut() {
            for (_, cell) in history.cells.range_mut(..bound) {
                if matches!(cell.state, State::Durable | State::Taken | State::Doubted) {
                    cell.state = State::Free;
                }
            }
        }
    }

    /// What is between two times (ms, the end is not part of it) may go.
    pub(crate) fn gone(&mut self, mint: Timestamp, end: Timestamp) {
        for history in self.series.values_mut() {
            let required = |cell: &&mut Cell| matches!(cell.state, State::Durable | State::Taken | State::Doubted);
            let within = history.cells.range_mut(mint..end).map(|(_, cell)| cell);
            within.filter(required).for_each(|cell| cell.state = State::Free);
        }
    }

    /// The machine lost power.
    pub(crate) fn crashed(&mut self) {
        for history in self.series.values_mut() {
            for cell in history.cells.values_mut() {
                if matches!(cell.state, State::Taken | State::Deleted) {
                    cell.state = State::Doubted;
                }
            }
        }
    }

    /// After a crash: what is there stays, what is not is gone.
    pub(crate) fn settle(&mut self, dump: &Dump) -> Result<(), String> {
        let all = (Timestamp::MIN, Timestamp::MAX);
        self.check(dump, &[], all)?;
        for (labels, history) in &mut self.series {
            let found = dump.get(labels);
            history.cells.retain(|t, cell| {
                let there = found.is_some_and(|samples| samples.contains_key(t));
                if cell.state == State::Doubted && there {
                    cell.state = State::Durable;
                }
                cell.state != State::Doubted
            });
        }
        Ok(())
    }

    /// Whether what was read with `matchers` between two times (ms, both included) is what must be there.
    pub(crate) fn check(
        &mut self,
        dump: &Dump,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
    ) -> Result<(), String> {
        let nothing = BTreeMap::new();
        for labels in dump.keys() {
            if !self.series.contains_key(labels) {
                return Err(format!("{labels} was never written"));
            }
            if !all_match(matchers, labels) {
                return Err(format!("{labels} does not match {matchers:?}"));
            }
        }
        for (labels, history) in self.series.iter().filter(|(labels, _)| all_match(matchers, labels)) {
            let found = dump.get(labels).unwrap_or(&nothing);
            self.compared += found.len() as u64;
            if let Err(why) = history.check(labels, found, mint, maxt) {
                self.suspect = Some(labels.clone());
                return Err(why);
            }
        }
        Ok(())
    }

    /// Whether a sample was ever written: the value is that of the series and time, or the end of the series.
    pub(crate) fn was_written(&self, labels: &Labels, t: Timestamp, value: &Value) -> bool {
        self.series.get(labels).is_some_and(|history| {
            let of = |sample| Value::of(&sample) == *value;
            of(value::sample(history.id, history.kind, t)) || of(value::stale(history.kind))
        })
    }

    /// Times (ms) of samples that must be there, by series.
    pub(crate) fn required(&self) -> impl Iterator<Item = (&Labels, Vec<Timestamp>)> {
        self.series
            .iter()
            .map(|(labels, history)| (labels, history.required().collect()))
    }
}

impl History {
    fn required(&self) -> impl Iterator<Item = Timestamp> {
        let required = |cell: &Cell| matches!(cell.state, State::Durable | State::Taken);
        self.cells
            .iter()
            .filter(move |(_, cell)| required(cell))
            .map(|(t, _)| *t)
    }

    fn check(
        &self,
        labels: &Labels,
        found: &BTreeMap<Timestamp, Value>,
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<(), String> {
        for (t, value) in found {
            let wrong = match self.cells.get(t) {
                _ if *t < mint || *t > maxt => "is outside of the window",
                None => "was never written, was deleted, or was lost before",
                Some(cell) if cell.state == State::Deleted => "was deleted",
                Some(cell) if cell.value != *value => "is not what was written",
                Some(_) => continue,
            };
            let (labels, cell) = (short(labels), self.cells.get(t));
            return Err(format!("{labels} at {t}: {value:?} {wrong} ({cell:?})"));
        }
        for (t, cell) in self.cells.range(mint..=maxt) {
            if matches!(cell.state, State::Durable | State::Taken) && !found.contains_key(t) {
                let labels = short(labels);
                return Err(format!(
                    "{labels} at {t}: {cell:?} is missing; {} of {} samples are there, deleted {:?}",
                    found.len(),
                    self.cells.len(),
                    self.deleted
                ));
            }
        }
        Ok(())
    }
}

/// Labels without what only fills the log.
fn short(labels: &Labels) -> Labels {
    labels.without(|name| name == "noise")
}

/// Reads a store; the outer error is the store's, the inner one what is wrong with its answer.
pub(crate) fn read(
    store: &dyn Queryable,
    matchers: &[Matcher],
    mint: Timestamp,
    maxt: Timestamp,
) -> Result<Result<Dump, String>, leadline_model::port::QueryError> {
    samples_of(&*store.select(matchers, mint, maxt, true)?, mint, maxt)
}

/// Reads all series of a set.
pub(crate) fn samples_of(
    set: &dyn SeriesSet,
    mint: Timestamp,
    maxt: Timestamp,
) -> Result<Result<Dump, String>, leadline_model::port::QueryError> {
    let (mut dump, mut floats, mut histograms) = (Dump::new(), Samples::default(), Vec::new());
    for i in 0..set.len() {
        set.read(i, mint, maxt, &mut floats)?;
        set.read_histograms(i, mint, maxt, &mut histograms)?;
        let labels = set.labels(i);
        if !floats.t.is_sorted_by(|a, b| a < b) || !histograms.is_sorted_by(|a, b| a.t < b.t) {
            return Ok(Err(format!("{labels}: times do not ascend: {:?}", floats.t)));
        }
        let newest = set.newest(i, mint, maxt)?.map(|s| (s.t, s.v.to_bits()));
        if newest != floats.t.last().copied().zip(floats.v.last().map(|v| v.to_bits())) {
            return Ok(Err(format!("{labels}: {newest:?} is not the newest of {:?}", floats.t)));
        }
        if dump.last_key_value().is_some_and(|(last, _)| *last >= labels) {
            return Ok(Err(format!("{labels} is out of order, or there twice")));
        }
        let floats = floats
            .t
            .iter()
            .copied()
            .zip(floats.v.iter().map(|v| Value::of_float(*v)));
        let mut samples: BTreeMap<_, _> = floats.collect();
        for h in &histograms {
            if samples.insert(h.t, Value::of_histogram(&h.h)).is_some() {
                return Ok(Err(format!("{labels} at {}: a float and a histogram", h.t)));
            }
        }
        dump.insert(labels, samples);
    }
    Ok(Ok(dump))
}
