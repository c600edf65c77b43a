//! A tree as text, in Prometheus' canonical form: matchers sorted, words in lower case, durations as `1h30m`.
//!
//! Parsing what was printed gives the same tree but for its spans and the order of matchers.

use super::ast::{Aggregate, At, Binary, Call, Expr, ExprKind, Group, Selector, Shift, Subquery};
use leadline_model::MatchOp;
use leadline_model::duration::Duration;
use leadline_model::labels::{NAME, is_identifier};
use leadline_model::quote::Quoted;
use std::fmt::{self, Display, Formatter};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(value) => write_number(f, *value),
            ExprKind::String(text) => Quoted(text).fmt(f),
            ExprKind::Selector(selector) => {
                write_selector(f, selector)?;
                write_shift(f, selector.shift)
            }
            ExprKind::Matrix { selector, range_ms } => {
                write_selector(f, selector)?;
                write!(f, "[{}]", Duration::from_millis(*range_ms))?;
                write_shift(f, selector.shift)
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
    let stands_in_front = |m: &leadline_model::Matcher| {
        m.name() == NAME && m.op() == MatchOp::Equal && m.value() == name && !name.is_empty()
    };
    let mut matchers: Vec<String> = selector
        .matchers
        .iter()
        .filter(|m| !stands_in_front(m))
        .map(ToString::to_string)
        .collect();
    if matchers.is_empty() {
        return Ok(());
    }
    matchers.sort_unstable();
    write!(f, "{{{}}}", matchers.join(","))
}

fn write_shift(f: &mut Formatter<'_>, shift: Shift) -> fmt::Result {
    match shift.at {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(ms)) => {
            let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
            write!(f, " @ {sign}{}.{:03}", ms / 1000, ms % 1000)?;
        }
    }
    match shift.offset_ms {
        0 => Ok(()),
        ms if ms < 0 => write!(f, " offset -{}", Duration::from_millis(ms.saturating_neg())),
        ms => write!(f, " offset {}", Duration::from_millis(ms)),
    }
}

fn write_subquery(f: &mut Formatter<'_>, subquery: &Subquery) -> fmt::Result {
    match subquery.expr.kind {
        // A sign in front would be read as that of the whole subquery.
        ExprKind::Number(value) if value == f64::INFINITY => f.write_str("Inf")?,
        _ => write!(f, "{}", subquery.expr)?,
    }
    write!(f, "[{}:", Duration::from_millis(subquery.range_ms))?;
    if let Some(step_ms) = subquery.step_ms {
        write!(f, "{}", Duration::from_millis(step_ms))?;
    }
    f.write_str("]")?;
    write_shift(f, subquery.shift)
}

fn write_binary(f: &mut Formatter<'_>, binary: &Binary) -> fmt::Result {
    write!(f, "{} {}", binary.left, binary.op)?;
    if binary.return_bool {
        f.write_str(" bool")?;
    }
    let matching = &binary.matching;
    if matching.on || !matching.labels.is_empty() || matching.group != Group::None {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(f, &matching.labels)?;
        f.write_str(")")?;
    }
    if matching.group != Group::None {
        f.write_str(if matching.group == Group::Left {
            " group_left ("
        } else {
            " group_right ("
        })?;
        write_labels(f, &matching.include)?;
        f.write_str(")")?;
    }
    write!(f, " {}", binary.right)
}

fn write_aggregate(f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    write!(f, "{}", aggregate.op)?;
    if aggregate.without || !aggregate.labels.is_empty() {
        f.write_str(if aggregate.without { " without (" } else { " by (" })?;
        write_labels(f, &aggregate.labels)?;
        f.write_str(") ")?;
    }
    f.write_str("(")?;
    if let Some(param) = &aggregate.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", aggregate.expr)
}

fn write_call(f: &mut Formatter<'_>, call: &Call) -> fmt::Result {
    write!(f, "{}(", call.function)?;
    for (i, arg) in call.args.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{arg}")?;
    }
    f.write_str(")")
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    for (i, label) in labels.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        if is_identifier(label, false) {
            write!(f, "{comma}{label}")?;
        } else {
            write!(f, "{comma}{}", Quoted(label))?;
        }
    }
    Ok(())
}
