//! Values of many series over the steps of an evaluation, one flat allocation each.

use super::trace::Trace;
use crate::error::Error;
use leadline_model::{Labels, Timestamp};
use rapidhash::RapidHashMap;

/// The text with which Prometheus refuses results that cannot be told apart.
pub(crate) const SAME_LABELSET: &str = "vector cannot contain metrics with the same labelset";

/// The times at which something is evaluated: `start`, `start + step`, ...; an instant query has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// First time, ms.
    pub(crate) start: Timestamp,
    /// Distance, ms, > 0.
    pub(crate) step: i64,
    /// Number of times.
    pub(crate) steps: usize,
}

impl Frame {
    /// One time.
    pub(crate) fn instant(at: Timestamp) -> Self {
        Self {
            start: at,
            step: 1,
            steps: 1,
        }
    }

    /// From `start` to at most `end`; no step when `end` is before `start`.
    pub(crate) fn range(start: Timestamp, end: Timestamp, step: i64) -> Self {
        let span = end.saturating_sub(start);
        let steps = if span < 0 {
            0
        } else {
            usize::try_from(span / step).unwrap_or(usize::MAX - 1) + 1
        };
        Self { start, step, steps }
    }

    /// The i-th time, ms.
    #[inline]
    pub(crate) fn at(&self, i: usize) -> Timestamp {
        self.start + self.step * i as i64
    }

    /// The last time, ms.
    pub(crate) fn last(&self) -> Timestamp {
        self.at(self.steps.saturating_sub(1))
    }

    /// All times, ms.
    pub(crate) fn times(self) -> impl Iterator<Item = Timestamp> {
        (0..self.steps).map(move |i| self.at(i))
    }
}

/// What a row of a [`Grid`] is about.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The label set, with the metric's name even where `drop_name` is set: label functions may still read it.
    pub(crate) labels: Labels,
    /// Whether the metric's name goes away at the end of the evaluation (Prometheus 3's delayed name removal).
    pub(crate) drop_name: bool,
    /// What went into the row.
    pub(crate) trace: Trace,
}

/// Rows of values with gaps. Row i owns the cells `i * steps .. (i + 1) * steps`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grid {
    /// Number of steps.
    pub(crate) steps: usize,
    /// One entry a row.
    pub(crate) rows: Vec<Row>,
    /// The values; meaningless where `present` is false.
    pub(crate) cells: Vec<f64>,
    /// Whether there is a value.
    pub(crate) present: Vec<bool>,
}

impl Grid {
    /// No rows yet, room for `rows`.
    pub(crate) fn with_capacity(steps: usize, rows: usize) -> Self {
        // A guess that is too large for the limit on samples must not allocate before the limit is checked.
        let cells = steps.saturating_mul(rows).min(1 << 20);
        Self {
            steps,
            rows: Vec::with_capacity(rows),
            cells: Vec::with_capacity(cells),
            present: Vec::with_capacity(cells),
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Appends cells without values for a row that [`Self::keep`] or [`Self::discard`] decides on.
    pub(crate) fn open(&mut self) -> (&mut [f64], &mut [bool]) {
        let from = self.cells.len();
        self.cells.resize(from + self.steps, 0.0);
        self.present.resize(from + self.steps, false);
        (&mut self.cells[from..], &mut self.present[from..])
    }

    /// Keeps the opened cells as a row.
    pub(crate) fn keep(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Removes the opened cells.
    pub(crate) fn discard(&mut self) {
        let end = self.rows.len() * self.steps;
        self.cells.truncate(end);
        self.present.truncate(end);
    }

    /// The values and gaps of row i.
    #[inline]
    pub(crate) fn row(&self, i: usize) -> (&[f64], &[bool]) {
        let cells = i * self.steps..(i + 1) * self.steps;
        (&self.cells[cells.clone()], &self.present[cells])
    }

    /// The value of row i at a step.
    #[inline]
    pub(crate) fn get(&self, i: usize, step: usize) -> Option<f64> {
        let cell = i * self.steps + step;
        self.present[cell].then(|| self.cells[cell])
    }

    /// Copies row i of `from`.
    pub(crate) fn copy_row(&mut self, from: &Self, i: usize) {
        let (values, present) = from.row(i);
        self.cells.extend_from_slice(values);
        self.present.extend_from_slice(present);
        self.rows.push(from.rows[i].clone());
    }

    /// Replaces every value; the results have no metric name any more.
    pub(crate) fn map(&mut self, f: impl Fn(f64) -> f64) {
        for cell in &mut self.cells {
            *cell = f(*cell);
        }
        self.drop_names();
    }

    /// Marks the metric names of all rows as dropped.
    pub(crate) fn drop_names(&mut self) {
        for row in &mut self.rows {
            row.drop_name = true;
        }
    }

    /// Removes rows without any value.
    pub(crate) fn prune(&mut self) {
        let steps = self.steps;
        if self.present.iter().all(|p| *p) || (steps > 1 && (0..self.len()).all(|i| self.row(i).1.contains(&true))) {
            return;
        }
        let mut kept = 0;
        for i in 0..self.len() {
            let from = i * steps..(i + 1) * steps;
            if self.present[from.clone()].contains(&true) {
                if kept != i {
                    self.cells.copy_within(from.clone(), kept * steps);
                    self.present.copy_within(from, kept * steps);
                    self.rows.swap(kept, i);
                }
                kept += 1;
            }
        }
        self.rows.truncate(kept);
        self.discard();
    }

    /// The rows in another order; `order` names each row at most once.
    pub(crate) fn reorder(&self, order: impl ExactSizeIterator<Item = usize>) -> Self {
        let mut out = Self::with_capacity(self.steps, order.len());
        for i in order {
            out.copy_row(self, i);
        }
        out
    }

    /// Joins rows with equal labels.
    ///
    /// # Errors
    /// When two of them have a value at the same step.
    pub(crate) fn merge_equal(self) -> Result<Self, Error> {
        let mut index: RapidHashMap<Labels, usize> =
            RapidHashMap::with_capacity_and_hasher(self.len(), Default::default());
        let mut target = Vec::with_capacity(self.len());
        for row in &self.rows {
            let next = index.len();
            target.push(*index.entry(row.labels.clone()).or_insert(next));
        }
        if index.len() == self.len() {
            return Ok(self);
        }
        let mut out = Self::with_capacity(self.steps, index.len());
        for (i, &to) in target.iter().enumerate() {
            if to == out.len() {
                out.copy_row(&self, i);
            } else {
                out.join_row(to, &self, i)?;
            }
        }
        Ok(out)
    }

    fn join_row(&mut self, to: usize, other: &Self, i: usize) -> Result<(), Error> {
        let (values, present) = other.row(i);
        for step in (0..self.steps).filter(|&s| present[s]) {
            let cell = to * self.steps + step;
            if self.present[cell] {
                return Err(Error::execution(SAME_LABELSET));
            }
            self.present[cell] = true;
            self.cells[cell] = values[step];
        }
        self.rows[to].trace.absorb(&other.rows[i].trace);
        Ok(())
    }
}
