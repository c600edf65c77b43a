//! One sample line: series, value, timestamp.

use crate::number::parse_float;

/// The parts of a sample line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) series: &'a [u8],
    pub(crate) value: f64,
    pub(crate) timestamp: Option<i64>,
}

/// A refusal: byte within the line from 0, and what is wrong.
pub(crate) type Refusal = (usize, &'static str);

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Splits `line`, which has no leading blanks and is not empty.
///
/// Nothing after the closing brace can hold another one, so the last `}` ends the series; where there is none, the first
/// blank does. The shortcut avoids looking for either: a number after the last blank, and a brace before it.
#[inline]
pub(crate) fn split(line: &[u8]) -> Result<Line<'_>, Refusal> {
    if let Some(at) = line.iter().rposition(|b| *b == b' ')
        && at > 0
        && line[at - 1] == b'}'
        && let Some(value) = parse_float(&line[at + 1..])
    {
        return Ok(Line { series: &line[..at], value, timestamp: None });
    }
    split_slowly(line)
}

fn split_slowly(line: &[u8]) -> Result<Line<'_>, Refusal> {
    let end = match memchr::memrchr(b'}', line) {
        Some(brace) => brace + 1,
        None => line.iter().position(|b| is_blank(*b)).unwrap_or(line.len()),
    };
    let (value_text, value_at) = token(line, end).ok_or((end, "expected a value after the series"))?;
    let value = parse_float(value_text).ok_or_else(|| {
        let why = if value_text.ends_with(b"\r") {
            "expected a number, found one with a carriage return: lines end in a line feed alone"
        } else {
            "expected a number (a decimal float, Inf or NaN) after the series"
        };
        (value_at, why)
    })?;
    let after = value_at + value_text.len();
    let Some((text, at)) = token(line, after) else {
        return Ok(Line { series: &line[..end], value, timestamp: None });
    };
    let timestamp = milliseconds(text).ok_or((at, "expected a timestamp (whole milliseconds, digits only) or the end of the line"))?;
    match token(line, at + text.len()) {
        Some((_, at)) => Err((at, "expected the end of the line after the timestamp")),
        None => Ok(Line { series: &line[..end], value, timestamp: Some(timestamp) }),
    }
}

/// The next run of non-blanks from `from` on, and where it begins.
fn token(line: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let start = from + line[from..].iter().position(|b| !is_blank(*b))?;
    let length = line[start..].iter().position(|b| is_blank(*b)).unwrap_or(line.len() - start);
    Some((&line[start..start + length], start))
}

/// Digits only, as Prometheus' lexer has it; a time before 1970 cannot be written.
fn milliseconds(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |n, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n.checked_mul(10)?.checked_add(i64::from(digit))
    })
}
