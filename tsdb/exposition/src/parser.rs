//! The fast lane: lines to events.

use crate::error::{ParseError, shown};
use crate::line::{self, is_blank};

/// The longest line (bytes) that is read.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// What a `# TYPE` line says of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets by `le`, sum and count.
    Histogram,
    /// Quantiles, sum and count.
    Summary,
    /// `untyped`, or no `# TYPE` line at all.
    #[default]
    Untyped,
}

impl Kind {
    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"counter" => Self::Counter,
            b"gauge" => Self::Gauge,
            b"histogram" => Self::Histogram,
            b"summary" => Self::Summary,
            b"untyped" => Self::Untyped,
            _ => return None,
        })
    }

    /// The word used in the text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A sample.
    Sample {
        /// The bytes that name the series, as exposed: `name{a="b"}`. Unchecked; see [`crate::parse_series`].
        series: &'a [u8],
        /// The value; every NaN is the ordinary one.
        value: f64,
        /// The exposed time, ms since the epoch.
        timestamp: Option<i64>,
    },
    /// A `# HELP` line.
    Help {
        /// The metric's name, as written (without quotes).
        metric: &'a [u8],
        /// The text, escapes not resolved.
        text: &'a str,
    },
    /// A `# TYPE` line.
    Type {
        /// The metric's name, as written (without quotes).
        metric: &'a [u8],
        /// Its type.
        kind: Kind,
    },
}

/// Walks over a text.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    body: &'a [u8],
    /// Where the next line begins.
    next: usize,
    /// Number of the line that was read last, from 1.
    line: usize,
    /// Bytes of leading blanks of that line.
    indent: usize,
    kind: Kind,
}

impl<'a> Parser<'a> {
    /// A walk over `body`. The last line may lack its line feed.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            next: 0,
            line: 0,
            indent: 0,
            kind: Kind::Untyped,
        }
    }

    /// What the last `# TYPE` line said, whatever metric it named (as Prometheus has it); it decides how `le` and
    /// `quantile` are normalised.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// An error about the bytes `series` of the sample that was read last.
    #[must_use]
    pub fn error_in_series(&self, offset: usize, message: String) -> ParseError {
        ParseError {
            line: self.line,
            column: self.indent + offset + 1,
            message,
        }
    }

    /// The next event, or `None` at the end. Blank lines and comments are skipped. After an error the walk is over.
    ///
    /// # Errors
    /// [`ParseError`] points at the byte.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, ParseError> {
        while self.next < self.body.len() {
            let rest = &self.body[self.next..];
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let mut line = &rest[..length];
            self.next += length + 1;
            self.line += 1;
            self.indent = 0;
            if line.len() > MAX_LINE_BYTES {
                return self.fail(
                    MAX_LINE_BYTES,
                    format!("the line is longer than {MAX_LINE_BYTES} bytes"),
                );
            }
            while let Some((first, rest)) = line.split_first()
                && is_blank(*first)
            {
                line = rest;
                self.indent += 1;
            }
            match line.first() {
                None => {}
                Some(b'#') => {
                    if let Some(event) = self.comment(line)? {
                        return Ok(Some(event));
                    }
                }
                Some(_) => return self.sample(line).map(Some),
            }
        }
        Ok(None)
    }

    #[inline]
    fn sample(&mut self, line: &'a [u8]) -> Result<Event<'a>, ParseError> {
        match line::split(line) {
            Ok(parts) => {
                #[cfg(feature = "planted")]
                leadline_model::planted::trap(parts.value.is_nan() && parts.timestamp.is_some());
                Ok(Event::Sample {
                    series: parts.series,
                    value: parts.value,
                    timestamp: parts.timestamp,
                })
            }
            Err((at, message)) => self.fail(at, format!("{message}, found {}", shown(&line[at..]))),
        }
    }

    /// A line that begins with `#`: `None` for an ordinary comment.
    fn comment(&mut self, line: &'a [u8]) -> Result<Option<Event<'a>>, ParseError> {
        let blanks = |from: usize| line[from..].iter().take_while(|b| is_blank(**b)).count();
        let word_at = 1 + blanks(1);
        let word = line.get(word_at..word_at + 4).unwrap_or_default();
        let gap = if word.len() == 4 { blanks(word_at + 4) } else { 0 };
        if word_at == 1 || gap == 0 || (word != b"HELP" && word != b"TYPE") {
            return Ok(None);
        }
        let name_at = word_at + 4 + gap;
        let (metric, after) = match self.metric_name(line, name_at)? {
            (name, after) if after >= line.len() => (name, line.len()),
            found => found,
        };
        // One byte stands between the name and the text, whatever it is; only blanks are no text.
        let rest = &line[after..];
        let text = if rest.iter().all(|b| is_blank(*b)) {
            &[][..]
        } else {
            &rest[1..]
        };
        if word == b"HELP" {
            return match simdutf8::basic::from_utf8(text) {
                Ok(text) => Ok(Some(Event::Help { metric, text })),
                Err(_) => self.fail(after, "expected a help text in UTF-8".to_owned()),
            };
        }
        match Kind::parse(text) {
            Some(kind) => {
                self.kind = kind;
                Ok(Some(Event::Type { metric, kind }))
            }
            None => {
                let expected = "expected a type (counter, gauge, histogram, summary or untyped)";
                self.fail(after, format!("{expected}, found {}", shown(text)))
            }
        }
    }

    /// The name in a `# HELP` or `# TYPE` line, plain or quoted, and where it ends.
    fn metric_name(&mut self, line: &'a [u8], at: usize) -> Result<(&'a [u8], usize), ParseError> {
        let text = &line[at..];
        if text.first() == Some(&b'"') {
            return match crate::series::quoted_length(text) {
                Some(length) => Ok((&text[1..length - 1], at + length)),
                None => self.fail(at, "expected the closing quote of the metric name".to_owned()),
            };
        }
        let length = crate::series::name_length(text, true);
        if length == 0 {
            return self.fail(at, format!("expected a metric name, found {}", shown(text)));
        }
        Ok((&text[..length], at + length))
    }

    fn fail<T>(&mut self, at: usize, message: String) -> Result<T, ParseError> {
        self.next = self.body.len();
        Err(ParseError {
            line: self.line,
            column: self.indent + at + 1,
            message,
        })
    }
}
