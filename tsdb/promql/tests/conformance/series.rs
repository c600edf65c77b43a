//! The notation of series and their values: `metric{l="v"} 1 2+3x2 _ stale {{count:3 buckets:[1 2]}}x4`.

use crate::histograms::{Written, parse_histogram};
use leadline_model::{Labels, MatchOp, STALE_NAN};
use leadline_promql::syntax::ast::ExprKind;
use leadline_promql::syntax::{Features, parse_with};

/// A line of a `load` or of an expectation.
#[derive(Debug, Clone)]
pub(crate) struct SeriesLine {
    pub(crate) labels: Labels,
    /// One per step; `None` where there is no sample.
    pub(crate) values: Vec<Option<Point>>,
}

/// What a line says of one step.
#[derive(Debug, Clone)]
pub(crate) enum Point {
    Float(f64),
    Histogram(Box<Written>),
}

impl Point {
    /// The number.
    pub(crate) fn float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Histogram(_) => None,
        }
    }
}

/// Reads one line.
pub(crate) fn parse_series(line: &str) -> Result<SeriesLine, String> {
    let (metric, sequence) = line.split_at(metric_len(line));
    let labels = parse_labels(metric.trim())?;
    let mut values = Vec::new();
    let mut rest = sequence.trim();
    while !rest.is_empty() {
        let (item, behind) = rest.split_at(item_len(rest));
        let parsed = if item.starts_with("{{") {
            parse_histograms(item, &mut values)
        } else {
            parse_item(item, &mut values)
        };
        parsed.ok_or_else(|| format!("invalid value {item:?} in {line:?}"))?;
        rest = behind.trim_start();
    }
    Ok(SeriesLine { labels, values })
}

/// Where an item ends: at the first blank outside of braces.
fn item_len(text: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// `{{…}}`, `{{…}}x3`, `{{…}}+{{…}}x3`, `{{…}}-{{…}}x3`.
fn parse_histograms(item: &str, values: &mut Vec<Option<Point>>) -> Option<()> {
    let (first, rest) = item.strip_prefix("{{")?.split_once("}}")?;
    let mut current = parse_histogram(first)?;
    let (step, rest) = match rest.chars().next() {
        Some(sign @ ('+' | '-')) => {
            let (step, rest) = rest[1..].strip_prefix("{{")?.split_once("}}")?;
            (Some((sign, parse_histogram(step)?)), rest)
        }
        _ => (None, rest),
    };
    let times = match rest.strip_prefix('x') {
        Some(times) => times.parse::<usize>().ok()?,
        None => rest.is_empty().then_some(0)?,
    };
    current.hint_set |= step.as_ref().is_some_and(|(_, step)| step.hint_set);
    for _ in 0..=times {
        values.push(Some(Point::Histogram(Box::new(current.clone()))));
        if let Some((sign, step)) = &step {
            let next = match sign {
                '+' => current.histogram.add(&step.histogram),
                _ => current.histogram.sub(&step.histogram),
            };
            current.histogram = next.ok()?.0;
        }
    }
    Some(())
}

/// Where the metric ends: at the brace that closes its labels, or at the first blank.
fn metric_len(line: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    let mut braces = false;
    for (at, c) in line.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('`') if c == '\\' => {}
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '{' => braces = true,
            None if c == '}' => return at + 1,
            None if braces && matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c.is_whitespace() && !braces => return at,
            None => {}
        }
    }
    line.len()
}

/// The labels of `name{a="b"}`, read as a selector of equal matchers.
fn parse_labels(metric: &str) -> Result<Labels, String> {
    if metric == "{}" {
        return Ok(Labels::empty());
    }
    let features = Features {
        unquoted_names: true,
        ..Features::LANGUAGE
    };
    let expr = parse_with(metric, features).map_err(|error| format!("{metric:?}: {error}"))?;
    let ExprKind::Selector(selector) = expr.kind else {
        return Err(format!("{metric:?} is no series"));
    };
    if let Some(odd) = selector.matchers.iter().find(|m| m.op() != MatchOp::Equal) {
        return Err(format!("{odd} in the series {metric:?}"));
    }
    Ok(Labels::from_pairs(
        selector.matchers.iter().map(|m| (m.name(), m.value())),
    ))
}

/// `1`, `_`, `_x3`, `stale`, `1x3`, `1+2x3`, `1-2x3`.
fn parse_item(item: &str, values: &mut Vec<Option<Point>>) -> Option<()> {
    if item == "stale" {
        values.push(Some(Point::Float(STALE_NAN)));
        return Some(());
    }
    let (what, times) = match item.rsplit_once('x') {
        Some((what, times)) => (what, Some(times.parse::<usize>().ok()?)),
        None => (item, None),
    };
    if what == "_" {
        values.extend(std::iter::repeat_with(|| None).take(times.unwrap_or(1)));
        return Some(());
    }
    let (mut value, rest) = leading_number(what)?;
    let step = match (rest, times) {
        ("", _) => 0.0,
        (rest, Some(_)) => leading_number(rest).filter(|(_, behind)| behind.is_empty())?.0,
        _ => return None,
    };
    // `axN` is N repetitions after the first.
    for _ in 0..=times.unwrap_or(0) {
        values.push(Some(Point::Float(value)));
        value += step;
    }
    Some(())
}

/// The number that `text` starts with, and the rest.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let body = &text[sign..];
    let word = body.bytes().take_while(u8::is_ascii_alphabetic).count();
    let len = if word > 0 { word } else { decimal_len(body) };
    let value: f64 = body[..len].parse().ok()?;
    let value = if text.starts_with('-') { -value } else { value };
    Some((value, &body[len..]))
}

fn decimal_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        from + bytes
            .iter()
            .skip(from)
            .take_while(|b| b.is_ascii_digit() || **b == b'.')
            .count()
    };
    let end = digits(0);
    if !matches!(bytes.get(end), Some(b'e' | b'E')) {
        return end;
    }
    let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
    digits(end + 1 + sign)
}
