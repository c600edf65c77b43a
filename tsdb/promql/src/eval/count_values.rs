//! `count_values`: how often each value occurs, the value as a label.

use super::aggregate::{operand, selection};
use super::key::{Numbering, Selection};
use super::names::Reader;
use super::{Cell, Context, Frame, Grid, Row, Trace, label_weight};
use crate::error::Error;
use crate::functions::label::is_label_name;
use crate::functions::number::format_f;
use crate::syntax::ast::{Aggregate, ExprKind};
use leadline_model::quote::QuotedBytes;
use rapidhash::{RapidHashMap, RapidHashSet};

/// For how many samples the work on one value counts.
const COUNTED: usize = 8;

/// Evaluates `count_values("label", v)`.
///
/// # Errors
/// [`Error`].
pub(crate) fn evaluate(cx: &mut Context<'_>, a: &Aggregate, frame: Frame) -> Result<Grid, Error> {
    let refused = |name: &[u8]| Err(Error::execution(format!("invalid label name {}", QuotedBytes(name))));
    let name = match a.param.as_ref().map(|p| &p.unwrapped().kind) {
        Some(ExprKind::String(name)) if is_label_name(name) => name,
        Some(ExprKind::String(name)) => return refused(name.as_bytes()),
        Some(ExprKind::Bytes(name)) => return refused(name),
        _ => return Err(Error::execution("the parameter of count_values must be a string")),
    };
    let input = operand(cx, a, frame, Reader::Any)?;
    let mut numbers = Numbering::new(with_label(a, name));
    let mut out = Grid::with_capacity(input.steps, input.len());
    for (i, row) in input.rows.iter().enumerate() {
        cx.tick()?;
        // A series repeats few values over its steps as a rule: each is made a label once.
        let mut rows_of: RapidHashMap<u64, usize> = RapidHashMap::default();
        let mut seen: RapidHashSet<usize> = RapidHashSet::default();
        for step in 0..input.steps {
            // A value that is new is written out as text.
            cx.spend(COUNTED)?;
            let to = match input.cell(i, step) {
                None => continue,
                Some(Cell::Histogram(h)) => row_for(cx, &mut numbers, &mut out, (row, name, &h.to_string()))?,
                Some(Cell::Float(x)) => match rows_of.get(&x.to_bits()) {
                    Some(&to) => to,
                    None => {
                        let to = row_for(cx, &mut numbers, &mut out, (row, name, &format_f(x)))?;
                        *rows_of.entry(x.to_bits()).or_insert(to)
                    }
                },
            };
            if seen.insert(to) {
                out.rows[to].trace.absorb(&row.trace);
            }
            let cell = to * out.steps + step;
            out.present[cell] = true;
            out.cells[cell] += 1.0;
        }
    }
    Ok(out)
}

/// The grouping, where the value's label always counts unless `without` names it.
fn with_label(a: &Aggregate, name: &str) -> Selection {
    if a.without {
        return selection(a);
    }
    let mut labels = a.labels.clone();
    labels.push(name.to_owned());
    Selection::by(&labels)
}

/// The result row of the group that a series with this value is in.
fn row_for(
    cx: &mut Context<'_>,
    numbers: &mut Numbering,
    out: &mut Grid,
    (row, name, value): (&Row, &str, &str),
) -> Result<usize, Error> {
    let labels = row.labels.to_builder().set(name, value).build();
    let number = numbers.number(&labels);
    if number == out.len() {
        let labels = numbers.selection().pick(&labels);
        cx.hold(out.steps.saturating_add(label_weight::of(&labels)))?;
        out.open();
        out.keep(Row {
            labels,
            drop_name: false,
            trace: Trace::default(),
        });
    }
    Ok(number)
}
