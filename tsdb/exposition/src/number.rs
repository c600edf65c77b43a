//! Numbers as Go reads and writes them.

use leadline_model::sample::NORMAL_NAN_BITS;

/// Reads a float as Go's `strconv.ParseFloat` does without its hexadecimal forms and underscores.
///
/// `Inf`, `Infinity` and `NaN` are taken in any case, the first two with a sign; a number too large for a float is
/// refused; every NaN becomes the ordinary one.
#[inline]
#[must_use]
pub fn parse_float(text: &[u8]) -> Option<f64> {
    match small_integer(text) {
        Some(n) => Some(n),
        None => general(text),
    }
}

/// Most exposed values are short whole numbers: up to 15 digits fit a float exactly.
#[inline]
fn small_integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut n = 0u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + u64::from(digit);
    }
    Some(n as f64)
}

fn general(text: &[u8]) -> Option<f64> {
    let unsigned = match text.first()? {
        b'+' | b'-' => &text[1..],
        _ => text,
    };
    match unsigned.first()? {
        b'0'..=b'9' | b'.' => {}
        _ => return special(text, unsigned),
    }
    // The float reader overflows to infinity where Go refuses.
    fast_float2::parse::<f64, _>(unsigned)
        .ok()
        .filter(|v| v.is_finite())
        .map(|v| if text[0] == b'-' { -v } else { v })
}

fn special(text: &[u8], unsigned: &[u8]) -> Option<f64> {
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(if text[0] == b'-' {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        });
    }
    text.eq_ignore_ascii_case(b"nan")
        .then_some(f64::from_bits(NORMAL_NAN_BITS))
}

/// Writes a float as Prometheus 3 normalises `le` and `quantile` (`labels.FormatOpenMetricsFloat`): Go's shortest `%g`,
/// with `.0` where that shows neither a point nor an exponent.
#[must_use]
pub fn format_float(v: f64) -> String {
    let text = leadline_model::number::general(v).to_string();
    if v.is_finite() && !text.contains(['.', 'e']) {
        text + ".0"
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("42", Some(42.0)),
            ("+42", Some(42.0)),
            ("-0.5", Some(-0.5)),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            ("1e3", Some(1000.0)),
            ("1E-3", Some(0.001)),
            ("999999999999999", Some(999_999_999_999_999.0)),
            ("12345678901234567890", Some(12_345_678_901_234_567_000.0)),
            ("inf", Some(f64::INFINITY)),
            ("+Inf", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            ("1e400", None),
            ("-1e400", None),
            ("+nan", None),
            ("infi", None),
            ("0x1p-2", None),
            ("0x10", None),
            ("1_000", None),
            ("", None),
            ("+", None),
            ("++1", None),
            ("+-1", None),
            (".", None),
            ("1e", None),
            ("1\r", None),
            ("1 ", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), expected, "{text:?}");
        }
        for text in ["NaN", "nan", "NAN"] {
            assert_eq!(
                parse_float(text.as_bytes()).map(f64::to_bits),
                Some(NORMAL_NAN_BITS),
                "{text}"
            );
        }
    }

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (v, text) in [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-1.0, "-1.0"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (123_456.5, "123456.5"),
            (2.5e-5, "2.5e-05"),
            (0.0001, "0.0001"),
            (0.99, "0.99"),
            (1e21, "1e+21"),
            (1e-7, "1e-07"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_float(v), text);
        }
    }
}
