//! What leadline is held against: a release of Prometheus, how both are started, what of their answers is compared, and
//! which differences are meant.

use crate::allowed::{ALL, ALWAYS, Allowed};
use crate::answer::Answer;
use crate::older;
use crate::programs::Release;
use crate::question::Question;
use crate::tally::Tally;

/// Names of features that both are started with.
const FEATURES: &str = "--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers";
/// The same, and names of metrics go at the end of a query.
const DELAYED: &str =
    "--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers,promql-delayed-name-removal";
/// The same, names of any script without quotes, and types of metrics as labels.
const RARER: &str = "--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers,\
                        promql-delayed-name-removal,promql-unquoted-utf8-names,type-and-unit-labels";

/// What changes how names are written and what is counted.
const IN_THE_HEAD: &str = "--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers,\
    promql-unquoted-utf8-names,promql-per-step-stats";

/// One comparison.
pub(crate) struct Oracle {
    /// Prometheus.
    pub(crate) release: Release,
    /// What Prometheus is told to know.
    pub(crate) its_features: Option<&'static str>,
    /// What leadline is told to know.
    pub(crate) our_features: &'static str,
    /// How both spell an expression.
    pub(crate) written: fn(&str) -> String,
    /// How Prometheus spells it then.
    pub(crate) spelled: fn(&str) -> String,
    /// What of an answer is compared.
    pub(crate) compared: fn(Answer) -> Answer,
    /// Differences that are meant.
    pub(crate) allowed: &'static [Allowed],
    /// Of 1000 questions, at most so many may be a case of any of these.
    pub(crate) allowed_in_all: usize,
}

impl Oracle {
    /// Prometheus 3.16 with delayed name removal, where it is here.
    pub(crate) fn newest() -> Option<Self> {
        Some(Self {
            release: Release::newest()?,
            its_features: Some(DELAYED),
            our_features: DELAYED,
            written: str::to_owned,
            spelled: str::to_owned,
            compared: |answer| answer,
            allowed: ALL,
            allowed_in_all: 20,
        })
    }

    /// The same with names of any script without quotes, and types of metrics as labels.
    pub(crate) fn newest_with_rarer_features() -> Option<Self> {
        Some(Self {
            its_features: Some(RARER),
            our_features: RARER,
            ..Self::newest()?
        })
    }

    /// Prometheus 3.16 as it is by default: names of metrics go at once.
    pub(crate) fn newest_by_default() -> Option<Self> {
        Some(Self {
            its_features: Some(FEATURES),
            our_features: FEATURES,
            allowed: ALWAYS,
            ..Self::newest()?
        })
    }

    /// The same with names that need no quotes, and counts of each step.
    pub(crate) fn newest_in_the_head() -> Option<Self> {
        Some(Self {
            its_features: Some(IN_THE_HEAD),
            our_features: IN_THE_HEAD,
            written: unquoted,
            ..Self::newest_by_default()?
        })
    }

    /// Prometheus 2.42 as Debian has it.
    pub(crate) fn older() -> Option<Self> {
        Some(Self {
            release: Release::debian()?,
            its_features: None,
            our_features: FEATURES,
            written: str::to_owned,
            spelled: older::spelled,
            compared: older::compared,
            allowed: older::ALLOWED,
            allowed_in_all: 160,
        })
    }

    /// Counts of nothing yet.
    pub(crate) fn tally(&self) -> Tally {
        Tally::new(self.allowed, self.allowed_in_all)
    }

    /// The place of the difference that this is among those that are meant.
    pub(crate) fn allows(&self, question: &Question, ours: &Answer, theirs: &Answer) -> Option<usize> {
        let applies = |allowed: &Allowed| (allowed.applies)(question, ours, theirs);
        self.allowed.iter().position(applies)
    }
}

/// An expression with names of the data as they can be written without quotes.
fn unquoted(expression: &str) -> String {
    expression
        .replace("{\"http.server.duration\", ", "http.server.duration{")
        .replace("{\"http.server.duration\"}", "http.server.duration")
        .replace("\"service.name\"=", "service.name=")
}

#[test]
fn names_of_the_data_are_written_without_quotes() {
    let quoted = "rate({\"http.server.duration\", \"service.name\"=~\"gr.*\"}[5m]) - {\"http.server.duration\"}";
    let plain = "rate(http.server.duration{service.name=~\"gr.*\"}[5m]) - http.server.duration";
    assert_eq!(unquoted(quoted), plain);
}
