//! From a snapshot to the number that a trigger answers.

use crate::error::Unanswerable;
use crate::trigger::{OnStale, OnWarming, Trigger};
use leadline_model::Timestamp;
use leadline_model::target::{Board, TargetState};
use leadline_standing::freshness::{check_warm_for, describe_warming, judge_empty_for, judge_for};
use leadline_standing::staleness::AgeLimit;
use leadline_standing::{Row, Snapshot, Verdict};

/// The value of a trigger.
///
/// As KEDA's prometheus trigger has it: an empty result, NaN and Inf are 0, or an error where `ignoreNullValues` is
/// false; more than one element is an error. A scalar counts as one element, which KEDA's own trigger fails on. A value
/// below zero is passed on: KEDA takes it as 0.
///
/// # Errors
/// [`Unanswerable::Unavailable`] while the value is cold, warming, stale or partial as the trigger's policy has it, or
/// cannot be evaluated: never 0 in its place, which would remove pods. `age_limit` is of the trigger's `maxAge` and query,
/// `now` in ms. A message names the targets for which `shown` holds.
pub fn value_of(
    trigger: &Trigger,
    age_limit: AgeLimit,
    snapshot: &Snapshot,
    board: &Board,
    now: Timestamp,
    shown: impl Fn(&TargetState) -> bool,
) -> Result<f64, Unanswerable> {
    check_warm_for(snapshot, now, board, &shown).map_err(Unanswerable::Unavailable)?;
    let rows = match &snapshot.rows {
        Ok(rows) => rows.as_slice(),
        Err(error) => return Err(Unanswerable::Unavailable(format!("the query failed: {error}"))),
    };
    match rows {
        [] => {
            judge_empty_for(trigger.on_partial, trigger.partial, snapshot, board, shown)
                .map_err(Unanswerable::Unavailable)?;
            null(trigger, || "the result is empty".to_owned())
        }
        [row] => {
            if let (Some(warming), OnWarming::Error) = (&row.warming, trigger.on_warming) {
                return Err(Unanswerable::Unavailable(describe_warming(warming, now)));
            }
            if trigger.on_stale == OnStale::Error
                && let Some(age) = age_limit.stale_age(row, snapshot, board, now)
            {
                let why = age_limit.describe(row, age, board);
                return Err(Unanswerable::Unavailable(format!("the value is stale: {why}")));
            }
            let value = match judge_for(trigger.on_partial, trigger.partial, row, board, shown) {
                Verdict::Serve(value) => value,
                Verdict::Refuse(why) => return Err(Unanswerable::Unavailable(why)),
            };
            if value.is_finite() {
                Ok(value)
            } else {
                null(trigger, || format!("the value is {value}"))
            }
        }
        [first, second, ..] => Err(too_many(rows.len(), first, second)),
    }
}

/// Whether a value activates its trigger: strictly above, as in all of KEDA's triggers.
#[must_use]
pub fn is_active(trigger: &Trigger, value: f64) -> bool {
    value > trigger.activation_threshold
}

/// A whole number for a KEDA that knows no fractions: the next larger one, so that a small target or value is not 0.
#[must_use]
pub(crate) fn whole(value: f64) -> i64 {
    value.ceil() as i64
}

fn null(trigger: &Trigger, what: impl FnOnce() -> String) -> Result<f64, Unanswerable> {
    if trigger.ignore_null_values {
        return Ok(0.0);
    }
    Err(Unanswerable::Unusable(format!(
        "{} and ignoreNullValues is false",
        what()
    )))
}

fn too_many(count: usize, first: &Row, second: &Row) -> Unanswerable {
    Unanswerable::Unusable(format!(
        "the query returned {count} elements, one is expected: {}, {}{}; aggregate them, with sum(…) say",
        first.labels,
        second.labels,
        if count > 2 { ", …" } else { "" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use leadline_model::Labels;
    use leadline_model::duration::Duration;
    use leadline_model::port::{EvaluateError, Generation, Plan, Shape};
    use leadline_model::provenance::Provenance;
    use leadline_model::target::OwnerId;
    use leadline_standing::{Completeness, OnPartial, Warming, Warmth};
    use std::sync::Arc;

    fn trigger(ignore_null_values: bool) -> Trigger {
        let metadata = [
            ("query".to_owned(), "q".to_owned()),
            ("threshold".to_owned(), "1".to_owned()),
        ]
        .into();
        Trigger {
            ignore_null_values,
            ..Trigger::parse(&metadata, &Settings::default()).unwrap()
        }
    }

    fn completeness(down: u32) -> Completeness {
        Completeness {
            feeders: 2,
            down: (1..=down).map(OwnerId).collect(),
        }
    }

    fn row(value: f64, down: u32, last_complete: Option<f64>) -> Row {
        let labels = Labels::from_pairs([("pod", "a")]);
        Row {
            labels,
            value,
            provenance: Provenance::none(),
            completeness: completeness(down),
            warming: None,
            last_complete,
        }
    }

    fn snapshot(rows: Result<Vec<Row>, EvaluateError>, down: u32) -> Snapshot {
        Snapshot::new(Generation(1), 0, Warmth::Warm, rows, completeness(down), &[])
    }

    fn target(owner: u32, namespace: &str) -> TargetState {
        let instance = format!("i{owner}");
        TargetState {
            owner: OwnerId(owner),
            job: "job".into(),
            labels: Labels::from_pairs([("job", "job"), ("instance", &instance), ("namespace", namespace)]),
            discovered: Labels::empty(),
            url: format!("http://{instance}/metrics"),
            interval_ms: 15_000,
            timeout_ms: 10_000,
            health: leadline_model::target::Health::Down,
            first_good: None,
            last_scrape: None,
            last_duration_s: 0.0,
            last_error: None,
        }
    }

    fn plan() -> Plan {
        Plan {
            text: String::new(),
            shape: Shape::Vector,
            selectors: Vec::new(),
            moves_with_time: false,
            engine: Arc::new(()),
        }
    }

    fn valued(trigger: &Trigger, snapshot: &Snapshot, board: &Board, now: Timestamp) -> Result<f64, Unanswerable> {
        let limit = AgeLimit::new(trigger.max_age, &plan());
        value_of(trigger, limit, snapshot, board, now, |_| true)
    }

    fn asked(ignore_null: bool, values: &[f64]) -> Result<f64, Unanswerable> {
        let rows = values.iter().map(|&value| row(value, 0, Some(value))).collect();
        valued(&trigger(ignore_null), &snapshot(Ok(rows), 0), &Board::new(), 0)
    }

    #[test]
    fn results_are_read_as_kedas_prometheus_trigger_reads_them() {
        let inf = f64::INFINITY;
        // values, with ignoreNullValues, without it; None is an error
        let cases: &[(&[f64], Option<f64>, Option<f64>)] = &[
            (&[], Some(0.0), None),
            (&[2.0], Some(2.0), Some(2.0)),
            (&[0.0], Some(0.0), Some(0.0)),
            (&[-3.5], Some(-3.5), Some(-3.5)),
            (&[f64::NAN], Some(0.0), None),
            (&[inf], Some(0.0), None),
            (&[-inf], Some(0.0), None),
            (&[1.0, 2.0], None, None),
            (&[f64::NAN, f64::NAN, 1.0], None, None),
        ];
        for (values, lenient, strict) in cases {
            assert_eq!(asked(true, values).ok(), *lenient, "{values:?} with ignoreNullValues");
            assert_eq!(
                asked(false, values).ok(),
                *strict,
                "{values:?} without ignoreNullValues"
            );
        }
    }

    #[test]
    fn refusals_say_what_was_found() {
        assert_eq!(
            asked(false, &[]).unwrap_err().to_string(),
            "the result is empty and ignoreNullValues is false"
        );
        assert_eq!(
            asked(false, &[f64::NAN]).unwrap_err().to_string(),
            "the value is NaN and ignoreNullValues is false"
        );
        assert_eq!(
            asked(true, &[1.0, 2.0, 3.0]).unwrap_err().to_string(),
            "the query returned 3 elements, one is expected: {pod=\"a\"}, {pod=\"a\"}, …; \
             aggregate them, with sum(…) say"
        );
    }

    #[test]
    fn what_is_cold_partial_or_failed_is_unavailable_and_never_zero() {
        let mut cold = snapshot(Ok(Vec::new()), 0);
        cold.warmth = Warmth::Cold {
            reason: "warming up: x".into(),
            until: None,
            example: None,
        };
        let cases = [
            ("cold", cold),
            ("empty while a target is down", snapshot(Ok(Vec::new()), 1)),
            ("half of the sum", snapshot(Ok(vec![row(5.0, 1, Some(9.0))]), 1)),
            ("partial after a start", snapshot(Ok(vec![row(5.0, 1, None)]), 1)),
            ("failed", snapshot(Err(EvaluateError::Overloaded), 0)),
        ];
        for (what, snapshot) in cases {
            let answer = valued(&trigger(true), &snapshot, &Board::new(), 0);
            assert!(
                matches!(answer, Err(Unanswerable::Unavailable(_))),
                "{what}: {answer:?}"
            );
        }
        let raising = snapshot(Ok(vec![row(12.0, 1, Some(9.0))]), 1);
        assert_eq!(valued(&trigger(true), &raising, &Board::new(), 0), Ok(12.0));
        let serving = Trigger {
            on_partial: OnPartial::Serve,
            ..trigger(true)
        };
        assert_eq!(
            valued(&serving, &snapshot(Ok(Vec::new()), 2), &Board::new(), 0),
            Ok(0.0)
        );
    }

    #[test]
    fn a_message_names_only_targets_that_may_be_told_of() {
        let board = Board::new();
        for (owner, namespace) in [(1, "ours"), (2, "theirs")] {
            board.put(target(owner, namespace));
        }
        let shown = |target: &TargetState| target.labels.get("namespace") == Some("ours");
        let mut cold = snapshot(Ok(Vec::new()), 0);
        cold.warmth = Warmth::Cold {
            reason: "warming up: x".into(),
            until: None,
            example: Some(OwnerId(2)),
        };
        let missing = "2 of 2 targets that feed it are down: job/i1 and 1 more";
        for (snapshot, expected) in [
            (cold, "warming up: x".to_owned()),
            (
                snapshot(Ok(Vec::new()), 2),
                format!("the result is empty and partial: {missing}"),
            ),
            (
                snapshot(Ok(vec![row(5.0, 2, Some(9.0))]), 2),
                format!("the value is partial and 5 is below the last complete value 9: {missing}"),
            ),
        ] {
            let limit = AgeLimit::new(None, &plan());
            let refused = value_of(&trigger(true), limit, &snapshot, &board, 0, shown);
            assert_eq!(refused, Err(Unanswerable::Unavailable(expected)));
        }
    }

    #[test]
    fn what_a_vanished_series_is_still_part_of_is_unavailable_once_it_is_too_old() {
        let sampled = |stalest| Provenance {
            oldest: stalest,
            stalest,
            series: 2,
            owners: Vec::new(),
        };
        let row = Row {
            provenance: sampled(100_000),
            ..row(20.0, 0, Some(10.0))
        };
        let snapshot = snapshot(Ok(vec![row]), 0);
        let answered = |max_age: Option<i64>, on_stale, now| {
            let trigger = Trigger {
                max_age: max_age.map(Duration::from_secs),
                on_stale,
                ..trigger(true)
            };
            valued(&trigger, &snapshot, &Board::new(), now)
        };
        assert_eq!(answered(Some(60), OnStale::Error, 160_000), Ok(20.0));
        let why = "the value is stale: {pod=\"a\"} is 1m1s old > max age 1m";
        let stale = answered(Some(60), OnStale::Error, 161_000);
        assert_eq!(stale, Err(Unanswerable::Unavailable(why.to_owned())));
        assert_eq!(answered(Some(60), OnStale::Serve, 161_000), Ok(20.0));
        assert_eq!(answered(None, OnStale::Error, 400_000), Ok(20.0), "no target feeds it");
        assert!(answered(None, OnStale::Error, 400_001).is_err());
    }

    #[test]
    fn what_is_warming_is_refused_as_what_is_cold_unless_the_trigger_says_serve() {
        let warming = Some(Warming {
            since: 10_000,
            need_ms: 60_000,
        });
        let row = Row {
            warming,
            ..row(5.0, 0, None)
        };
        let snapshot = snapshot(Ok(vec![row]), 0);
        let asked = |on_warming| {
            let trigger = Trigger {
                on_warming,
                ..trigger(true)
            };
            valued(&trigger, &snapshot, &Board::new(), 33_500)
        };
        let why = "warming up: observed for 23s of the 1m that is read; ready in about 37 s";
        assert_eq!(asked(OnWarming::Error), Err(Unanswerable::Unavailable(why.to_owned())));
        assert_eq!(asked(OnWarming::Serve), Ok(5.0));
    }

    #[test]
    fn activation_is_strictly_above_the_threshold() {
        let trigger = Trigger {
            activation_threshold: 5.0,
            ..trigger(true)
        };
        assert_eq!(
            [4.9, 5.0, 5.1].map(|value| is_active(&trigger, value)),
            [false, false, true]
        );
    }

    #[test]
    fn whole_numbers_are_the_next_larger_ones() {
        let values = [0.0, 0.2, 7.0, 7.01, -1.5, 1e300];
        assert_eq!(values.map(whole), [0, 1, 7, 8, -1, i64::MAX]);
    }
}
