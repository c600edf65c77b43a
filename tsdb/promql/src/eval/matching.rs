//! Binary operations between two vectors: which series meet, and what their results are called.

use super::binary_histogram::{self, Remark};
use super::fill::{self, Side};
use super::grid::{Cell, SAME_LABELSET};
use super::key::{METADATA, Numbering, braced, nameless};
use super::{Context, Grid, Row, operator, set};
use crate::error::Error;
use crate::syntax::ast::{Binary, Group};
use leadline_model::Labels;
use leadline_model::labels::NAME;
use rapidhash::RapidHashMap;
use smallvec::SmallVec;

/// Evaluates arithmetic or a comparison of two vectors.
///
/// # Errors
/// [`Error::Execution`] where series do not match as the expression says.
pub(crate) fn evaluate(cx: &mut Context<'_>, b: &Binary, left: Grid, right: Grid) -> Result<Grid, Error> {
    let swapped = b.matching.group == Group::Right;
    let fill = b.matching.fill;
    let ((many, fill_many), (mut one, fill_one)) = if swapped {
        ((right, fill.right), (left, fill.left))
    } else {
        ((left, fill.left), (right, fill.right))
    };
    let mut numbers = Numbering::with_room(set::selection(&b.matching), one.len());
    let mut one_groups: Vec<usize> = one.rows.iter().map(|r| numbers.number(&r.labels)).collect();
    let many_groups: Vec<usize> = many.rows.iter().map(|r| numbers.number(&r.labels)).collect();
    if let Some(value) = fill_one {
        let sides = (
            Side {
                grid: &one,
                groups: &one_groups,
            },
            Side {
                grid: &many,
                groups: &many_groups,
            },
        );
        let (filled, groups) = fill::for_one(cx, value, sides, &numbers)?;
        (0..filled.len()).for_each(|i| one.copy_row(&filled, i));
        one_groups.extend(groups);
    }
    let one = Side {
        grid: &one,
        groups: &one_groups,
    };
    let many = Side {
        grid: &many,
        groups: &many_groups,
    };
    meet(cx, b, (many, one), (&numbers, fill_many))
}

/// Computes what the series of the "one" side and of the "many" side give, of which `fill` stands in for those that
/// nothing is met by.
fn meet(
    cx: &mut Context<'_>,
    b: &Binary,
    (many, one): (Side<'_>, Side<'_>),
    (numbers, fill): (&Numbering, Option<f64>),
) -> Result<Grid, Error> {
    let mut partners: Vec<SmallVec<[usize; 1]>> = vec![SmallVec::new(); numbers.len()];
    for (row, group) in one.groups.iter().enumerate() {
        partners[*group].push(row);
    }
    let at_once = !cx.settings.features.delayed_name_removal;
    let operation = Operation {
        b,
        at_once,
        many: many.grid,
        one: one.grid,
        swapped: b.matching.group == Group::Right,
        drops_metadata: b.op.changes_meaning() || (b.return_bool && at_once),
    };
    for rows in partners.iter().filter(|rows| rows.len() > 1) {
        operation.refuse_duplicates(cx, numbers, rows)?;
    }
    // Numbers alone need no look at each pair's kinds.
    let numbers_only = !many.grid.has_histograms() && !one.grid.has_histograms() && !b.op.is_trim();
    let steps = many.grid.steps;
    let mut last = vec![None; if numbers_only { 0 } else { steps }];
    let to_one = b.matching.group == Group::None;
    let groups = if to_one || fill.is_some() { numbers.len() } else { 0 };
    cx.must_fit(groups.saturating_mul(steps))?;
    let mut out = Results::new(steps, many.grid.len(), (groups, to_one));
    operation.all(cx, &mut out, (many.groups, &partners), &mut last)?;
    if let Some(value) = fill {
        let (filled, groups) = fill::for_many(cx, value, one, numbers, &out.met)?;
        let operation = Operation {
            many: &filled,
            ..operation
        };
        operation.all(cx, &mut out, (&groups, &partners), &mut last)?;
    }
    let span = b.left.span;
    last.into_iter()
        .flatten()
        .for_each(|remark: Remark| remark.tell(&mut cx.notes, span, b.op));
    out.grid.prune();
    Ok(out.grid)
}

/// The operation with its sides: a series of `one` meets any number of `many`.
struct Operation<'a> {
    b: &'a Binary,
    many: &'a Grid,
    one: &'a Grid,
    /// Whether `many` is the right operand.
    swapped: bool,
    /// Whether the results' names go where they are made.
    drops_metadata: bool,
    /// Whether names go as soon as an operation takes them away.
    at_once: bool,
}

impl Operation<'_> {
    /// Computes what all pairs give; `groups` are the match groups of the "many" side, `partners` for each group the
    /// rows of the "one" side.
    fn all(
        &self,
        cx: &mut Context<'_>,
        out: &mut Results,
        (groups, partners): (&[usize], &[SmallVec<[usize; 1]>]),
        last: &mut [Option<Remark>],
    ) -> Result<(), Error> {
        for (row, group) in groups.iter().enumerate() {
            cx.tick()?;
            for partner in &partners[*group] {
                cx.spend(self.many.steps)?;
                if last.is_empty() {
                    self.pair(out, row, *partner, *group)?;
                } else {
                    self.pair_histograms(out, (row, *partner, *group), last)?;
                }
            }
            let new = out.grid.cells.len();
            let histograms = out.grid.histogram_weight_from(out.counted);
            let labels = out.grid.label_weight_from(out.rows_counted);
            cx.hold(
                new.saturating_sub(out.counted)
                    .saturating_add(histograms)
                    .saturating_add(labels),
            )?;
            (out.counted, out.rows_counted) = (new, out.grid.len());
        }
        Ok(())
    }

    /// The labels of an operand: where names go at once, one that is to go is gone.
    fn shown(&self, row: &Row) -> Labels {
        if row.drop_name && self.at_once {
            nameless(&row.labels)
        } else {
            row.labels.clone()
        }
    }

    /// Refuses two series of the "one" side that are in one match group at the same step.
    fn refuse_duplicates(&self, cx: &mut Context<'_>, numbers: &Numbering, rows: &[usize]) -> Result<(), Error> {
        for step in 0..self.one.steps {
            cx.spend(rows.len())?;
            let mut there = rows.iter().filter(|&&r| self.one.occupied(r, step));
            let (Some(&a), Some(&b)) = (there.next(), there.next()) else {
                continue;
            };
            // Nothing matches where the other side is empty, unless something may stand in for it.
            let fill = self.b.matching.fill;
            let filled = fill.left.is_some() || fill.right.is_some();
            cx.spend(self.many.len())?;
            if !filled && !(0..self.many.len()).any(|r| self.many.occupied(r, step)) {
                continue;
            }
            let side = if self.swapped { "left" } else { "right" };
            let group = braced(&numbers.selection().pick(&self.one.rows[a].labels));
            let mut names = [a, b].map(|r| braced(&self.shown(&self.one.rows[r])));
            names.sort();
            return Err(Error::execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{}, \
                 {}];many-to-many matching not allowed: matching labels must be unique on one side",
                names[0], names[1]
            )));
        }
        Ok(())
    }

    /// Computes what two series of one match group give.
    fn pair(&self, out: &mut Results, many: usize, one: usize, group: usize) -> Result<(), Error> {
        let ((many_values, many_there), (one_values, one_there)) = (self.many.row(many), self.one.row(one));
        let filters = self.b.op.is_comparison() && !self.b.return_bool;
        let mut target = None;
        for step in 0..self.many.steps {
            if !(many_there[step] && one_there[step]) {
                continue;
            }
            let to = match target {
                Some(to) => to,
                None => *target.insert(out.row_of(self.row(many, one), group)),
            };
            out.claim(to, step, group)?;
            let (m, o) = (many_values[step], one_values[step]);
            let (l, r) = if self.swapped { (o, m) } else { (m, o) };
            if filters {
                // The left operand's value is the answer, also under group_right.
                out.set(to, step, operator::compare(self.b.op, l, r).then_some(l));
            } else {
                out.set(to, step, Some(operator::apply(self.b.op, l, r)));
            }
        }
        Ok(())
    }

    /// As [`Self::pair`], where an operand may be a histogram; `last` holds what is told last at each step, as upstream.
    fn pair_histograms(
        &self,
        out: &mut Results,
        (many, one, group): (usize, usize, usize),
        last: &mut [Option<Remark>],
    ) -> Result<(), Error> {
        let mut target = None;
        for (step, last) in last.iter_mut().enumerate() {
            let (Some(m), Some(o)) = (self.many.cell(many, step), self.one.cell(one, step)) else {
                continue;
            };
            let (l, r) = if self.swapped { (o, m) } else { (m, o) };
            let outcome = binary_histogram::apply(self.b.op, &l, &r)?;
            *last = outcome.remark.or(*last);
            if !outcome.matched {
                continue;
            }
            let to = match target {
                Some(to) => to,
                None => *target.insert(out.row_of(self.row(many, one), group)),
            };
            out.claim(to, step, group)?;
            let value = if self.b.return_bool {
                Some(Cell::Float(f64::from(u8::from(outcome.value.is_some()))))
            } else {
                outcome.value
            };
            if let Some(value) = value {
                out.grid.set(to, step, value);
            }
        }
        Ok(())
    }

    /// What the results of two series are called.
    fn row(&self, many: usize, one: usize) -> Row {
        let (many, one) = (&self.many.rows[many], &self.one.rows[one]);
        let mut trace = many.trace.clone();
        trace.absorb(&one.trace);
        let labels = self.labels(&many.labels, &one.labels);
        let renamed = self.b.matching.include.iter().any(|n| n == NAME);
        // A comparison passes series on as they are: a name that is about to go still goes.
        let drop_name = !self.drops_metadata && (self.b.return_bool || (!renamed && many.drop_name));
        Row {
            labels,
            drop_name,
            trace,
        }
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let (m, drops_metadata) = (&self.b.matching, self.drops_metadata);
        let to_one = m.group == Group::None;
        if to_one && !m.on && m.labels.is_empty() && !drops_metadata {
            return many.clone();
        }
        let dropped = |name: &str| {
            (drops_metadata && METADATA.contains(&name)) || (to_one && m.labels.iter().any(|n| n == name) != m.on)
        };
        let kept = many.without(dropped);
        if m.include.is_empty() {
            return kept;
        }
        let mut builder = kept.to_builder();
        for name in &m.include {
            builder.set(name, one.get(name).unwrap_or(""));
        }
        builder.build()
    }
}

/// The results, one row for each label set.
struct Results {
    grid: Grid,
    index: RapidHashMap<Labels, usize>,
    /// For each row of the grid the match group it came from.
    groups: Vec<usize>,
    /// For each cell whether a match was found, also where a comparison then failed.
    matched: Vec<bool>,
    /// For each match group and step whether there was a match: one to one, and where something may stand in.
    met: Vec<bool>,
    /// Whether a match group has one match at most.
    to_one: bool,
    /// Cells that are counted as held.
    counted: usize,
    /// Rows whose labels are.
    rows_counted: usize,
}

impl Results {
    fn new(steps: usize, rows: usize, (groups, to_one): (usize, bool)) -> Self {
        Self {
            grid: Grid::with_capacity(steps, rows),
            index: RapidHashMap::with_capacity_and_hasher(rows, Default::default()),
            groups: Vec::with_capacity(rows),
            matched: Vec::new(),
            met: vec![false; groups * steps],
            to_one,
            counted: 0,
            rows_counted: 0,
        }
    }

    /// The row with these labels.
    fn row_of(&mut self, row: Row, group: usize) -> usize {
        if let Some(&i) = self.index.get(&row.labels) {
            self.grid.rows[i].trace.absorb(&row.trace);
            return i;
        }
        let i = self.grid.len();
        self.index.insert(row.labels.clone(), i);
        self.grid.open();
        self.grid.keep(row);
        self.groups.push(group);
        self.matched.resize(self.grid.cells.len(), false);
        i
    }

    /// Takes a cell for a match.
    fn claim(&mut self, row: usize, step: usize, group: usize) -> Result<(), Error> {
        let cell = row * self.grid.steps + step;
        if let Some(met) = self.met.get_mut(group * self.grid.steps + step) {
            if *met && self.to_one {
                return Err(Error::execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
            *met = true;
        }
        if self.matched[cell] {
            let same_group = self.groups[row] == group;
            let text = "multiple matches for labels: grouping labels must ensure unique matches";
            return Err(Error::execution(if same_group { text } else { SAME_LABELSET }));
        }
        self.matched[cell] = true;
        Ok(())
    }

    fn set(&mut self, row: usize, step: usize, value: Option<f64>) {
        let cell = row * self.grid.steps + step;
        if let Some(value) = value {
            self.grid.cells[cell] = value;
            self.grid.present[cell] = true;
        }
    }
}
