//! Times as requests write them.

use leadline_model::Timestamp;
use leadline_model::quote::Quoted;

/// What clients write who mean all times: years that have more than four digits are read in these two texts alone
/// (`web/api/v1/api.go`, `minTimeFormatted` and `maxTimeFormatted`).
const BOUNDS: [(&str, Timestamp); 2] = [
    ("-292273086-05-16T16:47:06Z", -9_223_309_901_257_974_000),
    ("292277025-08-18T07:12:54.999999999Z", 9_223_309_901_257_974_999),
];

/// Seconds that cannot be held in milliseconds any more, nor can more. At this size floats are two apart: the next below is
/// …774, which can; …775 is read as this.
const TOO_MANY_SECONDS: f64 = 9_223_372_036_854_776.0;

/// Unix seconds with an optional fraction, or RFC 3339, as ms since the epoch (`web/api/v1/api.go`, parseTime).
///
/// # Errors
/// Why it is no time, in Prometheus' words.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("cannot parse {} to a valid timestamp", Quoted(text));
    if let Ok(seconds) = text.parse::<f64>() {
        if seconds.is_nan() || seconds.abs() >= TOO_MANY_SECONDS {
            return Err(wrong());
        }
        let nanoseconds = (seconds.fract() * 1000.0).round() / 1000.0 * 1e9;
        return Ok(seconds.trunc() as Timestamp * 1000 + (nanoseconds as i64).div_euclid(1_000_000));
    }
    let bound = BOUNDS.iter().find(|(bound, _)| *bound == text).map(|(_, t)| *t);
    rfc3339(text).or(bound).ok_or_else(wrong)
}

/// `2015-07-01T20:10:51.781Z` to ms since the epoch, as Go's `time.Parse` takes it: hours may have one digit, a comma may
/// stand before the fraction, and zones may be 24 hours and 60 minutes off.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.digits(4)?;
    rest.byte(b"-")?;
    let month = rest.digits(2)?;
    rest.byte(b"-")?;
    let day = rest.digits(2)?;
    rest.byte(b"T")?;
    let hour = rest.digits(2).or_else(|| rest.digits(1))?;
    rest.byte(b":")?;
    let minute = rest.digits(2)?;
    rest.byte(b":")?;
    let second = rest.digits(2)?;
    let ms = rest.fraction()?;
    let offset_minutes = rest.zone()?;
    let in_range = rest.0.is_empty()
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = days_from_civil(year, month, day);
    let minutes = days * 1440 + hour * 60 + minute - offset_minutes;
    in_range.then_some(minutes * 60_000 + second * 1000 + ms)
}

/// What was not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Passes one of these bytes.
    fn byte(&mut self, wanted: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        wanted.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Passes a number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        Some(digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0')))
    }

    /// Passes a fraction of a second, if one stands here, and cuts it off behind the milliseconds.
    fn fraction(&mut self) -> Option<i64> {
        if self.byte(b".,").is_none() {
            return Some(0);
        }
        let len = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(len).filter(|_| len > 0)?;
        self.0 = rest;
        let three = digits.iter().chain(b"000").take(3);
        Some(three.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0')))
    }

    /// Passes a time zone: how many minutes its clocks are ahead.
    fn zone(&mut self) -> Option<i64> {
        let sign = match self.byte(b"Z+-")? {
            b'Z' => return Some(0),
            b'-' => -1,
            _ => 1,
        };
        let hours = self.digits(2)?;
        self.byte(b":")?;
        let minutes = self.digits(2)?;
        (hours <= 24 && minutes <= 60).then_some(sign * (hours * 60 + minutes))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch (Howard Hinnant's `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unix_seconds_or_rfc3339() {
        for (text, ms) in [
            ("1435781430.781", 1_435_781_430_781),
            ("2015-07-01T20:10:30.781Z", 1_435_781_430_781),
            ("2015-07-01T20:10:30.7819Z", 1_435_781_430_781),
            ("2015-07-01T20:10:30,781Z", 1_435_781_430_781),
            ("2015-07-01T20:10:30.5Z", 1_435_781_430_500),
            ("2015-07-01T22:10:30.781+02:00", 1_435_781_430_781),
            ("2015-07-02T21:10:30.781+24:60", 1_435_781_430_781),
            ("2015-07-01T5:10:30Z", 1_435_727_430_000),
            ("1970-01-01T00:00:00Z", 0),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("-1", -1000),
            ("-292273086-05-16T16:47:06Z", -9_223_309_901_257_974_000),
            ("292277025-08-18T07:12:54.999999999Z", 9_223_309_901_257_974_999),
            ("-9223309901257974", -9_223_309_901_257_974_000),
            ("9223309901257975", 9_223_309_901_257_976_000),
            ("9223372036854774", 9_223_372_036_854_774_000),
            ("-9223372036854774", -9_223_372_036_854_774_000),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_no_calendar_or_clock_has_is_no_time() {
        for text in [
            "",
            "now",
            "2015-13-01T00:00:00Z",
            "2015-00-01T00:00:00Z",
            "2026-02-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-04-00T00:00:00Z",
            "2026-04-01T24:00:00Z",
            "2026-04-01T00:60:00Z",
            "2026-04-01T00:00:60Z",
            "2026-04-01T00:00:00",
            "2026-04-01T00:00:00.Z",
            "2026-04-01T00:00:0Z",
            "2026-4-01T00:00:00Z",
            "+026-04-01T00:00:00Z",
            "2026-04-01t00:00:00Z",
            "2026-04-01T00:00:00z",
            "2026-04-01T00:00:00Zulu",
            "2026-04-01T00:00:00+25:00",
            "2026-04-01T00:00:00+00:61",
            "2026-04-01T00:00:00+0:00",
            "2015-07-01T00:00:00+9223372036854775807:00",
            "2015-07-01",
            "12015-07-01T00:00:00Z",
            "NaN",
            "Inf",
            "1e300",
            "9223372036854776000",
            "9223372036854775",
            "-9223372036854775",
            "9223372036854776",
            "-9223372036854776",
        ] {
            assert_eq!(
                parse_time(text),
                Err(format!("cannot parse {text:?} to a valid timestamp"))
            );
        }
    }
}
