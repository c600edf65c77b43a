//! Numbers as Go prints them.

use std::fmt::{self, Write};
use std::ops::Range;

/// A float as Go's `%g` prints it: the shortest digits that read back, in scientific notation where the exponent is
/// below -4 or at least 6 (`strconv`, `%g` and `%v`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct General(f64);

/// `v` as Go's `%g` prints it.
#[must_use]
pub fn general(v: f64) -> General {
    General(v)
}

impl fmt::Display for General {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match finite(self.0).map(Decimal::of) {
            Ok(decimal) if (-4..6).contains(&decimal.exponent()) => decimal.plain(f),
            Ok(decimal) => decimal.scientific(f),
            Err(word) => f.write_str(word),
        }
    }
}

/// Up to here (2^53) a whole number is the shortest text of itself: its neighbours are no further than 1.
const WHOLE: u64 = 1 << 53;

/// Sizes whose shortest text has no exponent.
const MODERATE: Range<f64> = 1e-4..1e15;

/// Appends a float as Go's `strconv` prints it in format `f`: the shortest digits that read back, and no exponent.
pub fn push_plain(out: &mut String, v: f64) {
    let whole = v as i64;
    if whole as f64 == v && whole.unsigned_abs() < WHOLE && (whole != 0 || v.is_sign_positive()) {
        push_whole(out, whole);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    if MODERATE.contains(&v.abs()) {
        // No exponent, and no whole number, which would end in `.0`.
        out.push_str(buffer.format_finite(v));
        return;
    }
    let v = match finite(v) {
        Ok(v) => v,
        Err(word) => return out.push_str(word),
    };
    let text = buffer.format_finite(v);
    if text.bytes().any(|b| b == b'e') {
        let written = Decimal::read(text).plain(out);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    } else {
        out.push_str(text.strip_suffix(".0").unwrap_or(text));
    }
}

/// Appends a float as Go's `strconv` prints it in format `e`: the shortest digits that read back, a sign and at least two
/// digits of exponent.
pub fn push_scientific(out: &mut String, v: f64) {
    let written = match finite(v) {
        Ok(v) => Decimal::of(v).scientific(out),
        Err(word) => out.write_str(word),
    };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

/// Appends a whole number.
pub fn push_whole(out: &mut String, n: i64) {
    out.push_str(itoa::Buffer::new().format(n));
}

/// A finite float; of others the word for them.
fn finite(v: f64) -> Result<f64, &'static str> {
    if v.is_nan() {
        return Err("NaN");
    }
    if v.is_infinite() {
        return Err(if v > 0.0 { "+Inf" } else { "-Inf" });
    }
    Ok(v)
}

/// The fewest digits that name a float, of those the nearest, of two that are as near the even one: `0.digits * 10^point`.
/// The standard library takes the odd one as well.
struct Decimal {
    negative: bool,
    digits: [u8; 17],
    len: usize,
    point: i32,
}

impl Decimal {
    /// Of a finite float.
    fn of(v: f64) -> Self {
        Self::read(zmij::Buffer::new().format_finite(v))
    }

    /// Of what the shortest text is: digits with or without a point, and an exponent.
    fn read(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut decimal = Self {
            negative,
            digits: [b'0'; 17],
            len: 0,
            point: whole.len() as i32 + exponent.parse::<i32>().unwrap_or(0),
        };
        for digit in whole.bytes().chain(fraction.bytes()) {
            if decimal.len == 0 && digit == b'0' {
                decimal.point -= 1;
            } else if let Some(place) = decimal.digits.get_mut(decimal.len) {
                *place = digit;
                decimal.len += 1;
            }
        }
        let used = decimal.digits.get(..decimal.len).unwrap_or_default();
        decimal.len -= used.iter().rev().take_while(|&&digit| digit == b'0').count();
        if decimal.len == 0 {
            decimal.len = 1;
            decimal.point = 1;
        }
        decimal
    }

    /// The exponent of scientific notation.
    fn exponent(&self) -> i32 {
        self.point - 1
    }

    fn digits(&self) -> &str {
        let digits = self.digits.get(..self.len).unwrap_or_default();
        std::str::from_utf8(digits).unwrap_or_default()
    }

    fn plain(&self, out: &mut impl Write) -> fmt::Result {
        let digits = self.digits();
        if self.negative {
            out.write_char('-')?;
        }
        let Ok(point) = usize::try_from(self.point) else {
            return write!(
                out,
                "0.{:0>1$}",
                digits,
                digits.len() + self.point.unsigned_abs() as usize
            );
        };
        match digits.split_at_checked(point) {
            Some(("", fraction)) => write!(out, "0.{fraction}"),
            Some((whole, "")) => out.write_str(whole),
            Some((whole, fraction)) => write!(out, "{whole}.{fraction}"),
            None => write!(out, "{digits:0<point$}"),
        }
    }

    fn scientific(&self, out: &mut impl Write) -> fmt::Result {
        let digits = self.digits();
        if self.negative {
            out.write_char('-')?;
        }
        out.write_str(digits.get(..1).unwrap_or_default())?;
        match digits.get(1..) {
            None | Some("") => {}
            Some(rest) => write!(out, ".{rest}")?,
        }
        let sign = if self.exponent() < 0 { '-' } else { '+' };
        write!(out, "e{sign}{:02}", self.exponent().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The digits by another algorithm, in format `f`.
    fn by_ryu(v: f64) -> String {
        let mut out = String::new();
        let mut buffer = ryu::Buffer::new();
        match finite(v) {
            Ok(v) => Decimal::read(buffer.format_finite(v)).plain(&mut out).unwrap(),
            Err(word) => out.push_str(word),
        }
        out
    }

    fn plain(v: f64) -> String {
        let mut out = String::new();
        push_plain(&mut out, v);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_float_has_the_digits_that_two_algorithms_agree_on(
            bits in any::<u64>(), whole in any::<i64>(), cents in any::<i32>(), power in 0u32..64,
        ) {
            let floats = [
                f64::from_bits(bits),
                whole as f64,
                (whole >> power) as f64,
                f64::from(cents) / 100.0,
                f64::from(cents) / 60.0,
                f64::from(cents) / 1e13,
                (whole >> power) as f64 / 1024.0,
            ];
            for v in floats {
                let text = plain(v);
                prop_assert_eq!(&text, &by_ryu(v), "{:?}", v);
                if !v.is_nan() {
                    prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits());
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_written_alike_on_both_sides_of_the_bound() {
        let bound = WHOLE as f64;
        for v in [0.0, 1.0, 9.0, 1e15, bound - 1.0, bound, bound + 2.0, 1e16, 1e19, 1e22] {
            for v in [v, -v] {
                assert_eq!(plain(v), by_ryu(v), "{v:?}");
            }
        }
    }

    #[test]
    fn floats_are_printed_as_go_prints_them() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1e5, "100000"),
            (1e6, "1e+06"),
            (123_456.789, "123456.789"),
            (123_456_789.0, "1.23456789e+08"),
            (-2_000_001.0, "-2.000001e+06"),
            (1e21, "1e+21"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (2.5e-300, "2.5e-300"),
            (0.5, "0.5"),
            (0.001_25, "0.00125"),
            (100.25, "100.25"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(general(v).to_string(), text);
        }
    }

    #[test]
    fn the_plain_format_has_no_exponent() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (-1.5, "-1.5"),
            (1e-7, "0.0000001"),
            (1.25e-3, "0.00125"),
            (1e22, "10000000000000000000000"),
            (123_456_789.125, "123456789.125"),
            // Half way between two with as many digits: the even one.
            (1_014_259_132_667.781_2, "1014259132667.7812"),
            (188_802_231_873_116.12, "188802231873116.12"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::new();
            push_plain(&mut out, v);
            assert_eq!(out, text);
            assert!(v.is_nan() || out.parse::<f64>().unwrap().to_bits() == v.to_bits());
        }
    }
}
