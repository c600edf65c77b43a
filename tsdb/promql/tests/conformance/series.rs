//! The notation of series and their values: `metric{l="v"} 1 2+3x2 _ stale`.

use leadline_model::{Labels, MatchOp, STALE_NAN};
use leadline_promql::syntax::ast::ExprKind;
use leadline_promql::syntax::parse;

/// A line of a `load` or of an expectation.
#[derive(Debug, Clone)]
pub(crate) struct SeriesLine {
    pub(crate) labels: Labels,
    /// One per step; `None` where there is no sample.
    pub(crate) values: Vec<Option<f64>>,
    /// Whether a native histogram `{{…}}` stands among the values, which are not read then.
    pub(crate) histograms: bool,
}

/// Reads one line.
pub(crate) fn parse_series(line: &str) -> Result<SeriesLine, String> {
    let (metric, sequence) = line.split_at(metric_len(line));
    let labels = parse_labels(metric.trim())?;
    let histograms = sequence.contains("{{");
    let mut values = Vec::new();
    if !histograms {
        for item in sequence.split_whitespace() {
            parse_item(item, &mut values).ok_or_else(|| format!("invalid value {item:?} in {line:?}"))?;
        }
    }
    Ok(SeriesLine {
        labels,
        values,
        histograms,
    })
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
    let expr = parse(metric).map_err(|error| format!("{metric:?}: {error}"))?;
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
fn parse_item(item: &str, values: &mut Vec<Option<f64>>) -> Option<()> {
    if item == "stale" {
        values.push(Some(STALE_NAN));
        return Some(());
    }
    let (what, times) = match item.rsplit_once('x') {
        Some((what, times)) => (what, Some(times.parse::<usize>().ok()?)),
        None => (item, None),
    };
    if what == "_" {
        values.extend(std::iter::repeat_n(None, times.unwrap_or(1)));
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
        values.push(Some(value));
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
