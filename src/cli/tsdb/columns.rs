//! Lines in columns, as Go's tabwriter lays them out for promtool: each cell but the last at least 13 wide, two blanks apart.

use super::Failure;
use std::io::Write;

const MIN_WIDTH: usize = 13;
const GAP: usize = 2;

/// Prints lines whose cells align.
///
/// # Errors
/// Writing failed.
pub(super) fn write<const N: usize>(out: &mut dyn Write, lines: &[[String; N]]) -> Result<(), Failure> {
    let width = |column: usize| {
        let longest = lines.iter().map(|line| line[column].chars().count()).max();
        MIN_WIDTH.max(longest.unwrap_or(0) + GAP)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in lines {
        let Some((last, others)) = line.split_last() else {
            continue;
        };
        for (cell, width) in others.iter().zip(&widths) {
            write!(out, "{cell:<width$}")?;
        }
        writeln!(out, "{last}")?;
    }
    Ok(())
}
