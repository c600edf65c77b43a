//! When the names of metrics go that an operation makes meaningless: where it stands, as Prometheus does unless told
//! otherwise, or once the whole expression has its value (`promql-delayed-name-removal`).

use super::key::metadata_of;
use super::{Context, Grid, Out};
use crate::error::Error;

/// How much of the names the node above looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// It may look at anything.
    Any,
    /// It looks at no name and tells no two series apart by them: names that are to go can stay until its result is
    /// there, which mostly has fewer series.
    Blind,
}

/// Takes away the names that are to go from what a node made, and joins the series that are equal then.
///
/// # Errors
/// When two of these have a value at the same step.
pub(super) fn settle(cx: &Context<'_>, out: Out, reader: Reader) -> Result<Out, Error> {
    match out {
        Out::Vector(grid) if !cx.settings.features.delayed_name_removal => settled(grid, reader).map(Out::Vector),
        out => Ok(out),
    }
}

fn settled(mut grid: Grid, reader: Reader) -> Result<Grid, Error> {
    if !grid.rows.iter().any(|row| row.drop_name) {
        return Ok(grid);
    }
    // Series of one name are told apart by other labels.
    let alike = lose_one_name(&grid);
    // Notes about histograms tell names.
    if alike && reader == Reader::Blind && !grid.has_histograms() {
        return Ok(grid);
    }
    for row in &mut grid.rows {
        row.settle_name();
    }
    if alike { Ok(grid) } else { grid.merge_equal() }
}

/// Whether all series lose their name, and the same one.
fn lose_one_name(grid: &Grid) -> bool {
    let mut rows = grid.rows.iter();
    let Some(first) = rows.next() else { return true };
    let name = metadata_of(&first.labels);
    first.drop_name && rows.all(|row| row.drop_name && metadata_of(&row.labels) == name)
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Trace};
    use super::*;
    use leadline_model::Labels;

    /// The labels of a row, whether its name goes, and its value.
    type Made<'a> = (&'a [(&'a str, &'a str)], bool, Option<f64>);

    /// One step.
    fn grid(rows: &[Made<'_>]) -> Grid {
        let made = rows.iter().map(|(labels, drop_name, _)| Row {
            labels: Labels::from_pairs(labels.iter().copied()),
            drop_name: *drop_name,
            trace: Trace::default(),
        });
        let values = rows.iter().map(|row| row.2.unwrap_or(0.0)).collect();
        let present = rows.iter().map(|row| row.2.is_some()).collect();
        Grid::of_floats(1, made.collect(), values, present)
    }

    fn shown(grid: &Grid) -> Vec<String> {
        grid.rows.iter().map(|row| row.labels.to_string()).collect()
    }

    #[test]
    fn a_blind_reader_gets_names_that_tell_nothing_apart_and_nobody_else_does() {
        let one = [("__name__", "m"), ("a", "1")];
        let two = [("__name__", "m"), ("a", "2")];
        let other = [("__name__", "n"), ("a", "2")];
        let alike = || grid(&[(&one, true, Some(1.0)), (&two, true, Some(2.0))]);
        assert_eq!(shown(&settled(alike(), Reader::Blind).unwrap())[0], r#"m{a="1"}"#);
        assert_eq!(
            shown(&settled(alike(), Reader::Any).unwrap()),
            [r#"{a="1"}"#, r#"{a="2"}"#]
        );
        let mixed = || grid(&[(&one, true, Some(1.0)), (&other, false, Some(2.0))]);
        assert_eq!(
            shown(&settled(mixed(), Reader::Blind).unwrap()),
            [r#"{a="1"}"#, r#"n{a="2"}"#]
        );
        let names = || grid(&[(&two, true, None), (&other, true, Some(2.0))]);
        assert_eq!(shown(&settled(names(), Reader::Blind).unwrap()), [r#"{a="2"}"#]);
        let clash = grid(&[(&two, true, Some(1.0)), (&other, true, Some(2.0))]);
        assert!(settled(clash, Reader::Blind).is_err());
    }
}
