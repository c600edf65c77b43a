//! Metric lists as JSON, field by field (`k8s.io/metrics`, `pkg/apis/{custom_metrics,external_metrics}`).

use crate::query::Answer;
use leadline_cluster::{MappedResource, Operator, Selector};
use leadline_model::{Labels, Timestamp};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Writes a `MetricValueList` of one version.
pub struct CustomList {
    out: String,
    /// Everything of an item up to the object's name.
    head: String,
    /// From the name to the timestamp.
    middle: String,
    /// From the timestamp to the value.
    tail: String,
    /// What ends an item.
    end: String,
    stamp: Stamp,
    items: usize,
}

/// What all items of a list share.
pub struct Common<'a> {
    /// `v1beta1` or `v1beta2`.
    pub version: &'a str,
    /// Kind of the objects.
    pub kind: &'a MappedResource,
    /// Their namespace; absent for kinds without.
    pub namespace: Option<&'a str>,
    /// The metric's name.
    pub metric: &'a str,
    /// The metric-label selector, where one was given.
    pub selector: Option<&'a Selector>,
    /// Seconds.
    pub window_s: Option<i64>,
}

impl CustomList {
    /// A list that expects about `items`.
    #[must_use]
    pub fn new(common: &Common<'_>, items: usize) -> Self {
        let v1beta1 = common.version == "v1beta1";
        let mut head = format!("{{\"describedObject\":{{\"kind\":{}", quoted(&common.kind.kind));
        if let Some(namespace) = common.namespace {
            _ = write!(head, ",\"namespace\":{}", quoted(namespace));
        }
        head.push_str(",\"name\":");
        let selector = common.selector.map_or(Value::Null, label_selector);
        let api_version = quoted(&common.kind.api_version());
        let metric = quoted(common.metric);
        let mut middle = format!(",\"apiVersion\":{api_version}}},");
        let mut tail = String::from(",");
        if v1beta1 {
            _ = write!(middle, "\"metricName\":{metric},\"timestamp\":");
        } else {
            _ = write!(
                middle,
                "\"metric\":{{\"name\":{metric},\"selector\":{selector}}},\"timestamp\":"
            );
        }
        if let Some(window) = common.window_s {
            _ = write!(
                tail,
                "\"{}\":{window},",
                if v1beta1 { "window" } else { "windowSeconds" }
            );
        }
        tail.push_str("\"value\":\"");
        let mut out = String::with_capacity(160 + items * (head.len() + middle.len() + tail.len() + 80));
        _ = write!(
            out,
            "{{\"kind\":\"MetricValueList\",\"apiVersion\":\"custom.metrics.k8s.io/{}\",\"metadata\":{{}},\"items\":[",
            common.version
        );
        let end = if v1beta1 {
            format!("\",\"selector\":{selector}}}")
        } else {
            "\"}".to_owned()
        };
        Self {
            out,
            head,
            middle,
            tail,
            end,
            stamp: Stamp::default(),
            items: 0,
        }
    }

    /// Adds an object's value.
    pub fn push(&mut self, name: &str, answer: &Answer) {
        if self.items > 0 {
            self.out.push(',');
        }
        self.items += 1;
        self.out.push_str(&self.head);
        push_quoted(&mut self.out, name);
        self.out.push_str(&self.middle);
        self.stamp.write(&mut self.out, answer.timestamp);
        self.out.push_str(&self.tail);
        _ = write!(self.out, "{}", answer.milli);
        self.out.push_str(&self.end);
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The document.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.out.push_str("]}");
        self.out
    }
}

/// Timestamps as text; neighbours are often equal.
#[derive(Default)]
struct Stamp {
    second: Option<i64>,
    text: String,
}

impl Stamp {
    fn write(&mut self, out: &mut String, timestamp: Timestamp) {
        let second = timestamp.div_euclid(1000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = format!("\"{}\"", rfc3339(timestamp));
        }
        out.push_str(&self.text);
    }
}

/// An external value.
pub struct ExternalItem {
    /// The result's labels.
    pub labels: Labels,
    /// The value.
    pub answer: Answer,
}

/// An `ExternalMetricValueList`.
#[must_use]
pub fn external_list(metric: &str, window_s: Option<i64>, items: &[ExternalItem]) -> String {
    let metric = quoted(metric);
    let mut out = String::with_capacity(120 + items.len() * 240);
    out.push_str(
        "{\"kind\":\"ExternalMetricValueList\",\"apiVersion\":\"external.metrics.k8s.io/v1beta1\",\"metadata\":{},\"items\":[",
    );
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        _ = write!(out, "{{\"metricName\":{metric},\"metricLabels\":{{");
        for (j, (name, value)) in item.labels.iter().enumerate() {
            if j > 0 {
                out.push(',');
            }
            push_quoted(&mut out, name);
            out.push(':');
            push_quoted(&mut out, value);
        }
        _ = write!(out, "}},\"timestamp\":\"{}\",", rfc3339(item.answer.timestamp));
        if let Some(window) = window_s {
            _ = write!(out, "\"window\":{window},");
        }
        _ = write!(out, "\"value\":\"{}\"}}", item.answer.milli);
    }
    out.push_str("]}");
    out
}

/// A selector as `metav1.LabelSelector`. Comparisons have no form there; they are written as operators `Gt` and `Lt`.
#[must_use]
pub fn label_selector(selector: &Selector) -> Value {
    let mut labels = Map::new();
    let mut expressions = Vec::new();
    for r in selector.requirements() {
        let operator = match r.operator() {
            Operator::Equals if !labels.contains_key(r.key()) => {
                labels.insert(r.key().to_owned(), json!(r.values().first()));
                continue;
            }
            Operator::Equals | Operator::In => "In",
            Operator::NotEquals | Operator::NotIn => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            Operator::GreaterThan => "Gt",
            Operator::LessThan => "Lt",
        };
        let mut expression = json!({"key": r.key(), "operator": operator});
        if !r.values().is_empty() {
            expression["values"] = json!(r.values());
        }
        expressions.push(expression);
    }
    let mut document = Map::new();
    if !labels.is_empty() {
        document.insert("matchLabels".into(), labels.into());
    }
    if !expressions.is_empty() {
        document.insert("matchExpressions".into(), expressions.into());
    }
    document.into()
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

/// Names of objects need no escapes; label values may.
fn push_quoted(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        _ = write!(out, "{}", Value::from(text));
    }
}

/// `metav1.Time`: UTC in whole seconds. Days to dates after Howard Hinnant's `civil_from_days`.
#[must_use]
pub fn rfc3339(timestamp: Timestamp) -> String {
    let seconds = timestamp.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era.saturating_mul(400) + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_whole_seconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_767_323_045_123, "2026-01-02T03:04:05Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
        assert!(!rfc3339(Timestamp::MAX).is_empty() && !rfc3339(Timestamp::MIN).is_empty());
    }

    #[test]
    fn a_selector_is_echoed_as_a_label_selector() {
        for (text, expected) in [
            ("code=200", json!({"matchLabels": {"code": "200"}})),
            (
                "code!=404",
                json!({"matchExpressions": [{"key": "code", "operator": "NotIn", "values": ["404"]}]}),
            ),
            (
                "a in (x,y),!b,c",
                json!({"matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["x", "y"]},
                    {"key": "b", "operator": "DoesNotExist"},
                    {"key": "c", "operator": "Exists"}]}),
            ),
        ] {
            assert_eq!(label_selector(&Selector::parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn text_that_needs_escapes_gets_them() {
        for text in ["plain", "quo\"te", "back\\slash", "new\nline", "ünïcode", ""] {
            assert_eq!(serde_json::from_str::<String>(&quoted(text)).unwrap(), text);
        }
    }
}
