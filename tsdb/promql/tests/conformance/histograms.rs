//! The notation of native histograms, `{{schema:1 sum:3 count:22 buckets:[5 10 7]}}`, and histograms made of classic ones.

use leadline_model::Labels;
use leadline_model::histogram::{CUSTOM_BUCKETS, FloatHistogram, ResetHint, Span};
use std::collections::BTreeMap;

/// A histogram of a line, and whether the line says what is known about resets.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) histogram: FloatHistogram,
    pub(crate) hint_set: bool,
}

/// Reads what stands between the braces.
pub(crate) fn parse_histogram(text: &str) -> Option<Written> {
    let mut h = FloatHistogram::default();
    let mut hint_set = false;
    let (mut offset, mut negative_offset) = (0, 0);
    for (key, value) in pairs(text)? {
        match key {
            "schema" => h.schema = value.parse().ok()?,
            "sum" => h.sum = number(value)?,
            "count" => h.count = number(value)?,
            "z_bucket" => h.zero_count = number(value)?,
            "z_bucket_w" => h.zero_threshold = number(value)?,
            "custom_values" => h.custom_values = numbers(value)?.into(),
            "buckets" => h.positive_buckets = numbers(value)?,
            "n_buckets" => h.negative_buckets = numbers(value)?,
            "offset" => offset = value.parse().ok()?,
            "n_offset" => negative_offset = value.parse().ok()?,
            "counter_reset_hint" => {
                hint_set = true;
                h.reset = match value {
                    "unknown" => ResetHint::Unknown,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    "gauge" => ResetHint::Gauge,
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
    h.positive_spans = span(offset, &h.positive_buckets);
    h.negative_spans = span(negative_offset, &h.negative_buckets);
    Some(Written { histogram: h, hint_set })
}

fn span(offset: i32, buckets: &[f64]) -> Vec<Span> {
    let length = u32::try_from(buckets.len()).unwrap_or(u32::MAX);
    if length == 0 {
        vec![]
    } else {
        vec![Span { offset, length }]
    }
}

/// `key:value` and `key:[value value]`, one after the other.
fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = text.trim();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (key, value) = rest.split_once(':')?;
        let (value, behind) = match value.strip_prefix('[') {
            Some(list) => list.split_once(']')?,
            None => value.split_once(char::is_whitespace).unwrap_or((value, "")),
        };
        pairs.push((key, value));
        rest = behind.trim_start();
    }
    Some(pairs)
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_whitespace().map(number).collect()
}

/// Adds up the counts of a classic histogram at one time.
#[derive(Debug, Default)]
struct Classic {
    /// Upper bounds and cumulative counts.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

impl Classic {
    /// The same with bounds of its own (`util/convertnhcb`).
    fn convert(mut self) -> Option<FloatHistogram> {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Of bounds that are written differently the first counts.
        self.buckets.dedup_by(|b, a| a.0 == b.0);
        let count = self.count.or_else(|| self.buckets.last().map(|b| b.1))?;
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let counts = self.buckets.iter().map(|(_, c)| c - std::mem::replace(&mut before, *c));
        let positive_buckets: Vec<f64> = counts.collect();
        let bounds: Vec<f64> = self.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect();
        let mut h = FloatHistogram {
            schema: CUSTOM_BUCKETS,
            count,
            sum: self.sum,
            positive_spans: span(0, &positive_buckets),
            positive_buckets,
            custom_values: bounds.into(),
            ..FloatHistogram::default()
        };
        h.compact(0);
        h.validate().ok().map(|()| h)
    }
}

/// The labels of a series and its histograms by step.
pub(crate) type NativeSeries = (Labels, Vec<(usize, FloatHistogram)>);

/// Makes native histograms of classic ones.
pub(crate) fn from_classic<'a>(
    series: impl Iterator<Item = (&'a Labels, Vec<(usize, f64)>)>,
) -> Result<Vec<NativeSeries>, String> {
    let mut found: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for (labels, samples) in series {
        let name = labels.name();
        let suffix = ["_bucket", "_count", "_sum"].into_iter().find(|s| name.ends_with(s));
        let Some(base) = suffix.and_then(|s| name.strip_suffix(s)) else {
            continue;
        };
        let bound = labels
            .get("le")
            .and_then(|le| le.parse::<f64>().ok())
            .filter(|le| !le.is_nan());
        if suffix == Some("_bucket") && bound.is_none() {
            continue;
        }
        let native = labels.without(|n| n == "le").to_builder().set("__name__", base).build();
        for (step, v) in samples {
            let classic = found.entry(native.clone()).or_default().entry(step).or_default();
            match (suffix, bound) {
                (Some("_bucket"), Some(bound)) => classic.buckets.push((bound, v)),
                (Some("_count"), _) => classic.count = Some(v),
                _ => classic.sum = v,
            }
        }
    }
    found
        .into_iter()
        .map(|(labels, steps)| {
            let converted = steps
                .into_iter()
                .map(|(step, classic)| Some((step, classic.convert()?)));
            let samples = converted
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| format!("{labels} is no histogram"))?;
            Ok((labels, samples))
        })
        .collect()
}
