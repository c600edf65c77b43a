//! Whether observation covers what an expression reads.
//!
//! After a start an instant selector is warm once every target that its `job` and `instance` matchers admit was
//! scraped well, a selector that reads back in time once those targets were observed for all of its window (and twice
//! at least: two samples in a minute's window give an eighth of the rate). What the store has of a target from before the
//! start counts as observed, once the target was scraped again and less than a quarter of the window went by meanwhile
//! (`history`). A job whose discovery has not told all its targets is waited for where it may feed the expression (`waiting`).
//! A target that never answers is waited for ten minutes, and what it is to the expression from then on is told by
//! `silent`. Where the matchers admit no target at all, every target is waited for. Targets that are discovered later than the start (a workload that scales up) make nothing cold again:
//! an expression that was warm stays warm. The rows that they feed are judged one by one (`warming`).

use crate::history::{History, Wanted};
use crate::roster::Roster;
use crate::snapshot::Warmth;
use crate::waiting::waits;
use leadline_model::discovery::{Discovery, JOB};
use leadline_model::duration::Duration;
use leadline_model::matcher::MatchOp;
use leadline_model::port::Plan;
use leadline_model::target::{OwnerId, TargetState};
use leadline_model::{Matcher, Timestamp};
use std::sync::Arc;

/// What one selector says about the targets it reads.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Its matchers on `job` and `instance`.
    matchers: Vec<Matcher>,
    /// How far back it reads, ms.
    window_ms: i64,
}

impl Admission {
    fn admits(&self, target: &TargetState) -> bool {
        self.matchers
            .iter()
            .all(|m| m.matches(target.labels.get(m.name()).unwrap_or("")))
    }

    /// Its matchers on `job`.
    pub(crate) fn of_job(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().filter(|m| m.name() == JOB)
    }

    /// Whether it says the job or the instance of this target.
    pub(crate) fn names(&self, target: &TargetState) -> bool {
        let says = |m: &Matcher| m.op() == MatchOp::Equal && !m.value().is_empty();
        self.admits(target) && self.matchers.iter().any(says)
    }

    /// For how long (ms) a target must have been observed.
    fn need_ms(&self, target: &TargetState) -> i64 {
        if self.window_ms == 0 {
            0
        } else {
            self.window_ms.max(target.interval_ms)
        }
    }
}

/// The admissions of a plan's selectors.
pub(crate) fn admissions(plan: &Plan) -> Vec<Admission> {
    let relevant = |m: &&Matcher| matches!(m.name(), JOB | "instance");
    plan.selectors
        .iter()
        .map(|s| Admission {
            matchers: s.matchers.iter().filter(relevant).cloned().collect(),
            window_ms: s.window_ms.max(0),
        })
        .collect()
}

/// The moment an expression is judged at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The evaluation time, ms.
    pub(crate) at: Timestamp,
    /// The clock, ms.
    pub(crate) now: Timestamp,
    /// How long to wait for targets that never answer, ms.
    pub(crate) give_up_ms: i64,
    /// Whether a commit touched the expression that its newest evaluation did not see.
    pub(crate) behind: bool,
}

/// What keeps a selector cold.
#[derive(Default)]
struct Missing {
    never: usize,
    short: usize,
    of: usize,
    example: Option<OwnerId>,
    until: Timestamp,
    window_ms: i64,
}

/// The targets whose past has to be known before [`assess`] can say at `at` (ms) that they were observed long enough.
pub(crate) fn wanted(
    admissions: &[Admission],
    targets: &[Arc<TargetState>],
    history: &History,
    at: Timestamp,
) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for admission in admissions.iter().filter(|a| a.window_ms > 0) {
        wanted.extend(admitted(admission, targets).into_iter().filter_map(|target| {
            let need = admission.need_ms(target);
            let short = target.first_good.is_some_and(|first| first.saturating_add(need) > at);
            (short && !history.knows(target.owner, need)).then(|| (Arc::clone(target), need))
        }));
    }
    wanted
}

/// Judges an expression that was not warm before. `discovery` was asked for before `targets`.
pub(crate) fn assess(
    admissions: &[Admission],
    roster: &Roster,
    history: &History,
    (discovery, targets): (&Discovery, &[Arc<TargetState>]),
    moment: Moment,
) -> Warmth {
    if admissions.is_empty() {
        return Warmth::Warm;
    }
    if moment.now < roster.started() + moment.give_up_ms
        && let Some(reason) = waits(admissions, discovery)
    {
        return Warmth::Cold {
            reason,
            until: None,
            example: None,
        };
    }
    let worst = admissions
        .iter()
        .map(|admission| missing(admission, targets, (roster, history), moment))
        .filter(|m| m.never + m.short > 0)
        .max_by_key(|m| m.until);
    worst.map_or(Warmth::Warm, |m| Warmth::Cold {
        reason: describe(&m),
        until: Some(m.until),
        example: m.example,
    })
}

/// The targets that may feed a selector.
pub(crate) fn admitted<'a>(admission: &Admission, targets: &'a [Arc<TargetState>]) -> Vec<&'a Arc<TargetState>> {
    let mut admitted: Vec<&Arc<TargetState>> = targets.iter().filter(|t| admission.admits(t)).collect();
    if admitted.is_empty() {
        // With honor_labels a target exposes series of jobs that are none: any of them may feed the selector, and an
        // empty result before it was scraped is no answer.
        admitted.extend(targets);
    }
    admitted
}

fn missing(
    admission: &Admission,
    targets: &[Arc<TargetState>],
    (roster, history): (&Roster, &History),
    moment: Moment,
) -> Missing {
    let admitted = admitted(admission, targets);
    let mut missing = Missing {
        window_ms: admission.window_ms,
        ..Missing::default()
    };
    let Some(cohort) = roster.cohort(admitted.iter().map(|t| &***t)) else {
        return missing;
    };
    for target in admitted {
        if roster.seen(target.owner).is_none_or(|seen| seen > cohort.until) {
            continue;
        }
        missing.of += 1;
        let need = admission.need_ms(target);
        let observed = target.first_good.map(|first| {
            let since = if need == 0 {
                first
            } else {
                history.since(target, first, need)
            };
            // An evaluation before the first scrape saw the past alone.
            first.max(since.saturating_add(need))
        });
        let until = match observed {
            Some(until) if until <= moment.at => continue,
            // Its first commit touched nothing that the expression reads, or was seen.
            Some(_) if need == 0 && !moment.behind => continue,
            Some(until) => {
                missing.short += 1;
                until
            }
            None if moment.now >= cohort.since + moment.give_up_ms => continue,
            None => {
                missing.never += 1;
                missing.example.get_or_insert(target.owner);
                moment.now + target.interval_ms + need
            }
        };
        missing.until = missing.until.max(until);
    }
    missing
}

fn describe(missing: &Missing) -> String {
    if missing.never > 0 {
        return format!(
            "warming up: {} of {} targets were not scraped successfully yet",
            missing.never, missing.of
        );
    }
    let window = Duration::from_millis(missing.window_ms);
    format!(
        "warming up: {} of {} targets were not observed for the whole window of {window} yet",
        missing.short, missing.of
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::put_target;
    use leadline_model::clock::ManualClock;
    use leadline_model::discovery::{GroupJob, JobDiscovery, Missing};
    use leadline_model::target::{Board, Health};
    use leadline_storage::Head;

    const GIVE_UP: i64 = 600_000;

    fn admission(window_ms: i64, matchers: &[(&str, &str)]) -> Vec<Admission> {
        vec![Admission {
            matchers: matchers.iter().map(|&(n, v)| Matcher::equal(n, v)).collect(),
            window_ms,
        }]
    }

    fn world() -> (Arc<Board>, Roster) {
        let board = Board::new();
        put_target(&board, 1, "web", "a:80", Health::Unknown);
        put_target(&board, 2, "web", "b:80", Health::Unknown);
        put_target(&board, 3, "db", "c:80", Health::Down);
        (board, Roster::new(0))
    }

    /// The history of a store that knows none of the targets.
    fn blank() -> Arc<History> {
        let head = Head::new(leadline_storage::Settings::default(), Arc::new(ManualClock::at(0))).unwrap();
        History::new(head, 0)
    }

    fn good(board: &Board, owner: u32, at: Timestamp) {
        board.update(OwnerId(owner), |t| {
            t.first_good.get_or_insert(at);
            t.health = Health::Up;
        });
    }

    fn warm(admissions: &[Admission], roster: &Roster, board: &Board, at: Timestamp) -> bool {
        roster.observe(board, at);
        assess(
            admissions,
            roster,
            &blank(),
            (&board.discovery(), &board.all()),
            moment(at),
        ) == Warmth::Warm
    }

    fn moment(at: Timestamp) -> Moment {
        Moment {
            at,
            now: at,
            give_up_ms: GIVE_UP,
            behind: false,
        }
    }

    #[test]
    fn nothing_is_warm_before_discovery_has_synced_except_what_reads_nothing() {
        let (board, roster) = world();
        good(&board, 1, 10);
        good(&board, 2, 10);
        let web = admission(0, &[("job", "web")]);
        assert!(!warm(&web, &roster, &board, 1_000));
        assert!(warm(&[], &roster, &board, 1_000));
        board.set_synced(true);
        assert!(warm(&web, &roster, &board, 2_000));
    }

    #[test]
    fn an_instant_selector_waits_for_every_admitted_target_and_no_other() {
        let (board, roster) = world();
        board.set_synced(true);
        let web = admission(0, &[("job", "web")]);
        let one = admission(0, &[("job", "web"), ("instance", "a:80")]);
        good(&board, 1, 1_000);
        assert!(!warm(&web, &roster, &board, 2_000));
        assert!(warm(&one, &roster, &board, 2_000));
        good(&board, 2, 3_000);
        assert!(warm(&web, &roster, &board, 3_000));
        assert!(!warm(&admission(0, &[]), &roster, &board, 3_000));
    }

    #[test]
    fn a_window_must_be_covered_and_two_samples_seen() {
        let (board, roster) = world();
        board.set_synced(true);
        good(&board, 1, 1_000);
        good(&board, 2, 4_000);
        let minute = admission(60_000, &[("job", "web")]);
        assert!(!warm(&minute, &roster, &board, 63_999));
        assert!(warm(&minute, &roster, &board, 64_000));
        let short = admission(1_000, &[("job", "web")]);
        assert!(!warm(&short, &roster, &board, 18_999));
        assert!(warm(&short, &roster, &board, 19_000));
    }

    #[test]
    fn a_target_that_never_answers_is_waited_for_ten_minutes() {
        let (board, roster) = world();
        board.set_synced(true);
        let db = admission(0, &[("job", "db")]);
        assert!(!warm(&db, &roster, &board, GIVE_UP - 1));
        assert!(warm(&db, &roster, &board, GIVE_UP));
    }

    #[test]
    fn targets_that_come_after_the_start_are_not_waited_for() {
        let (board, roster) = world();
        board.set_synced(true);
        good(&board, 1, 1_000);
        good(&board, 2, 1_000);
        let web = admission(60_000, &[("job", "web")]);
        roster.observe(&board, 1_000);
        put_target(&board, 4, "web", "d:80", Health::Unknown);
        assert!(warm(&web, &roster, &board, 61_000));
    }

    /// The targets of these jobs are known, and not all of job db.
    fn without_targets_of_db(board: &Board, known: &[&str]) {
        let job = |job: &str, missing| JobDiscovery {
            job: job.into(),
            named: true,
            missing,
        };
        let missing = Missing {
            says: GroupJob::Unseen,
            why: None,
        };
        let known = known.iter().map(|name| job(name, None));
        board.set_discovery(Discovery {
            configured: true,
            jobs: known.chain([job("db", Some(missing))]).collect(),
        });
    }

    #[test]
    fn targets_that_come_after_their_job_was_known_are_not_waited_for_while_another_is_not() {
        let (board, roster) = world();
        without_targets_of_db(&board, &["web"]);
        good(&board, 1, 1_000);
        good(&board, 2, 1_000);
        roster.observe(&board, 1_000);
        put_target(&board, 4, "web", "d:80", Health::Unknown);
        let web = admission(60_000, &[("job", "web")]);
        assert!(!warm(&web, &roster, &board, 60_999));
        assert!(warm(&web, &roster, &board, 61_000));
        assert!(!warm(&admission(0, &[]), &roster, &board, GIVE_UP - 1));
    }

    #[test]
    fn a_job_that_comes_after_the_start_is_waited_for_from_its_first_targets_on() {
        let (board, roster) = world();
        board.set_synced(true);
        roster.observe(&board, 1_000);
        put_target(&board, 5, "late", "e:80", Health::Unknown);
        let late = admission(60_000, &[("job", "late")]);
        assert!(!warm(&late, &roster, &board, 100_000));
        good(&board, 5, 101_000);
        assert!(!warm(&late, &roster, &board, 160_999));
        assert!(warm(&late, &roster, &board, 161_000));
    }

    #[test]
    fn a_job_that_comes_long_after_the_start_is_waited_for_though_another_job_is_not_known_yet() {
        let (board, roster) = world();
        without_targets_of_db(&board, &["web"]);
        roster.observe(&board, 1_000);
        let came = 2 * GIVE_UP;
        put_target(&board, 5, "late", "e:80", Health::Unknown);
        without_targets_of_db(&board, &["web", "late"]);
        let late = admission(0, &[("job", "late")]);
        assert!(!warm(&late, &roster, &board, came));
        assert!(!warm(&late, &roster, &board, came + GIVE_UP - 1));
        assert!(warm(&late, &roster, &board, came + GIVE_UP));
    }

    #[test]
    fn an_evaluation_that_missed_the_first_good_scrape_of_a_target_is_cold() {
        let (board, roster) = world();
        board.set_synced(true);
        good(&board, 1, 1_000);
        good(&board, 2, 3_000);
        roster.observe(&board, 3_000);
        let web = admission(0, &[("job", "web")]);
        for (at, behind, warm) in [(2_000, true, false), (2_000, false, true), (3_000, true, true)] {
            let moment = Moment {
                at,
                behind,
                ..moment(3_000)
            };
            let warmth = assess(&web, &roster, &blank(), (&board.discovery(), &board.all()), moment);
            assert_eq!(warmth == Warmth::Warm, warm, "at {at}, behind {behind}: {warmth:?}");
        }
    }

    #[test]
    fn an_evaluation_before_the_first_scrape_saw_the_past_alone_and_is_cold() {
        let (board, roster) = world();
        board.set_synced(true);
        let history = blank();
        let one = admission(60_000, &[("instance", "a:80")]);
        history.told(OwnerId(1), 1_000, 90_000);
        good(&board, 1, 100_000);
        roster.observe(&board, 100_000);
        for (at, warm) in [(99_000, false), (100_000, true)] {
            let warmth = assess(&one, &roster, &history, (&board.discovery(), &board.all()), moment(at));
            assert_eq!(warmth == Warmth::Warm, warm, "at {at}: {warmth:?}");
        }
    }

    #[test]
    fn a_job_that_no_target_has_may_come_from_any_of_them() {
        let (board, roster) = world();
        board.set_synced(true);
        good(&board, 1, 1_000);
        good(&board, 2, 1_000);
        // As with honor_labels: the series say another job than the target that is scraped for them.
        let foreign = admission(60_000, &[("job", "federated")]);
        assert!(!warm(&foreign, &roster, &board, 90_000), "target 3 was never scraped");
        good(&board, 3, 90_000);
        assert!(!warm(&foreign, &roster, &board, 149_999));
        assert!(warm(&foreign, &roster, &board, 150_000));
    }

    #[test]
    fn the_reason_names_a_target_and_the_time() {
        let (board, roster) = world();
        board.set_synced(true);
        roster.observe(&board, 5_000);
        let db = assess(
            &admission(60_000, &[("job", "db")]),
            &roster,
            &blank(),
            (&board.discovery(), &board.all()),
            moment(5_000),
        );
        let reason = "warming up: 1 of 1 targets were not scraped successfully yet".to_owned();
        assert_eq!(
            db,
            Warmth::Cold {
                reason,
                until: Some(80_000),
                example: Some(OwnerId(3)),
            }
        );
    }
}
