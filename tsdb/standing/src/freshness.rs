//! May this value be answered? The one place that decides about values that lack part of their input.
//!
//! A sum over two exporters of which one died is half, and an autoscaler that believes it removes pods from those that
//! live. A value is *partial* while more than the tolerated share of the targets that feed it is down yet still
//! discovered. A partial value may raise but never lower ([`OnPartial::Raise`]): it is answered where it is not below
//! the last complete value. Nothing old is ever answered in its place, because a held number cuts the feedback of
//! whoever scales on it.

use crate::snapshot::{Completeness, OnPartial, Row, Snapshot, Verdict, Warming, Warmth};
use leadline_model::Timestamp;
use leadline_model::duration::Duration;
use leadline_model::target::{Board, Health, OwnerId, TargetState};

/// How far (ms) ahead of the clock an evaluation may be. Evaluations are made at times that the clock has shown: what is
/// further ahead was made before the clock was set back, nobody knows how long ago. None is made anew before the clock has
/// passed it: the store has samples of the time between, which are not of now.
pub const AHEAD_MS: i64 = 30_000;

/// How many down targets a message names before it only counts.
const NAMED: usize = 3;

/// Whether more than the tolerated share (`partial`, 0 to 1) of the feeders is down.
#[must_use]
pub fn is_partial(partial: f64, completeness: &Completeness) -> bool {
    completeness.missing() > partial
}

/// What `policy` makes of a value of which the share `partial` (0 to 1) of the feeders may be missing. `board` gives
/// the names of the targets for the message of a refusal.
///
/// A value that is partial and has no complete predecessor (after a start) is refused under [`OnPartial::Raise`],
/// because nothing tells whether it would lower. So is a partial NaN.
#[must_use]
pub fn judge(policy: OnPartial, partial: f64, row: &Row, board: &Board) -> Verdict {
    judge_for(policy, partial, row, board, |_| true)
}

/// As [`judge`], for somebody who may hear of the targets for which `shown` holds: the others are only counted.
#[must_use]
pub fn judge_for(
    policy: OnPartial,
    partial: f64,
    row: &Row,
    board: &Board,
    shown: impl Fn(&TargetState) -> bool,
) -> Verdict {
    if policy == OnPartial::Serve || !is_partial(partial, &row.completeness) {
        return Verdict::Serve(row.value);
    }
    let why = describe_missing(&row.completeness, board, shown);
    match (policy, row.last_complete) {
        (OnPartial::Raise, Some(last)) if row.value >= last => Verdict::Serve(row.value),
        (OnPartial::Raise, Some(last)) => Verdict::Refuse(format!(
            "the value is partial and {} is below the last complete value {last}: {why}",
            row.value
        )),
        (OnPartial::Raise, None) => Verdict::Refuse(format!(
            "the value is partial and there is no earlier complete one: {why}"
        )),
        (OnPartial::Error | OnPartial::Serve, _) => Verdict::Refuse(format!("the value is partial: {why}")),
    }
}

/// Whether an empty result (or one without the row that was asked for) may be believed: under every policy but
/// [`OnPartial::Serve`] it may not while more than the share `partial` of all that feeds the expression is down,
/// because what is missing may be exactly that.
///
/// # Errors
/// Why it may not.
pub fn judge_empty(policy: OnPartial, partial: f64, snapshot: &Snapshot, board: &Board) -> Result<(), String> {
    judge_empty_for(policy, partial, snapshot, board, |_| true)
}

/// As [`judge_empty`], for somebody who may hear of the targets for which `shown` holds: the others are only counted.
///
/// # Errors
/// Why it may not.
pub fn judge_empty_for(
    policy: OnPartial,
    partial: f64,
    snapshot: &Snapshot,
    board: &Board,
    shown: impl Fn(&TargetState) -> bool,
) -> Result<(), String> {
    if policy == OnPartial::Serve || !is_partial(partial, &snapshot.completeness) {
        return Ok(());
    }
    let why = describe_missing(&snapshot.completeness, board, shown);
    Err(format!("the result is empty and partial: {why}"))
}

/// Whether observation covers what the expression reads; a cold value must not be answered, nor an empty result. No target is
/// named.
///
/// # Errors
/// "warming up: …", with the time left where it can be told; that the clock was set back, where the evaluation is more than
/// [`AHEAD_MS`] ahead of it. `now` is in ms.
pub fn check_warm(snapshot: &Snapshot, now: Timestamp) -> Result<(), String> {
    cold_because(snapshot, now, |_| None)
}

/// As [`check_warm`], for somebody who may hear of the targets for which `shown` holds: one that is waited for is named.
///
/// # Errors
/// As those of [`check_warm`].
pub fn check_warm_for(
    snapshot: &Snapshot,
    now: Timestamp,
    board: &Board,
    shown: impl Fn(&TargetState) -> bool,
) -> Result<(), String> {
    let name = |owner| board.get(owner).filter(|target| shown(target)).map(|t| name_of(&t));
    cold_because(snapshot, now, name)
}

fn cold_because(snapshot: &Snapshot, now: Timestamp, name: impl Fn(OwnerId) -> Option<String>) -> Result<(), String> {
    let ahead = snapshot.at.saturating_sub(now);
    if ahead > AHEAD_MS {
        return Err(format!(
            "evaluated {} ahead of the clock, which was set back: answered when the clock has passed that time, or after a start \
             with an empty store",
            Duration::from_millis(ahead - ahead % 1000)
        ));
    }
    let Warmth::Cold { reason, until, example } = &snapshot.warmth else {
        return Ok(());
    };
    let example = example
        .and_then(name)
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    let left = until
        .map(|until| format!("; {}", ready_in(until, now)))
        .unwrap_or_default();
    Err(format!("{reason}{example}{left}"))
}

/// Since when a row's feeders are observed and how long it takes until that is enough: "warming up: observed for 23s of the
/// 1m that is read; ready in about 38 s". `now` is in ms.
#[must_use]
pub fn describe_warming(warming: &Warming, now: Timestamp) -> String {
    let observed = now.saturating_sub(warming.since).clamp(0, warming.need_ms.max(0));
    format!(
        "warming up: observed for {} of the {} that is read; {}",
        Duration::from_millis(observed - observed % 1000),
        Duration::from_millis(warming.need_ms),
        ready_in(warming.until(), now)
    )
}

fn ready_in(until: Timestamp, now: Timestamp) -> String {
    let seconds = until.saturating_sub(now).max(0).div_euclid(1000) + 1;
    format!("ready in about {seconds} s")
}

/// "2 of 5 targets are down: web/10.0.0.1:80, web/10.0.0.2:80", with "and N more" from the fourth on. Targets for which `shown`
/// does not hold are counted and not named.
#[must_use]
pub fn describe_missing(completeness: &Completeness, board: &Board, shown: impl Fn(&TargetState) -> bool) -> String {
    let down = &completeness.down;
    let up = |&owner: &OwnerId| board.get(owner).is_some_and(|target| target.health == Health::Up);
    let (noun, verb) = match completeness.feeders {
        1 => ("target that feeds it", "is"),
        _ => ("targets that feed it", "are"),
    };
    let state = match down.iter().any(up) {
        true => "down or came back within the window that is read",
        false => "down",
    };
    let named: Vec<String> = down
        .iter()
        .filter(|&&owner| board.get(owner).is_none_or(|target| shown(&target)))
        .take(NAMED)
        .map(|&owner| name_of_owner(owner, board))
        .collect();
    let names = match (named.is_empty(), down.len() - named.len()) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", named.join(", ")),
        (false, more) => format!(": {} and {more} more", named.join(", ")),
    };
    format!(
        "{} of {} {noun} {verb} {state}{names}",
        down.len(),
        completeness.feeders
    )
}

/// "job/instance" of a target, as its series carry them.
pub(crate) fn name_of(target: &TargetState) -> String {
    let job = target.labels.get("job").unwrap_or(&target.job);
    let instance = target.labels.get("instance").unwrap_or(&target.url);
    format!("{job}/{instance}")
}

fn name_of_owner(owner: OwnerId, board: &Board) -> String {
    board.get(owner).map_or_else(
        || format!("target {} (no longer discovered)", owner.0),
        |target| name_of(&target),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{put_target, row, snapshot_of};

    fn board() -> std::sync::Arc<Board> {
        let board = Board::new();
        for id in 1..=5 {
            put_target(&board, id, "web", &format!("10.0.0.{id}:80"), Health::Down);
        }
        board
    }

    #[test]
    fn a_partial_value_may_raise_but_never_lower() {
        use OnPartial::{Error, Raise, Serve};
        // policy, share, feeders, down, value, last complete value, served?
        let cases = [
            (Raise, 0.1, 2, 0, 5.0, Some(9.0), true),
            (Raise, 0.1, 10, 1, 5.0, Some(9.0), true),
            (Raise, 0.1, 9, 1, 5.0, Some(9.0), false),
            (Raise, 0.1, 2, 1, 9.0, Some(9.0), true),
            (Raise, 0.1, 2, 1, 12.0, Some(9.0), true),
            (Raise, 0.1, 2, 1, 12.0, None, false),
            (Raise, 0.5, 2, 1, 5.0, Some(9.0), true),
            (Raise, 0.0, 100, 1, 5.0, Some(9.0), false),
            (Raise, 0.1, 2, 1, f64::NAN, Some(9.0), false),
            (Error, 0.1, 2, 1, 12.0, Some(9.0), false),
            (Error, 0.1, 2, 0, 12.0, Some(9.0), true),
            (Serve, 0.1, 2, 2, 1.0, Some(9.0), true),
        ];
        for case in cases {
            let (policy, share, feeders, down, value, last, served) = case;
            let row = row(value, feeders, down, last);
            let verdict = judge(policy, share, &row, &board());
            assert_eq!(
                matches!(verdict, Verdict::Serve(_)),
                served,
                "{case:?} gave {verdict:?}"
            );
        }
    }

    #[test]
    fn a_refusal_names_three_targets_and_counts_the_others() {
        let refused = judge(OnPartial::Error, 0.1, &row(1.0, 6, 5, None), &board());
        let Verdict::Refuse(why) = refused else {
            panic!("served")
        };
        assert_eq!(
            why,
            "the value is partial: 5 of 6 targets that feed it are down: \
             web/10.0.0.1:80, web/10.0.0.2:80, web/10.0.0.3:80 and 2 more"
        );
    }

    #[test]
    fn an_empty_result_is_not_believed_while_feeders_are_down() {
        let empty = snapshot_of(Vec::new(), 2, 1);
        assert!(judge_empty(OnPartial::Raise, 0.1, &empty, &board()).is_err());
        assert!(judge_empty(OnPartial::Error, 0.1, &empty, &board()).is_err());
        assert!(judge_empty(OnPartial::Serve, 0.1, &empty, &board()).is_ok());
        assert!(judge_empty(OnPartial::Raise, 0.5, &empty, &board()).is_ok());
    }

    #[test]
    fn targets_that_are_not_shown_are_counted() {
        let empty = snapshot_of(Vec::new(), 5, 3);
        let told = |shown: &[u32]| {
            let shown = |target: &TargetState| shown.contains(&target.owner.0);
            judge_empty_for(OnPartial::Raise, 0.1, &empty, &board(), shown).unwrap_err()
        };
        let text = "the result is empty and partial: 3 of 5 targets that feed it are down";
        assert_eq!(told(&[2, 5]), format!("{text}: web/10.0.0.2:80 and 2 more"));
        assert_eq!(told(&[]), text);
    }

    #[test]
    fn a_warming_row_says_how_long_it_was_observed_and_how_long_it_takes() {
        let warming = Warming {
            since: 10_000,
            need_ms: 60_000,
        };
        for (now, text) in [
            (33_500, "observed for 23s of the 1m that is read; ready in about 37 s"),
            (10_200, "observed for 0s of the 1m that is read; ready in about 60 s"),
            (99_000, "observed for 1m of the 1m that is read; ready in about 1 s"),
            (0, "observed for 0s of the 1m that is read; ready in about 71 s"),
        ] {
            assert_eq!(describe_warming(&warming, now), format!("warming up: {text}"));
        }
    }

    #[test]
    fn a_cold_snapshot_says_how_long_it_takes() {
        let mut snapshot = snapshot_of(Vec::new(), 0, 0);
        assert_eq!(check_warm(&snapshot, 0), Ok(()));
        snapshot.warmth = Warmth::Cold {
            reason: "warming up: x".into(),
            until: Some(5_500),
            example: Some(OwnerId(2)),
        };
        assert_eq!(
            check_warm(&snapshot, 1_000),
            Err("warming up: x; ready in about 5 s".into())
        );
        let told = |shown: bool| check_warm_for(&snapshot, 1_000, &board(), |_| shown).unwrap_err();
        assert_eq!(told(true), "warming up: x (web/10.0.0.2:80); ready in about 5 s");
        assert_eq!(told(false), "warming up: x; ready in about 5 s");
    }

    #[test]
    fn what_was_evaluated_well_ahead_of_the_clock_is_refused_though_it_is_warm_and_empty() {
        let mut snapshot = snapshot_of(Vec::new(), 0, 0);
        snapshot.at = 10_800_000 + AHEAD_MS;
        assert_eq!(check_warm(&snapshot, 10_800_000), Ok(()));
        let refused = check_warm(&snapshot, AHEAD_MS - 1).unwrap_err();
        assert!(
            refused.starts_with("evaluated 3h ahead of the clock, which was set back"),
            "{refused}"
        );
    }
}
