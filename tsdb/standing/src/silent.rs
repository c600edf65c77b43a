//! Targets that were down before this process began and never answered it: what they are to an expression, once nobody
//! waits for them any more.
//!
//! A target feeds an expression when one of its series, now or earlier while it is discovered, matched. No commit of this
//! process says so of a target that never answered, but the store may have its series from before the start: then the
//! target is a feeder that is down, and what the others give lacks its part. Where the store knows nothing of a target from
//! before the start (an empty volume), a selector that names its job or instance says that it belongs: it counts as missing
//! from every value, though not from an empty result, which is believed once the waiting is over. A target that was there
//! before the start and gave nothing that matches is no part of it.
//!
//! What the others give may raise but never lower, and what it may not lower is the value of before the start: that of the
//! newest time at which all of those feeders were up. Where there is none to be had, the value that is there when such a target
//! was silent for twice the time that it is waited for becomes the measure: it does not hold whoever scales for ever.

use crate::roster::Roster;
use crate::snapshot::Warmth;
use crate::warmth::{Admission, Moment, admitted};
use leadline_model::port::{Plan, QueryError, Queryable};
use leadline_model::sample::Samples;
use leadline_model::target::{OwnerId, TargetState};
use leadline_model::{Matcher, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// How far back (ms) from the start the store is asked: as far as one on disk keeps samples by default.
const REACH_MS: i64 = 86_400_000;

/// What a silent target is to an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// It fed the expression before the start.
    Feeder,
    /// Nothing is known of it but that a selector names it.
    Stranger,
    /// It has no part in it.
    Nothing,
}

/// The silent targets of an expression that the store was asked about.
pub(crate) type Parts = HashMap<OwnerId, Part>;

/// A silent target that the store has to be asked about.
#[derive(Debug)]
pub(crate) struct Unheard {
    target: Arc<TargetState>,
    /// Places in the plan of the selectors that admit it.
    selectors: Vec<usize>,
    /// Whether one of them names its job or instance.
    named: bool,
    /// When waiting for it began, ms.
    since: Timestamp,
}

/// What the store tells of silent targets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) parts: Parts,
    /// The newest time (ms) at which all of those that are feeders were up, as far as that is known.
    pub(crate) whole: Option<Timestamp>,
}

/// The targets that kept an expression cold for as long as they are waited for, and never answered. Admissions are in
/// the order of the plan's selectors. Those in `known` are left out.
pub(crate) fn unheard(
    plan: &Plan,
    admissions: &[Admission],
    targets: &[Arc<TargetState>],
    roster: &Roster,
    known: &Parts,
    moment: Moment,
) -> Vec<Unheard> {
    let mut found: HashMap<OwnerId, Unheard> = HashMap::new();
    for (place, (admission, selector)) in admissions.iter().zip(&plan.selectors).enumerate() {
        let admitted = admitted(admission, targets);
        let Some(cohort) = roster.cohort(admitted.iter().map(|t| &***t)) else {
            continue;
        };
        if moment.now < cohort.since.saturating_add(moment.give_up_ms) {
            continue;
        }
        let silent = |t: &&Arc<TargetState>| t.first_good.is_none() && !known.contains_key(&t.owner);
        for target in admitted.into_iter().filter(silent) {
            if roster.seen(target.owner).is_none_or(|seen| seen > cohort.until) {
                continue;
            }
            let unheard = found.entry(target.owner).or_insert_with(|| Unheard {
                target: Arc::clone(target),
                selectors: Vec::new(),
                named: false,
                since: cohort.since,
            });
            unheard.selectors.push(place);
            unheard.named |= admission.names(target) && may_match(&selector.matchers, target);
        }
    }
    found.into_values().collect()
}

/// Whether the labels that every series of a target carries leave room for one that fulfils all matchers.
fn may_match(matchers: &[Matcher], target: &TargetState) -> bool {
    let fits = |m: &Matcher| target.labels.get(m.name()).is_none_or(|value| m.matches(value));
    matchers.iter().all(fits)
}

/// What each of these targets is to an expression, by what the store has from before `started` (ms). May wait for the disk.
///
/// # Errors
/// [`QueryError::Unavailable`] while the log is being read. What is damaged tells nothing of a target.
pub(crate) fn inquire(
    store: &dyn Queryable,
    plan: &Plan,
    unheard: &[Unheard],
    started: Timestamp,
) -> Result<Told, QueryError> {
    let mut told = Told::default();
    for silent in unheard {
        let part = match part_of(store, plan, silent, started) {
            Err(error @ QueryError::Corrupt(_)) => {
                tracing::warn!(target = silent.target.url, %error, "what a target gave before the start cannot be read");
                Part::Stranger
            }
            part => part?,
        };
        told.parts.insert(silent.target.owner, part);
        if part == Part::Feeder {
            let up = last_up(store, &silent.target, started);
            let up = up.inspect_err(|error| {
                tracing::warn!(target = silent.target.url, %error, "when a target was up before the start cannot be read");
            });
            told.whole = told.whole.into_iter().chain(up.ok().flatten()).min();
        }
    }
    Ok(told)
}

/// What is taken for true of targets of which the store cannot tell although they were waited for twice as long (`give_up_ms`
/// each) as those that it tells of: that nothing is known of them.
pub(crate) fn unknown(unheard: &[Unheard], now: Timestamp, give_up_ms: i64) -> Parts {
    let late = |u: &&Unheard| now >= u.since.saturating_add(give_up_ms.saturating_mul(2));
    let part = |u: &Unheard| match u.named {
        true => Part::Stranger,
        false => Part::Nothing,
    };
    unheard.iter().filter(late).map(|u| (u.target.owner, part(u))).collect()
}

/// Whether all of `down` are silent targets that have part in the expression and have been silent for twice `give_up_ms` or
/// longer: a value without a measure becomes one.
pub(crate) fn settled(parts: &Parts, down: &[OwnerId], roster: &Roster, (now, give_up_ms): (Timestamp, i64)) -> bool {
    let long = |owner| {
        let since = roster.silent(owner);
        since.is_some_and(|since| now >= since.saturating_add(give_up_ms.saturating_mul(2)))
    };
    let has_part = |owner| matches!(parts.get(owner), Some(Part::Feeder | Part::Stranger));
    !down.is_empty() && down.iter().all(|owner| has_part(owner) && long(*owner))
}

fn part_of(store: &dyn Queryable, plan: &Plan, silent: &Unheard, started: Timestamp) -> Result<Part, QueryError> {
    let (mint, maxt) = (started.saturating_sub(REACH_MS), started.saturating_sub(1));
    let labels = silent.target.labels.iter();
    let own: Vec<Matcher> = labels.map(|(name, value)| Matcher::equal(name, value)).collect();
    let has = |matchers: &[Matcher]| {
        let matchers = [matchers, &own[..]].concat();
        Ok::<_, QueryError>(!store.select(&matchers, mint, maxt, false)?.is_empty())
    };
    for selector in silent.selectors.iter().filter_map(|&place| plan.selectors.get(place)) {
        if has(&selector.matchers)? {
            return Ok(Part::Feeder);
        }
    }
    let part = match silent.named && !has(&[Matcher::equal("__name__", "up")])? {
        true => Part::Stranger,
        false => Part::Nothing,
    };
    Ok(part)
}

/// When (ms) a target was up last before `started`.
fn last_up(store: &dyn Queryable, target: &TargetState, started: Timestamp) -> Result<Option<Timestamp>, QueryError> {
    let (mint, maxt) = (started.saturating_sub(REACH_MS), started.saturating_sub(1));
    let own = target.labels.iter().map(|(name, value)| Matcher::equal(name, value));
    let matchers: Vec<Matcher> = own.chain([Matcher::equal("__name__", "up")]).collect();
    let found = store.select(&matchers, mint, maxt, false)?;
    let (mut newest, mut samples) = (None, Samples::default());
    for series in 0..found.len() {
        found.read(series, mint, maxt, &mut samples)?;
        let mut good = samples.t.iter().zip(&samples.v).filter(|(_, v)| **v == 1.0);
        newest = newest.max(good.next_back().map(|(t, _)| *t));
    }
    Ok(newest)
}

/// Of an expression that only waits for what the store knows.
pub(crate) fn not_known() -> Warmth {
    Warmth::Cold {
        reason: "warming up: what targets that never answered gave before the start is not known yet".to_owned(),
        until: None,
        example: None,
    }
}

/// The owners that are this to an expression.
pub(crate) fn owners(parts: &Parts, part: Part) -> impl Iterator<Item = OwnerId> {
    parts.iter().filter(move |(_, p)| **p == part).map(|(owner, _)| *owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::put_target;
    use crate::warmth::admissions;
    use leadline_model::Labels;
    use leadline_model::clock::ManualClock;
    use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, PlanSelector, Shape, Slot};
    use leadline_model::target::{Board, Health};
    use leadline_storage::Head;

    const STARTED: Timestamp = 10_000_000;
    const GIVE_UP: i64 = 600_000;

    fn plan(selectors: &[&[(&str, &str)]]) -> Plan {
        let selector = |matchers: &&[(&str, &str)]| PlanSelector {
            matchers: matchers.iter().map(|&(n, v)| Matcher::equal(n, v)).collect(),
            window_ms: 0,
        };
        Plan {
            text: String::new(),
            shape: Shape::Vector,
            selectors: selectors.iter().map(selector).collect(),
            moves_with_time: false,
            engine: Arc::new(()),
        }
    }

    /// A store in which an earlier process left these series at `t`.
    fn left(t: Timestamp, series: &[&[(&str, &str)]]) -> Arc<Head> {
        let settings = leadline_storage::Settings::default();
        let head = Head::new(settings, Arc::new(ManualClock::at(STARTED))).unwrap();
        let batch = Batch {
            owner: head.new_owner(),
            slot: t,
            attempt: Attempt::Good,
            created: series.iter().map(|s| Labels::from_pairs(s.iter().copied())).collect(),
            entries: (0_u32..)
                .zip(series)
                .map(|(i, _)| Entry {
                    series: Slot::New(i),
                    t,
                    v: 1.0,
                })
                .collect(),
            extras: Extras::default(),
        };
        head.commit(&batch).unwrap();
        head
    }

    /// Of target b of job web, which is down, when nobody waits for it any more.
    fn part(head: &Head, selectors: &[&[(&str, &str)]]) -> Option<Part> {
        let (board, roster, plan) = (Board::new(), Roster::new(STARTED), plan(selectors));
        put_target(&board, 1, "web", "a:80", Health::Up);
        put_target(&board, 2, "web", "b:80", Health::Down);
        board.update(OwnerId(2), |t| {
            let mut labels = t.labels.to_builder();
            labels.set("namespace", "demo");
            t.labels = labels.build();
        });
        board.update(OwnerId(1), |t| t.first_good = Some(STARTED));
        board.set_synced(true);
        roster.observe(&board, STARTED);
        let asked = |now| {
            let moment = Moment {
                at: now,
                now,
                give_up_ms: GIVE_UP,
                behind: false,
            };
            unheard(&plan, &admissions(&plan), &board.all(), &roster, &Parts::new(), moment)
        };
        assert!(asked(STARTED + GIVE_UP - 1).is_empty(), "it is still waited for");
        let parts = inquire(head, &plan, &asked(STARTED + GIVE_UP), STARTED).unwrap().parts;
        assert!(!parts.contains_key(&OwnerId(1)), "it answered");
        parts.get(&OwnerId(2)).copied()
    }

    #[test]
    fn the_store_tells_whether_a_target_that_never_answered_fed_an_expression() {
        let depth: &[(&str, &str)] = &[
            ("__name__", "depth"),
            ("job", "web"),
            ("instance", "b:80"),
            ("namespace", "demo"),
            ("queue", "x"),
        ];
        let up: &[(&str, &str)] = &[
            ("__name__", "up"),
            ("job", "web"),
            ("instance", "b:80"),
            ("namespace", "demo"),
        ];
        let other: &[(&str, &str)] = &[("__name__", "depth"), ("job", "web"), ("instance", "a:80")];
        let all: &[(&str, &str)] = &[("__name__", "depth")];
        let web: &[(&str, &str)] = &[("__name__", "depth"), ("job", "web")];
        let b: &[(&str, &str)] = &[("__name__", "depth"), ("instance", "b:80")];
        let y: &[(&str, &str)] = &[("__name__", "depth"), ("queue", "y")];
        let elsewhere: &[(&str, &str)] = &[("__name__", "depth"), ("job", "federated")];
        let demo: &[(&str, &str)] = &[("__name__", "depth"), ("job", "web"), ("namespace", "demo")];
        let others: &[(&str, &str)] = &[("__name__", "depth"), ("job", "web"), ("namespace", "other")];
        use Part::{Feeder, Nothing, Stranger};
        // what the store has, the selectors, what b is
        type Case<'a> = (&'a [&'a [(&'a str, &'a str)]], &'a [&'a [(&'a str, &'a str)]], Part);
        let cases: &[Case<'_>] = &[
            (&[up, depth], &[all], Feeder),
            (&[up, depth], &[y, web], Feeder),
            (&[up, depth], &[y], Nothing),
            // It was there and gave none, or nothing is known of it.
            (&[up, other], &[web], Nothing),
            (&[other], &[web], Stranger),
            (&[other], &[b], Stranger),
            (&[other], &[y, web], Stranger),
            (&[other], &[all], Nothing),
            (&[other], &[demo], Stranger),
            (&[other], &[others], Nothing),
            (&[other], &[elsewhere], Nothing),
        ];
        for (stored, selectors, expected) in cases {
            let head = left(STARTED - 60_000, stored);
            assert_eq!(part(&head, selectors), Some(*expected), "{stored:?} {selectors:?}");
        }
    }

    #[test]
    fn what_came_after_the_start_or_long_before_tells_nothing() {
        let depth: &[(&str, &str)] = &[
            ("__name__", "depth"),
            ("job", "web"),
            ("instance", "b:80"),
            ("namespace", "demo"),
        ];
        let all: &[(&str, &str)] = &[("__name__", "depth")];
        for (t, expected) in [
            (STARTED - 1, Part::Feeder),
            (STARTED, Part::Nothing),
            (STARTED - REACH_MS - 1, Part::Nothing),
        ] {
            assert_eq!(part(&left(t, &[depth]), &[all]), Some(expected), "at {t}");
        }
    }

    #[test]
    fn a_target_that_once_answered_whole_settles_from_when_it_no_longer_does() {
        const GIVE_UP: i64 = 600_000;
        let (board, roster) = (Board::new(), Roster::new(0));
        for owner in [1, 2] {
            put_target(&board, owner, "web", &format!("i{owner}"), Health::Down);
        }
        roster.observe(&board, 0);
        board.update(OwnerId(2), |t| t.first_good = Some(10));
        roster.observe(&board, 10);
        board.update(OwnerId(2), |t| t.first_good = None);
        roster.observe(&board, 5_000_000);
        let parts = Parts::from([(OwnerId(1), Part::Feeder), (OwnerId(2), Part::Feeder)]);
        for (owner, since) in [(1, 0), (2, 5_000_000)] {
            let settled = |now| settled(&parts, &[OwnerId(owner)], &roster, (now, GIVE_UP));
            assert!(!settled(since + 2 * GIVE_UP - 1), "{owner}");
            assert!(settled(since + 2 * GIVE_UP), "{owner}");
        }
    }
}
