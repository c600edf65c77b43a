//! `--query.*`: the limits of queries.

use clap::{Args, value_parser};
use leadline_model::duration::Duration;
use leadline_promql::settings::Settings;
use leadline_promql::syntax::Features;

/// Flags with Prometheus' names and defaults (`cmd/prometheus/main.go`).
#[derive(Debug, Args)]
pub(crate) struct Queries {
    /// How old the newest sample of a series may be for an expression to see it, where a request does not say.
    #[arg(long = "query.lookback-delta", default_value = "5m", value_name = "DURATION", value_parser = positive)]
    lookback: Duration,
    /// The longest that a query may wait and run; a request may ask for less.
    #[arg(long = "query.timeout", default_value = "2m", value_name = "DURATION", value_parser = positive)]
    timeout: Duration,
    /// The most queries that run at the same time; more of them wait for their turn.
    #[arg(long = "query.max-concurrency", default_value_t = 20, value_name = "N", value_parser = value_parser!(u32).range(1..=MOST_AT_ONCE))]
    max_concurrency: u32,
    /// The most samples that one query may hold in memory; one that would hold more fails. It also limits what a query can
    /// answer.
    #[arg(long = "query.max-samples", default_value_t = 50_000_000, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    max_samples: u64,
}

/// The most queries at the same time: each has a kilobyte in the file of running queries, which is read as a whole at the next
/// start.
pub(super) const MOST_AT_ONCE: i64 = 4_000;

/// A duration in Prometheus' form that is longer than nothing.
fn positive(text: &str) -> Result<Duration, String> {
    let duration = Duration::parse(text).map_err(|error| error.to_string())?;
    match duration.as_millis() > 0 {
        true => Ok(duration),
        false => Err("a duration greater than 0 was expected".to_owned()),
    }
}

impl Queries {
    /// The engine's settings, with these parts of the language.
    pub(crate) fn settings(&self, features: Features) -> Settings {
        Settings {
            lookback_ms: self.lookback.as_millis(),
            timeout: self.timeout,
            max_samples: usize::try_from(self.max_samples).unwrap_or(usize::MAX),
            max_concurrency: usize::try_from(self.max_concurrency).unwrap_or(usize::MAX),
            features,
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        queries: Queries,
    }

    #[test]
    fn without_flags_the_limits_are_prometheus() {
        let flags = Flags::try_parse_from(["x"]).unwrap();
        assert_eq!(flags.queries.settings(Features::NONE), Settings::default());
    }
}
