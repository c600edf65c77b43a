//! Selections that a query makes more than once: the store is asked once, and all of them see the same moment, also where one
//! takes series and another groups of them. That holds for as many at a time as answers are kept; of a query with more, a
//! selection that comes again late may see what was committed meanwhile, as one that is made once does.

use super::key::{Numbering, Selection};
use crate::syntax::ast::{Expr, ExprKind, Selector};
use leadline_model::exemplar::Exemplar;
use leadline_model::port::{Generation, GroupOrder, GroupedSeries, Grouping, QueryError, Queryable, SeriesSet};
use leadline_model::{Labels, Matcher, Timestamp};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Selectors of a tree that are compared with each other; a text can have many thousand.
const MOST_SELECTORS: usize = 64;
/// The most answers that are kept at a time: they are held by nobody's limit on samples.
const MOST_ANSWERS: usize = 4;

/// The matchers of selectors that stand more than once in the tree, with the same times.
pub(crate) fn repeated(expr: &Expr) -> Vec<Vec<Matcher>> {
    let (mut once, mut repeated): (Vec<(&Selector, i64)>, Vec<Vec<Matcher>>) = (Vec::new(), Vec::new());
    expr.visit(&mut |node| {
        let selector = match &node.kind {
            ExprKind::Selector(selector) => (selector, 0),
            ExprKind::Matrix { selector, range_ms, .. } => (selector, *range_ms),
            _ => return,
        };
        let matchers = &selector.0.matchers;
        if once.len() == MOST_SELECTORS || repeated.contains(matchers) {
            return;
        }
        let times = |(selector, range_ms): (&Selector, i64)| (selector.shift, range_ms);
        if once
            .iter()
            .any(|&known| times(known) == times(selector) && known.0.matchers == *matchers)
        {
            repeated.push(matchers.clone());
        } else {
            once.push(selector);
        }
    });
    repeated
}

/// A store, asked by a query that makes some selections more than once.
pub(crate) struct Remembered<'a> {
    store: &'a dyn Queryable,
    /// What is remembered of.
    repeated: &'a [Vec<Matcher>],
    plain: Mutex<Vec<(Asked, Arc<dyn SeriesSet>)>>,
    grouped: Mutex<Vec<(AskedGroups, Option<Found>)>>,
    /// How many selections were answered from another one's answer.
    shared: AtomicU64,
}

/// A question to the store: the place of its matchers, its times (ms) and whether it asked for an order.
type Asked = (usize, (Timestamp, Timestamp), bool);

/// The same, with groups.
#[derive(PartialEq)]
struct AskedGroups {
    asked: Asked,
    names: Vec<String>,
    without: bool,
    order: GroupOrder,
    alike: Vec<String>,
    newest: bool,
}

/// What is answered to a question with groups.
#[derive(Clone)]
struct Found {
    set: Arc<dyn SeriesSet>,
    group_of: Arc<[u32]>,
    labels: Arc<[Labels]>,
    places: Arc<[u32]>,
}

impl<'a> Remembered<'a> {
    /// Asks `store`, once for each selection with matchers that are `repeated`.
    pub(crate) fn new(store: &'a dyn Queryable, repeated: &'a [Vec<Matcher>]) -> Self {
        Self {
            store,
            repeated,
            plain: Mutex::default(),
            grouped: Mutex::default(),
            shared: AtomicU64::new(0),
        }
    }

    /// How many selections were answered from another one's answer.
    pub(crate) fn shared(&self) -> &AtomicU64 {
        &self.shared
    }

    fn place(&self, matchers: &[Matcher]) -> Option<usize> {
        self.repeated.iter().position(|known| known == matchers)
    }

    /// The series of selection `place`.
    fn series(&self, (place, times, sorted): Asked) -> Result<Arc<dyn SeriesSet>, QueryError> {
        let ask = || self.store.select(&self.repeated[place], times.0, times.1, sorted);
        once((&self.plain, &self.shared), (place, times, sorted), || {
            ask().map(Arc::from)
        })
    }
}

/// Series sorted into groups as a store would do it, which come in the order of labels where one is asked for.
fn grouped(set: Arc<dyn SeriesSet>, grouping: Grouping<'_>) -> Option<Found> {
    let count = set.len();
    let mut numbers = Numbering::new(Selection::of(grouping.names, grouping.without));
    let (mut group_of, mut labels) = (Vec::with_capacity(count), Vec::new());
    let mut first: Option<Labels> = None;
    for i in 0..count {
        let of_series = set.labels(i);
        let first = first.get_or_insert_with(|| of_series.clone());
        if !grouping.alike.iter().all(|name| first.get(name) == of_series.get(name)) {
            return None;
        }
        let group = numbers.number(&of_series);
        if group == labels.len() {
            labels.push(numbers.selection().pick(&of_series));
        }
        group_of.push(group as u32);
    }
    let in_order = (grouping.order == GroupOrder::Groups).then_some(0..count as u32);
    Some(Found {
        set,
        group_of: group_of.into(),
        labels: labels.into(),
        places: in_order.into_iter().flatten().collect(),
    })
}

/// What was answered to the question, or what `ask` answers now.
fn once<Q: PartialEq, A: Clone>(
    (answers, shared): (&Mutex<Vec<(Q, A)>>, &AtomicU64),
    question: Q,
    ask: impl FnOnce() -> Result<A, QueryError>,
) -> Result<A, QueryError> {
    if let Some((_, known)) = answers.lock().iter().find(|(asked, _)| *asked == question) {
        shared.fetch_add(1, Ordering::Relaxed);
        return Ok(known.clone());
    }
    let answer = ask()?;
    let mut answers = answers.lock();
    if answers.len() == MOST_ANSWERS {
        answers.remove(0);
    }
    answers.push((question, answer.clone()));
    Ok(answer)
}

impl Queryable for Remembered<'_> {
    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        match self.place(matchers) {
            None => self.store.select(matchers, mint, maxt, sorted),
            Some(place) => Ok(Box::new(self.series((place, (mint, maxt), sorted))?)),
        }
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        let Some(place) = self.place(matchers) else {
            return self.store.select_groups(matchers, mint, maxt, grouping);
        };
        let asked = (place, (mint, maxt), grouping.order != GroupOrder::Any);
        let question = AskedGroups {
            asked,
            names: grouping.names.to_vec(),
            without: grouping.without,
            order: grouping.order,
            alike: grouping.alike.iter().map(|&name| name.to_owned()).collect(),
            newest: grouping.newest,
        };
        let found = once((&self.grouped, &self.shared), question, || {
            Ok(grouped(self.series(asked)?, grouping))
        })?;
        Ok(found.map(GroupedSeries::from))
    }

    fn at_most(&self, matchers: &[Matcher], mint: Timestamp) -> Option<usize> {
        self.store.at_most(matchers, mint)
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.store.label_names(matchers, mint, maxt)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.store.label_values(name, matchers, mint, maxt)
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        self.store.exemplars(matchers, mint, maxt)
    }

    fn generation(&self) -> Generation {
        self.store.generation()
    }
}

impl From<Found> for GroupedSeries {
    fn from(found: Found) -> Self {
        Self {
            set: Box::new(found.set),
            group_of: found.group_of,
            labels: found.labels,
            places: found.places,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_that_stand_more_than_once_are_found() {
        for (text, expected) in [
            ("m", &[][..]),
            ("m + n", &[]),
            ("m + m", &[r#"[__name__="m"]"#]),
            ("(m - avg(m)) / stddev(m)", &[r#"[__name__="m"]"#]),
            (r#"m{a="1"} / m{a="2"}"#, &[]),
            ("rate(m[5m]) / sum(rate(m[5m]))", &[r#"[__name__="m"]"#]),
            ("rate(m[5m]) / sum(rate(m[1h]))", &[]),
            ("m - m offset 5m", &[]),
            ("m @ 7 - m @ 8", &[]),
            ("m + n + m + n", &[r#"[__name__="m"]"#, r#"[__name__="n"]"#]),
        ] {
            let found = repeated(&crate::syntax::parse(text).unwrap());
            let shown = |matchers: &Vec<Matcher>| {
                let all: Vec<String> = matchers.iter().map(ToString::to_string).collect();
                format!("[{}]", all.join(","))
            };
            assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected, "{text}");
        }
    }
}
