//! Rows by the labels that name an object, so that answering is a look-up.

use crate::snapshot::{Completeness, Row, Snapshot, Warmth};
use leadline_model::port::{EvaluateError, Generation};
use leadline_model::{Labels, Timestamp};
use std::collections::HashMap;

/// Joins the values of one key. Two different keys could only meet if a label value held this control character.
const SEPARATOR: &str = "\u{1f}";

/// The key under which a row of these labels is found.
fn key(labels: &Labels, by: &[String]) -> Box<str> {
    let mut key = String::with_capacity(32);
    for (i, name) in by.iter().enumerate() {
        if i > 0 {
            key.push_str(SEPARATOR);
        }
        key.push_str(labels.get(name).unwrap_or(""));
    }
    key.into_boxed_str()
}

/// The places of `rows` by the values of the labels `by`; nothing when there is no label to index by.
pub(crate) fn build(rows: &[Row], by: &[String]) -> HashMap<Box<str>, Vec<u32>> {
    if by.is_empty() {
        return HashMap::new();
    }
    let mut index: HashMap<Box<str>, Vec<u32>> = HashMap::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let Ok(place) = u32::try_from(place) else { break };
        index.entry(key(&row.labels, by)).or_default().push(place);
    }
    index
}

impl Snapshot {
    /// A snapshot whose rows are indexed by the labels `by`.
    #[must_use]
    pub fn new(
        generation: Generation,
        at: Timestamp,
        warmth: Warmth,
        rows: Result<Vec<Row>, EvaluateError>,
        completeness: Completeness,
        by: &[String],
    ) -> Self {
        let index = rows.as_ref().map_or_else(|_| HashMap::new(), |rows| build(rows, by));
        Self {
            generation,
            at,
            warmth,
            rows,
            index,
            completeness,
            settled: Vec::new(),
            before: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::row;

    fn labelled(pairs: &[(&str, &str)]) -> Row {
        Row {
            labels: Labels::from_pairs(pairs.iter().copied()),
            ..row(1.0, 1, 0, None)
        }
    }

    #[test]
    fn rows_are_found_by_the_values_of_their_labels_and_absent_labels_are_empty() {
        let rows = vec![
            labelled(&[("namespace", "a"), ("pod", "x")]),
            labelled(&[("namespace", "b"), ("pod", "x")]),
            labelled(&[("namespace", "a"), ("pod", "x"), ("path", "/")]),
            labelled(&[("pod", "x")]),
        ];
        let by = ["namespace".to_owned(), "pod".to_owned()];
        let snapshot = Snapshot::new(Generation(1), 0, Warmth::Warm, Ok(rows), Completeness::default(), &by);
        assert_eq!(snapshot.find(&["a", "x"]).len(), 2);
        assert_eq!(snapshot.find(&["b", "x"]).len(), 1);
        assert_eq!(snapshot.find(&["", "x"]).len(), 1);
        assert!(snapshot.find(&["a", "y"]).is_empty());
        assert!(snapshot.find(&["a"]).is_empty());
    }
}
