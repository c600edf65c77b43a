//! A tree as text, in Prometheus' canonical form: matchers sorted, words in lower case, durations as `1h30m`.
//!
//! Parsing what was printed gives the same tree but for its spans and the order of matchers.

use super::ast::{
    Aggregate, At, Binary, BinaryOp, Border, Call, DurationExpr, DurationKind, Expr, ExprKind, Fill, Group, Selector,
    Shift, Subquery,
};
use super::lexer::is_unquoted_name;
use leadline_model::duration::Duration;
use leadline_model::labels::{NAME, is_identifier};
use leadline_model::number::general;
use leadline_model::quote::QuotedBytes;
use leadline_model::{MatchOp, Matcher};
use std::fmt::{self, Display, Formatter};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(value) => write_number(f, *value),
            ExprKind::Duration(seconds) => write_seconds(f, *seconds),
            ExprKind::String(text) => write_quoted(f, text.as_bytes()),
            ExprKind::Bytes(text) => write_quoted(f, text),
            ExprKind::Selector(selector) => {
                write_selector(f, selector)?;
                write_at(f, selector.shift.at)?;
                write_border(f, selector.border)?;
                write_offset(f, selector.shift, selector.computed_offset.as_deref())
            }
            ExprKind::Matrix {
                selector,
                range_ms,
                computed,
            } => {
                write_selector(f, selector)?;
                f.write_str("[")?;
                write_length(f, *range_ms, computed.as_deref())?;
                f.write_str("]")?;
                write_border(f, selector.border)?;
                write_at(f, selector.shift.at)?;
                write_offset(f, selector.shift, selector.computed_offset.as_deref())
            }
            ExprKind::Subquery(subquery) => write_subquery(f, subquery),
            ExprKind::Paren(expr) => write!(f, "({expr})"),
            ExprKind::Unary { negate, expr } => write!(f, "{}{expr}", if *negate { "-" } else { "+" }),
            ExprKind::Binary(binary) => write_binary(f, binary),
            ExprKind::Aggregate(aggregate) => write_aggregate(f, aggregate),
            ExprKind::Call(call) => write_call(f, call),
        }
    }
}

/// In double quotes with Go's escapes.
fn write_quoted(f: &mut Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str(&readable(QuotedBytes(text).to_string()))
}

/// A quoted text that the parser takes: it refuses U+FFFD unless that is escaped, which Go does not do.
fn readable(quoted: String) -> String {
    if quoted.contains(char::REPLACEMENT_CHARACTER) {
        quoted.replace(char::REPLACEMENT_CHARACTER, "\\ufffd")
    } else {
        quoted
    }
}

/// Go's `FormatFloat(v, 'f', -1, 64)`: the shortest decimals that read back, never an exponent.
fn write_number(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        f.write_str("NaN")
    } else if value.is_infinite() {
        f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        write!(f, "{value}")
    }
}

fn write_selector(f: &mut Formatter<'_>, selector: &Selector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let stands_in_front =
        |m: &Matcher| m.name() == NAME && m.op() == MatchOp::Equal && m.value() == name && !name.is_empty();
    let mut matchers: Vec<String> = selector
        .matchers
        .iter()
        .filter(|m| !stands_in_front(m))
        .map(|m| matcher(m, selector.unquoted_names))
        .collect();
    if matchers.is_empty() {
        // Without a name only `info()` may have empty braces.
        return f.write_str(if name.is_empty() { "{}" } else { "" });
    }
    matchers.sort_unstable();
    write!(f, "{{{}}}", matchers.join(","))
}

fn matcher(m: &Matcher, unquoted: bool) -> String {
    readable(match m.written() {
        (name, op, value) if unquoted && name == m.name().as_bytes() && is_unquoted_name(m.name()) => {
            format!("{}{}{}", m.name(), op.as_str(), QuotedBytes(value))
        }
        _ => m.to_string(),
    })
}

/// Seconds as a duration; what is finer than a millisecond cannot have been written.
fn write_seconds(f: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
    let ms = (seconds.abs() * 1000.0).round() as i64;
    let sign = if seconds < 0.0 { "-" } else { "" };
    write!(f, "{sign}{}", Duration::from_millis(ms))
}

fn write_at(f: &mut Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        Some(At::Time(ms)) => {
            let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)
        }
    }
}

fn write_border(f: &mut Formatter<'_>, border: Border) -> fmt::Result {
    match border {
        Border::Open => Ok(()),
        Border::Anchored => f.write_str(" anchored"),
        Border::Smoothed => f.write_str(" smoothed"),
    }
}

fn write_offset(f: &mut Formatter<'_>, shift: Shift, computed: Option<&DurationExpr>) -> fmt::Result {
    match (computed, shift.offset_ms) {
        (Some(expr), _) => write!(f, " offset {expr}"),
        (None, 0) => Ok(()),
        (None, ms) if ms < 0 => write!(f, " offset -{}", Duration::from_millis(ms.saturating_neg())),
        (None, ms) => write!(f, " offset {}", Duration::from_millis(ms)),
    }
}

fn write_length(f: &mut Formatter<'_>, ms: i64, computed: Option<&DurationExpr>) -> fmt::Result {
    match computed {
        Some(expr) => expr.fmt(f),
        None => Duration::from_millis(ms).fmt(f),
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationKind::Number(value) => write_number(f, *value),
            DurationKind::Duration(seconds) => write_seconds(f, *seconds),
            DurationKind::Step => f.write_str("step()"),
            DurationKind::Range => f.write_str("range()"),
            DurationKind::Group(inner) => write!(f, "({inner})"),
            DurationKind::Negate(inner) => write!(f, "-{inner}"),
            DurationKind::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            DurationKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            DurationKind::Binary(op, a, b) => write!(f, "{a} {op} {b}"),
        }
    }
}

/// A part of a tree as text.
struct Part<'a, T>(&'a T, fn(&mut Formatter<'_>, &T) -> fmt::Result);

impl<T> Display for Part<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.1)(f, self.0)
    }
}

/// Range, step, `@` and offset of a subquery: what stands behind its expression.
pub(super) fn subquery_suffix(subquery: &Subquery) -> String {
    Part(subquery, write_suffix).to_string()
}

/// An operator with all that modifies it.
pub(super) fn operator(binary: &Binary) -> String {
    Part(binary, write_operator).to_string()
}

/// What stands before the parenthesis of an aggregation.
pub(super) fn aggregate_head(aggregate: &Aggregate) -> String {
    Part(aggregate, write_head).to_string()
}

fn write_subquery(f: &mut Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    write_unsigned(f, &subquery.expr)?;
    write_suffix(f, subquery)
}

fn write_suffix(f: &mut Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    let computed = &subquery.computed;
    f.write_str("[")?;
    write_length(f, subquery.range_ms, computed.range.as_deref())?;
    f.write_str(":")?;
    match (&computed.step, subquery.step_ms) {
        (Some(expr), _) => expr.fmt(f)?,
        (None, Some(ms)) => Duration::from_millis(ms).fmt(f)?,
        (None, None) => {}
    }
    f.write_str("]")?;
    write_at(f, subquery.shift.at)?;
    write_offset(f, subquery.shift, computed.offset.as_deref())
}

/// What binds tighter than a sign stands behind `expr`: an infinite number is written without the sign that Prometheus
/// gives it, which would be read back as one in front of the whole (`+Inf ^ x`).
fn write_unsigned(f: &mut Formatter<'_>, expr: &Expr) -> fmt::Result {
    match expr.kind {
        ExprKind::Number(f64::INFINITY) => f.write_str("Inf"),
        _ => expr.fmt(f),
    }
}

fn write_binary(f: &mut Formatter<'_>, binary: &Binary) -> fmt::Result {
    if binary.op == BinaryOp::Pow {
        write_unsigned(f, &binary.left)?;
    } else {
        binary.left.fmt(f)?;
    }
    f.write_str(" ")?;
    write_operator(f, binary)?;
    write!(f, " {}", binary.right)
}

fn write_operator(f: &mut Formatter<'_>, binary: &Binary) -> fmt::Result {
    binary.op.fmt(f)?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    let matching = &binary.matching;
    if matching.on || !matching.labels.is_empty() || matching.group != Group::None {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(f, &matching.labels, matching.unquoted_names)?;
        f.write_str(")")?;
    }
    if matching.group != Group::None {
        f.write_str(if matching.group == Group::Left {
            " group_left ("
        } else {
            " group_right ("
        })?;
        write_labels(f, &matching.include, matching.unquoted_names)?;
        f.write_str(")")?;
    }
    write_fill(f, matching.fill)
}

/// `fill` where both sides have one value; NaN is not equal to itself. The numbers are in Go's `%v`, other than those of the
/// rest of an expression.
fn write_fill(f: &mut Formatter<'_>, fill: Fill) -> fmt::Result {
    let mut write = |word: &str, value: f64| write!(f, " {word} ({})", general(value));
    match (fill.left, fill.right) {
        (Some(left), Some(right)) if left == right => write("fill", left),
        (left, right) => {
            left.map_or(Ok(()), |value| write("fill_left", value))?;
            right.map_or(Ok(()), |value| write("fill_right", value))
        }
    }
}

fn write_aggregate(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    write_head(f, aggregate)?;
    f.write_str("(")?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

fn write_head(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    aggregate.op.fmt(f)?;
    if aggregate.without || !aggregate.labels.is_empty() {
        f.write_str(if aggregate.without { " without (" } else { " by (" })?;
        write_labels(f, &aggregate.labels, aggregate.unquoted_names)?;
        f.write_str(") ")?;
    }
    Ok(())
}

fn write_call(f: &mut Formatter<'_>, call: &Call) -> fmt::Result {
    write!(f, "{}(", call.function)?;
    for (i, arg) in call.args.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{arg}")?;
    }
    f.write_str(")")
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String], unquoted: bool) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        if is_identifier(label, false) || (unquoted && is_unquoted_name(label)) {
            write!(f, "{comma}{label}")?;
        } else {
            f.write_str(comma)?;
            write_quoted(f, label.as_bytes())?;
        }
    }
    Ok(())
}
