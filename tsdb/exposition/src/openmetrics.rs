//! OpenMetrics 1.0 text, line by line: what a backfill reads.
//!
//! The rules are those of Prometheus' parser (`model/textparse/openmetricslex.l`, `openmetricsparse.go`), which takes more
//! than the standard does: families need not be grouped, suffixes not fit their type. Exemplars are checked for their form
//! and left out.

use crate::error::{ParseError, shown};
use crate::number::parse_float;
use crate::parser::Kind;
use crate::series::{name_length, quoted_length};

/// A sample of an OpenMetrics text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpenMetricsSample<'a> {
    /// The bytes that name the series, as exposed. Labels are unchecked; see [`crate::parse_series`].
    pub series: &'a [u8],
    /// The value; every NaN is the ordinary one.
    pub value: f64,
    /// The exposed time, ms since the epoch; the text has seconds.
    pub timestamp: Option<i64>,
}

/// Reads a text that somebody else takes apart into lines, so that it need not be in memory as a whole.
#[derive(Debug, Clone, Default)]
pub struct OpenMetrics {
    line: usize,
    kind: Kind,
    ended: bool,
}

/// A refusal: byte within the line from 0, and what is wrong.
type Refusal = (usize, String);

impl OpenMetrics {
    /// A reader in front of the first line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the last `# TYPE` line said, whatever metric it named; it decides how `le` and `quantile` are normalised.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// An error about byte `offset` (from 0) of the line that was read last.
    #[must_use]
    pub fn error_at(&self, offset: usize, message: impl Into<String>) -> ParseError {
        ParseError {
            line: self.line,
            column: offset + 1,
            message: message.into(),
        }
    }

    /// Reads the next line, given without its line feed; `None` where it is no sample.
    ///
    /// # Errors
    /// [`ParseError`] points at the byte.
    pub fn read_line<'a>(&mut self, line: &'a [u8]) -> Result<Option<OpenMetricsSample<'a>>, ParseError> {
        self.line += 1;
        if self.ended {
            return Err(self.error_at(0, "unexpected data after # EOF"));
        }
        let read = match line.first() {
            Some(b'#') => self.comment(line).map(|()| None),
            Some(_) => sample(line).map(Some),
            None => Err((0, "blank lines are not allowed".to_owned())),
        };
        read.map_err(|(at, message)| self.error_at(at, message))
    }

    /// To be called behind the last line.
    ///
    /// # Errors
    /// [`ParseError`] when the text did not end with `# EOF`: it may have been cut off.
    pub fn finish(&self) -> Result<(), ParseError> {
        if self.ended {
            return Ok(());
        }
        Err(self.error_at(0, "data does not end with # EOF"))
    }

    fn comment(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if line == b"# EOF" {
            self.ended = true;
            return Ok(());
        }
        if line.starts_with(b"# EOF") {
            return Err((5, "unexpected data after # EOF".to_owned()));
        }
        let word = line.get(2..7).unwrap_or_default();
        if !line.starts_with(b"# ") || ![&b"HELP "[..], b"TYPE ", b"UNIT "].contains(&word) {
            let expected = "expected # HELP, # TYPE, # UNIT or # EOF, each followed by one blank";
            return Err((0, format!("{expected}, found {}", shown(line))));
        }
        let (name, after) = metric_name(line, 7)?;
        let text = match line.get(after) {
            Some(b' ') => &line[after + 1..],
            _ => return Err((after, "expected one blank and a text behind the metric name".to_owned())),
        };
        match word {
            b"TYPE " => {
                let invalid = || (after + 1, format!("invalid metric type {}", shown(text)));
                self.kind = kind(text).ok_or_else(invalid)?;
            }
            b"UNIT " if !is_unit_of(name, text) => {
                let message = format!("unit {} not a suffix of metric {}", shown(text), shown(name));
                return Err((after + 1, message));
            }
            b"HELP " if simdutf8::basic::from_utf8(text).is_err() => {
                return Err((after + 1, "expected a help text in UTF-8".to_owned()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The types of OpenMetrics; those of which nothing but the name matters here count as untyped.
fn kind(text: &[u8]) -> Option<Kind> {
    Some(match text {
        b"counter" => Kind::Counter,
        b"gauge" => Kind::Gauge,
        b"histogram" | b"gaugehistogram" => Kind::Histogram,
        b"summary" => Kind::Summary,
        b"info" | b"stateset" | b"unknown" => Kind::Untyped,
        _ => return None,
    })
}

fn is_unit_of(name: &[u8], unit: &[u8]) -> bool {
    unit.is_empty() || name.strip_suffix(unit).is_some_and(|rest| rest.ends_with(b"_"))
}

/// The name in a comment, plain or quoted (without its quotes), and where it ends.
fn metric_name(line: &[u8], at: usize) -> Result<(&[u8], usize), Refusal> {
    let text = &line[at..];
    if text.first() == Some(&b'"') {
        let length =
            quoted_length(text).ok_or_else(|| (at, "expected the closing quote of the metric name".to_owned()))?;
        return Ok((&text[1..length - 1], at + length));
    }
    match name_length(text, true) {
        0 => Err((at, format!("expected a metric name, found {}", shown(text)))),
        length => Ok((&text[..length], at + length)),
    }
}

fn sample(line: &[u8]) -> Result<OpenMetricsSample<'_>, Refusal> {
    let name = name_length(line, true);
    let end = match line.get(name) {
        Some(b'{') => braces(line, name)?,
        _ if name > 0 => name,
        _ => return Err((0, format!("expected a metric name, {{ or #, found {}", shown(line)))),
    };
    let (value, at) = word(line, end, "a value")?;
    let value = parse_float(value).ok_or_else(|| (end + 1, format!("expected a number, found {}", shown(value))))?;
    let (timestamp, at) = timestamp(line, at)?;
    if at < line.len() {
        exemplar(line, at)?;
    }
    #[cfg(feature = "planted")]
    leadline_model::planted::trap(value.is_nan() && timestamp.is_some());
    Ok(OpenMetricsSample {
        series: &line[..end],
        value,
        timestamp,
    })
}

/// Where the braces that open at `at` end: behind the closing one. No blanks stand between quoted texts.
fn braces(line: &[u8], at: usize) -> Result<usize, Refusal> {
    let mut next = at + 1;
    loop {
        match line.get(next) {
            Some(b'}') => return Ok(next + 1),
            Some(b'"') => {
                next += quoted_length(&line[next..]).ok_or_else(|| (next, "expected the closing quote".to_owned()))?;
            }
            Some(b' ' | b'\t') => return Err((next, "blanks are not allowed between labels".to_owned())),
            Some(_) => next += 1,
            None => return Err((next, "expected the closing brace of the labels".to_owned())),
        }
    }
}

/// What stands between the blank at `at` and the next one, and where it ends.
fn word<'a>(line: &'a [u8], at: usize, what: &str) -> Result<(&'a [u8], usize), Refusal> {
    let text = match line.get(at) {
        Some(b' ') => &line[at + 1..],
        _ => return Err((at, format!("expected one blank and {what}"))),
    };
    let length = memchr::memchr(b' ', text).unwrap_or(text.len());
    if length == 0 {
        return Err((at + 1, format!("expected {what}")));
    }
    Ok((&text[..length], at + 1 + length))
}

/// The timestamp behind the value, if there is one, in ms, and where it ends.
fn timestamp(line: &[u8], at: usize) -> Result<(Option<i64>, usize), Refusal> {
    if at == line.len() || line[at..].starts_with(b" # {") {
        return Ok((None, at));
    }
    let (text, end) = word(line, at, "a timestamp")?;
    let seconds = parse_float(text).filter(|s| s.is_finite());
    let seconds = seconds.ok_or_else(|| {
        (
            at + 1,
            format!("expected a timestamp in seconds, found {}", shown(text)),
        )
    })?;
    // As upstream has it: a fraction of a millisecond is cut off.
    Ok((Some((seconds * 1000.0) as i64), end))
}

/// ` # {labels} value [timestamp]` to the end of the line.
fn exemplar(line: &[u8], at: usize) -> Result<(), Refusal> {
    if !line[at..].starts_with(b" # {") {
        return Err((
            at,
            format!(
                "expected the end of the line or an exemplar, found {}",
                shown(&line[at..])
            ),
        ));
    }
    let end = braces(line, at + 3)?;
    let (value, after) = word(line, end, "the exemplar's value")?;
    if parse_float(value).is_none() {
        return Err((end + 1, format!("expected a number, found {}", shown(value))));
    }
    match timestamp(line, after)? {
        (_, end) if end == line.len() => Ok(()),
        (_, end) => Err((end, "expected the end of the line behind the exemplar".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, f64, Option<i64>)>, String> {
        let mut reader = OpenMetrics::new();
        let mut samples = Vec::new();
        let body = text.strip_suffix('\n').unwrap_or(text);
        for line in body.split('\n').filter(|_| !text.is_empty()) {
            if let Some(s) = reader.read_line(line.as_bytes()).map_err(|e| e.to_string())? {
                samples.push((String::from_utf8_lossy(s.series).into_owned(), s.value, s.timestamp));
            }
        }
        reader.finish().map_err(|e| e.to_string())?;
        Ok(samples)
    }

    #[test]
    fn samples_are_read_with_times_in_milliseconds() {
        let text = "# HELP a b c\n# TYPE a counter\n# UNIT a_seconds seconds\na_total{x=\"y }\\\" {\"} 1e3 1700215884.373\nb -Inf\n\
                    c 1 -1.5 # {trace_id=\"KOO5S4vxi0o\"} 0.67\nd 1 # {} 4 1520879607.789\n{\"e.f\",g=\"h\"} 5 0\n# EOF\n";
        let expected = [
            ("a_total{x=\"y }\\\" {\"}", 1e3, Some(1_700_215_884_373)),
            ("b", f64::NEG_INFINITY, None),
            ("c", 1.0, Some(-1500)),
            ("d", 1.0, None),
            ("{\"e.f\",g=\"h\"}", 5.0, Some(0)),
        ]
        .map(|(series, v, t)| (series.to_owned(), v, t));
        assert_eq!(read(text), Ok(expected.to_vec()));
        assert_eq!(read("# EOF"), Ok(Vec::new()));
    }

    /// The table of upstream's `TestOpenMetricsParseErrors`, as far as a line is refused there.
    #[test]
    fn what_upstream_refuses_is_refused_with_its_place() {
        for (text, part) in [
            ("", "data does not end with # EOF"),
            ("\n", "line 1, byte 1: blank lines"),
            ("metric", "line 1, byte 7: expected one blank and a value"),
            ("metric 1\n", "data does not end with # EOF"),
            ("a 1\n\n# EOF\n", "line 2, byte 1: blank lines"),
            (" a 1\n# EOF\n", "line 1, byte 1: expected a metric name"),
            ("9\n# EOF\n", "line 1, byte 1"),
            ("#EOF\n", "line 1, byte 1: expected # HELP"),
            ("# TYPE u untyped\n# EOF\n", "invalid metric type \"untyped\""),
            ("# TYPE c counter \n# EOF\n", "invalid metric type \"counter \""),
            ("#  TYPE c counter\n# EOF\n", "expected # HELP"),
            ("# TYPE \n# EOF\n", "line 1, byte 8: expected a metric name"),
            ("# TYPE m\n# EOF\n", "expected one blank and a text"),
            (
                "# UNIT metricsuffix suffix\n# EOF\n",
                "unit \"suffix\" not a suffix of metric \"metricsuffix\"",
            ),
            ("a\t1\n# EOF\n", "line 1, byte 2"),
            ("a 1\t2\n# EOF\n", "line 1, byte 3: expected a number"),
            ("a 1 2 \n# EOF\n", "line 1, byte 6: expected the end of the line"),
            ("a 1 1z\n# EOF\n", "line 1, byte 5: expected a timestamp"),
            ("a 1 NaN\n# EOF\n", "line 1, byte 5: expected a timestamp"),
            ("# EOF\na 1", "line 2, byte 1: unexpected data after # EOF"),
            ("# EOF\n\n", "unexpected data after # EOF"),
            ("# EOFa 1", "unexpected data after # EOF"),
            ("a 1 1 1\n# EOF\n", "line 1, byte 6"),
            ("a{b=\"\n# EOF\n", "line 1, byte 5: expected the closing quote"),
            ("a{b=\"c\", d=\"e\"} 1\n# EOF\n", "line 1, byte 9: blanks"),
            ("a true\n# EOF\n", "line 1, byte 3: expected a number"),
            ("foo 1_2\n# EOF\n", "expected a number"),
            ("foo 0x1p-3\n# EOF\n", "expected a number"),
            (
                "a 1 # {aa=\"bb\"}\n# EOF\n",
                "expected one blank and the exemplar's value",
            ),
            ("a 1 # {aa=\"bb\"} x\n# EOF\n", "expected a number"),
            ("a 1 # {aa=\"bb\"} 1 2 3\n# EOF\n", "expected the end of the line"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
