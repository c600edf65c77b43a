//! From matchers to series: lists of postings as far as they are worth reading, and the matchers that are cheaper to ask
//! of each series.

use super::index::{Name, Reader};
use crate::error::StorageError;
use crate::head::postings::{intersect, subtract, union};
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use rapidhash::RapidHashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A list this many times longer than what was found so far is not read: the series are asked instead.
const TOO_LONG: u64 = 32;
/// So many series are always cheap to ask.
const FEW: u64 = 256;

/// The series that may fulfil all matchers, ascending, and what is still to be asked of them.
#[derive(Debug, Default)]
pub(super) struct Selection<'m> {
    pub(super) refs: Vec<u32>,
    pub(super) pending: Vec<Pending<'m>>,
}

/// A matcher that is asked of each series; each value once.
#[derive(Debug)]
pub(super) struct Pending<'m> {
    matcher: &'m Matcher,
    verdicts: RapidHashMap<String, bool>,
}

impl<'m> Pending<'m> {
    fn new(matcher: &'m Matcher) -> Self {
        Self {
            matcher,
            verdicts: RapidHashMap::default(),
        }
    }

    pub(super) fn matches(&mut self, labels: &Labels) -> bool {
        let value = labels.get(self.matcher.name()).unwrap_or("");
        if self.matcher.regex().is_none() {
            return self.matcher.matches(value);
        }
        if let Some(&verdict) = self.verdicts.get(value) {
            return verdict;
        }
        let verdict = self.matcher.matches(value);
        self.verdicts.insert(value.to_owned(), verdict);
        verdict
    }
}

/// What is known while matchers are applied.
struct Resolver<'r, 'm> {
    reader: &'r Reader,
    found: Option<Vec<u32>>,
    pending: Vec<Pending<'m>>,
}

/// Finds the series. Equalities come first, the shortest list before all; then the matchers that demand their label;
/// those that let an absent label through can only take away and come last.
pub(super) fn resolve<'m>(reader: &Reader, matchers: &'m [Matcher]) -> Result<Selection<'m>, StorageError> {
    let mut resolver = Resolver {
        reader,
        found: None,
        pending: Vec::new(),
    };
    let mut lists: Vec<(u64, u64, &Matcher)> = Vec::new();
    let mut others: Vec<(&Matcher, &Name)> = Vec::new();
    for m in matchers {
        match (reader.name(m.name()), m.op()) {
            (_, MatchOp::Regex) if m.value() == ".*" => {}
            (None, _) if m.matches_empty() => {}
            (None, _) => return Ok(Selection::default()),
            (Some(name), MatchOp::Equal) if !m.value().is_empty() => match reader.find(name, m.value())? {
                Some(offset) => lists.push((u64::from(reader.postings_len(offset)?), offset, m)),
                None => return Ok(Selection::default()),
            },
            (Some(name), _) => others.push((m, name)),
        }
    }
    lists.sort_by_key(|l| (l.0, l.1));
    others.sort_by_key(|(m, _)| m.matches_empty());
    for (len, offset, m) in lists {
        resolver.equal(len, offset, m)?;
    }
    for (m, name) in others {
        if resolver.found.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        resolver.narrow(m, name)?;
    }
    let refs = resolver.found.take();
    Ok(Selection {
        refs: refs.map_or_else(|| all(reader), Ok)?,
        pending: resolver.pending,
    })
}

/// All series.
pub(super) fn all(reader: &Reader) -> Result<Vec<u32>, StorageError> {
    match reader.all()? {
        Some(offset) => Ok(reader.postings(offset)?.to_vec()),
        None => Ok(Vec::new()),
    }
}

impl<'m> Resolver<'_, 'm> {
    /// Keeps those on the list at `offset`.
    fn equal(&mut self, len: u64, offset: u64, m: &'m Matcher) -> Result<(), StorageError> {
        match &mut self.found {
            None => self.found = Some(self.reader.postings(offset)?.to_vec()),
            Some(found) if is_too_long(len, found.len()) => self.pending.push(Pending::new(m)),
            Some(found) => intersect(found, &self.reader.postings(offset)?),
        }
        Ok(())
    }

    /// Applies a matcher that is no plain equality.
    fn narrow(&mut self, m: &'m Matcher, name: &Name) -> Result<(), StorageError> {
        let empty = m.matches_empty();
        let set = m.regex().and_then(|re| re.set());
        let looked_up = match (m.op(), set) {
            (MatchOp::Regex, Some(set)) if !empty => self.lookup(name, set.iter().map(String::as_str))?,
            (MatchOp::NotRegex, Some(set)) if empty => self.lookup(name, set.iter().map(String::as_str))?,
            (MatchOp::NotEqual, _) if empty => self.lookup(name, [m.value()].into_iter())?,
            _ => {
                let found = self.found.as_ref().map(|f| f.len() as u64);
                if found.is_some_and(|found| found <= name.values.max(FEW)) {
                    self.pending.push(Pending::new(m));
                    return Ok(());
                }
                self.judge(m, name)?
            }
        };
        if let Some(found) = &self.found {
            let mut total = 0;
            for &offset in &looked_up {
                total += u64::from(self.reader.postings_len(offset)?);
            }
            if is_too_long(total, found.len()) {
                self.pending.push(Pending::new(m));
                return Ok(());
            }
        }
        let joined = self.join(&looked_up)?;
        let found = match (self.found.take(), empty) {
            (None, false) => joined,
            (Some(mut found), false) => {
                intersect(&mut found, &joined);
                found
            }
            (found, true) => {
                let mut found = found.map_or_else(|| all(self.reader), Ok)?;
                subtract(&mut found, &joined);
                found
            }
        };
        self.found = Some(found);
        Ok(())
    }

    /// The lists of single values.
    fn lookup<'v>(&self, name: &Name, values: impl Iterator<Item = &'v str>) -> Result<Vec<u64>, StorageError> {
        let mut offsets = Vec::new();
        for value in values {
            offsets.extend(self.reader.find(name, value)?);
        }
        Ok(offsets)
    }

    /// The lists of the values that fit; of a matcher that lets an absent label through, of those that do not.
    fn judge(&self, m: &Matcher, name: &Name) -> Result<Vec<u64>, StorageError> {
        let empty = m.matches_empty();
        // A pattern that the empty text matches has none, so what does not match is never left out.
        let prefix = match (m.op(), m.regex()) {
            (MatchOp::Regex, Some(re)) => re.prefix(),
            _ => "",
        };
        let mut offsets = Vec::new();
        self.reader.each_value(name, prefix, |value, offset| {
            if m.matches(value) != empty {
                offsets.push(offset);
            }
            ControlFlow::Continue(())
        })?;
        Ok(offsets)
    }

    fn join(&self, offsets: &[u64]) -> Result<Vec<u32>, StorageError> {
        let lists: Vec<Arc<[u32]>> = offsets
            .iter()
            .map(|&offset| self.reader.postings(offset))
            .collect::<Result<_, _>>()?;
        let lists: Vec<&[u32]> = lists.iter().map(|list| &**list).collect();
        Ok(union(&lists, self.reader.universe()))
    }
}

fn is_too_long(len: u64, found: usize) -> bool {
    len > FEW && len / TOO_LONG > found as u64
}
