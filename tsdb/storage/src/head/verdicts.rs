//! Which values fulfil a matcher: each value is asked once, also over many queries.

use super::index::Index;
use super::pairs::{NameId, PairId};
use super::postings::Id;
use leadline_model::matcher::{MatchOp, Matcher};
use parking_lot::Mutex;
use rapidhash::RapidHashMap;

/// The most verdicts that are kept, of all matchers together (about 2 MB).
const MOST: usize = 200_000;

/// The matcher that verdicts are of: its label, whether it is a negation, and its pattern.
type Key = (NameId, bool, Box<str>);

/// Verdicts that were reached.
#[derive(Debug, Default)]
struct Known {
    /// [`super::pairs::Name::reclaimed`] when they were reached: later, a pair's number may be another's.
    reclaimed: u64,
    by_pair: RapidHashMap<PairId, bool>,
}

/// Keeps verdicts on regular expressions from one query to the next.
#[derive(Debug, Default)]
pub(super) struct VerdictCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_matcher: RapidHashMap<Key, Known>,
    verdicts: usize,
}

impl VerdictCache {
    /// The verdicts on values of `name`. Until they are given back, another query begins anew.
    pub(super) fn take<'m>(&self, index: &Index, name: NameId, matcher: &'m Matcher) -> Verdicts<'m> {
        let reclaimed = index.pairs.name(name).reclaimed;
        let key = matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex)
            .then(|| (name, matcher.op() == MatchOp::NotRegex, Box::from(matcher.value())));
        let mut known = Known::default();
        if let Some(key) = &key {
            let mut kept = self.0.lock();
            if let Some(found) = kept.by_matcher.remove(key) {
                kept.verdicts -= found.by_pair.len();
                known = found;
            }
        }
        if known.reclaimed != reclaimed {
            known = Known {
                reclaimed,
                by_pair: RapidHashMap::default(),
            };
        }
        Verdicts {
            name,
            matcher,
            empty: matcher.matches_empty(),
            key,
            known,
        }
    }

    /// Keeps verdicts for the next query; when there are too many, all others go.
    pub(super) fn give_back(&self, verdicts: Verdicts<'_>) {
        let Some(key) = verdicts.key else { return };
        let mut kept = self.0.lock();
        if kept.verdicts + verdicts.known.by_pair.len() > MOST {
            *kept = Kept::default();
        }
        kept.verdicts += verdicts.known.by_pair.len();
        if let Some(old) = kept.by_matcher.insert(key, verdicts.known) {
            kept.verdicts -= old.by_pair.len();
        }
    }
}

/// Whether values of one label fulfil a matcher.
#[derive(Debug)]
pub(super) struct Verdicts<'m> {
    name: NameId,
    matcher: &'m Matcher,
    /// The verdict on a series without the label.
    empty: bool,
    /// Where they are kept; `None` for a matcher that is not worth it.
    key: Option<Key>,
    known: Known,
}

impl Verdicts<'_> {
    /// The verdict on the value of a pair.
    pub(super) fn of(&mut self, index: &Index, pair: PairId) -> bool {
        *self
            .known
            .by_pair
            .entry(pair)
            .or_insert_with(|| self.matcher.matches(&index.pairs.pair(pair).value))
    }

    /// The verdict on a series.
    pub(super) fn of_series(&mut self, index: &Index, id: Id) -> bool {
        let pair = index
            .pairs_of(id)
            .find(|&pair| index.pairs.pair(pair).name == self.name);
        match pair {
            Some(pair) => self.of(index, pair),
            None => self.empty,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::resolve::resolve;
    use leadline_model::labels::Labels;
    use leadline_model::port::SeriesRef;

    #[test]
    fn a_verdict_does_not_outlive_the_value_it_was_on() {
        let mut index = Index::default();
        let pod = |value: &str| Labels::from_pairs([("pod", value)]);
        let matcher = [Matcher::new("pod", MatchOp::Regex, "app-.*").unwrap()];
        let old = index.create(&pod("app-1"), SeriesRef(64)).unwrap();
        assert_eq!(resolve(&index, &matcher), [old]);
        index.kill(std::iter::once(old));
        index.sweep(true);
        // The new value gets the number of the old one.
        let other = index.create(&pod("db-1"), SeriesRef(128)).unwrap();
        assert_eq!(resolve(&index, &matcher), [0; 0]);
        let again = index.create(&pod("app-2"), SeriesRef(192)).unwrap();
        assert_eq!((resolve(&index, &matcher), other + 1), (vec![again], again));
    }

    #[test]
    fn no_more_verdicts_are_kept_than_allowed() {
        let mut index = Index::default();
        for i in 0..1_000u64 {
            index
                .create(&Labels::from_pairs([("pod", i.to_string())]), SeriesRef(i))
                .unwrap();
        }
        for i in 0..2 * MOST / 1_000 {
            let matcher = [Matcher::new("pod", MatchOp::Regex, format!(".*{i}.*")).unwrap()];
            resolve(&index, &matcher);
            let kept = index.verdicts.0.lock();
            assert!(kept.verdicts <= MOST);
            assert_eq!(
                kept.verdicts,
                kept.by_matcher.values().map(|k| k.by_pair.len()).sum::<usize>()
            );
        }
    }
}
