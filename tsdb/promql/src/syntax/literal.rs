//! The values of numbers, durations and quoted texts.

use leadline_model::duration::Duration;
use leadline_model::quote::Quoted;

/// The longest duration in seconds that Prometheus can hold (nanoseconds in 63 bits).
pub(crate) const LONGEST_SECONDS: f64 = 9_223_372_036.854_775;

/// What a text that starts with a digit, or with a point and a digit, starts with, and its length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A number, right or wrong.
    Number(usize),
    /// A duration, right or wrong.
    Duration(usize),
    /// What upstream quotes as neither.
    Neither(usize),
}

/// Tells numbers and durations apart as upstream does (`promql/parser/lex.go`, `scanNumber` and
/// `acceptRemainingDuration`): what is neither is quoted as far as it was looked at.
pub(crate) fn scan(text: &str) -> Scanned {
    let mut scan = Scan {
        text: text.as_bytes(),
        at: 0,
    };
    if scan.number() {
        Scanned::Number(scan.at)
    } else if scan.duration() {
        Scanned::Duration(scan.at)
    } else {
        // One character was looked at too far; it may have several bytes, none of which is a digit or a letter.
        Scanned::Neither(scan.at.min(text.len()))
    }
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn is(&self, set: impl Fn(u8) -> bool) -> bool {
        self.peek().is_some_and(set)
    }

    /// Passes one character of the set, if it stands here.
    fn accept(&mut self, set: impl Fn(u8) -> bool) -> bool {
        let there = self.is(set);
        self.at += usize::from(there);
        there
    }

    /// Passes a number; false where none ends here, with the place where that was seen.
    fn number(&mut self) -> bool {
        let mut hex = false;
        if self.accept(|b| b == b'0') && self.accept(|b| matches!(b, b'x' | b'X')) {
            self.accept(|b| b == b'_');
            hex = true;
        }
        let digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        let exponent = |b: u8| matches!(b, b'e' | b'E');
        self.accept(|b| b == b'.');
        self.accept(digit);
        let (mut point, mut raised) = (false, false);
        while self.is(|b| digit(b) || exponent(b) || matches!(b, b'.' | b'_')) {
            if (point && self.accept(|b| b == b'.')) || (raised && self.accept(exponent)) {
                return false;
            }
            if self.accept(|b| b == b'.') {
                point = true;
                // A hexadecimal number has no fraction.
                if self.accept(|b| matches!(b, b'_' | b'.')) || hex {
                    return false;
                }
            } else if self.accept(exponent) {
                raised = true;
                self.accept(|b| matches!(b, b'+' | b'-'));
                if self.ends_too_soon() {
                    return false;
                }
            } else if self.accept(|b| b == b'_') {
                if self.ends_too_soon() {
                    return false;
                }
            } else {
                while self.accept(digit) {}
            }
        }
        self.at > 0 && !self.is(is_word)
    }

    /// Whether what must stand between digits does not: passes what stands there instead.
    fn ends_too_soon(&mut self) -> bool {
        self.accept(|b| matches!(b, b'.' | b'_' | b'e' | b'E')) || self.peek().is_none()
    }

    /// Passes the rest of a duration whose first number was passed; false as above.
    fn duration(&mut self) -> bool {
        if !self.accept(|b| b"smhdwy".contains(&b)) {
            return false;
        }
        self.accept(|b| b == b's');
        while self.accept(|b| b.is_ascii_digit()) {
            while self.accept(|b| b.is_ascii_digit()) {}
            // Years come first.
            if !self.accept(|b| b"smhdw".contains(&b)) {
                return false;
            }
            self.accept(|b| b == b's');
        }
        !self.accept(is_word)
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The value of a number token: integers in Go's notation (`0755` is octal, `0x1f`), else a decimal float.
///
/// # Errors
/// What is wrong with it, in the words of Go's `strconv`.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let fail = |reason: &str| {
        format!(
            "error parsing number: strconv.ParseFloat: parsing {}: {reason}",
            Quoted(text)
        )
    };
    let (range, syntax) = ("value out of range", "invalid syntax");
    if text.eq_ignore_ascii_case("inf") {
        return Ok(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    // What most numbers are, and exact: their digits fit a float.
    if let [first, rest @ ..] = text.as_bytes()
        && (rest.is_empty() || (rest.len() < 15 && *first != b'0'))
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        return Ok(text.bytes().fold(0.0, |n, b| n * 10.0 + f64::from(b - b'0')));
    }
    if !underscores_separate_digits(text) {
        return Err(fail(syntax));
    }
    let digits = text.replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).map(|n| n as f64).map_err(|_| fail(syntax));
    }
    let octal = digits.len() > 1 && digits.starts_with('0');
    if octal && let Ok(n) = i64::from_str_radix(&digits, 8) {
        return Ok(n as f64);
    }
    match digits.parse::<f64>() {
        Ok(n) if n.is_finite() => Ok(n),
        Ok(_) => Err(fail(range)),
        Err(_) => Err(fail(syntax)),
    }
}

/// `_` between two digits, or between `0x` and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_hexdigit);
    let prefix = |i: usize| i == 2 && matches!(bytes, [b'0', b'x' | b'X', ..]);
    bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(|(i, _)| (prefix(i) || digit(i.checked_sub(1))) && digit(Some(i + 1)))
}

/// The value of a duration token in seconds.
///
/// # Errors
/// What is wrong with it, in Prometheus' words.
pub(crate) fn duration_seconds(text: &str) -> Result<f64, String> {
    let parsed = Duration::parse(text).map_err(|_| why_no_duration(text))?;
    let seconds = parsed.as_millis() as f64 / 1000.0;
    if seconds > LONGEST_SECONDS {
        Err("duration out of range".to_owned())
    } else {
        Ok(seconds)
    }
}

/// What is wrong with a duration, in the words of Prometheus' `common/model` (`ParseDuration`): units are looked at in
/// turn, so an unknown one counts only before anything else is wrong.
fn why_no_duration(text: &str) -> String {
    const UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];
    let (mut rest, mut next) = (text, 0);
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0) {
        let behind = rest.get(digits..).unwrap_or("");
        let length = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, after) = behind.split_at(length);
        match UNITS.iter().position(|known| *known == unit) {
            None => return format!("unknown unit {} in duration {}", Quoted(unit), Quoted(text)),
            Some(place) if place < next => break,
            Some(place) => (rest, next) = (after, place + 1),
        }
        if rest.is_empty() {
            return "duration out of range".to_owned();
        }
    }
    format!("not a valid duration string: {}", Quoted(text))
}

/// Reads the quoted text at the start of `text`: its length in bytes with both quotes, and its value.
///
/// Double and single quotes know Go's escapes, back quotes none. A value that is no UTF-8 (`"\xff"`) is possible, so
/// it comes as bytes. U+FFFD itself is refused, as upstream refuses it (`promql/parser/lex.go`, `lexString` and
/// `lexRawString`): whoever reads bytes as text leaves it where they were none.
///
/// # Errors
/// What is wrong, in Prometheus' words.
pub(crate) fn quoted(text: &str) -> Result<(usize, Vec<u8>), String> {
    if let Some(inside) = plain(text) {
        return Ok((inside.len() + 2, inside.as_bytes().to_vec()));
    }
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else {
        return Err("unterminated quoted string".to_owned());
    };
    let mut value = Vec::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((at + 1, value)),
            // What bytes that are no UTF-8 were read as; what means the character writes `\ufffd`.
            char::REPLACEMENT_CHARACTER => return Err("invalid UTF-8 rune".to_owned()),
            c if quote == '`' => push(&mut value, c),
            '\n' => break,
            '\\' => escape(&mut chars, quote, &mut value)?,
            c => push(&mut value, c),
        }
    }
    Err(if quote == '`' {
        "unterminated raw string"
    } else {
        "unterminated quoted string"
    }
    .to_owned())
}

/// The length in bytes, with both quotes, of the quoted text at the start of `text`.
///
/// # Errors
/// As [`quoted`].
pub(crate) fn quoted_len(text: &str) -> Result<usize, String> {
    match plain(text) {
        Some(inside) => Ok(inside.len() + 2),
        None => quoted(text).map(|(len, _)| len),
    }
}

/// What stands between the quotes at the start of `text`, if it is closed and has no escape and nothing that is refused.
fn plain(text: &str) -> Option<&str> {
    let (quote, rest) = text.as_bytes().split_first()?;
    let ends = |b: &u8| b == quote || (*quote != b'`' && matches!(b, b'\\' | b'\n'));
    let len = rest.iter().position(ends)?;
    let inside = (quote.is_ascii() && rest.get(len) == Some(quote)).then(|| text.get(1..=len))??;
    (!inside.contains(char::REPLACEMENT_CHARACTER)).then_some(inside)
}

fn push(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// One escape, behind its backslash.
fn escape(chars: &mut std::str::CharIndices<'_>, quote: char, value: &mut Vec<u8>) -> Result<(), String> {
    let Some((_, c)) = chars.next() else {
        return Err("escape sequence not terminated".to_owned());
    };
    let (digits, radix) = match c {
        'a' => return single(value, 7),
        'b' => return single(value, 8),
        'f' => return single(value, 12),
        'n' => return single(value, b'\n'),
        'r' => return single(value, b'\r'),
        't' => return single(value, b'\t'),
        'v' => return single(value, 11),
        '\\' => return single(value, b'\\'),
        c if c == quote => {
            push(value, c);
            return Ok(());
        }
        '0'..='7' => (2, 8),
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        c => return Err(format!("unknown escape sequence {}", code_point(c))),
    };
    let mut code = if radix == 8 { c.to_digit(8).unwrap_or(0) } else { 0 };
    for _ in 0..digits {
        let Some((_, c)) = chars.next() else {
            return Err("escape sequence not terminated".to_owned());
        };
        let Some(digit) = c.to_digit(radix) else {
            return Err(format!("illegal character {} in escape sequence", code_point(c)));
        };
        code = code.saturating_mul(radix).saturating_add(digit);
    }
    let invalid = || "escape sequence is an invalid Unicode code point".to_owned();
    if matches!(c, 'u' | 'U') {
        push(value, char::from_u32(code).ok_or_else(invalid)?);
        Ok(())
    } else {
        single(value, u8::try_from(code).map_err(|_| invalid())?)
    }
}

fn single(value: &mut Vec<u8>, byte: u8) -> Result<(), String> {
    value.push(byte);
    Ok(())
}

/// Go's `%#U`.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", c as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_gos_values() {
        for (text, value) in [
            ("0755", 493.0),
            ("0", 0.0),
            ("7", 7.0),
            ("00", 0.0),
            ("123456789012345", 123_456_789_012_345.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("92030920993190389", 92_030_920_993_190_380.0),
            ("9007199254740995", 9_007_199_254_740_996.0),
            ("08", 8.0),
            ("0xc", 12.0),
            ("0X_1f", 31.0),
            ("1_000.5", 1000.5),
            ("5e-3", 0.005),
            (".5", 0.5),
            ("5.", 5.0),
            ("iNf", f64::INFINITY),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in ["1__0", "1_", "0x", "1e309", &"9".repeat(400)] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_durations_are_told_apart_as_upstream_does() {
        use Scanned::{Duration, Neither, Number};
        for (text, expected) in [
            ("5.5 ", Number(3)),
            ("5e3]", Number(3)),
            ("5e-3)", Number(4)),
            ("0x1f+", Number(4)),
            ("1_000.5", Number(7)),
            ("0.50.5", Number(6)),
            ("5.ü", Number(2)),
            ("5m", Duration(2)),
            ("1h30m)", Duration(5)),
            ("5hs ", Duration(3)),
            ("1e3s", Duration(4)),
            ("5e", Neither(2)),
            ("2.5.", Neither(4)),
            ("100..4", Neither(5)),
            ("0deadbeef", Neither(3)),
            ("5z", Neither(1)),
            ("1__0", Neither(3)),
            ("0x1.5", Neither(4)),
            ("3month", Neither(3)),
            ("5m1y", Neither(3)),
            ("5mü", Duration(2)),
        ] {
            assert_eq!(scan(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_refused_in_prometheus_words() {
        for (text, expected) in [
            ("5m1h", "not a valid duration string: \"5m1h\""),
            ("1e3s", "unknown unit \"e\" in duration \"1e3s\""),
            ("5hs", "unknown unit \"hs\" in duration \"5hs\""),
            ("5m5m5x", "not a valid duration string: \"5m5m5x\""),
            ("300y", "duration out of range"),
        ] {
            assert_eq!(duration_seconds(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn quoted_texts_know_gos_escapes() {
        for (text, value) in [
            (r#""a\"b" rest"#, b"a\"b".as_slice()),
            (r"'\a\b\f\n\r\t\v\\\''", b"\x07\x08\x0c\n\r\t\x0b\\'"),
            (r#""\xFF\377\u1234\U00010111""#, b"\xff\xff\xe1\x88\xb4\xf0\x90\x84\x91"),
            (r"`\n'`", b"\\n'"),
            ("`a\nb`\"", b"a\nb"),
            (r#""plain'` é" rest"#, b"plain'` \xc3\xa9"),
            ("''", b""),
            (r#""\ufffd""#, b"\xef\xbf\xbd"),
        ] {
            let (len, found) = quoted(text).unwrap();
            assert_eq!(found, value, "{text}");
            assert_eq!(quoted_len(text), Ok(len), "{text}");
            assert!(text[1..len].ends_with(&text[..1]), "{text}");
        }
        for (text, message) in [
            (r#""\c""#, "unknown escape sequence U+0063 'c'"),
            (r#""\x.""#, "illegal character U+002E '.' in escape sequence"),
            (r#""\"#, "escape sequence not terminated"),
            (r#""\uD800""#, "escape sequence is an invalid Unicode code point"),
            (r#""\777""#, "escape sequence is an invalid Unicode code point"),
            ("\"a\nb\"", "unterminated quoted string"),
            ("`a", "unterminated raw string"),
            ("\"\u{fffd}\"", "invalid UTF-8 rune"),
            ("'a\\n\u{fffd}'", "invalid UTF-8 rune"),
            ("`\u{fffd}`", "invalid UTF-8 rune"),
            ("`\u{fffd}", "invalid UTF-8 rune"),
            (r#""\'""#, "unknown escape sequence U+0027 '''"),
        ] {
            assert_eq!(quoted(text).unwrap_err(), message, "{text}");
        }
    }
}
