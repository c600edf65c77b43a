//! What is kept of an answer, to tell whether two systems agree.

use crate::error::BenchError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An answer in three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Digest {
    /// How many series.
    pub(super) series: usize,
    /// How many samples in all.
    samples: usize,
    /// Of all label sets, in no order.
    labels: u64,
    /// Finite values, each weighted by its series' labels and its place.
    weighted: f64,
    /// Finite values, whatever series they belong to.
    sum: f64,
}

/// Up to here two sums are the same in another order.
const NEAR: f64 = 1e-9;

impl Digest {
    /// Of the body of an answer.
    pub(super) fn of(body: &[u8]) -> Result<Self, BenchError> {
        let answer: Value = serde_json::from_slice(body).map_err(|e| BenchError::Unexpected(e.to_string()))?;
        let mut digest = Self {
            series: 0,
            samples: 0,
            labels: 0,
            weighted: 0.0,
            sum: 0.0,
        };
        let result = answer.pointer("/data/result").and_then(Value::as_array);
        for series in result.into_iter().flatten() {
            digest.add(series);
        }
        Ok(digest)
    }

    fn add(&mut self, series: &Value) {
        // Keys of objects come sorted.
        let key = hash(series.get("metric").unwrap_or(&Value::Null).to_string().as_bytes());
        self.series += 1;
        self.labels = self.labels.wrapping_add(key);
        let one = series.get("value").into_iter();
        let many = series.get("values").and_then(Value::as_array).into_iter().flatten();
        for (place, sample) in one.chain(many).enumerate() {
            self.samples += 1;
            let number = sample
                .get(1)
                .and_then(Value::as_str)
                .and_then(|v| v.parse::<f64>().ok());
            let weight = 1.0 + (key % 1_000) as f64 / 1_000.0 + (place % 100) as f64 / 100.0;
            let number = number.filter(|v| v.is_finite()).unwrap_or(0.0);
            self.weighted += number * weight;
            self.sum += number;
        }
    }

    /// Whether the same series have the same values, but for how sums were rounded.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.series == other.series
            && self.samples == other.samples
            && self.labels == other.labels
            && near(self.weighted, other.weighted)
    }

    /// Whether as many values are the same, of whatever series: `topk` keeps the first of equal values, and in its head
    /// Prometheus has series in the order in which they were made (`promql/engine.go`, aggregationK and populateSeries).
    pub(super) fn agrees_but_for_ties(&self, other: &Self) -> bool {
        self.samples == other.samples && near(self.sum, other.sum)
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= NEAR * a.abs().max(b.abs())
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_agree_when_series_and_values_do_in_any_order() {
        let of = |text: &str| Digest::of(format!(r#"{{"data":{{"result":[{text}]}}}}"#).as_bytes()).expect("an answer");
        let (a, b) = (
            r#"{"metric":{"a":"1"},"value":[1,"2"]}"#,
            r#"{"metric":{"a":"2"},"value":[1,"3"]}"#,
        );
        let swapped = r#"{"metric":{"a":"2"},"value":[1,"2"]},{"metric":{"a":"1"},"value":[1,"3"]}"#;
        let both = of(&format!("{a},{b}"));
        assert!(both.agrees(&of(&format!("{b},{a}"))));
        assert!(!both.agrees(&of(a)));
        assert!(!both.agrees(&of(swapped)));
        assert!(
            both.agrees_but_for_ties(&of(swapped)),
            "the same values of other series"
        );
        let other = swapped.replace("\"3\"", "\"3.0001\"");
        assert!(!both.agrees_but_for_ties(&of(&other)) && !both.agrees_but_for_ties(&of(a)));
    }
}
