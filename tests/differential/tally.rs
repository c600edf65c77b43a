//! What was asked, how often, and what came of it.

use crate::allowed::Allowed;
use crate::answer::Answer;
use crate::catalogue;
use crate::question::Question;
use std::collections::BTreeMap;

/// Of 100 queries, at least so many have a result that is not empty.
const SAYING: usize = 60;

/// Counts.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What may differ.
    list: &'static [Allowed],
    /// Of 1000 queries, at most so many may.
    in_all: usize,
    asked: usize,
    ranges: usize,
    saying: usize,
    errors: usize,
    noted: usize,
    by_feature: BTreeMap<&'static str, usize>,
    allowed: BTreeMap<usize, usize>,
    differing: BTreeMap<&'static str, usize>,
    differences: usize,
}

impl Tally {
    /// Counts of nothing yet, where so many of 1000 may differ, for these reasons.
    pub(crate) fn new(list: &'static [Allowed], in_all: usize) -> Self {
        Self {
            list,
            in_all,
            asked: 0,
            ranges: 0,
            saying: 0,
            errors: 0,
            noted: 0,
            by_feature: BTreeMap::new(),
            allowed: BTreeMap::new(),
            differing: BTreeMap::new(),
            differences: 0,
        }
    }

    /// Counts a question and Prometheus' answer.
    pub(crate) fn add(&mut self, question: &Question, answer: &Answer) {
        self.asked += 1;
        self.ranges += usize::from(question.step.is_some());
        self.saying += usize::from(answer.says_something());
        self.errors += usize::from(answer.error.is_some());
        self.noted += usize::from(!answer.notes.is_empty());
        for feature in question.tree.all_features() {
            *self.by_feature.entry(feature).or_default() += 1;
        }
    }

    /// Counts a difference that is allowed.
    pub(crate) fn allow(&mut self, place: usize) {
        *self.allowed.entry(place).or_default() += 1;
    }

    /// Counts a difference by what its smallest question has.
    pub(crate) fn differs(&mut self, question: &Question) {
        self.differences += 1;
        for feature in question.tree.all_features() {
            *self.differing.entry(feature).or_default() += 1;
        }
    }

    /// Differences that are not allowed.
    pub(crate) fn differences(&self) -> usize {
        self.differences
    }

    /// Prints the counts.
    pub(crate) fn print(&self) {
        println!("\nhow often each function, operator and modifier was asked:");
        let names = catalogue::all();
        let counted = self.by_feature.iter().filter(|(name, _)| names.contains(name));
        let counts: Vec<String> = counted.map(|(name, n)| format!("{name} {n}")).collect();
        for row in counts.chunks(8) {
            println!("  {}", row.join(" | "));
        }
        for (&place, &n) in &self.allowed {
            println!(
                "allowed {n} times ({}): {}",
                share(n, self.asked),
                self.list[place].reason
            );
        }
        let all = self.allowed.values().sum();
        println!("allowed {all} times ({}) in all", share(all, self.asked));
        if !self.differing.is_empty() {
            println!("what the smallest differing queries have: {:?}", self.differing);
        }
        println!(
            "passed: {} queries asked, {} of them over a range; {} % with a result that is not empty, {} errors, {} with \
             warnings or infos; {} differences",
            self.asked,
            self.ranges,
            self.saying * 100 / self.asked.max(1),
            self.errors,
            self.noted,
            self.differences
        );
    }

    /// Fails where the queries were not what they have to be: each of `features` occurs at least `least` times.
    pub(crate) fn demand(&self, features: &[&'static str], least: usize) {
        assert!(self.saying * 100 >= SAYING * self.asked, "too many empty results");
        self.demand_few_allowed();
        let seldom = |name: &&&str| self.by_feature.get(**name).is_none_or(|&n| n < least);
        let seldom: Vec<_> = features.iter().filter(seldom).collect();
        assert!(seldom.is_empty(), "not asked often enough: {seldom:?}");
    }

    /// Fails where more is allowed than may be.
    pub(crate) fn demand_few_allowed(&self) {
        assert!(self.list.len() <= 10, "too many reasons to differ");
        let few = |n: usize, at_most: usize| n * 1000 <= at_most * self.asked;
        for (&place, &n) in &self.allowed {
            let Allowed { reason, at_most, .. } = self.list[place];
            assert!(few(n, at_most), "{} are too many: {reason}", share(n, self.asked));
        }
        let all = self.allowed.values().sum::<usize>();
        assert!(
            few(all, self.in_all),
            "{} are too many to allow",
            share(all, self.asked)
        );
    }
}

/// A share in percent.
fn share(part: usize, whole: usize) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64)
}
