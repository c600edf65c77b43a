//! Numbers as Go prints them.

use std::fmt;

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
        let v = self.0;
        if v.is_nan() {
            return f.write_str("NaN");
        }
        if v.is_infinite() {
            return f.write_str(if v > 0.0 { "+Inf" } else { "-Inf" });
        }
        let text = format!("{v:e}");
        let Some((mantissa, exponent)) = text.split_once('e') else {
            return f.write_str(&text);
        };
        if exponent.parse().is_ok_and(|exponent: i32| (-4..6).contains(&exponent)) {
            return write!(f, "{v}");
        }
        let (sign, digits) = exponent
            .strip_prefix('-')
            .map_or(('+', exponent), |digits| ('-', digits));
        write!(f, "{mantissa}e{sign}{digits:0>2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(general(v).to_string(), text);
        }
    }
}
