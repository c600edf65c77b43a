//! What a query may cost: limits that an operator sets, that a reload changes and that a request may lower (`query-cost`;
//! `promql/engine.go`, newQuery and queryBudget).

use leadline_model::duration::Duration;

/// What one query may cost. Other than `query.max-samples`, which bounds what is held at once, this is what is read in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CostLimits {
    /// How many series it may read, those that several selectors read several times; 0 for any number.
    pub series: u64,
    /// How many samples it may consume, as [`crate::stats::Consumed::read`] counts them; 0 for any number.
    pub samples_read: u64,
    /// How long it may wait and run, instead of `query.timeout`, which may be shorter.
    pub duration: Option<Duration>,
}

impl CostLimits {
    /// None.
    pub const NONE: Self = Self {
        series: 0,
        samples_read: 0,
        duration: None,
    };

    /// The limits of a request that asks for its own: it may ask for less than an operator allows, never for more. What
    /// names no duration has `timeout`, which is as long as a request may ask for then.
    ///
    /// # Errors
    /// The limit that is above what is allowed, in Prometheus' words.
    pub fn lowered_to(self, asked: Self, timeout: Duration) -> Result<Self, String> {
        let duration = match (self.duration, asked.duration) {
            (None, None) => None,
            (own, asked) => {
                let (most, wanted) = (own.unwrap_or(timeout), asked.unwrap_or(own.unwrap_or(timeout)));
                if wanted > most {
                    return Err(above("max_query_duration", &shown(wanted), &shown(most)));
                }
                Some(wanted)
            }
        };
        Ok(Self {
            series: lowered("max_series", self.series, asked.series)?,
            samples_read: lowered("max_samples_read", self.samples_read, asked.samples_read)?,
            duration,
        })
    }
}

fn lowered(name: &str, most: u64, asked: u64) -> Result<u64, String> {
    match (most, asked) {
        (most, 0) => Ok(most),
        (0, asked) => Ok(asked),
        (most, asked) if asked <= most => Ok(asked),
        (most, asked) => Err(above(name, &asked.to_string(), &most.to_string())),
    }
}

fn above(name: &str, asked: &str, most: &str) -> String {
    format!("requested {name} of {asked} exceeds the server limit of {most}")
}

/// A duration as Go writes one: `1h0m0s`, `1.5s`, `20ms`.
fn shown(duration: Duration) -> String {
    let ms = duration.as_millis();
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, (ms % 60_000) as f64 / 1000.0);
    match ms {
        0 => "0s".to_owned(),
        ms if ms < 1000 => format!("{ms}ms"),
        ms if ms < 60_000 => format!("{seconds}s"),
        ms if ms < 3_600_000 => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(series: u64, samples_read: u64, ms: Option<i64>) -> CostLimits {
        CostLimits {
            series,
            samples_read,
            duration: ms.map(Duration::from_millis),
        }
    }

    #[test]
    fn a_request_may_lower_a_limit_and_never_raise_it() {
        let minute = Duration::from_millis(60_000);
        for (own, asked, expected) in [
            ((0, 0, None), (0, 0, None), Ok((0, 0, None))),
            ((5, 6, Some(7)), (0, 0, None), Ok((5, 6, Some(7)))),
            ((0, 0, None), (5, 6, Some(7)), Ok((5, 6, Some(7)))),
            ((5, 6, Some(7)), (5, 5, Some(6)), Ok((5, 5, Some(6)))),
            // What an operator allows may be longer than the timeout.
            ((0, 0, Some(90_000)), (0, 0, Some(80_000)), Ok((0, 0, Some(80_000)))),
            (
                (5, 0, None),
                (6, 0, None),
                Err("max_series of 6 exceeds the server limit of 5"),
            ),
            (
                (0, 5, None),
                (0, 6, None),
                Err("max_samples_read of 6 exceeds the server limit of 5"),
            ),
            (
                (0, 0, Some(1500)),
                (0, 0, Some(3_600_000)),
                Err("max_query_duration of 1h0m0s exceeds the server limit of 1.5s"),
            ),
            (
                (0, 0, None),
                (0, 0, Some(60_001)),
                Err("max_query_duration of 1m0.001s exceeds the server limit of 1m0s"),
            ),
        ] {
            let (own, asked) = (limits(own.0, own.1, own.2), limits(asked.0, asked.1, asked.2));
            let expected = match expected {
                Ok((series, samples, ms)) => Ok(limits(series, samples, ms)),
                Err(text) => Err(format!("requested {text}")),
            };
            assert_eq!(own.lowered_to(asked, minute), expected, "{own:?} {asked:?}");
        }
    }
}
