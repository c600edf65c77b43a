//! Is this value too old? A value is as old as the newest sample of the *stalest* series that went into it.
//!
//! A target that vanishes leaves stale markers, which end its series at once. One that vanishes while leadline is away
//! leaves none: for as long as PromQL looks back, its last samples count beside those of what came in its place, and a sum
//! over both is too high. Nothing but their age tells. A value of which nobody in this process wrote a series (the target
//! did not come back) is as old as any target's may be.

use crate::snapshot::{Row, Snapshot};
use leadline_model::Timestamp;
use leadline_model::duration::Duration;
use leadline_model::port::Plan;
use leadline_model::target::Board;

/// Of values that no target feeds: Prometheus' lookback, ms.
const WITHOUT_TARGET_MS: i64 = 300_000;

/// How old a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgeLimit {
    /// As somebody configured it.
    max_age: Option<Duration>,
    /// How far back the expression reads, ms.
    range_ms: i64,
}

impl AgeLimit {
    /// For the values of `plan`. Without `max_age` it is three scrape intervals of the slowest target that feeds the value,
    /// beyond what the expression reads back (its ranges and offsets): of the slowest of all for a value whose series nobody
    /// wrote since the start, and five minutes for one that somebody feeds who is no target.
    #[must_use]
    pub fn new(max_age: Option<Duration>, plan: &Plan) -> Self {
        let range_ms = plan.selectors.iter().map(|s| s.window_ms).max().unwrap_or(0);
        Self { max_age, range_ms }
    }

    /// The greatest age (ms) of a value that is not stale.
    #[must_use]
    pub fn max_age_ms(&self, row: &Row, board: &Board) -> i64 {
        if let Some(max_age) = self.max_age {
            return max_age.as_millis();
        }
        let owners = &row.provenance.owners;
        let slowest = match owners.as_slice() {
            [] => board.slowest_ms().map(|interval| interval.min(WITHOUT_TARGET_MS / 3)),
            some => some.iter().filter_map(|o| board.get(*o)).map(|t| t.interval_ms).max(),
        };
        let usual = slowest.map_or(WITHOUT_TARGET_MS, |interval| interval.saturating_mul(3));
        usual.saturating_add(self.range_ms)
    }

    /// The age (ms) of a value at `now` (ms), when it is more than is allowed. What read no series is never stale: a constant
    /// is evaluated once.
    #[must_use]
    pub fn stale_age(&self, row: &Row, snapshot: &Snapshot, board: &Board, now: Timestamp) -> Option<i64> {
        let age = now.saturating_sub(sampled_at(row, snapshot));
        let stale = row.provenance.has_data() && age > 0 && age > self.max_age_ms(row, board);
        stale.then_some(age)
    }

    /// "{pod="a"} is 4m old > max age 45s".
    #[must_use]
    pub fn describe(&self, row: &Row, age_ms: i64, board: &Board) -> String {
        let max_age = Duration::from_millis(self.max_age_ms(row, board));
        format!(
            "{} is {} old > max age {max_age}",
            row.labels,
            Duration::from_millis(age_ms)
        )
    }
}

/// When (ms) a value was sampled: the newest sample of its stalest series. What read no series was computed.
#[must_use]
pub fn sampled_at(row: &Row, snapshot: &Snapshot) -> Timestamp {
    if row.provenance.has_data() {
        row.provenance.stalest
    } else {
        snapshot.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{put_target, row, snapshot_of};
    use leadline_model::port::{PlanSelector, Shape};
    use leadline_model::provenance::Provenance;
    use leadline_model::target::{Health, OwnerId};
    use std::sync::Arc;

    fn limit(max_age: Option<i64>, range_ms: i64) -> AgeLimit {
        let selector = PlanSelector {
            matchers: Arc::from([]),
            window_ms: range_ms,
        };
        let plan = Plan {
            text: String::new(),
            shape: Shape::Vector,
            selectors: vec![selector],
            moves_with_time: false,
            engine: Arc::new(()),
        };
        AgeLimit::new(max_age.map(Duration::from_millis), &plan)
    }

    #[test]
    fn a_value_is_stale_beyond_its_limit_by_its_stalest_series() {
        let board = Board::new();
        put_target(&board, 1, "web", "a:80", Health::Up);
        board.update(OwnerId(1), |t| t.interval_ms = 5_000);
        put_target(&board, 2, "web", "b:80", Health::Up);
        // configured limit, how far back is read, owners, the age that is still allowed
        let cases: &[(Option<i64>, i64, &[u32], i64)] = &[
            (None, 0, &[1], 15_000),
            (None, 0, &[1, 2], 45_000),
            (None, 60_000, &[1, 2], 105_000),
            (None, 60_000, &[], 105_000),
            (None, 0, &[], 45_000),
            (None, 0, &[77], WITHOUT_TARGET_MS),
            (Some(20_000), 60_000, &[1, 2], 20_000),
            (Some(0), 0, &[1], 0),
            (Some(20_000), 0, &[], 20_000),
        ];
        for &(max_age, range_ms, owners, allowed) in cases {
            let mut row = row(1.0, 0, 0, None);
            row.provenance = Provenance {
                oldest: 0,
                stalest: 1_000,
                series: 2,
                owners: owners.iter().copied().map(OwnerId).collect(),
            };
            let (limit, snapshot) = (limit(max_age, range_ms), snapshot_of(Vec::new(), 0, 0));
            let stale = |now| limit.stale_age(&row, &snapshot, &board, now);
            assert_eq!(stale(1_000 + allowed), None, "{max_age:?} {range_ms} {owners:?}");
            assert_eq!(
                stale(1_001 + allowed),
                Some(allowed + 1),
                "{max_age:?} {range_ms} {owners:?}"
            );
        }
    }

    #[test]
    fn what_nobody_wrote_since_the_start_may_be_as_old_as_the_slowest_targets_and_five_minutes_at_most() {
        let (board, limit) = (Board::new(), limit(None, 0));
        let mut old = row(1.0, 0, 0, None);
        old.provenance.owners = Vec::new();
        assert_eq!(limit.max_age_ms(&old, &board), WITHOUT_TARGET_MS, "there is no target");
        put_target(&board, 1, "web", "a:80", Health::Up);
        for (interval_ms, allowed) in [(1_000, 3_000), (60_000, 180_000), (3_600_000, WITHOUT_TARGET_MS)] {
            board.update(OwnerId(1), |t| t.interval_ms = interval_ms);
            assert_eq!(limit.max_age_ms(&old, &board), allowed, "{interval_ms}");
        }
    }

    #[test]
    fn what_read_no_series_is_as_old_as_its_evaluation_and_never_stale() {
        let (row, mut snapshot) = (row(1.0, 0, 0, None), snapshot_of(Vec::new(), 0, 0));
        snapshot.at = 700_000;
        assert_eq!(sampled_at(&row, &snapshot), 700_000);
        assert_eq!(limit(None, 0).stale_age(&row, &snapshot, &Board::new(), i64::MAX), None);
    }
}
