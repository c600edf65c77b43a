//! Queries that were asked before: an HPA, a rule and a dashboard ask the same text every few seconds, and a kept query is neither
//! parsed nor are its patterns compiled anew. It also knows what it took, which says better than any guess where it is to run.

use crate::query::Query;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;

/// Bytes of queries that are kept, about.
const CAPACITY: u64 = 16 << 20;
/// Longer texts, bytes, are not kept.
const MAX_TEXT: usize = 16 << 10;
/// Patterns that are worth more than so many instructions, together, are not kept: of what they take nothing else is known.
const MAX_PATTERNS: usize = 1 << 14;
/// What a byte of the text takes in the tree, bytes, and once more where constants are folded.
const PER_BYTE: usize = 64;
/// What a query takes besides, bytes.
const OVERHEAD: usize = 1_024;
/// What an instruction of a pattern takes, bytes, and what its engine keeps beside those.
const PER_INSTRUCTION: usize = 32;
const PER_ENGINE: usize = 64 << 10;

/// Parsed queries by their text, least recently asked out first.
pub(crate) struct KeptQueries(Cache<Arc<str>, Query, rapidhash::fast::RandomState>);

impl KeptQueries {
    pub(crate) fn new() -> Self {
        let weigh = |text: &Arc<str>, query: &Query| u32::try_from(weight(text, query)).unwrap_or(u32::MAX);
        Self(
            Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(weigh)
                .eviction_policy(EvictionPolicy::lru())
                .build_with_hasher(rapidhash::fast::RandomState::default()),
        )
    }

    /// The query with this text, if it was kept.
    pub(crate) fn get(&self, text: &str) -> Option<Query> {
        self.0.get(text)
    }

    /// Keeps a query, if it is none of those that take much.
    pub(crate) fn keep(&self, text: &str, query: &Query) {
        if text.len() <= MAX_TEXT && query.patterns().sum::<usize>() <= MAX_PATTERNS {
            self.0.insert(text.into(), query.clone());
        }
    }
}

/// Bytes that a query takes, about.
fn weight(text: &str, query: &Query) -> usize {
    let engines = query.patterns().filter(|instructions| *instructions > 0);
    let engines: usize = engines.map(|n| n * PER_INSTRUCTION + PER_ENGINE).sum();
    text.len() * PER_BYTE + engines + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> bool {
        let queries = KeptQueries::new();
        queries.keep(text, &Query::parse(text).unwrap());
        queries.get(text).is_some_and(|query| query.text() == text)
    }

    #[test]
    fn what_takes_much_is_not_kept() {
        assert!(kept(r#"sum by (pod) (rate(m{path=~"/api/.*",pod!~"web-[0-9]+"}[2m]))"#));
        let list = |pods: usize| {
            let names: Vec<String> = (0..pods).map(|i| format!("web-{i}")).collect();
            format!("m{{pod=~\"{}\"}}", names.join("|"))
        };
        assert!(kept(&list(200)));
        assert!(!kept(&list(3_000)));
        assert!(!kept(r#"m{a=~"(x[a-f]){900}y{900}"}"#));
    }

    #[test]
    fn all_that_is_kept_takes_no_more_than_there_is_room_for() {
        let queries = KeptQueries::new();
        for i in 0..1_000 {
            let text = format!("m{{a=~\"x[0-9]+{i}\"}}");
            queries.keep(&text, &Query::parse(&text).unwrap());
        }
        queries.0.run_pending_tasks();
        assert!(queries.0.weighted_size() <= CAPACITY);
        // Each is reckoned with an engine of more than 64 KiB.
        assert!(
            (100..250).contains(&queries.0.entry_count()),
            "{}",
            queries.0.entry_count()
        );
        assert!(queries.get(r#"m{a=~"x[0-9]+999"}"#).is_some());
        assert!(queries.get(r#"m{a=~"x[0-9]+0"}"#).is_none());
    }
}
