//! How many series matchers can find at most: what a query will cost is guessed from it before it is run.

use super::index::Index;
use super::postings::{self, Id};
use leadline_model::matcher::{MatchOp, Matcher};

/// Lists that are longer are not joined or intersected: a query of that size is not small, whatever else narrows it.
const LONGEST: usize = 4_096;

/// No more than so many series fulfil all of `matchers`.
pub(super) fn at_most(index: &Index, matchers: &[Matcher]) -> usize {
    let mut lists: Vec<&[Id]> = Vec::new();
    let mut joined: Vec<Vec<Id>> = Vec::new();
    for m in matchers {
        match (m.op(), m.value(), m.regex().and_then(|regex| regex.set())) {
            (MatchOp::Equal, value, _) if !value.is_empty() => match index.pairs.find(m.name(), value) {
                Some(pair) => lists.push(&index.pairs.pair(pair).postings),
                None => return 0,
            },
            (MatchOp::Regex, _, Some(set)) if !m.matches_empty() => joined.extend(union(index, m.name(), set)),
            _ => {}
        }
    }
    lists.extend(joined.iter().map(Vec::as_slice));
    lists.sort_unstable_by_key(|list| list.len());
    match lists.split_first() {
        None => index.universe(),
        Some((shortest, _)) if shortest.len() > LONGEST => shortest.len(),
        Some((shortest, rest)) => {
            let mut found = shortest.to_vec();
            rest.iter().for_each(|list| postings::intersect(&mut found, list));
            found.len()
        }
    }
}

/// The series with one of the values, if they are few.
fn union(index: &Index, name: &str, values: &[String]) -> Option<Vec<Id>> {
    let pairs = values.iter().filter_map(|value| index.pairs.find(name, value));
    let lists: Vec<&[Id]> = pairs.map(|pair| &index.pairs.pair(pair).postings[..]).collect();
    let all: usize = lists.iter().map(|list| list.len()).sum();
    (all <= LONGEST).then(|| postings::union(&lists, index.universe()))
}
