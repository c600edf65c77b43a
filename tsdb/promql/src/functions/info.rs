//! `info(v, {labels})`: adds the labels of info metrics (`target_info`, ...) to the series that they describe
//! (`promql/info.go`).

use crate::error::Error;
use crate::eval::{CallSite, Context, Frame, Grid, Moved, Out, Row, SAME_LABELSET, key, label_weight, selector};
use crate::syntax::ast::{At, Call, Expr, ExprKind, Selector, Shift, Span};
use leadline_model::labels::NAME;
use leadline_model::port::Shape;
use leadline_model::{Labels, LabelsBuilder, MatchOp, Matcher};
use rapidhash::RapidHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// The labels by which a series finds its info series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric that is meant when none is named.
const TARGET_INFO: &str = "target_info";
/// From this many values of an identifying label on, the store is not asked for them one by one.
const MOST_VALUES: usize = 64;

/// Which info series a call reads and which of their labels it takes.
pub(crate) struct Choice {
    /// Matchers of the info metrics' names.
    names: Vec<Matcher>,
    /// Matchers of data labels: only labels that one of them names are taken, if there are any.
    data: Vec<Matcher>,
    /// What else info series have to match.
    injected: Vec<Matcher>,
}

impl Choice {
    /// Of a call of `info()`.
    pub(crate) fn of(call: &Call) -> Self {
        let chosen: &[Matcher] = match call.args.get(1).map(|arg| &arg.unwrapped().kind) {
            Some(ExprKind::Selector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (names, data): (Vec<_>, Vec<_>) = chosen.iter().cloned().partition(|m| m.name() == NAME);
        Self {
            names: effective(names),
            data,
            injected: call.injected.clone(),
        }
    }

    /// The matchers of every info series, whichever series it describes.
    pub(crate) fn matchers(&self) -> Vec<Matcher> {
        let all = self.names.iter().chain(&self.data).chain(&self.injected);
        all.cloned().collect()
    }

    fn is_info_metric(&self, name: &str) -> bool {
        self.names.iter().all(|m| m.matches(name))
    }

    fn takes(&self, label: &str) -> bool {
        !key::is_metadata(label) && (self.data.is_empty() || self.data.iter().any(|m| m.name() == label))
    }

    /// Whether a series that no info series describes stays.
    fn keeps_undescribed(&self) -> bool {
        self.data.iter().all(Matcher::matches_empty)
    }
}

/// Without a positive matcher every metric called `…_info` is meant, without any `target_info`.
fn effective(mut names: Vec<Matcher>) -> Vec<Matcher> {
    if names.is_empty() {
        return vec![Matcher::equal(NAME, TARGET_INFO)];
    }
    let positive = |m: &Matcher| matches!(m.op(), MatchOp::Equal | MatchOp::Regex);
    if !names.iter().any(positive)
        && let Ok(any) = Matcher::new(NAME, MatchOp::Regex, ".+_info")
    {
        names.insert(0, any);
    }
    names
}

/// `info(v, {labels})`.
pub(crate) fn info(cx: &mut Context<'_>, site: &CallSite<'_>, frame: Frame) -> Result<Out, Error> {
    let choice = Choice::of(site.call);
    let base_expr = site.arg(0)?;
    let reference = Reference::of(cx, base_expr);
    let base = site.vector(cx, 0, frame)?;
    let described: Vec<bool> = base
        .rows
        .iter()
        .map(|row| !choice.is_info_metric(row.labels.get(NAME).unwrap_or("")))
        .collect();
    let infos = Infos::read(cx, &choice, (&base, &described), reference.shift(), frame)?;
    let mut joined = Joined::new(&base);
    for (i, described) in described.into_iter().enumerate() {
        cx.spend(base.steps)?;
        cx.tick()?;
        if described {
            joined.describe(cx, i, &infos, &choice)?;
        } else {
            let row = base.rows[i].clone();
            let to = joined.row_of(cx, row)?;
            (0..base.steps).try_for_each(|step| joined.put(to, i, step))?;
        }
    }
    joined.out.prune();
    Ok(Out::Vector(joined.out))
}

/// At which times the info series are read: where the first argument's selectors read, if they all agree, else at
/// the evaluation times.
#[derive(Clone, Copy, PartialEq)]
enum Reference {
    /// No selector was seen.
    None,
    /// All selectors read here.
    Shared(Moved),
    /// They differ, or a part has no selector.
    Mixed,
}

impl Reference {
    fn of(cx: &Context<'_>, expr: &Expr) -> Self {
        let mut found = Self::None;
        if collect(cx, expr, &mut Vec::new(), &mut found) {
            found
        } else {
            Self::Mixed
        }
    }

    fn add(&mut self, moved: Moved) {
        *self = match *self {
            Self::None => Self::Shared(moved),
            Self::Shared(known) if known == moved => Self::Shared(known),
            _ => Self::Mixed,
        };
    }

    fn shift(self) -> Shift {
        match self {
            Self::Shared(moved) => match moved.fixed {
                Some(t) => Shift {
                    offset_ms: 0,
                    at: Some(At::Time(t)),
                },
                None => Shift {
                    offset_ms: moved.offset_ms(),
                    at: None,
                },
            },
            Self::None | Self::Mixed => Shift::default(),
        }
    }
}

/// Notes where the selectors below `expr` read; whether there is one. `around` are the subqueries it stands in.
fn collect(cx: &Context<'_>, expr: &Expr, around: &mut Vec<Shift>, found: &mut Reference) -> bool {
    if !matches!(crate::check::shape(expr), Shape::Vector | Shape::Matrix) {
        return false;
    }
    match &expr.kind {
        ExprKind::Selector(s) | ExprKind::Matrix { selector: s, .. } => {
            found.add(through(cx, s.shift, around));
            true
        }
        ExprKind::Subquery(subquery) => {
            around.push(subquery.shift);
            let any = collect(cx, &subquery.expr, around, found);
            around.pop();
            if !any {
                *found = Reference::Mixed;
            }
            any
        }
        kind => {
            // The second argument of `info()` is no vector that is evaluated.
            let evaluated = match kind {
                ExprKind::Call(call) if call.function == "info" => 1,
                _ => usize::MAX,
            };
            let mut any = false;
            for child in expr.children().take(evaluated) {
                any |= collect(cx, child, around, found);
            }
            if !any {
                *found = Reference::Mixed;
            }
            any
        }
    }
}

/// Offsets of the subqueries around a selector add up, up to the innermost `@`.
fn through(cx: &Context<'_>, shift: Shift, around: &[Shift]) -> Moved {
    let mut whole = shift;
    for outer in around.iter().rev() {
        if whole.at.is_some() {
            break;
        }
        whole = Shift {
            offset_ms: whole.offset_ms.saturating_add(outer.offset_ms),
            at: outer.at,
        };
    }
    Moved::of(cx, whole)
}

/// The info series, and which of them describe what.
struct Infos {
    /// Their samples' times, ms, as the values.
    grid: Grid,
    /// The names among them, sorted.
    names: Vec<String>,
    /// The rows of (name, instance, job).
    rows: RapidHashMap<(usize, String, String), Vec<usize>>,
}

impl Infos {
    /// Reads the info series that describe the rows of `base` which are to be described.
    fn read(
        cx: &mut Context<'_>,
        choice: &Choice,
        (base, described): (&Grid, &[bool]),
        shift: Shift,
        frame: Frame,
    ) -> Result<Self, Error> {
        let mut grid = Grid::with_capacity(frame.steps, 0);
        for wanted in wanted(base, described) {
            let mut matchers = wanted.matchers()?;
            matchers.extend(choice.matchers());
            let selector = Selector {
                matchers,
                name: None,
                shift,
                computed_offset: None,
                border: crate::syntax::ast::Border::Open,
                unquoted_names: false,
            };
            let found = selector::evaluate(cx, (&selector, Span::default()), frame, selector::Read::FloatTime)?;
            refuse_histograms(&found)?;
            for i in (0..found.len()).filter(|&i| wanted.has(&found.rows[i].labels)) {
                cx.hold(frame.steps)?;
                grid.copy_row(&found, i);
            }
        }
        let names: BTreeSet<&str> = grid.rows.iter().map(|row| row.labels.name()).collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut rows: RapidHashMap<_, Vec<usize>> = RapidHashMap::default();
        for (i, row) in grid.rows.iter().enumerate() {
            let name = names
                .binary_search_by(|n| n.as_str().cmp(row.labels.name()))
                .unwrap_or(0);
            rows.entry(signature(name, &row.labels)).or_default().push(i);
        }
        let infos = Self { grid, names, rows };
        infos.refuse_ambiguous(cx, base)?;
        Ok(infos)
    }

    /// The newest of `rows` that has a sample at the step.
    fn newest(&self, rows: &[usize], step: usize) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for &row in rows {
            let Some(t) = self.grid.get(row, step) else { continue };
            if best.is_none_or(|(_, newest)| t > newest) {
                best = Some((row, t));
            }
        }
        best.map(|(row, _)| row)
    }

    /// Two info series with samples of the same time describe the same thing differently.
    fn refuse_ambiguous(&self, cx: &mut Context<'_>, base: &Grid) -> Result<(), Error> {
        let mut groups: Vec<&Vec<usize>> = self.rows.values().filter(|rows| rows.len() > 1).collect();
        groups.sort();
        for step in 0..base.steps {
            cx.spend(base.len())?;
            if groups.is_empty() || !(0..base.len()).any(|i| base.occupied(i, step)) {
                continue;
            }
            for rows in &groups {
                cx.spend(rows.len())?;
                let mut newest: Option<(usize, f64)> = None;
                for &row in *rows {
                    let Some(t) = self.grid.get(row, step) else { continue };
                    match newest {
                        Some((other, known)) if known == t => return Err(self.ambiguous(other, row, t)),
                        Some((_, known)) if known > t => {}
                        _ => newest = Some((row, t)),
                    }
                }
            }
        }
        Ok(())
    }

    fn ambiguous(&self, a: usize, b: usize, seconds: f64) -> Error {
        let ms = (seconds * 1000.0).round() as i64;
        let [a, b] = [a, b].map(|row| key::braced(&self.grid.rows[row].labels));
        Error::execution(format!(
            "found duplicate series for info metric: existing {a} @ {ms}, new {b} @ {ms}"
        ))
    }
}

/// Info series are numbers.
fn refuse_histograms(found: &Grid) -> Result<(), Error> {
    let odd = |i: &usize| (0..found.steps).any(|step| found.histogram(*i, step).is_some());
    match (0..found.len()).find(odd).filter(|_| found.has_histograms()) {
        Some(i) => Err(Error::execution(format!(
            "this should be an info metric, with float samples: {}",
            key::braced(&found.rows[i].labels)
        ))),
        None => Ok(()),
    }
}

fn signature(name: usize, labels: &Labels) -> (usize, String, String) {
    let [instance, job] = IDENTIFYING.map(|label| labels.get(label).unwrap_or("").to_owned());
    (name, instance, job)
}

/// The values that the identifying labels of some series have; all of these series have the same of the labels.
#[derive(Default)]
struct Wanted {
    values: [BTreeSet<String>; 2],
}

/// One for each set of identifying labels that occurs among the series.
fn wanted(base: &Grid, described: &[bool]) -> Vec<Wanted> {
    let mut by_presence: BTreeMap<[bool; 2], Wanted> = BTreeMap::new();
    for (row, _) in base.rows.iter().zip(described).filter(|(_, described)| **described) {
        let values = IDENTIFYING.map(|label| row.labels.get(label).unwrap_or(""));
        let present = values.map(|value| !value.is_empty());
        if present.contains(&true) {
            let wanted = by_presence.entry(present).or_default();
            for (all, value) in wanted.values.iter_mut().zip(values).filter(|(_, v)| !v.is_empty()) {
                all.insert(value.to_owned());
            }
        }
    }
    by_presence.into_values().collect()
}

impl Wanted {
    fn matchers(&self) -> Result<Vec<Matcher>, Error> {
        let mut matchers = Vec::new();
        for (label, values) in IDENTIFYING.into_iter().zip(&self.values) {
            if values.len() > MOST_VALUES {
                continue;
            }
            let pattern = values.iter().map(|value| escaped(value)).collect::<Vec<_>>().join("|");
            let matcher = match values.len() {
                0 => Ok(Matcher::equal(label, "")),
                _ => Matcher::new(label, MatchOp::Regex, pattern),
            };
            matchers.push(matcher.map_err(|e| Error::execution(e.to_string()))?);
        }
        Ok(matchers)
    }

    fn has(&self, labels: &Labels) -> bool {
        let mut pairs = IDENTIFYING.into_iter().zip(&self.values);
        pairs.all(|(label, values)| {
            let value = labels.get(label).unwrap_or("");
            (value.is_empty() && values.is_empty()) || values.contains(value)
        })
    }
}

/// The text as a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The result while it grows.
struct Joined<'a> {
    base: &'a Grid,
    out: Grid,
    index: RapidHashMap<Labels, usize>,
}

impl<'a> Joined<'a> {
    fn new(base: &'a Grid) -> Self {
        Self {
            base,
            out: Grid::with_capacity(base.steps, base.len()),
            index: RapidHashMap::default(),
        }
    }

    /// The row with these labels.
    fn row_of(&mut self, cx: &mut Context<'_>, row: Row) -> Result<usize, Error> {
        if let Some(&i) = self.index.get(&row.labels) {
            self.out.rows[i].trace.absorb(&row.trace);
            return Ok(i);
        }
        cx.hold(self.out.steps.saturating_add(label_weight::of(&row.labels)))?;
        self.index.insert(row.labels.clone(), self.out.len());
        self.out.open();
        self.out.keep(row);
        Ok(self.out.len() - 1)
    }

    /// Copies what base row `from` has at the step.
    fn put(&mut self, to: usize, from: usize, step: usize) -> Result<(), Error> {
        let Some(value) = self.base.cell(from, step) else {
            return Ok(());
        };
        if self.out.occupied(to, step) {
            return Err(Error::execution(SAME_LABELSET));
        }
        self.out.set(to, step, value);
        Ok(())
    }

    /// Joins one series with the info series that describe it, which may change from step to step.
    fn describe(&mut self, cx: &mut Context<'_>, i: usize, infos: &Infos, choice: &Choice) -> Result<(), Error> {
        let candidates: Vec<&[usize]> = (0..infos.names.len())
            .filter_map(|name| infos.rows.get(&signature(name, &self.base.rows[i].labels)))
            .map(Vec::as_slice)
            .collect();
        // The info series that were joined last, and the row that made.
        let mut last: Option<(Vec<usize>, Option<usize>)> = None;
        for step in 0..self.base.steps {
            if !self.base.occupied(i, step) {
                continue;
            }
            cx.spend(candidates.iter().map(|rows| rows.len()).sum())?;
            let chosen: Vec<usize> = candidates.iter().filter_map(|rows| infos.newest(rows, step)).collect();
            let to = match &last {
                Some((known, to)) if *known == chosen => *to,
                _ => {
                    let row = self.joined_row(i, infos, &chosen, choice)?;
                    let to = row.map(|row| self.row_of(cx, row)).transpose()?;
                    last = Some((chosen, to));
                    to
                }
            };
            if let Some(to) = to {
                self.put(to, i, step)?;
            }
        }
        Ok(())
    }

    /// The series with the labels of the chosen info series; nothing when it is to go because there is none.
    fn joined_row(&self, i: usize, infos: &Infos, chosen: &[usize], choice: &Choice) -> Result<Option<Row>, Error> {
        if chosen.is_empty() && !choice.keeps_undescribed() {
            return Ok(None);
        }
        let mut row = self.base.rows[i].clone();
        let mut added = LabelsBuilder::new();
        for &info in chosen {
            let info = &infos.grid.rows[info];
            for (name, value) in info.labels.iter().filter(|(name, _)| choice.takes(name)) {
                if added.get(name).is_some_and(|known| known != value) {
                    return Err(Error::execution(format!("conflicting label: {name}")));
                }
                if row.labels.get(name).is_none() {
                    added.set(name, value);
                }
            }
            row.trace.absorb(&info.trace);
        }
        let mut labels = row.labels.to_builder();
        for (name, value) in added.iter() {
            labels.set(name, value);
        }
        row.labels = labels.build();
        Ok(Some(row))
    }
}
