//! The label names and values of several sources as one sorted sequence.

use crate::error::StorageError;
use crate::source::{Source, SymbolIter};
use std::iter::Peekable;

/// Every symbol of `sources`, sorted bytewise, each once.
pub(super) fn symbols<'a>(sources: &[&'a dyn Source]) -> Result<SymbolIter<'a>, StorageError> {
    let iters = sources.iter().map(|source| source.symbols().map(Iterator::peekable));
    Ok(Box::new(Symbols {
        iters: iters.collect::<Result<_, _>>()?,
    }))
}

struct Symbols<'a> {
    iters: Vec<Peekable<SymbolIter<'a>>>,
}

impl Symbols<'_> {
    /// Takes an error that some source stands on.
    fn take_error(&mut self) -> Option<StorageError> {
        self.iters
            .iter_mut()
            .find_map(|iter| match iter.next_if(Result::is_err) {
                Some(Err(error)) => Some(error),
                _ => None,
            })
    }
}

impl Iterator for Symbols<'_> {
    type Item = Result<String, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.take_error() {
            return Some(Err(error));
        }
        let peeked = self.iters.iter_mut().filter_map(Peekable::peek);
        let least = peeked.filter_map(|symbol| symbol.as_ref().ok()).min()?.clone();
        for iter in &mut self.iters {
            while iter
                .next_if(|symbol| symbol.as_ref().is_ok_and(|s| *s == least))
                .is_some()
            {}
        }
        Some(Ok(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SeriesIter;

    struct Words(Vec<&'static str>);

    impl Source for Words {
        fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
            Ok(Box::new(self.0.iter().map(|&word| match word {
                "!" => Err(StorageError::Refused("!".to_owned())),
                word => Ok(word.to_owned()),
            })))
        }

        fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
            Ok(Box::new(std::iter::empty()))
        }
    }

    #[test]
    fn symbols_of_all_sources_come_sorted_and_once() {
        let words = [
            Words(vec!["a", "c", "d"]),
            Words(vec![]),
            Words(vec!["", "a", "b", "d"]),
        ];
        let sources: Vec<&dyn Source> = words.iter().map(|w| w as &dyn Source).collect();
        let all: Vec<String> = symbols(&sources).unwrap().map(Result::unwrap).collect();
        assert_eq!(all, ["", "a", "b", "c", "d"]);
    }

    #[test]
    fn a_source_that_cannot_be_read_says_so() {
        let words = [Words(vec!["a", "c"]), Words(vec!["b", "!"])];
        let sources: Vec<&dyn Source> = words.iter().map(|w| w as &dyn Source).collect();
        let all: Vec<_> = symbols(&sources).unwrap().map(|s| s.is_ok()).collect();
        assert_eq!(all, [true, true, false, true]);
    }
}
