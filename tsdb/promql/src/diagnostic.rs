//! Errors that point at a place of an expression.

use crate::syntax::ast::Span;
use leadline_model::port::PrepareError;

/// Why an expression was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}{}", suggested(self))]
pub struct ParseError {
    /// The offending part of the text, in bytes.
    pub span: Span,
    /// Line of its first byte, from 1.
    pub line: u32,
    /// Column of its first byte, in bytes from 1.
    pub column: u32,
    /// What is wrong, in Prometheus' words where it has them.
    pub message: String,
    /// What could have stood there instead, in the words of the message; empty when that is no help.
    pub expected: String,
    /// The nearest name, when a name is unknown.
    pub suggestion: Option<String>,
}

fn suggested(error: &ParseError) -> String {
    error
        .suggestion
        .as_ref()
        .map_or_else(String::new, |name| format!(", did you mean {name:?}?"))
}

impl ParseError {
    /// An error about the part `span` of `text`.
    #[must_use]
    pub fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let (line, column) = position(text, span.start);
        Self {
            span,
            line,
            column,
            message: message.into(),
            expected: String::new(),
            suggestion: None,
        }
    }

    /// The same error with what was expected, which the message says too.
    #[must_use]
    pub fn expecting(mut self, expected: &str) -> Self {
        expected.clone_into(&mut self.expected);
        self
    }

    /// The same error with the nearest of `names` to what was written, if one is near.
    #[must_use]
    pub fn suggesting<'a>(mut self, written: &str, names: impl Iterator<Item = &'a str>) -> Self {
        self.suggestion = nearest(written, names).map(ToOwned::to_owned);
        self
    }
}

impl From<ParseError> for PrepareError {
    fn from(error: ParseError) -> Self {
        let message = format!("parse error: {}{}", error.message, suggested(&error));
        Self {
            line: error.line,
            column: error.column,
            message,
        }
    }
}

/// Line and column, both from 1 and the column in bytes, of the byte `offset` of `text`.
#[must_use]
pub fn position(text: &str, offset: u32) -> (u32, u32) {
    let before = text.as_bytes().get(..offset as usize).unwrap_or(text.as_bytes());
    let line = before.iter().filter(|&&b| b == b'\n').count();
    let column = before.iter().rev().take_while(|&&b| b != b'\n').count();
    (saturated(line) + 1, saturated(column) + 1)
}

fn saturated(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX - 1)
}

/// The name that takes the fewest edits to reach, when it takes no more than a third of the letters (at least two).
#[must_use]
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let written = written.to_ascii_lowercase();
    let limit = (written.len() / 3).max(2).min(written.len().saturating_sub(1));
    names
        .map(|name| (edits(written.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements from `a` to `b` (Levenshtein).
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_bytes_from_one() {
        for (offset, expected) in [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (7, (2, 5)), (99, (2, 6))] {
            assert_eq!(position("ab\nc\u{e9}de", offset), expected, "{offset}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_it_is_near() {
        let names = ["rate", "irate", "increase", "histogram_quantile"];
        for (written, expected) in [
            ("rates", Some("rate")),
            ("Rate", Some("rate")),
            ("histogram_quantil", Some("histogram_quantile")),
            ("incraese", Some("increase")),
            ("foo", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, names.into_iter()), expected, "{written}");
        }
    }
}
