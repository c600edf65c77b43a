//! Which discovery an expression waits for before it is judged.
//!
//! A job whose discovery has not told its first full list (a file of it is broken, the pods were not listed) may have any
//! number of targets that are not known. It holds the expressions that its series may feed, and no others. A selector without
//! a matcher on `job` reads every job. With one, a job is told from its series by its name only where nothing else can come
//! to stand in the label: no rule of the job writes it, no exposed label wins, no target group says another. What a broken file
//! holds can be seen from its text alone. Where that says no `job`, the job's series are taken for those of any job but those
//! that other scrape configurations, whose targets are known, are named after.

use crate::warmth::Admission;
use leadline_model::discovery::{Discovery, GroupJob, JobDiscovery};
use leadline_model::{MatchOp, Matcher};

/// The longest reason (characters) of a discovery that is passed on: it becomes part of a condition of an HPA.
const MOST_WHY: usize = 300;

/// Why an expression that reads what `admissions` say has to wait for discovery; `None` where it has not.
pub(crate) fn waits(admissions: &[Admission], discovery: &Discovery) -> Option<String> {
    if discovery.synced() {
        return None;
    }
    if !discovery.configured {
        return Some("warming up: discovery has not delivered its first full list of targets".to_owned());
    }
    let feeds = |job: &&JobDiscovery| admissions.iter().any(|a| may_feed(job, a, discovery));
    let mut held = discovery.jobs.iter().filter(feeds);
    let first = held.next()?;
    Some(describe(first, held.count()))
}

/// Whether a job may have targets that are not known and whose series a selector reads.
fn may_feed(job: &JobDiscovery, admission: &Admission, discovery: &Discovery) -> bool {
    let Some(missing) = &job.missing else { return false };
    if !job.named || admission.of_job().all(|m| m.matches(&job.job)) {
        return true;
    }
    match missing.says {
        GroupJob::Nothing => false,
        GroupJob::Unseen => !admission.of_job().any(|m| names_others(m, job, discovery)),
        GroupJob::Anything => true,
    }
}

/// Whether a matcher on `job` admits names only that other jobs have, all of whose targets are known.
fn names_others(matcher: &Matcher, job: &JobDiscovery, discovery: &Discovery) -> bool {
    let is_other = |value: &str| {
        let known = |other: &JobDiscovery| *other.job == *value && other.named && other.missing.is_none();
        *job.job != *value && discovery.jobs.iter().any(known)
    };
    match matcher.op() {
        MatchOp::Equal => is_other(matcher.value()),
        MatchOp::Regex => {
            let values = matcher.regex().and_then(|regex| regex.set());
            values.is_some_and(|values| values.iter().all(|value| is_other(value)))
        }
        MatchOp::NotEqual | MatchOp::NotRegex => false,
    }
}

fn describe(job: &JobDiscovery, more: usize) -> String {
    let why = job.missing.as_ref().and_then(|missing| missing.why.as_deref());
    let why = why.map(|why| format!(": {}", why.chars().take(MOST_WHY).collect::<String>()));
    let others = match more {
        0 => String::new(),
        1 => " and 1 more".to_owned(),
        more => format!(" and {more} more"),
    };
    format!(
        "warming up: discovery has not delivered its first full list of the targets of job {:?}{others}{}",
        &*job.job,
        why.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warmth::admissions;
    use leadline_model::discovery::Missing;
    use leadline_model::port::{Plan, PlanSelector, Shape};
    use std::sync::Arc;

    /// The admissions of an expression whose selectors have these matchers on `job`; none: a selector without one.
    fn reading(selectors: &[&[(MatchOp, &str)]]) -> Vec<Admission> {
        let selector = |jobs: &&[(MatchOp, &str)]| PlanSelector {
            matchers: jobs
                .iter()
                .map(|&(op, value)| Matcher::new("job", op, value).unwrap())
                .chain([Matcher::equal("__name__", "depth")])
                .collect(),
            window_ms: 0,
        };
        admissions(&Plan {
            text: String::new(),
            shape: Shape::Vector,
            selectors: selectors.iter().map(selector).collect(),
            moves_with_time: false,
            engine: Arc::new(()),
        })
    }

    fn known(job: &str, named: bool) -> JobDiscovery {
        JobDiscovery {
            job: job.into(),
            named,
            missing: None,
        }
    }

    fn lacking(job: &str, named: bool, says: GroupJob) -> JobDiscovery {
        let why = Some(format!("file/0: /{job}.json: EOF"));
        JobDiscovery {
            missing: Some(Missing { says, why }),
            ..known(job, named)
        }
    }

    fn discovery(jobs: Vec<JobDiscovery>) -> Discovery {
        Discovery { configured: true, jobs }
    }

    #[test]
    fn a_job_that_is_not_known_in_full_holds_what_its_series_may_feed_and_nothing_else() {
        use GroupJob::{Anything, Nothing, Unseen};
        use MatchOp::{Equal, NotEqual, NotRegex, Regex};
        type Jobs<'a> = &'a [(MatchOp, &'a str)];
        // Matchers; whether job broken holds it where its groups say nothing, nothing that can be seen, anything.
        let cases: &[(Jobs<'_>, [bool; 3])] = &[
            (&[], [true, true, true]),
            (&[(Equal, "broken")], [true, true, true]),
            (&[(Equal, "web")], [false, false, true]),
            (&[(Equal, "")], [false, true, true]),
            (&[(Equal, "elsewhere")], [false, true, true]),
            // Its own series may come from anywhere.
            (&[(Equal, "loose")], [false, true, true]),
            (&[(Equal, "late")], [false, true, true]),
            (&[(Regex, "web|db")], [false, false, true]),
            (&[(Regex, "web|elsewhere")], [false, true, true]),
            (&[(Regex, "web|broken")], [true, true, true]),
            (&[(Regex, "w.*")], [false, true, true]),
            (&[(Regex, "w.*"), (NotEqual, "x"), (Equal, "web")], [false, false, true]),
            (&[(NotEqual, "broken")], [false, true, true]),
            (&[(NotEqual, "web")], [true, true, true]),
            (&[(NotRegex, "bro.*")], [false, true, true]),
        ];
        for (matchers, held) in cases {
            for (says, held) in [Nothing, Unseen, Anything].into_iter().zip(held) {
                let jobs = |named| {
                    let late = lacking("late", true, Nothing);
                    let others = [known("web", true), known("db", true), known("loose", false), late];
                    discovery([vec![lacking("broken", named, says)], others.to_vec()].concat())
                };
                let waits = |named| waits(&reading(&[matchers]), &jobs(named));
                let by = |why: Option<String>| why.is_some_and(|why| why.contains(r#"job "broken""#));
                assert_eq!(by(waits(true)), *held, "{matchers:?} {says:?}");
                // Whatever stands in the label of one that is not named after its job.
                assert!(by(waits(false)), "{matchers:?} {says:?}");
            }
        }
    }

    #[test]
    fn one_selector_of_several_that_may_be_fed_is_enough() {
        let broken = discovery(vec![known("web", true), lacking("db", true, GroupJob::Nothing)]);
        let (web, db): (&[_], &[_]) = (&[(MatchOp::Equal, "web")], &[(MatchOp::Equal, "db")]);
        assert_eq!(waits(&reading(&[web, web]), &broken), None);
        assert!(waits(&reading(&[web, db]), &broken).is_some());
    }

    #[test]
    fn the_reason_names_the_job_and_what_is_wrong_with_its_discovery() {
        let broken = |job| lacking(job, true, GroupJob::Anything);
        let told = |jobs| waits(&reading(&[&[]]), &discovery(jobs)).unwrap();
        let start = "warming up: discovery has not delivered its first full list of";
        assert_eq!(
            told(vec![known("web", true), broken("a")]),
            format!(r#"{start} the targets of job "a": file/0: /a.json: EOF"#)
        );
        assert_eq!(
            told(vec![broken("a"), broken("b"), broken("c")]),
            format!(r#"{start} the targets of job "a" and 2 more: file/0: /a.json: EOF"#)
        );
        let mut silent = broken("a");
        silent.missing = silent.missing.map(|missing| Missing { why: None, ..missing });
        assert_eq!(told(vec![silent]), format!(r#"{start} the targets of job "a""#));
        let mut long = broken("a");
        long.missing = long.missing.map(|missing| Missing {
            why: Some("é".repeat(10_000)),
            ..missing
        });
        assert_eq!(told(vec![long]).matches('é').count(), MOST_WHY);
        let nothing = waits(&reading(&[&[]]), &Discovery::default());
        assert_eq!(nothing, Some(format!("{start} targets")));
    }
}
