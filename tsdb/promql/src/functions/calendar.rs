//! Functions over dates, UTC: `hour`, `day_of_week`, `days_in_month`, ...

use leadline_model::Timestamp;

/// A date and a time of day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    year: i64,
    /// 1..=12.
    month: i64,
    /// 1..=31.
    day: i64,
    /// Days since 1970-01-01.
    days: i64,
    /// Second of the day.
    second: i64,
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Seconds from where Go's calendar begins (1 March of the year -292277022400) to the epoch (`time`, unixToAbsolute).
const BEFORE_THE_EPOCH: i64 = 9_223_372_028_741_760_000;

impl Civil {
    /// Of seconds since the epoch. What is before the beginning of Go's calendar, which counts in 64 bits without a sign, is
    /// 2^64 seconds later there.
    pub(crate) fn of(seconds: i64) -> Self {
        let later = if seconds < -BEFORE_THE_EPOCH { 1_i128 << 64 } else { 0 };
        let seconds = i128::from(seconds) + later;
        // Both fit: 2^64 seconds are less than 2^48 days.
        let (days, second) = (seconds.div_euclid(86_400) as i64, seconds.rem_euclid(86_400) as i64);
        // Howard Hinnant, civil_from_days; i64 seconds leave room for the shift.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self {
            year,
            month,
            day: day_of_year - (153 * shifted + 2) / 5 + 1,
            days,
            second,
        }
    }

    fn days_in_month(self) -> i64 {
        let (year, month) = if self.month == 12 {
            (self.year + 1, 1)
        } else {
            (self.year, self.month + 1)
        };
        days_from_civil(year, month, 1) - days_from_civil(self.year, self.month, 1)
    }
}

/// Reads one part of a date.
pub(crate) type DatePart = fn(Civil) -> f64;

/// The function called `name`, if it reads a part of a date.
pub(crate) fn lookup(name: &str) -> Option<DatePart> {
    Some(match name {
        "day_of_month" => |c| c.day as f64,
        // 1970-01-01 was a Thursday; Sunday is 0.
        "day_of_week" => |c| (c.days + 4).rem_euclid(7) as f64,
        "day_of_year" => |c| (c.days - days_from_civil(c.year, 1, 1) + 1) as f64,
        "days_in_month" => |c| c.days_in_month() as f64,
        "hour" => |c| (c.second / 3_600) as f64,
        "minute" => |c| (c.second / 60 % 60) as f64,
        "month" => |c| c.month as f64,
        "year" => |c| c.year as f64,
        _ => return None,
    })
}

/// A part of the date that a value in seconds since the epoch names.
pub(crate) fn part_of(part: DatePart, seconds: f64) -> f64 {
    // A conversion of Go on amd64: whole seconds, everything that does not fit (NaN too) is the smallest number.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&seconds);
    let whole = if fits { seconds as i64 } else { i64::MIN };
    part(Civil::of(whole))
}

/// `2026-11-22T19:32:28Z` of a time in ms.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let c = Civil::of(at.div_euclid(1_000));
    let (hour, minute, second) = (c.second / 3_600, c.second / 60 % 60, c.second % 60);
    format!(
        "{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        c.year, c.month, c.day
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_dates() {
        let get = |name: &str, s: f64| part_of(lookup(name).unwrap(), s);
        // 2024-02-29T23:59:58Z, a Thursday of a leap year.
        let leap = 1_709_251_198.0;
        for (name, value) in [
            ("year", 2024.0),
            ("month", 2.0),
            ("day_of_month", 29.0),
            ("day_of_week", 4.0),
            ("day_of_year", 60.0),
            ("days_in_month", 29.0),
            ("hour", 23.0),
            ("minute", 59.0),
        ] {
            assert_eq!(get(name, leap), value, "{name}");
        }
        assert_eq!(
            (get("year", -1.0), get("day_of_week", -1.0), get("days_in_month", 0.0)),
            (1969.0, 3.0, 31.0)
        );
        assert_eq!(rfc3339(1_709_251_198_999), "2024-02-29T23:59:58Z");
    }

    /// As Prometheus 3.16 answers on amd64.
    #[test]
    fn numbers_that_are_no_dates_are_those_of_go() {
        let names = [
            "year",
            "month",
            "day_of_month",
            "hour",
            "minute",
            "day_of_week",
            "day_of_year",
            "days_in_month",
        ];
        for (x, parts) in [
            (f64::NAN, [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0]),
            (
                f64::INFINITY,
                [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0],
            ),
            (-1e300, [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0]),
            (9.3e18, [292_277_026_596.0, 12.0, 4.0, 15.0, 30.0, 0.0, 339.0, 31.0]),
        ] {
            let found = names.map(|name| part_of(lookup(name).unwrap(), x));
            assert_eq!(found, parts, "{x}");
        }
    }
}
