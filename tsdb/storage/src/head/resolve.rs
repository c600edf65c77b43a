//! From matchers to series.

use super::index::Index;
use super::pairs::{NameId, PairId};
use super::postings::{self, Id};
use leadline_model::matcher::{MatchOp, Matcher};

/// The series that fulfil all of `matchers`, ascending.
///
/// Equalities come first: their lists are intersected from the shortest on. What is left is either checked series by
/// series (when few series are left, the verdict of each value being kept) or by joining the lists of all values that
/// fit. A matcher that lets an absent label through subtracts the values that do not fit.
pub(super) fn resolve(index: &Index, matchers: &[Matcher]) -> Vec<Id> {
    let mut lists: Vec<&[Id]> = Vec::new();
    let mut others: Vec<&Matcher> = Vec::new();
    for m in matchers {
        match (m.op(), m.value()) {
            (MatchOp::Equal, value) if !value.is_empty() => match index.pairs.find(m.name(), value) {
                Some(pair) => lists.push(&index.pairs.pair(pair).postings),
                None => return Vec::new(),
            },
            (MatchOp::Regex, ".*") => {}
            _ => others.push(m),
        }
    }
    // A matcher that demands its label narrows; one that does not can only take away.
    // Alternatives are looked up; any other pattern is asked of every value of its label.
    others.sort_by_key(|m| (m.matches_empty(), m.regex().is_none_or(|regex| regex.set().is_none())));
    lists.sort_by_key(|l| l.len());
    let mut found = match lists.split_first() {
        Some((first, rest)) => {
            let mut found = first.to_vec();
            for list in rest {
                postings::intersect(&mut found, list);
            }
            Some(found)
        }
        None => None,
    };
    for m in others {
        found = Some(narrow(index, found, m));
        if found.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
    }
    found.unwrap_or_else(|| index.all())
}

/// Applies one matcher that is no plain equality.
fn narrow(index: &Index, mut found: Option<Vec<Id>>, m: &Matcher) -> Vec<Id> {
    let empty = m.matches_empty();
    let Some(name) = index.pairs.name_id(m.name()) else {
        return if empty {
            found.unwrap_or_else(|| index.all())
        } else {
            Vec::new()
        };
    };
    let values = candidates(index, name, m);
    let mut verdicts = index.verdicts.take(index, name, m);
    if let Some(mut found) = found.take_if(|f| f.len() <= values.len()) {
        found.retain(|&id| verdicts.of_series(index, id));
        index.verdicts.give_back(verdicts);
        return found;
    }
    let lists: Vec<&[Id]> = values
        .into_iter()
        .filter(|&pair| verdicts.of(index, pair) != empty)
        .map(|pair| &index.pairs.pair(pair).postings[..])
        .collect();
    index.verdicts.give_back(verdicts);
    match (found, empty) {
        (None, false) => postings::union(&lists, index.universe()),
        (Some(mut found), false) => {
            postings::intersect_any(&mut found, &lists, index.universe());
            found
        }
        (found, true) => {
            let mut found = found.unwrap_or_else(|| index.all());
            postings::subtract(&mut found, &postings::union(&lists, index.universe()));
            found
        }
    }
}

/// The pairs of a name that must be looked at: those of a plain set of alternatives are looked up.
fn candidates(index: &Index, name: NameId, m: &Matcher) -> Vec<PairId> {
    match (m.op(), m.regex().and_then(|re| re.set())) {
        (MatchOp::Regex, Some(set)) if !m.matches_empty() => {
            let mut found: Vec<_> = set
                .iter()
                .filter_map(|value| index.pairs.find(m.name(), value))
                .collect();
            found.sort_unstable();
            found.dedup();
            found
        }
        (MatchOp::NotEqual, _) if !m.value().is_empty() => index.pairs.find(m.name(), m.value()).into_iter().collect(),
        _ => index.pairs.name(name).pairs.clone(),
    }
}
