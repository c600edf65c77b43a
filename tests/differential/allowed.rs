//! Differences that are meant, or that are upstream's. At most ten, each with the reason.

use crate::answer::Answer;
use crate::question::Question;

/// A difference that is allowed.
pub(crate) struct Allowed {
    /// Where it is explained.
    pub(crate) reason: &'static str,
    /// Whether these two answers to this question are a case of it.
    pub(crate) applies: fn(&Question, &Answer, &Answer) -> bool,
}

/// All of them.
pub(crate) const ALLOWED: &[Allowed] = &[];

/// The place in [`ALLOWED`] of the difference that this is.
pub(crate) fn find(question: &Question, ours: &Answer, theirs: &Answer) -> Option<usize> {
    ALLOWED.iter().position(|allowed| (allowed.applies)(question, ours, theirs))
}
