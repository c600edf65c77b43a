//! Numbers in Prometheus' JSON: times as seconds, values as quoted text.

use leadline_model::Timestamp;
use leadline_model::number::{push_plain, push_scientific, push_whole};

/// Appends a time (ms) as JSON seconds with three decimals where it has a fraction (`util/jsonutil`, MarshalTimestamp).
pub fn push_timestamp(out: &mut String, t: Timestamp) {
    let (seconds, ms) = (t / 1000, (t % 1000).unsigned_abs());
    if seconds == 0 && t < 0 {
        out.push('-');
    }
    push_whole(out, seconds);
    if ms > 0 {
        out.push('.');
        for digit in [ms / 100, ms / 10 % 10, ms % 10] {
            out.push(char::from(b'0' + digit as u8));
        }
    }
}

/// Appends a value as quoted JSON text (`util/jsonutil`, MarshalFloat): the shortest digits that read back, in
/// scientific notation below 1e-6 and from 1e21 on.
pub fn push_float(out: &mut String, v: f64) {
    out.push('"');
    push_number(out, v);
    out.push('"');
}

/// The same without the quotes.
pub(crate) fn push_number(out: &mut String, v: f64) {
    let size = v.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        push_scientific(out, v);
    } else {
        push_plain(out, v);
    }
}

/// Appends a time (ms) as JSON seconds with as many decimals as it needs, as Go prints floats (`promql/value.go`: the times
/// of scalars and strings).
pub(crate) fn push_short_timestamp(out: &mut String, t: Timestamp) {
    push_timestamp(out, t);
    if t % 1000 != 0 {
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// A time (ms) as RFC 3339 in UTC; the civil date is Howard Hinnant's `civil_from_days`.
#[must_use]
pub fn rfc3339(t: Timestamp) -> String {
    let (days, ms) = (t.div_euclid(86_400_000), t.rem_euclid(86_400_000));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * m + 2) / 5 + 1, if m < 10 { m + 3 } else { m - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, min, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{min:02}:{s:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (1e-6, "0.000001"),
            (-2.5e300, "-2.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::new();
            push_float(&mut out, v);
            assert_eq!(out, format!("\"{text}\""));
        }
    }

    #[test]
    fn dates_are_utc() {
        assert_eq!(rfc3339(1_435_781_430_781), "2015-07-01T20:10:30.781Z");
        assert_eq!(rfc3339(951_825_600_000), "2000-02-29T12:00:00.000Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn times_are_seconds_with_three_decimals() {
        for (t, text) in [
            (0, "0"),
            (1_500, "1.500"),
            (1_435_781_430_781, "1435781430.781"),
            (-50, "-0.050"),
            (-2_007, "-2.007"),
            (i64::MIN, "-9223372036854775.808"),
            (i64::MAX, "9223372036854775.807"),
            (7_000, "7"),
        ] {
            let mut out = String::new();
            push_timestamp(&mut out, t);
            assert_eq!(out, text);
            out.clear();
            push_short_timestamp(&mut out, t);
            assert_eq!(out.parse::<f64>().unwrap(), t as f64 / 1000.0);
            assert!(t % 1000 == 0 || !out.ends_with('0'));
        }
    }
}
