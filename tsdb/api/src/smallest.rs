//! The first of many, in order: what `limit` leaves of an answer, without keeping what it takes away.

use leadline_model::Labels;
use std::collections::BTreeSet;

/// What takes memory while it is kept.
pub(crate) trait Weight {
    /// How many bytes, itself and what it points to.
    fn bytes(&self) -> usize;
}

impl Weight for String {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

impl Weight for Labels {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.as_bytes().len()
    }
}

/// Different things of which only the smallest are kept.
#[derive(Debug)]
pub(crate) struct Smallest<T> {
    kept: BTreeSet<T>,
    bytes: usize,
    most: usize,
}

impl<T: Ord + Weight> Smallest<T> {
    /// Of nothing yet; `None` keeps all.
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            kept: BTreeSet::new(),
            bytes: 0,
            most: limit.unwrap_or(usize::MAX),
        }
    }

    /// Adds one, which is forgotten at once where there are enough smaller ones. One more than the limit is kept: it tells
    /// that there were more.
    pub(crate) fn add(&mut self, one: T) {
        let full = self.kept.len() > self.most;
        if full && self.kept.last().is_some_and(|last| *last <= one) {
            return;
        }
        let bytes = one.bytes();
        if !self.kept.insert(one) {
            return;
        }
        self.bytes += bytes;
        if full && let Some(last) = self.kept.pop_last() {
            self.bytes -= last.bytes();
        }
    }

    /// The bytes of those that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Those that were kept, in order, and whether there were more.
    pub(crate) fn finish(mut self) -> (Vec<T>, bool) {
        let more = self.kept.len() > self.most;
        if more {
            self.kept.pop_last();
        }
        (self.kept.into_iter().collect(), more)
    }
}

/// What is said beside an answer that `limit` cut (`web/api/v1/api.go`).
pub(crate) fn warnings(more: bool) -> Vec<String> {
    let warning = more.then(|| "results truncated due to limit".to_owned());
    warning.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::{Smallest, Weight};

    impl Weight for u32 {
        fn bytes(&self) -> usize {
            *self as usize
        }
    }

    #[test]
    fn the_smallest_are_kept_once_each_and_it_is_told_whether_there_were_more() {
        let of = |limit, all: &[u32]| {
            let mut smallest = Smallest::new(limit);
            all.iter().for_each(|one| smallest.add(*one));
            let kept = smallest.kept.len();
            assert_eq!(smallest.bytes(), smallest.kept.iter().sum::<u32>() as usize);
            let (left, more) = smallest.finish();
            assert!(
                limit.is_none_or(|most| kept.saturating_sub(1) <= most),
                "{limit:?}: {kept}"
            );
            (left, more)
        };
        let all = [5, 3, 9, 3, 1, 7, 1, 9];
        assert_eq!(of(None, &all), (vec![1, 3, 5, 7, 9], false));
        assert_eq!(of(Some(5), &all), (vec![1, 3, 5, 7, 9], false));
        assert_eq!(of(Some(4), &all), (vec![1, 3, 5, 7], true));
        assert_eq!(of(Some(1), &all), (vec![1], true));
        assert_eq!(of(Some(1), &[]), (vec![], false));
        assert!(!of(Some(usize::MAX), &all).1);
    }
}
