//! Whether what feeds a row was observed for as long as the row reads back.
//!
//! An expression that other workloads' targets keep warm has rows of a workload that came a moment ago, too: two samples
//! in a minute's window give an eighth of the rate, and an HPA that believes it removes four of five new pods. A row is
//! *warming* while each of the targets that feed it is younger than the window. One old target is enough: churn under a
//! sum over many must not make it unavailable, and a series that begins in a target that was long observed began from
//! nothing. Targets that discovery dropped count with the time in which they were there, as far as they lead on to the
//! others with less than a quarter of the window missing: pods that replace one another cover it together.

use crate::feed::Condition;
use crate::history::{History, Wanted};
use crate::roster::{Roster, Span};
use crate::snapshot::Warming;
use leadline_model::Timestamp;
use leadline_model::port::Value;
use leadline_model::target::{Health, OwnerId, TargetState};
use std::cmp::Reverse;
use std::sync::Arc;

/// What is known of the observation of targets when an evaluation is judged.
pub(crate) struct Observation<'a> {
    pub(crate) roster: &'a Roster,
    pub(crate) history: &'a History,
    /// The evaluation time, ms.
    pub(crate) at: Timestamp,
    /// How far back the expression reads, ms.
    pub(crate) window_ms: i64,
    /// Who feeds the selectors that read back in time, sorted; absent where all selectors do. What is joined to a rate at
    /// an instant (the labels of a pod) says nothing about how long the rate was observed.
    pub(crate) ranged: Option<Vec<OwnerId>>,
}

impl Observation<'_> {
    /// Of each value, in order, whether it is warming.
    pub(crate) fn judge(&self, values: &[Value], condition: &mut Condition<'_>) -> Vec<Option<Warming>> {
        if self.window_ms == 0 {
            return vec![None; values.len()];
        }
        let mut spans = Vec::new();
        values
            .iter()
            .map(|value| self.of_row(&value.provenance.owners, condition, &mut spans))
            .collect()
    }

    /// The young targets of warming rows whose past is not known yet: the store may have them from before.
    pub(crate) fn wanted(&self, values: &[Value], condition: &mut Condition<'_>) -> Vec<Wanted> {
        let warming = self.judge(values, condition);
        let rows = values.iter().zip(&warming).filter(|(_, warming)| warming.is_some());
        let mut wanted: Vec<Wanted> = Vec::new();
        for &owner in rows.flat_map(|(value, _)| &value.provenance.owners) {
            let target = self.reads_back(owner).then(|| condition.target(owner)).flatten();
            wanted.extend(target.and_then(|target| {
                let need = self.need_ms(target.interval_ms);
                let unknown = target.first_good.is_some() && !self.history.knows(owner, need);
                unknown.then_some((target, need))
            }));
        }
        wanted
    }

    /// `spans` is room to work in.
    fn of_row(&self, owners: &[OwnerId], condition: &mut Condition<'_>, spans: &mut Vec<Span>) -> Option<Warming> {
        spans.clear();
        let mut discovered = false;
        for &owner in owners {
            if let Some(target) = condition.target(owner) {
                // Of a target that never answered whole (the store had no room for its series) what there is lacks a part
                // however long it is observed: it is down.
                let never = target.first_good.is_none() && target.health == Health::Down;
                if never || !self.reads_back(owner) {
                    continue;
                }
                discovered = true;
                let span = self.of_target(&target);
                // The common case, and one is enough.
                if self.covers(span) {
                    return None;
                }
                spans.push(span);
            } else {
                spans.extend(self.roster.span(owner));
            }
        }
        // A rule's or a push's series, and those of a store, have no beginning that could be judged.
        if !discovered {
            return None;
        }
        let whole = self.together(spans);
        (!self.covers(whole)).then(|| Warming {
            since: whole.since,
            need_ms: self.need_ms(whole.interval_ms),
        })
    }

    fn reads_back(&self, owner: OwnerId) -> bool {
        let ranged = self.ranged.as_ref();
        ranged.is_none_or(|owners| owners.binary_search(&owner).is_ok())
    }

    /// For how long (ms) a target must have been observed: two samples at least.
    fn need_ms(&self, interval_ms: i64) -> i64 {
        self.window_ms.max(interval_ms)
    }

    fn covers(&self, span: Span) -> bool {
        span.since.saturating_add(self.need_ms(span.interval_ms)) <= self.at
    }

    /// The time in which a discovered target was observed. That it is down is another matter (`outage`).
    fn of_target(&self, target: &Arc<TargetState>) -> Span {
        // The board may be a moment behind the commit of a first scrape.
        let first = target.first_good.unwrap_or(self.at);
        let need = self.need_ms(target.interval_ms);
        let since = match first.saturating_add(need) > self.at {
            true => self.history.since(target, first, need),
            false => first,
        };
        Span {
            since,
            until: self.at,
            interval_ms: target.interval_ms,
        }
    }

    /// What spans cover together, back from the evaluation until a quarter of the window is missing between them.
    fn together(&self, spans: &mut [Span]) -> Span {
        spans.sort_unstable_by_key(|span| Reverse(span.until));
        let mut whole = Span {
            since: self.at,
            until: self.at,
            interval_ms: 0,
        };
        let mut missed = 0_i64;
        for span in spans {
            let gap = whole.since.saturating_sub(span.until).saturating_sub(span.interval_ms);
            missed = missed.saturating_add(gap.max(0));
            if missed.saturating_mul(4) >= self.window_ms {
                break;
            }
            whole.since = whole.since.min(span.since);
            whole.interval_ms = whole.interval_ms.max(span.interval_ms);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::put_target;
    use crate::outage::Outages;
    use leadline_model::Labels;
    use leadline_model::clock::ManualClock;
    use leadline_model::provenance::Provenance;
    use leadline_model::target::Board;
    use leadline_storage::Head;

    const MINUTE: i64 = 60_000;
    const AT: Timestamp = 1_000_000;

    struct World {
        board: Arc<Board>,
        roster: Roster,
        history: Arc<History>,
    }

    /// Targets that are scraped every 15 s: 1 is old, 2 came 20 s ago and 3 came 40 s ago.
    fn world() -> World {
        let head = Head::new(leadline_storage::Settings::default(), Arc::new(ManualClock::at(0))).unwrap();
        let world = World {
            board: Board::new(),
            roster: Roster::new(0),
            history: History::new(head, 0),
        };
        for (owner, ago) in [(1, 600_000), (2, 20_000), (3, 40_000)] {
            world.target(owner, ago, 0);
        }
        world
    }

    impl World {
        /// A target that was observed from so long ago (ms) until so long ago.
        fn target(&self, owner: u32, since: i64, until: i64) {
            put_target(&self.board, owner, "web", &format!("i{owner}"), Health::Up);
            self.board.update(OwnerId(owner), |target| {
                target.first_good = Some(AT - since);
                target.last_scrape = Some(AT - until);
            });
        }

        /// One that discovery has dropped since.
        fn gone(&self, owner: u32, since: i64, until: i64) {
            self.target(owner, since, until);
            self.roster.observe(&self.board, AT - until);
            self.board.remove(OwnerId(owner));
            self.roster.observe(&self.board, AT);
        }

        fn judged(&self, window_ms: i64, owners: &[u32], ranged: Option<&[u32]>) -> Option<Warming> {
            let ids = |owners: &[u32]| owners.iter().copied().map(OwnerId).collect::<Vec<_>>();
            let observation = Observation {
                roster: &self.roster,
                history: &self.history,
                at: AT,
                window_ms,
                ranged: ranged.map(ids),
            };
            let outages = Outages::default();
            let mut condition = Condition::new(&self.board, &outages, AT, window_ms);
            let provenance = Provenance {
                owners: ids(owners),
                ..Provenance::none()
            };
            let value = Value {
                labels: Labels::empty(),
                value: 1.0,
                provenance,
            };
            observation.judge(&[value], &mut condition).remove(0)
        }

        /// For how long (ms) a row of these feeders counts as observed in a minute's window, where that is too short.
        fn observed(&self, owners: &[u32]) -> Option<i64> {
            self.judged(MINUTE, owners, None).map(|warming| AT - warming.since)
        }
    }

    #[test]
    fn a_row_is_warming_while_each_of_its_feeders_is_younger_than_the_window() {
        let world = world();
        // window, feeders, for how long it counts as observed where it is warming
        type Case = (i64, &'static [u32], Option<i64>);
        let cases: &[Case] = &[
            (MINUTE, &[2], Some(20_000)),
            (MINUTE, &[2, 3], Some(40_000)),
            (MINUTE, &[1, 2, 3], None),
            (MINUTE, &[1], None),
            (40_000, &[2, 3], None),
            (40_001, &[3], Some(40_000)),
            // Two samples at least.
            (1_000, &[2], None),
            // What reads one sample has it.
            (0, &[2], None),
            // What no target feeds: a rule, a push, a block.
            (MINUTE, &[], None),
            (MINUTE, &[77], None),
            (MINUTE, &[2, 77], Some(20_000)),
        ];
        for &(window, owners, expected) in cases {
            let warming = world.judged(window, owners, None);
            assert_eq!(warming.map(|w| AT - w.since), expected, "{owners:?} in {window} ms");
        }
        assert_eq!(world.judged(MINUTE, &[2], None).map(|w| w.until()), Some(AT + 40_000));
    }

    #[test]
    fn a_window_shorter_than_an_interval_needs_two_scrapes() {
        let world = world();
        world.target(4, 14_999, 0);
        assert!(world.judged(1_000, &[4], None).is_some());
        world.target(4, 15_000, 0);
        assert!(world.judged(1_000, &[4], None).is_none());
    }

    #[test]
    fn what_is_joined_at_an_instant_does_not_make_a_young_rate_an_old_one() {
        let world = world();
        assert!(world.judged(MINUTE, &[1, 2], Some(&[1, 2])).is_none());
        assert!(world.judged(MINUTE, &[1, 2], Some(&[2])).is_some());
        assert!(world.judged(MINUTE, &[1, 2], Some(&[1])).is_none());
        assert!(world.judged(MINUTE, &[2], Some(&[])).is_none());
    }

    #[test]
    fn what_the_store_has_of_a_young_target_from_before_counts() {
        let world = world();
        world.history.told(OwnerId(2), AT - 300_000, AT - 35_000);
        assert_eq!(world.observed(&[2]), None);
        world.history.told(OwnerId(2), AT - 50_000, AT - 35_000);
        assert_eq!(world.observed(&[2]), Some(50_000));
    }

    #[test]
    fn pods_that_replace_one_another_cover_the_window_together() {
        let world = world();
        world.gone(5, 600_000, 21_000);
        assert_eq!(world.observed(&[2, 5]), None, "a rollout without a gap");
        assert_eq!(world.observed(&[2]), Some(20_000), "another workload's pod");
        world.gone(6, 600_000, 49_999);
        assert_eq!(world.observed(&[2, 6]), None, "14.999 s are missing");
        world.gone(7, 600_000, 50_000);
        assert_eq!(world.observed(&[2, 7]), Some(20_000), "a quarter is missing");
        // Short lives, one after the other.
        world.gone(8, 90_000, 45_000);
        world.gone(9, 45_000, 15_000);
        assert_eq!(world.observed(&[2, 8, 9]), None);
        assert_eq!(world.observed(&[9]), None, "no target feeds it any more");
    }

    #[test]
    fn a_target_counts_from_the_moment_that_discovery_drops_it() {
        let world = world();
        world.target(5, 600_000, 0);
        world.roster.observe(&world.board, AT);
        world.board.remove(OwnerId(5));
        assert_eq!(world.observed(&[2, 5]), None, "nobody looked at the board since");
    }

    #[test]
    fn a_target_whose_first_scrape_the_board_does_not_show_yet_is_young() {
        let world = world();
        put_target(&world.board, 5, "web", "i5", Health::Unknown);
        assert_eq!(world.observed(&[5]), Some(0));
    }

    #[test]
    fn a_target_that_never_answered_whole_makes_nothing_young_and_nothing_old() {
        let world = world();
        put_target(&world.board, 5, "web", "i5", Health::Down);
        assert_eq!(world.observed(&[5]), None, "it is down, which is told");
        assert_eq!(world.observed(&[2, 5]), Some(20_000));
    }
}
