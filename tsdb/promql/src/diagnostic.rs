//! Errors that point at a place of an expression.

use crate::syntax::ast::Span;
use leadline_model::nearest::{edits, nearest};
use leadline_model::port::PrepareError;

/// Why an expression was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {message}")]
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

    /// The same error with that word of the language which differs from what was written in one letter.
    #[must_use]
    pub(crate) fn suggesting_word<'a>(mut self, written: &str, words: impl Iterator<Item = &'a str>) -> Self {
        let written = written.to_ascii_lowercase();
        let mut near = words.filter(|word| written.len() > 1 && edits(written.as_bytes(), word.as_bytes()) == 1);
        self.suggestion = near.next().map(ToOwned::to_owned);
        self
    }

    /// The error for people: its line of `text` with carets below the offending part, what was expected and what may
    /// have been meant. Several lines, without a line break at the end.
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let (line, before, marked) = self.excerpt(text);
        let mut out = format!("error: {}\n", self.message);
        out += &format!("{margin}--> {}:{}\n", self.line, self.column);
        out += &format!("{margin} |\n{number} | {line}\n{margin} | ");
        out += &format!("{}{}", " ".repeat(before), "^".repeat(marked.max(1)));
        if !self.expected.is_empty() {
            out += &format!(" expected {}", self.expected);
        }
        if let Some(name) = &self.suggestion {
            out += &format!("\n{margin} = help: did you mean `{name}`?");
        }
        out
    }

    /// The line that the error is in, cut to what a terminal shows; how many characters stand before the offending
    /// part, and how many it has on this line.
    fn excerpt(&self, text: &str) -> (String, usize, usize) {
        let line = text.split('\n').nth(self.line as usize - 1).unwrap_or("");
        let from = floor_boundary(line, self.column as usize - 1);
        let length = (self.span.end.saturating_sub(self.span.start)) as usize;
        let to = floor_boundary(line, from.saturating_add(length));
        let (before, marked) = (line[..from].chars().count(), line[from..to].chars().count());
        let skipped = before.saturating_sub(CONTEXT);
        let shown = line.chars().skip(skipped).take(WIDTH);
        let shown: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = before - skipped;
        (shown, before, marked.min(WIDTH.saturating_sub(before)))
    }
}

/// How many characters of a line are shown.
const WIDTH: usize = 100;
/// How many of them stand in front of the offending part at most.
const CONTEXT: usize = 60;

/// The nearest start of a character at or before `at`.
fn floor_boundary(line: &str, at: usize) -> usize {
    let at = at.min(line.len());
    (0..=at).rev().find(|&i| line.is_char_boundary(i)).unwrap_or(0)
}

impl From<ParseError> for PrepareError {
    fn from(error: ParseError) -> Self {
        Self {
            line: error.line,
            column: error.column,
            message: format!("parse error: {}", error.message),
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
    fn an_error_is_shown_with_carets_below_its_place() {
        let text = "sum(\n  \u{e9}foo{a=b}\n)";
        let error = ParseError::new(text, Span { start: 15, end: 16 }, "unexpected b").expecting("string");
        let expected = "error: unexpected b\n --> 2:11\n  |\n2 |   \u{e9}foo{a=b}\n  |          ^ expected string";
        assert_eq!(error.render(text), expected);
        let text = "rats(foo[5m])";
        let error =
            ParseError::new(text, Span { start: 0, end: 4 }, "unknown").suggesting("rats", ["rate"].into_iter());
        let expected = "error: unknown\n --> 1:1\n  |\n1 | rats(foo[5m])\n  | ^^^^\n  = help: did you mean `rate`?";
        assert_eq!(error.render(text), expected);
    }

    #[test]
    fn an_error_in_a_long_line_or_at_the_end_is_still_seen() {
        let text = format!("{}\t(", "x".repeat(500));
        let rendered = ParseError::new(&text, Span { start: 501, end: 502 }, "open").render(&text);
        let caret = rendered.lines().last().unwrap();
        let shown = rendered.lines().nth(3).unwrap();
        assert_eq!(shown.chars().nth(caret.find('^').unwrap()), Some('('), "{rendered}");
        assert!(rendered.lines().all(|line| line.len() < 120), "{rendered}");
        for end in [0, 1, 600] {
            let error = ParseError::new("a", Span { start: 1, end }, "end of input");
            assert!(error.render("a").ends_with(" |  ^"), "{}", error.render("a"));
        }
    }
}
