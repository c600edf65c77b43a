//! How wrong expressions are refused: counts, and which texts differ.

use crate::answer::{Answer, Difference};
use crate::both::Both;
use crate::question::Question;
use crate::shrink::shrink;
use crate::tally::Tally;
use crate::wording;
use futures::StreamExt;
use std::collections::BTreeMap;

/// Of 100 expressions with a mistake, at least so many are refused.
const REFUSED: usize = 60;
/// Of 1000 refusals, at least so many have the text that Prometheus' has.
const SAME_TEXT: usize = 950;

/// Counts.
#[derive(Debug)]
pub(crate) struct Refusals {
    /// What was answered, right or wrong.
    answered: Tally,
    /// By kind of mistake: how many were refused, how many accepted.
    by_mistake: BTreeMap<&'static str, [usize; 2]>,
    /// How many refusals have the same text, and how many another.
    texts: [usize; 2],
    /// By both texts without what is quoted in them: how often, and the smallest question with what both said.
    classes: BTreeMap<(String, String), (usize, String)>,
    /// Texts that differ as listed.
    listed: BTreeMap<usize, usize>,
}

impl Refusals {
    /// Asks both until `shown` differences were found.
    pub(crate) async fn of(
        both: &Both,
        questions: impl Iterator<Item = (&'static str, Question)>,
        shown: usize,
    ) -> Self {
        let answers = futures::stream::iter(questions).map(async |(mistake, question)| {
            let (ours, theirs) = both.ask(&question).await;
            (mistake, question, ours, theirs)
        });
        let mut answers = std::pin::pin!(answers.buffered(crate::AT_ONCE));
        let mut counts = Self {
            answered: both.oracle.tally(),
            by_mistake: BTreeMap::new(),
            texts: [0; 2],
            classes: BTreeMap::new(),
            listed: BTreeMap::new(),
        };
        while let Some((mistake, question, ours, theirs)) = answers.next().await {
            let refused = usize::from(theirs.error.is_none());
            counts.by_mistake.entry(mistake).or_default()[refused] += 1;
            counts.answered.add(&question, &theirs);
            counts.compare(both, question, ours, theirs).await;
            if counts.answered.differences() >= shown {
                break;
            }
        }
        counts
    }

    async fn compare(&mut self, both: &Both, question: Question, ours: Answer, theirs: Answer) {
        if let (Some((our_kind, our_text)), Some((kind, text))) = (&ours.error, &theirs.error)
            && (ours.status, our_kind) == (theirs.status, kind)
        {
            self.texts[usize::from(our_text != text)] += 1;
            if our_text != text {
                self.text_differs(both, question, ours, theirs).await;
            }
            return;
        }
        if ours == theirs {
            return;
        }
        if let Some(place) = both.allows(&question, &ours, &theirs).await {
            return self.answered.allow(place);
        }
        let (small, ours, theirs) = shrink(both, question.clone(), ours, theirs).await;
        println!(
            "\ndiffers: {small}\n  found as {question}\n{}",
            Difference(&ours, &theirs)
        );
        self.answered.differs(&small);
    }

    async fn text_differs(&mut self, both: &Both, question: Question, ours: Answer, theirs: Answer) {
        let (our_text, text) = (wording::of(&ours), wording::of(&theirs));
        if let Some(place) = wording::listed(&our_text, &text) {
            *self.listed.entry(place).or_default() += 1;
            return;
        }
        let class = (wording::class(&our_text), wording::class(&text));
        if let Some((n, _)) = self.classes.get_mut(&class) {
            *n += 1;
            return;
        }
        let (small, ours, theirs) = shrink(both, question, ours, theirs).await;
        let example = format!(
            "{small}\n    leadline   {}\n    Prometheus {}",
            wording::of(&ours),
            wording::of(&theirs)
        );
        self.classes.insert(class, (1, example));
    }

    /// Prints the counts.
    pub(crate) fn print(&self) {
        println!("\nexpressions with a mistake, refused and accepted:");
        for (mistake, [refused, accepted]) in &self.by_mistake {
            println!("  {mistake}: {refused} and {accepted}");
        }
        for (&place, n) in &self.listed {
            println!("other texts as listed, {n} times: {}", wording::LISTED[place].reason);
        }
        let mut classes: Vec<_> = self.classes.values().collect();
        classes.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
        for (n, example) in classes {
            println!("other texts, {n} times, such as {example}");
        }
        let [same, other] = self.texts;
        println!(
            "passed: {} refusals, {same} of them in the same words ({:.2} %)",
            same + other,
            same as f64 * 100.0 / (same + other).max(1) as f64
        );
        self.answered.print();
    }

    /// Fails where answers differ, or the words of too many refusals.
    pub(crate) fn demand(&self) {
        assert_eq!(
            self.answered.differences(),
            0,
            "status, type of error or results differ; see above"
        );
        self.answered.demand_few_allowed();
        let [same, other] = self.texts;
        let refused: usize = self.by_mistake.values().map(|[refused, _]| refused).sum();
        let asked: usize = self.by_mistake.values().flatten().sum();
        assert!(refused * 100 >= asked * REFUSED, "too few mistakes were made");
        assert!(
            same * 1000 >= (same + other) * SAME_TEXT,
            "the words of too many refusals differ"
        );
        assert!(
            self.classes.is_empty(),
            "refusals differ in their words, and not as listed; see above"
        );
    }
}
