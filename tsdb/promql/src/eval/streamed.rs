//! Aggregations straight over a selector, or over a function of its windows: the store sorts the series into groups, and
//! each is added to its group as soon as it is read. Neither the labels of single series nor their values are kept.
//!
//! What it adds, in which order, and what it counts is what [`super::aggregate`] would do with the vector. Where a series
//! has histograms, where the order of series shows in a sum, where stored data is damaged (whose report names the series), and where names that go tell series
//! apart, that is left to it. The first of these shows when such a series is read, be it the last: then all are read once more.
//! That is twice at most, since what is folded here has no aggregation below it, and both times within the query's time.

use super::aggregate::{reader, results, selection};
use super::ahead::ahead;
use super::key::METADATA;
use super::mixed_selector::Looks;
use super::names::Reader;
use super::ranges::{Loaded, Place, Ranges, Source};
use super::selector::{Found, Read, Reading, fill, first_instant};
use super::tallies::Tallies;
use super::window::{Columns, CounterCheck, WindowCall, drops_name, reads_starts};
use super::{Context, Frame, Grid, Moved, Row, Trace};
use crate::error::Error;
use crate::functions::window::{WindowFn, lookup};
use crate::syntax::ast::{Aggregate, AggregateOp, Border, Call, ExprKind, Selector, Span};
use leadline_model::labels::NAME;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{GroupOrder, GroupedSeries, Grouping};
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Timestamp};

/// The value of an aggregation that needs to see each value once; none where its vector has to be evaluated first.
///
/// # Errors
/// [`Error`].
pub(super) fn evaluate(cx: &mut Context<'_>, a: &Aggregate, frame: Frame) -> Result<Option<Grid>, Error> {
    // What is fixed in time is evaluated once.
    let streams = |operand: &Operand<'_>| !(frame.steps == 0 || frame.over_time && operand.is_fixed());
    let Some(operand) = Operand::of(cx, a).filter(streams) else {
        return Ok(None);
    };
    let (held, stats, consumption) = (cx.held(), cx.stats.clone(), cx.consumption.clone());
    match operand.fold(cx, a, frame) {
        Ok(None) | Err(Error::Storage(_)) => {
            cx.settle(held);
            (cx.stats, cx.consumption) = (stats, consumption);
            Ok(None)
        }
        done => {
            cx.stats.streamed += 1;
            cx.mark(|how| how.streamed = true);
            done
        }
    }
}

/// What is aggregated.
enum Operand<'a> {
    /// The newest sample of each series.
    Instant(&'a Selector, Span),
    /// A function over the windows of each series.
    Windows {
        name: &'a str,
        f: WindowFn,
        selector: &'a Selector,
        range_ms: i64,
        span: Span,
        /// The name that all series have.
        metric: &'a str,
    },
}

impl<'a> Operand<'a> {
    fn of(cx: &Context<'_>, a: &'a Aggregate) -> Option<Self> {
        let expr = a.expr.unwrapped();
        match &expr.kind {
            ExprKind::Selector(selector) => {
                (selector.border == Border::Open).then_some(Self::Instant(selector, expr.span))
            }
            ExprKind::Call(call) => Self::windows(cx, a, call),
            _ => None,
        }
    }

    /// Whether the time of what it reads is fixed.
    fn is_fixed(&self) -> bool {
        let (Self::Instant(selector, _) | Self::Windows { selector, .. }) = self;
        selector.shift.at.is_some()
    }

    fn windows(cx: &Context<'_>, a: &Aggregate, call: &'a Call) -> Option<Self> {
        let [arg] = call.args.as_slice() else {
            return None;
        };
        let arg = arg.unwrapped();
        let ExprKind::Matrix { selector, range_ms, .. } = &arg.kind else {
            return None;
        };
        let name = call.function.as_str();
        let metric = metric(selector);
        // Names that go at once must not have told series or groups apart.
        let at_once = drops_name(name) && !cx.settings.features.delayed_name_removal;
        let plain = selector.border == Border::Open
            && name != "absent_over_time"
            && !(reads_starts(name) && cx.start_timestamps)
            // Who says what is a counter has to be asked each series.
            && !(CounterCheck::of(name).is_wanted() && cx.settings.features.type_and_unit_labels)
            // Notes name the metric.
            && (metric.is_some() || !CounterCheck::of(name).is_wanted())
            && (!at_once || metric.is_some() && reader(a) == Reader::Blind);
        plain.then_some(Self::Windows {
            name,
            f: lookup(name)?,
            selector,
            range_ms: *range_ms,
            span: arg.span,
            metric: metric.unwrap_or_default(),
        })
    }

    fn fold(&self, cx: &mut Context<'_>, a: &Aggregate, frame: Frame) -> Result<Option<Grid>, Error> {
        match self {
            Self::Instant(selector, span) => instant(cx, a, (selector, *span), frame),
            Self::Windows { .. } => self.fold_windows(cx, a, frame),
        }
    }

    fn fold_windows(&self, cx: &mut Context<'_>, a: &Aggregate, frame: Frame) -> Result<Option<Grid>, Error> {
        let Self::Windows {
            name,
            f,
            selector,
            range_ms,
            span,
            metric,
        } = self
        else {
            return Ok(None);
        };
        let place = Place::of(cx, (selector.shift, *range_ms, selector.border), frame);
        let alike: &[&str] = if drops_name(name) { &METADATA[1..] } else { &[] };
        let Some(found) = select(cx, a, selector, place.bounds, (alike, false))? else {
            return Ok(None);
        };
        let held = cx.held();
        let ranges = Ranges::at(place, Source::Stored(ahead(found.set, place.bounds)));
        let call = WindowCall::of_selector(cx, name, *f, *span);
        let mut counters = CounterCheck::of(name);
        let mut totals = Totals::new(a.op, frame.steps, (&found.labels, &found.places), drops_name(name));
        let mut loaded = Loaded::default();
        let (mut cells, mut present) = (vec![0.0; frame.steps], vec![false; frame.steps]);
        for (i, &group) in found.group_of.iter().enumerate() {
            ranges.load(cx, i, &mut loaded)?;
            if !loaded.histograms.points.is_empty() {
                return Ok(None);
            }
            cx.consumption.consume_windows(&ranges, &loaded, frame);
            cx.hold(frame.steps)?;
            present.fill(false);
            let columns = Columns {
                samples: &loaded.samples,
                st: &[],
                series: i,
            };
            match call.fill(cx, &ranges, columns, frame, (&mut cells, &mut present))? {
                Some(used) => {
                    counters.check(&mut cx.notes, metric, call.span);
                    totals.add((i, group), used, ranges.owner(i), (&cells, &present));
                }
                None => cx.release(frame.steps),
            }
        }
        totals.finish(cx, held)
    }
}

/// The name that all series of a selector have.
fn metric(selector: &Selector) -> Option<&str> {
    let named = selector
        .matchers
        .iter()
        .find(|m| m.name() == NAME && m.op() == MatchOp::Equal && !m.value().is_empty());
    named.map(Matcher::value)
}

/// An aggregation over a selector.
fn instant(
    cx: &mut Context<'_>,
    a: &Aggregate,
    (selector, span): (&Selector, Span),
    frame: Frame,
) -> Result<Option<Grid>, Error> {
    let moved = Moved::of(cx, selector.shift);
    let bounds = (
        first_instant(moved.time(frame.start), cx.lookback_ms),
        moved.time(frame.last()),
    );
    let Some(series) = select(cx, a, selector, bounds, (&[], frame.steps == 1))? else {
        return Ok(None);
    };
    let held = cx.held();
    // One step sees the newest sample alone, which is not decoded.
    let set = if frame.steps > 1 {
        ahead(series.set, bounds)
    } else {
        series.set
    };
    let reading = Reading {
        set: &*set,
        bounds,
        looks: Looks {
            frame,
            moved,
            lookback_ms: cx.lookback_ms,
        },
        smoothed: false,
        read: Read::Value,
        span,
    };
    let mut totals = Totals::new(a.op, frame.steps, (&series.labels, &series.places), false);
    let mut found = Found::default();
    let (mut cells, mut present) = (vec![0.0; frame.steps], vec![false; frame.steps]);
    for (i, &group) in series.group_of.iter().enumerate() {
        reading.load(cx, i, &mut found)?;
        if !found.histograms.points.is_empty() {
            return Ok(None);
        }
        if found.samples.is_empty() {
            continue;
        }
        cx.hold(frame.steps)?;
        present.fill(false);
        match fill(&found.samples, reading.looks, Read::Value, &mut cells, &mut present) {
            Some(used) => {
                cx.consumption.consume_numbers(&present, moved.fixed.is_some());
                totals.add((i, group), used, set.owner(i), (&cells, &present));
            }
            None => cx.release(frame.steps),
        }
    }
    totals.finish(cx, held)
}

/// The series of a selector with the groups of an aggregation, if the store can tell them.
fn select(
    cx: &Context<'_>,
    a: &Aggregate,
    selector: &Selector,
    (mint, maxt): (Timestamp, Timestamp),
    (alike, newest): (&[&str], bool),
) -> Result<Option<GroupedSeries>, Error> {
    let selection = selection(a);
    let grouping = Grouping {
        names: selection.names(),
        without: selection.is_without(),
        order: match a.op {
            _ if !cx.ordered => GroupOrder::Any,
            // Where the order of their members shows in these, their tallies are not certain.
            AggregateOp::Sum | AggregateOp::Count | AggregateOp::Group | AggregateOp::Min | AggregateOp::Max => {
                GroupOrder::Groups
            }
            _ => GroupOrder::Series,
        },
        alike,
        newest,
    };
    Ok(cx.store.select_groups(&selector.matchers, mint, maxt, grouping)?)
}

/// Says that a group of the store has no value yet.
const UNSEEN: u32 = u32::MAX;

/// What was added up so far.
struct Totals<'a> {
    op: AggregateOp,
    steps: usize,
    labels: &'a [Labels],
    /// The place of each series in the order of labels, where the groups are to be in order.
    order: &'a [u32],
    drop_name: bool,
    /// The place in `rows` of each group of the store: they come in the order of their first value.
    places: Vec<u32>,
    rows: Vec<Row>,
    /// For each row the first place of its series that had a value, where the groups are to be in order.
    first: Vec<u32>,
    tallies: Tallies,
    /// How many series had a value.
    series: usize,
}

impl<'a> Totals<'a> {
    fn new(op: AggregateOp, steps: usize, (labels, order): (&'a [Labels], &'a [u32]), drop_name: bool) -> Self {
        Self {
            op,
            steps,
            labels,
            order,
            drop_name,
            first: Vec::new(),
            places: vec![UNSEEN; labels.len()],
            rows: Vec::new(),
            tallies: Tallies::new(op, steps),
            series: 0,
        }
    }

    /// Adds series i, of a group, of which samples from the oldest to the newest were used.
    #[inline]
    fn add(
        &mut self,
        (i, group): (usize, u32),
        (oldest, newest): (Timestamp, Timestamp),
        owner: Option<OwnerId>,
        (cells, present): (&[f64], &[bool]),
    ) {
        let place = self.place(group as usize);
        self.series += 1;
        self.rows[place].trace.add_series(oldest, newest, owner);
        if let Some(&at) = self.order.get(i) {
            self.first[place] = self.first[place].min(at);
        }
        self.tallies.add(place, cells, present);
    }

    #[inline]
    fn place(&mut self, group: usize) -> usize {
        if self.places[group] == UNSEEN {
            self.places[group] = self.rows.len() as u32;
            self.rows.push(Row {
                labels: self.labels[group].clone(),
                drop_name: self.drop_name,
                trace: Trace::default(),
            });
            self.tallies.push();
            self.first.push(u32::MAX);
        }
        self.places[group] as usize
    }

    /// The values of the groups; none where it shows in them in which order the series came. `held`: how many samples were
    /// held before the first series was read.
    fn finish(self, cx: &mut Context<'_>, held: usize) -> Result<Option<Grid>, Error> {
        if !self.tallies.is_certain(self.series) {
            return Ok(None);
        }
        // What the vector would take, and the groups beside it.
        cx.settle(held);
        cx.hold(self.series.saturating_mul(self.steps))?;
        cx.hold(self.rows.len().saturating_mul(self.steps))?;
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        if !self.order.is_empty() {
            // That of the first of their series that had a value, as the vector of all would make them.
            order.sort_unstable_by_key(|&row| self.first[row]);
        }
        let rows = order.iter().map(|&row| self.rows[row].clone()).collect();
        let results = results((self.op, self.steps), rows, &self.tallies, order.into_iter());
        Ok(Some(results))
    }
}
