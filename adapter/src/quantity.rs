//! Numbers as Kubernetes writes them: `resource.Quantity` in its canonical DecimalSI form
//! (`k8s.io/apimachinery`, `pkg/api/resource/quantity.go`).

use std::fmt;

/// A quantity in thousandths: the precision in which the HPA reads metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Milli(pub i64);

/// A number that was turned into thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    /// The quantity.
    pub milli: Milli,
    /// Whether the number was beyond what fits, ±(2^63-1) thousandths (about 9.22e15), and was cut to it.
    pub clamped: bool,
}

/// 2^63 as a float: the first number that does not fit.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;

impl Milli {
    /// Rounds to the nearest thousandth, halves to even; what is above zero never becomes zero, because a queue that
    /// holds a little is not empty. `None` for NaN. Infinities are cut as too large.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Converted> {
        if value.is_nan() {
            return None;
        }
        if value > 0.0 && value < 0.001 {
            return Some(Converted {
                milli: Self(1),
                clamped: false,
            });
        }
        let thousandths = (value * 1000.0).round_ties_even();
        if thousandths >= TOO_LARGE {
            return Some(Converted {
                milli: Self(i64::MAX),
                clamped: true,
            });
        }
        if thousandths <= -TOO_LARGE {
            #[cfg(feature = "planted")]
            leadline_model::planted::trap(true);
            return Some(Converted {
                milli: Self(-i64::MAX),
                clamped: true,
            });
        }
        Some(Converted {
            milli: Self(thousandths as i64),
            clamped: false,
        })
    }

    /// Both together, cut to what fits.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0).max(-i64::MAX))
    }
}

/// The largest suffix that leaves an integer: `1500m`, `2`, `1k`, `1234567`.
impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SUFFIXES: [&str; 8] = ["m", "", "k", "M", "G", "T", "P", "E"];
        let (mut number, mut exponent) = (self.0, 0);
        if number == 0 {
            return f.write_str("0");
        }
        while number % 1000 == 0 && exponent + 1 < SUFFIXES.len() {
            number /= 1000;
            exponent += 1;
        }
        write!(f, "{number}{}", SUFFIXES[exponent])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_canonical_decimal_si() {
        for (milli, text) in [
            (0, "0"),
            (1, "1m"),
            (100, "100m"),
            (1_500, "1500m"),
            (2_000, "2"),
            (-500, "-500m"),
            (-2_000, "-2"),
            (1_000_000, "1k"),
            (1_500_000, "1500"),
            (1_234_567_000, "1234567"),
            (20_302, "20302m"),
            (1_000_000_000, "1M"),
            (5_000_000_000_000_000_000, "5P"),
            (i64::MAX, "9223372036854775807m"),
            (-i64::MAX, "-9223372036854775807m"),
        ] {
            assert_eq!(Milli(milli).to_string(), text);
        }
    }

    #[test]
    fn numbers_round_half_to_even_and_a_little_is_never_nothing() {
        for (value, milli, clamped) in [
            (0.0, 0, false),
            (-0.0, 0, false),
            (1.5, 1_500, false),
            (1.001, 1_001, false),
            (0.0009, 1, false),
            (1e-300, 1, false),
            (0.0015, 2, false),
            (0.0025, 2, false),
            (-0.0004, 0, false),
            (-0.0006, -1, false),
            (0.1, 100, false),
            (20.302, 20_302, false),
            (9.3e15, i64::MAX, true),
            (-9.3e15, -i64::MAX, true),
            (f64::INFINITY, i64::MAX, true),
            (f64::NEG_INFINITY, -i64::MAX, true),
        ] {
            let expected = Some(Converted {
                milli: Milli(milli),
                clamped,
            });
            assert_eq!(Milli::from_f64(value), expected, "{value}");
        }
        assert_eq!(Milli::from_f64(f64::NAN), None);
    }

    #[test]
    fn no_three_decimal_number_below_a_hundred_loses_a_thousandth() {
        for milli in 0..100_000_i64 {
            let value: f64 = format!("{}.{:03}", milli / 1000, milli % 1000).parse().unwrap();
            assert_eq!(Milli::from_f64(value).unwrap().milli, Milli(milli), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number_becomes_a_quantity_that_parses_back(value in proptest::num::f64::ANY) {
            if let Some(converted) = Milli::from_f64(value) {
                let text = converted.milli.to_string();
                let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
                let exponent = ["m", "", "k", "M", "G", "T", "P", "E"].iter().position(|s| *s == &text[digits.len()..]);
                let back = digits.parse::<i64>().unwrap() * 1000_i64.pow(u32::try_from(exponent.unwrap()).unwrap());
                proptest::prop_assert!(back == converted.milli.0);
            }
        }
    }
}
