//! The strict lane: the bytes of a series to its labels.

use crate::error::shown;
use crate::line::is_blank;
use crate::number::{format_float, parse_float};
use crate::parser::Kind;
use leadline_model::Labels;
use leadline_model::labels::NAME;
use std::borrow::Cow;

/// The most labels a series may have, its name included.
pub const MAX_LABELS: usize = 1024;

/// A label: name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Why the bytes of a series were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {message}")]
pub struct SeriesError {
    /// Byte within the series, from 0.
    pub offset: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

fn refuse<T>(offset: usize, message: impl Into<String>) -> Result<T, SeriesError> {
    Err(SeriesError {
        offset,
        message: message.into(),
    })
}

/// The length of the leading `[a-zA-Z_][a-zA-Z0-9_]*`, with `:` where `colon` allows it.
pub(crate) fn name_length(text: &[u8], colon: bool) -> usize {
    let fits =
        |i: usize, b: u8| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':') || (i > 0 && b.is_ascii_digit());
    text.iter().enumerate().take_while(|(i, b)| fits(*i, **b)).count()
}

/// The length of the leading quoted text, quotes included; `None` when it is not closed.
pub(crate) fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = memchr::memchr2(b'"', b'\\', text.get(at..)?)? + at;
        if text[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Takes apart and checks the bytes of a series; `into` receives its labels, `__name__` among them, sorted by name and
/// without empty values. `kind` decides whether `le` or `quantile` is brought to the form of a float (Prometheus 3).
///
/// # Errors
/// [`SeriesError`] points at the byte; `into` is then unspecified.
pub fn parse_series<'a>(series: &'a [u8], kind: Kind, into: &mut Vec<Pair<'a>>) -> Result<(), SeriesError> {
    into.clear();
    let text = match simdutf8::compat::from_utf8(series) {
        Ok(text) => text,
        Err(error) => return refuse(error.valid_up_to(), "expected UTF-8"),
    };
    let mut reader = Reader {
        text,
        at: 0,
        named: false,
        kind,
        into,
    };
    let length = name_length(series, true);
    if length > 0 {
        reader.name(Cow::Borrowed(&text[..length]), 0)?;
        reader.at = length;
    }
    reader.skip_blanks();
    if reader.peek() == Some(b'{') {
        reader.at += 1;
        reader.braces()?;
        reader.skip_blanks();
    }
    if reader.at < series.len() {
        let expected = if reader.at == 0 {
            "a metric name or {"
        } else {
            "a blank and a value"
        };
        return refuse(
            reader.at,
            format!("expected {expected}, found {}", shown(&series[reader.at..])),
        );
    }
    if !reader.named {
        return refuse(
            reader.at,
            "the metric name is missing: expected name{...} or {\"name\",...}",
        );
    }
    finish(into, series.len())
}

/// The labels of a series as a set; for whoever has nothing to add to them.
///
/// # Errors
/// As [`parse_series`].
pub fn parse_labels(series: &[u8], kind: Kind) -> Result<Labels, SeriesError> {
    let mut pairs = Vec::new();
    parse_series(series, kind, &mut pairs)?;
    Ok(Labels::from_sorted(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))))
}

/// Sorts, finds repeated names and drops empty values.
fn finish(pairs: &mut Vec<Pair<'_>>, end: usize) -> Result<(), SeriesError> {
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(pairs.iter().filter(|(_, value)| value.is_empty()).count() > 1);
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
        return refuse(end, format!("label {:?} is there twice", pair[0].0));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    Ok(())
}

struct Reader<'a, 'b> {
    text: &'a str,
    at: usize,
    named: bool,
    kind: Kind,
    into: &'b mut Vec<Pair<'a>>,
}

impl<'a> Reader<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|b| is_blank(**b)).count();
    }

    fn expected<T>(&self, what: &str) -> Result<T, SeriesError> {
        let found = if self.rest().is_empty() {
            "the end".to_owned()
        } else {
            shown(self.rest())
        };
        refuse(self.at, format!("expected {what}, found {found}"))
    }

    fn name(&mut self, name: Cow<'a, str>, at: usize) -> Result<(), SeriesError> {
        if self.named {
            return refuse(at, "the metric name is there twice");
        }
        if name.is_empty() {
            return refuse(at, "expected a metric name of at least one character");
        }
        self.named = true;
        self.into.push((Cow::Borrowed(NAME), name));
        Ok(())
    }

    /// What stands between the braces; the opening one is read.
    fn braces(&mut self) -> Result<(), SeriesError> {
        loop {
            self.skip_blanks();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
            let at = self.at;
            let quoted = self.peek() == Some(b'"');
            let name = if quoted {
                self.quoted("a label name")?
            } else {
                Cow::Borrowed(self.label_name()?)
            };
            self.skip_blanks();
            match self.peek() {
                Some(b'=') => self.label(name, at)?,
                // A quoted text alone is the metric's name.
                Some(b',' | b'}') if quoted => self.name(name, at)?,
                _ => return self.expected("="),
            }
            self.skip_blanks();
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
    }

    /// `="value"`.
    fn label(&mut self, name: Cow<'a, str>, at: usize) -> Result<(), SeriesError> {
        self.at += 1;
        self.skip_blanks();
        if name.is_empty() {
            return refuse(at, "expected a label name of at least one character");
        }
        if self.into.len() >= MAX_LABELS {
            return refuse(at, format!("expected at most {MAX_LABELS} labels"));
        }
        let value = self.quoted("a label value")?;
        let value = normalised(self.kind, &name, value);
        self.into.push((name, value));
        Ok(())
    }

    fn label_name(&mut self) -> Result<&'a str, SeriesError> {
        let length = name_length(self.rest(), false);
        if length == 0 {
            return self.expected("a label name or }");
        }
        let name = &self.text[self.at..self.at + length];
        self.at += length;
        Ok(name)
    }

    fn quoted(&mut self, what: &str) -> Result<Cow<'a, str>, SeriesError> {
        if self.peek() != Some(b'"') {
            return self.expected(&format!("{what} in double quotes"));
        }
        let Some(length) = quoted_length(self.rest()) else {
            return self.expected(&format!("the closing quote of {what}"));
        };
        let inner = &self.text[self.at + 1..self.at + length - 1];
        self.at += length;
        Ok(unescaped(inner))
    }
}

/// Resolves `\"`, `\\` and `\n`; a backslash before anything else stays, as in Prometheus.
fn unescaped(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = text[first..].chars();
    while let Some(c) = rest.next() {
        let replaced = match (c, rest.as_str().chars().next()) {
            ('\\', Some('n')) => '\n',
            ('\\', Some(next @ ('"' | '\\'))) => next,
            _ => {
                out.push(c);
                continue;
            }
        };
        rest.next();
        out.push(replaced);
    }
    Cow::Owned(out)
}

fn normalised<'a>(kind: Kind, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let wanted = match kind {
        Kind::Histogram => name == "le",
        Kind::Summary => name == "quantile",
        _ => false,
    };
    match parse_float(value.as_bytes()) {
        Some(number) if wanted => Cow::Owned(format_float(number)),
        _ => value,
    }
}
