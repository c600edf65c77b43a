//! What was asked, how often, and what came of it.

use crate::allowed::ALLOWED;
use crate::answer::Answer;
use crate::catalogue;
use crate::question::Question;
use std::collections::BTreeMap;

/// Every function, operator and modifier occurs at least so often in the queries of a whole run.
const LEAST: usize = 50;
/// How many queries a whole run has.
const WHOLE_RUN: u64 = 7000;
/// Of 100 queries, at least so many have a result that is not empty.
const SAYING: usize = 60;

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
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
        let counts: Vec<String> = self.by_feature.iter().map(|(name, n)| format!("{name} {n}")).collect();
        for row in counts.chunks(8) {
            println!("  {}", row.join(" | "));
        }
        for (&place, n) in &self.allowed {
            println!("allowed {n} times: {}", ALLOWED[place].reason);
        }
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

    /// Fails where the queries were not what they have to be.
    pub(crate) fn demand(&self, queries: u64, features: &[&'static str]) {
        assert!(self.saying * 100 >= SAYING * self.asked, "too many empty results");
        assert!(ALLOWED.len() <= 10, "too much is allowed");
        let seldom = |name: &&&str| self.by_feature.get(**name).is_none_or(|&n| n < LEAST);
        let seldom: Vec<_> = features.iter().filter(seldom).collect();
        assert!(
            queries < WHOLE_RUN || seldom.is_empty(),
            "not asked often enough: {seldom:?}"
        );
        assert!(!catalogue::all().is_empty());
    }
}
