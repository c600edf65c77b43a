//! Whether an answer is the expected one.

use crate::histograms::Written;
use crate::script::{Eval, Expect, Text, Times};
use crate::series::Point;
use leadline_model::histogram::FloatHistogram;
use leadline_model::{Labels, Timestamp, is_stale};
use leadline_promql::value::{QueryResult, RangeSeries, SampleValue, Value};
use std::collections::HashMap;

/// Relative error that is let pass, as upstream does.
const EPSILON: f64 = 1e-6;

/// Compares value and annotations of `result` with what `eval` expects.
pub(crate) fn compare(eval: &Eval, result: &QueryResult) -> Result<(), String> {
    annotations(&eval.expect, result)?;
    match &result.value {
        Value::Scalar(value) => scalar(&eval.expect, *value),
        Value::String(text) => match &eval.expect.string {
            Some(expected) if expected == text => Ok(()),
            expected => Err(format!("expected {expected:?} but got the string {text:?}")),
        },
        Value::Vector(samples) => {
            let samples: Vec<_> = samples.iter().map(|s| (s.labels.clone(), s.value.clone())).collect();
            vector(&eval.expect, &samples)
        }
        Value::Matrix(series) => matrix(eval, series),
    }
}

/// Compares a scalar.
pub(crate) fn scalar(expect: &Expect, value: f64) -> Result<(), String> {
    match expect.scalar {
        Some(expected) if almost_equal(expected, value) => Ok(()),
        Some(expected) => Err(format!("expected scalar {expected} but got {value}")),
        None => Err(format!("expected a vector or matrix but got scalar {value}")),
    }
}

/// Compares an instant vector.
pub(crate) fn vector(expect: &Expect, samples: &[(Labels, SampleValue)]) -> Result<(), String> {
    if let Some(expected) = expect.scalar {
        return Err(format!("expected scalar {expected} but got vector {samples:?}"));
    }
    let mut missing: HashMap<&Labels, (usize, Option<&Point>)> = HashMap::new();
    for (place, series) in expect.series.iter().enumerate() {
        missing.insert(&series.labels, (place, series.values.first().and_then(Option::as_ref)));
    }
    for (place, (labels, value)) in samples.iter().enumerate() {
        let Some((expected_place, expected)) = missing.remove(labels) else {
            return Err(format!("unexpected (or repeated) {labels} {value:?}"));
        };
        if expect.ordered && place != expected_place {
            return Err(format!("{labels} at place {place}, expected at {expected_place}"));
        }
        let same = match (expected.unwrap_or(&Point::Float(0.0)), value) {
            (Point::Float(expected), SampleValue::Float(value)) => almost_equal(*expected, *value),
            (Point::Histogram(expected), SampleValue::Histogram(h)) => same_histogram(expected, h),
            _ => false,
        };
        if !same {
            return Err(format!("expected {expected:?} for {labels} but got {value:?}"));
        }
    }
    match missing.keys().next() {
        Some(labels) => Err(format!("expected {labels} was not found")),
        None => Ok(()),
    }
}

/// Equal but for rounding, empty buckets and, unless the expectation names it, what is known about resets.
fn same_histogram(expected: &Written, found: &FloatHistogram) -> bool {
    let (a, b) = (expected.histogram.clone().compacted(), found.clone().compacted());
    let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b));
    a.schema == b.schema
        && close(&[a.count, a.sum, a.zero_count], &[b.count, b.sum, b.zero_count])
        && a.zero_threshold == b.zero_threshold
        && a.custom_values == b.custom_values
        && (&a.positive_spans, &a.negative_spans) == (&b.positive_spans, &b.negative_spans)
        && close(&a.positive_buckets, &b.positive_buckets)
        && close(&a.negative_buckets, &b.negative_buckets)
        && (!expected.hint_set || a.reset == b.reset)
}

fn matrix(eval: &Eval, series: &[RangeSeries]) -> Result<(), String> {
    sorted(series)?;
    let expect = &eval.expect;
    if expect.ordered || expect.scalar.is_some() {
        return Err("expected an ordered result or a scalar but got a matrix".to_owned());
    }
    let (start, end, step) = match (eval.times, expect.range_vector) {
        (_, Some(times)) => times,
        (Times::Range { start, end, step }, None) => (start, end, step),
        (Times::Instant(at), None) => (at, at, 1),
    };
    let mut missing: HashMap<&Labels, Vec<(Timestamp, &Point)>> = HashMap::new();
    for line in &expect.series {
        let times = (0i64..).map(|i| start + i * step);
        let points: Vec<_> = times
            .zip(&line.values)
            .filter_map(|(t, v)| v.as_ref().map(|v| (t, v)))
            .collect();
        if points.last().is_some_and(|(t, _)| *t > end) {
            return Err(format!("{} points are more than the range has", line.values.len()));
        }
        missing.insert(&line.labels, points);
    }
    for found in series {
        let Some(expected) = missing.remove(&found.labels) else {
            return Err(format!("unexpected (or repeated) {found:?}"));
        };
        if !same_points(&expected, found) {
            return Err(format!("{}: expected {expected:?} but got {found:?}", found.labels));
        }
    }
    match missing.keys().next() {
        Some(labels) => Err(format!("expected {labels} was not found")),
        None => Ok(()),
    }
}

fn same_points(expected: &[(Timestamp, &Point)], found: &RangeSeries) -> bool {
    let (mut floats, mut histograms) = (found.points.iter(), found.histograms.iter());
    let all = expected.iter().all(|(t, point)| match point {
        Point::Float(v) => floats.next().is_some_and(|f| f.0 == *t && almost_equal(*v, f.1)),
        Point::Histogram(h) => histograms.next().is_some_and(|f| f.0 == *t && same_histogram(h, &f.1)),
    });
    all && floats.next().is_none() && histograms.next().is_none()
}

/// Results of range queries are sorted by labels.
pub(crate) fn sorted(series: &[RangeSeries]) -> Result<(), String> {
    if series.is_sorted_by(|a, b| a.labels <= b.labels) {
        Ok(())
    } else {
        Err("the series of a range query are not sorted by labels".to_owned())
    }
}

/// Whether an error was expected, and this one.
pub(crate) fn failure(expect: &Expect, error: &str) -> Result<(), String> {
    match &expect.fail {
        Some(text) if text.matches(error) => Ok(()),
        Some(text) => Err(format!("failed with {error:?}, expected {text:?}")),
        None => Err(format!("failed: {error}")),
    }
}

fn annotations(expect: &Expect, result: &QueryResult) -> Result<(), String> {
    each_expected("warning", &expect.warn, expect.no_warn, &result.warnings)?;
    each_expected("info", &expect.info, expect.no_info, &result.infos)
}

/// Every expectation must be met, and where there are any, every annotation must be expected.
fn each_expected(what: &str, expected: &[Text], none: bool, found: &[String]) -> Result<(), String> {
    if none && !found.is_empty() {
        return Err(format!("unexpected {what} {found:?}"));
    }
    if expected.is_empty() {
        return Ok(());
    }
    if let Some(unmet) = expected.iter().find(|text| !found.iter().any(|f| text.matches(f))) {
        return Err(format!("expected {what} {unmet:?}, found {found:?}"));
    }
    match found.iter().find(|f| !expected.iter().any(|text| text.matches(f))) {
        Some(odd) => Err(format!("unexpected {what} {odd:?}")),
        None => Ok(()),
    }
}

/// Equal but for rounding. A NaN equals every NaN, the stale marker only itself.
fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}
