//! What a query cost.

use leadline_model::Timestamp;
use leadline_model::number::push_plain;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use std::io;

/// Counters of one query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryStats {
    /// Series that selectors of the expression matched, each time they were read.
    pub series_read: u64,
    /// Samples that were decoded from the store.
    pub samples_read: u64,
    /// Most samples that were held in memory at once.
    pub peak_samples: u64,
    /// Aggregations that were answered series by series, from groups that the store told.
    pub streamed: u64,
    /// Whether it ran on the caller's thread.
    pub inline: bool,
    /// How long the query waited for its turn, microseconds.
    pub queued_us: u64,
    /// How long it took until the evaluation could begin, microseconds. Series are selected where they are read, so that is
    /// no part of it.
    pub prepare_us: u64,
    /// How long the tree's evaluation took, microseconds.
    pub inner_us: u64,
    /// How long its value was put in order for the answer, microseconds.
    pub sort_us: u64,
    /// How long the three took, microseconds.
    pub eval_us: u64,
    /// What was consumed, where it was asked for ([`Counting`]).
    pub consumed: Option<Consumed>,
}

/// Whether the samples that an expression consumes are counted: that costs a second look at each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Counting {
    /// They are not.
    #[default]
    Off,
    /// Over all steps.
    Sums,
    /// Also for each step.
    Steps,
}

/// The samples that an expression consumes, histograms by their weight (`util/stats/query_stats.go`, QuerySamples). Unlike
/// [`QueryStats::samples_read`] it says nothing of the store: a sample counts wherever a step sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Consumed {
    /// What each step by itself would consume, so that samples in several windows count several times.
    pub total: u64,
    /// The same, with what a step shares with the one before it counted once.
    pub read: u64,
    /// Both of each step, where that was asked for.
    pub steps: Vec<StepConsumed>,
}

/// What one step consumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepConsumed {
    /// The step's time, ms.
    pub t: Timestamp,
    /// As [`Consumed::total`].
    pub total: u64,
    /// As [`Consumed::read`].
    pub read: u64,
}

/// Writes JSON with numbers as Go's `encoding/json` has them: no exponent from 1e-6 on, where other writers have one below
/// 1e-5.
#[derive(Debug, Clone, Copy, Default)]
pub struct NumbersOfGo;

impl Formatter for NumbersOfGo {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        // What is smaller or larger is no time, and is right in any notation.
        if (1e-6..1e21).contains(&value.abs()) {
            let mut text = String::new();
            push_plain(&mut text, value);
            writer.write_all(text.as_bytes())
        } else {
            CompactFormatter.write_f64(writer, value)
        }
    }
}

/// The counters as the API and the query log tell them (`util/stats/query_stats.go`, BuiltinStats), to be written with
/// [`NumbersOfGo`].
#[derive(Debug, Serialize)]
pub struct Shown {
    timings: Timings,
    samples: Samples,
}

/// Seconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Timings {
    eval_total_time: Seconds,
    result_sort_time: Seconds,
    query_preparation_time: Seconds,
    inner_eval_time: Seconds,
    exec_queue_time: Seconds,
    exec_total_time: Seconds,
}

/// Pairs of a time and a count.
type PerStep = Vec<(Seconds, u64)>;

/// Seconds, whole ones without a fraction, as Go writes numbers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Seconds {
    Whole(i64),
    Part(f64),
}

impl Seconds {
    fn of(t: Timestamp) -> Self {
        if t % 1000 == 0 {
            Self::Whole(t / 1000)
        } else {
            Self::Part(t as f64 / 1000.0)
        }
    }

    /// Of microseconds.
    fn of_micros(us: u64) -> Self {
        match i64::try_from(us / 1_000_000) {
            Ok(seconds) if us.is_multiple_of(1_000_000) => Self::Whole(seconds),
            _ => Self::Part(us as f64 / 1e6),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Samples {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    total_queryable_samples_per_step: PerStep,
    total_queryable_samples: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples_read_per_step: PerStep,
    samples_read: u64,
    series_touched: u64,
    peak_samples: u64,
}

impl QueryStats {
    /// The counters in Prometheus' names and order, times in seconds.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let seconds = Seconds::of_micros;
        let (total, read, steps) = match &self.consumed {
            Some(consumed) => (consumed.total, consumed.read, consumed.steps.as_slice()),
            None => (0, 0, [].as_slice()),
        };
        let per_step = |count: fn(&StepConsumed) -> u64| -> PerStep {
            steps.iter().map(|step| (Seconds::of(step.t), count(step))).collect()
        };
        Shown {
            timings: Timings {
                eval_total_time: seconds(self.eval_us),
                result_sort_time: seconds(self.sort_us),
                query_preparation_time: seconds(self.prepare_us),
                inner_eval_time: seconds(self.inner_us),
                exec_queue_time: seconds(self.queued_us),
                exec_total_time: seconds(self.queued_us.saturating_add(self.eval_us)),
            },
            samples: Samples {
                total_queryable_samples_per_step: per_step(|step| step.total),
                total_queryable_samples: total,
                samples_read_per_step: per_step(|step| step.read),
                samples_read: read,
                series_touched: self.series_read,
                peak_samples: self.peak_samples,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_below_ten_microseconds_have_no_exponent() {
        for (us, text) in [
            (0, "0"),
            (1, "0.000001"),
            (9, "0.000009"),
            (10, "0.00001"),
            (23, "0.000023"),
            (1_500_000, "1.5"),
            (2_000_000, "2"),
        ] {
            let mut out = Vec::new();
            let mut to = serde_json::Serializer::with_formatter(&mut out, NumbersOfGo);
            Seconds::of_micros(us).serialize(&mut to).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text, "{us}");
        }
    }
}
