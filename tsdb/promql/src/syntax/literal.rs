//! The values of numbers, durations and quoted texts.

use leadline_model::duration::Duration;
use leadline_model::quote::Quoted;

/// The longest duration in seconds that Prometheus can hold (nanoseconds in 63 bits).
pub(crate) const LONGEST_SECONDS: f64 = 9_223_372_036.854_775;

/// Length in bytes of the number that `text` starts with, or `None` when what stands there is no number.
///
/// Decimal with `_` between digits, a point and an exponent; `0x` with hexadecimal digits. Nothing that could continue
/// a word may follow.
pub(crate) fn number_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let run = |from: usize, hex: bool| {
        let is_digit = |b: &u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        from + bytes
            .iter()
            .skip(from)
            .take_while(|b| is_digit(b) || **b == b'_')
            .count()
    };
    let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let mut at = run(if hex { 2 } else { 0 }, hex);
    if !hex {
        if bytes.get(at) == Some(&b'.') {
            at = run(at + 1, false);
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = run(at + 1 + sign, false);
            if end > at + 1 + sign {
                at = end;
            }
        }
    }
    let ends = !bytes
        .get(at)
        .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'.');
    (ends && at > 0).then_some(at)
}

/// The value of a number token: integers in Go's notation (`0755` is octal, `0x1f`), else a decimal float.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let fail = |reason: &str| format!("error parsing number: {} is {reason}", Quoted(text));
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
        return Err(fail("no number: _ may only stand between digits"));
    }
    let digits = text.replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16)
            .map(|n| n as f64)
            .map_err(|_| fail("out of range"));
    }
    let octal = digits.len() > 1 && digits.starts_with('0');
    if octal && let Ok(n) = i64::from_str_radix(&digits, 8) {
        return Ok(n as f64);
    }
    match digits.parse::<f64>() {
        Ok(n) if n.is_finite() => Ok(n),
        Ok(_) => Err(fail("out of range")),
        Err(_) => Err(fail("no number")),
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
    let invalid = || format!("not a valid duration string: {}", Quoted(text));
    let parsed = Duration::parse(text).map_err(|_| invalid())?;
    let seconds = parsed.as_millis() as f64 / 1000.0;
    if seconds > LONGEST_SECONDS {
        Err("duration out of range".to_owned())
    } else {
        Ok(seconds)
    }
}

/// Whether `word` looks like a duration, right or wrong: numbers and units in turn.
pub(crate) fn resembles_duration(word: &str) -> bool {
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest.get(digits..).unwrap_or("");
        let letters = match unit.as_bytes() {
            [b's' | b'm' | b'h' | b'd' | b'w' | b'y', b's', ..] => 2,
            [b's' | b'm' | b'h' | b'd' | b'w' | b'y', ..] => 1,
            _ => 0,
        };
        if digits == 0 || letters == 0 {
            return false;
        }
        rest = unit.get(letters..).unwrap_or("");
    }
    !word.is_empty()
}

/// Reads the quoted text at the start of `text`: its length in bytes with both quotes, and its value.
///
/// Double and single quotes know Go's escapes, back quotes none. A value that is no UTF-8 (`"\xff"`) is possible, so
/// it comes as bytes.
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

/// What stands between the quotes at the start of `text`, if it is closed and has no escape.
fn plain(text: &str) -> Option<&str> {
    let (quote, rest) = text.as_bytes().split_first()?;
    let ends = |b: &u8| b == quote || (*quote != b'`' && matches!(b, b'\\' | b'\n'));
    let len = rest.iter().position(ends)?;
    (quote.is_ascii() && rest.get(len) == Some(quote)).then(|| text.get(1..=len))?
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
    fn a_number_ends_where_no_word_could_go_on() {
        for (text, len) in [
            ("5.5 ", Some(3)),
            ("5e3]", Some(3)),
            ("5e-3)", Some(4)),
            ("0x1f+", Some(4)),
            ("5m", None),
            ("5e", None),
            ("2.5.", None),
            ("100..4", None),
            ("0deadbeef", None),
        ] {
            assert_eq!(number_len(text), len, "{text}");
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
            (r#""\'""#, "unknown escape sequence U+0027 '''"),
        ] {
            assert_eq!(quoted(text).unwrap_err(), message, "{text}");
        }
    }
}
