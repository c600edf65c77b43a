//! What label sets count for where samples are limited. Series of the store share their labels with it, and few have long
//! ones; an expression can write longer ones, and give each of any number of rows its own.
//!
//! What is free is bounded by the rows: each holds a sample at least, so that a query whose every row has labels of its own of
//! just [`FREE`] bytes has 33 times the memory of its samples. `--query.max-samples` is to be set by that where users are not
//! trusted; upstream counts no labels at all.

use super::Grid;
use leadline_model::Labels;

/// The bytes of labels that come with a row: few series of a store have more.
const FREE: usize = 512;

/// The bytes that count as one sample, which is a time and a value.
const SAMPLE: usize = 16;

/// How many samples a row's labels count for.
#[inline]
pub(crate) fn of(labels: &Labels) -> usize {
    of_bytes(labels.as_bytes().len())
}

/// The same, of labels of so many bytes.
#[inline]
pub(crate) fn of_bytes(bytes: usize) -> usize {
    bytes.saturating_sub(FREE) / SAMPLE
}

impl Grid {
    /// How many samples the labels of the rows from the given one on count for, beside their cells.
    pub(crate) fn label_weight_from(&self, row: usize) -> usize {
        let rows = self.rows.get(row..).unwrap_or_default();
        rows.iter().map(|row| of(&row.labels)).sum()
    }
}
