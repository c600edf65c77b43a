//! Values of many series over the steps of an evaluation, one flat allocation each.

use super::histogram_points::weight;
use super::key::nameless;
use super::trace::Trace;
use crate::error::Error;
use leadline_model::histogram::FloatHistogram;
use leadline_model::{Labels, Timestamp};
use rapidhash::RapidHashMap;
use std::sync::Arc;

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
    /// Whether a range was asked for, though it may hold one time only.
    pub(crate) over_time: bool,
}

impl Frame {
    /// One time.
    pub(crate) fn instant(at: Timestamp) -> Self {
        Self {
            start: at,
            step: 1,
            steps: 1,
            over_time: false,
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
        Self {
            start,
            step,
            steps,
            over_time: start != end,
        }
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
    /// Whether the metric's name goes away: when the node is done, or with Prometheus 3's delayed name removal at the end
    /// of the evaluation.
    pub(crate) drop_name: bool,
    /// What went into the row.
    pub(crate) trace: Trace,
}

impl Row {
    /// Takes the name away, if it is marked.
    pub(crate) fn settle_name(&mut self) {
        if self.drop_name {
            self.labels = nameless(&self.labels);
            self.drop_name = false;
        }
    }
}

/// What stands at one step of a row.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// A number.
    Float(f64),
    /// A distribution.
    Histogram(Arc<FloatHistogram>),
}

/// Rows of values with gaps. Row i owns the cells `i * steps .. (i + 1) * steps`.
///
/// Numbers and histograms lie in columns of their own, so that queries of numbers neither pay for histograms nor see
/// them: whoever reads `present` alone leaves histograms out, as most of PromQL's functions have to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grid {
    /// Number of steps.
    pub(crate) steps: usize,
    /// One entry a row.
    pub(crate) rows: Vec<Row>,
    /// The numbers; meaningless where `present` is false.
    pub(crate) cells: Vec<f64>,
    /// Whether there is a number.
    pub(crate) present: Vec<bool>,
    /// The histograms; empty when there is none in any row, else one entry a cell, none where `present` is true.
    histograms: Vec<Option<Arc<FloatHistogram>>>,
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
            histograms: Vec::new(),
        }
    }

    /// Rows of numbers; `cells` and `present` hold `steps` entries for each row.
    pub(crate) fn of_floats(steps: usize, rows: Vec<Row>, cells: Vec<f64>, present: Vec<bool>) -> Self {
        Self {
            steps,
            rows,
            cells,
            present,
            histograms: Vec::new(),
        }
    }

    /// Rows of one step, with their value at each of `steps`.
    pub(crate) fn repeated(self, steps: usize) -> Self {
        fn each<T: Clone>(values: Vec<T>, steps: usize) -> Vec<T> {
            values
                .into_iter()
                .flat_map(|value| std::iter::repeat_n(value, steps))
                .collect()
        }
        Self {
            steps,
            rows: self.rows,
            cells: each(self.cells, steps),
            present: each(self.present, steps),
            histograms: each(self.histograms, steps),
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
        self.cover();
        (&mut self.cells[from..], &mut self.present[from..])
    }

    /// Gives the column of histograms, if there is one, as many cells as the others have.
    fn cover(&mut self) {
        if !self.histograms.is_empty() {
            self.histograms.resize(self.cells.len(), None);
        }
    }

    /// The numbers of the opened row.
    pub(crate) fn opened(&mut self) -> &mut [f64] {
        let from = self.rows.len() * self.steps;
        &mut self.cells[from..]
    }

    /// Whether the opened row has a number at any step.
    pub(crate) fn open_has_number(&self) -> bool {
        !self.has_histograms() || self.present[self.rows.len() * self.steps..].contains(&true)
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
        self.histograms.truncate(end);
    }

    /// Whether any cell holds a histogram.
    #[inline]
    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Puts a histogram into row i, or into the opened row behind the last.
    pub(crate) fn set_histogram(&mut self, i: usize, step: usize, histogram: Arc<FloatHistogram>) {
        if self.histograms.is_empty() {
            self.histograms.resize(self.cells.len(), None);
        }
        let cell = i * self.steps + step;
        self.present[cell] = false;
        self.histograms[cell] = Some(histogram);
    }

    /// Puts a number or a histogram into row i, or into the opened row behind the last.
    pub(crate) fn set(&mut self, i: usize, step: usize, value: Cell) {
        match value {
            Cell::Histogram(histogram) => self.set_histogram(i, step, histogram),
            Cell::Float(value) => {
                let cell = i * self.steps + step;
                self.cells[cell] = value;
                self.present[cell] = true;
                if let Some(histogram) = self.histograms.get_mut(cell) {
                    *histogram = None;
                }
            }
        }
    }

    /// The histogram of row i at a step.
    #[inline]
    pub(crate) fn histogram(&self, i: usize, step: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(i * self.steps + step)?.as_ref()
    }

    /// What stands in row i at a step.
    #[inline]
    pub(crate) fn cell(&self, i: usize, step: usize) -> Option<Cell> {
        self.get(i, step)
            .map(Cell::Float)
            .or_else(|| self.histogram(i, step).cloned().map(Cell::Histogram))
    }

    /// Whether row i has a number or a histogram at a step.
    #[inline]
    pub(crate) fn occupied(&self, i: usize, step: usize) -> bool {
        self.present[i * self.steps + step] || self.histogram(i, step).is_some()
    }

    /// Whether row i has a number or a histogram at any step.
    pub(crate) fn is_populated(&self, i: usize) -> bool {
        let cells = i * self.steps..(i + 1) * self.steps;
        self.present[cells.clone()].contains(&true)
            || self
                .histograms
                .get(cells)
                .is_some_and(|h| h.iter().any(Option::is_some))
    }

    /// Empties the cell of row i at a step.
    pub(crate) fn vacate(&mut self, i: usize, step: usize) {
        let cell = i * self.steps + step;
        self.present[cell] = false;
        if let Some(histogram) = self.histograms.get_mut(cell) {
            *histogram = None;
        }
    }

    /// Leaves only numbers, and rows that have one; whether there was a histogram.
    pub(crate) fn drop_histograms(&mut self) -> bool {
        let had = self.has_histograms() && self.drop_histogram_cells();
        if had {
            self.prune();
        }
        had
    }

    /// Leaves only numbers, but every row; whether there was a histogram.
    pub(crate) fn drop_histogram_cells(&mut self) -> bool {
        std::mem::take(&mut self.histograms).iter().any(Option::is_some)
    }

    /// How many float samples the histograms count for, beside their cells.
    pub(crate) fn histogram_weight(&self) -> usize {
        self.histogram_weight_from(0)
    }

    /// The same, of the cells from the given one on.
    pub(crate) fn histogram_weight_from(&self, cell: usize) -> usize {
        let histograms = self.histograms.get(cell..).unwrap_or_default();
        histograms.iter().flatten().map(|h| weight(h)).sum()
    }

    /// The same, of the row that was kept last.
    pub(crate) fn last_histogram_weight(&self) -> usize {
        self.histogram_weight_from(self.rows.len().saturating_sub(1) * self.steps)
    }

    /// Replaces every number and every histogram by its negation; the results have no metric name any more.
    pub(crate) fn negate(&mut self) {
        for cell in &mut self.cells {
            *cell = -*cell;
        }
        self.map_histograms(|h| h.clone().scaled(-1.0));
        self.drop_names();
    }

    /// Replaces every histogram.
    pub(crate) fn map_histograms(&mut self, f: impl Fn(&FloatHistogram) -> FloatHistogram) {
        for histogram in self.histograms.iter_mut().flatten() {
            *histogram = Arc::new(f(histogram));
        }
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
        self.cover();
        for step in 0..from.steps {
            if let Some(histogram) = from.histogram(i, step) {
                self.set_histogram(self.rows.len() - 1, step, Arc::clone(histogram));
            }
        }
    }

    /// Replaces every number and drops histograms; the results have no metric name any more.
    pub(crate) fn map(&mut self, f: impl Fn(f64) -> f64) {
        self.drop_histograms();
        for cell in &mut self.cells {
            *cell = f(*cell);
        }
        self.drop_names();
    }

    /// Adds what went into a scalar argument to every row from row `from` on.
    pub(crate) fn absorb(&mut self, from: usize, trace: &Trace) {
        for row in &mut self.rows[from..] {
            row.trace.absorb(trace);
        }
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
        if self.present.iter().all(|p| *p) || (steps > 1 && (0..self.len()).all(|i| self.is_populated(i))) {
            return;
        }
        let mut kept = 0;
        for i in 0..self.len() {
            let from = i * steps..(i + 1) * steps;
            if self.is_populated(i) {
                if kept != i {
                    for (to, cell) in (kept * steps..).zip(from.clone()) {
                        if self.has_histograms() {
                            self.histograms.swap(to, cell);
                        }
                    }
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
        for step in 0..self.steps {
            let Some(value) = other.cell(i, step) else { continue };
            if self.occupied(to, step) {
                return Err(Error::execution(SAME_LABELSET));
            }
            self.set(to, step, value);
        }
        self.rows[to].trace.absorb(&other.rows[i].trace);
        Ok(())
    }
}
