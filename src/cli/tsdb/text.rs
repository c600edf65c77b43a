//! Times, sizes and labels as Go prints them, so that output can be compared with promtool's.

use leadline_model::Timestamp;
use leadline_model::labels::{Labels, is_identifier};
use leadline_model::quote::Quoted;
use std::fmt::{self, Write};

/// A length of time (ms) as `time.Duration` writes itself: `2h0m0s`, `1m30.5s`, `369ms`.
pub(super) struct Span(pub(super) i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_char('-')?;
        }
        let ms = self.0.unsigned_abs();
        if ms == 0 {
            return f.write_str("0s");
        }
        if ms < 1000 {
            return write!(f, "{ms}ms");
        }
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if ms >= 60_000 {
            write!(f, "{minutes}m")?;
        }
        let fraction = format!("{:03}", ms % 1000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{seconds}s"),
            digits => write!(f, "{seconds}.{digits}s"),
        }
    }
}

/// A time (ms) as people read it: `2026-11-22 10:46:19 +0000 UTC`; milliseconds are cut off.
pub(super) struct Moment(pub(super) Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Towards zero, as upstream divides.
        match time::OffsetDateTime::from_unix_timestamp(self.0 / 1000) {
            Ok(at) => {
                let (date, time) = (at.date(), at.time());
                write!(
                    f,
                    "{:04}-{:02}-{:02} {:02}:{:02}:{:02} +0000 UTC",
                    date.year(),
                    u8::from(date.month()),
                    date.day(),
                    time.hour(),
                    time.minute(),
                    time.second()
                )
            }
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// Bytes as people read them: `85KiB156B`.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        for (shift, unit) in [
            (60, "EiB"),
            (50, "PiB"),
            (40, "TiB"),
            (30, "GiB"),
            (20, "MiB"),
            (10, "KiB"),
            (0, "B"),
        ] {
            match (self.0 >> shift) & 0x3ff {
                0 => {}
                n => write!(f, "{n}{unit}")?,
            }
        }
        Ok(())
    }
}

/// Labels as `promtool tsdb dump` writes them: `{__name__="up", job="a"}`; names that are no identifiers are quoted.
pub(super) struct Braced<'a>(pub(super) &'a Labels);

impl fmt::Display for Braced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (i, (name, value)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_identifier(name, false) {
                f.write_str(name)?;
            } else {
                Quoted(name).fmt(f)?;
            }
            write!(f, "={}", Quoted(value))?;
        }
        f.write_char('}')
    }
}

/// Labels as `promtool tsdb dump-openmetrics` writes them: `up{job="a",zone="b"}`.
pub(super) struct Exposed<'a>(pub(super) &'a Labels);

impl fmt::Display for Exposed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())?;
        f.write_char('{')?;
        let others = self.0.iter().filter(|(name, _)| *name != leadline_model::labels::NAME);
        for (i, (name, value)) in others.enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{name}={}", Quoted(value))?;
        }
        f.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_look_as_go_prints_them() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (369, "369ms"),
            (1000, "1s"),
            (40_258, "40.258s"),
            (59_630, "59.63s"),
            (60_000, "1m0s"),
            (90_500, "1m30.5s"),
            (7_200_000, "2h0m0s"),
            (180_000_001, "50h0m0.001s"),
            (-1500, "-1.5s"),
        ] {
            assert_eq!(Span(ms).to_string(), text);
        }
    }

    #[test]
    fn sizes_and_moments_are_for_people() {
        for (n, text) in [
            (0, "0B"),
            (87_196, "85KiB156B"),
            (1 << 20, "1MiB"),
            (1023, "1023B"),
            (u64::MAX, "15EiB1023PiB1023TiB1023GiB1023MiB1023KiB1023B"),
        ] {
            assert_eq!(Bytes(n).to_string(), text);
        }
        assert_eq!(Moment(1_795_344_379_742).to_string(), "2026-11-22 10:46:19 +0000 UTC");
        assert_eq!(Moment(0).to_string(), "1970-01-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn labels_have_two_forms() {
        let labels = Labels::from_pairs([("__name__", "up"), ("a.b", "c\"d"), ("job", "x")]);
        assert_eq!(Braced(&labels).to_string(), r#"{__name__="up", "a.b"="c\"d", job="x"}"#);
        assert_eq!(Exposed(&labels).to_string(), r#"up{a.b="c\"d",job="x"}"#);
    }
}
