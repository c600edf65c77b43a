//! Makes a question that two systems answer differently as small as it can be and still be one.

use crate::answer::Answer;
use crate::both::Both;
use crate::question::Question;

/// The most questions that are tried.
const MOST: usize = 400;

/// The smallest question below this one that is answered differently, with its answers. What is allowed to differ does not
/// count: a difference is not made into another one.
pub(crate) async fn shrink(
    both: &Both,
    question: Question,
    ours: Answer,
    theirs: Answer,
) -> (Question, Answer, Answer) {
    let mut best = (question, ours, theirs);
    let mut tried = 0;
    'smaller: loop {
        for simple in best.0.simpler() {
            tried += 1;
            if tried > MOST {
                return best;
            }
            let (ours, theirs) = both.ask(&simple).await;
            let same_sort =
                ours.error.is_some() == best.1.error.is_some() && theirs.error.is_some() == best.2.error.is_some();
            if ours != theirs && same_sort && both.allows(&simple, &ours, &theirs).await.is_none() {
                best = (simple, ours, theirs);
                continue 'smaller;
            }
        }
        return best;
    }
}
