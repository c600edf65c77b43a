//! Which targets feed a row, and which of those are down.

use crate::outage::Outages;
use crate::snapshot::Completeness;
use leadline_model::port::Value;
use leadline_model::target::{Board, Health, OwnerId, TargetState};
use leadline_model::{Labels, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// The state of targets at one moment; looks each of them up once.
pub(crate) struct Condition<'a> {
    board: &'a Board,
    /// What the commits told of outages. The board may be a moment behind the commits.
    outages: &'a Outages,
    /// The evaluation time, ms.
    at: Timestamp,
    /// How far back the expression reads, ms.
    window_ms: i64,
    known: HashMap<OwnerId, Option<(Arc<TargetState>, bool)>>,
}

impl<'a> Condition<'a> {
    /// For an expression that reads `window_ms` back from `at` (ms).
    pub(crate) fn new(board: &'a Board, outages: &'a Outages, at: Timestamp, window_ms: i64) -> Self {
        Self {
            board,
            outages,
            at,
            window_ms,
            known: HashMap::new(),
        }
    }

    /// The target of an owner and whether it is down, or was in the window; `None` for what discovery dropped and for what is no target (a
    /// rule, a push).
    fn of(&mut self, owner: OwnerId) -> Option<&(Arc<TargetState>, bool)> {
        let (board, outages, at, window_ms) = (self.board, self.outages, self.at, self.window_ms);
        self.known
            .entry(owner)
            .or_insert_with(|| {
                let target = board.get(owner)?;
                let down = target.health == Health::Down || outages.lack(owner, at, window_ms);
                Some((target, down))
            })
            .as_ref()
    }

    /// The discovered target of an owner.
    pub(crate) fn target(&mut self, owner: OwnerId) -> Option<Arc<TargetState>> {
        self.of(owner).map(|(target, _)| Arc::clone(target))
    }

    fn is_discovered(&mut self, owner: OwnerId) -> bool {
        self.of(owner).is_some()
    }

    fn is_down(&mut self, owner: OwnerId) -> bool {
        self.of(owner).is_some_and(|(_, down)| *down)
    }

    /// Those of these owners that are down and never answered this process.
    pub(crate) fn unanswered(&mut self, owners: impl Iterator<Item = OwnerId>) -> Vec<OwnerId> {
        let silent = |(target, down): &(Arc<TargetState>, bool)| *down && target.first_good.is_none();
        owners.filter(|owner| self.of(*owner).is_some_and(silent)).collect()
    }

    /// The completeness of what these owners feed together.
    pub(crate) fn completeness(&mut self, owners: impl IntoIterator<Item = OwnerId>) -> Completeness {
        let mut completeness = Completeness::default();
        for owner in owners {
            if self.is_discovered(owner) {
                completeness.feeders += 1;
                if self.is_down(owner) {
                    completeness.down.push(owner);
                }
            }
        }
        completeness
    }
}

#[derive(Debug)]
struct Remembered {
    /// Sorted.
    owners: Vec<OwnerId>,
    seen: Timestamp,
}

/// The owners that fed each row, now or earlier while they are discovered.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rows: HashMap<Labels, Remembered>,
}

impl Memory {
    /// Takes note of who feeds the rows of a new evaluation, and forgets who is no longer discovered and rows that
    /// did not appear since `forget` (ms).
    pub(crate) fn learn(&mut self, values: &[Value], condition: &mut Condition<'_>, now: Timestamp, forget: Timestamp) {
        for value in values {
            let fed = &value.provenance.owners;
            match self.rows.get_mut(&value.labels) {
                Some(row) => {
                    row.seen = now;
                    if row.owners != *fed {
                        row.owners.extend_from_slice(fed);
                        row.owners.sort_unstable();
                        row.owners.dedup();
                    }
                }
                None => {
                    self.rows.insert(
                        value.labels.clone(),
                        Remembered {
                            owners: fed.clone(),
                            seen: now,
                        },
                    );
                }
            }
        }
        self.rows.retain(|_, row| {
            row.owners.retain(|&owner| condition.is_discovered(owner));
            row.seen >= forget && (row.seen == now || !row.owners.is_empty())
        });
    }

    /// The completeness of each value of an evaluation that was learnt, in order.
    ///
    /// `down` are the feeders of the whole expression that are down. One that no row remembers (it died before it was
    /// ever seen to feed one) counts for every row that its own labels do not contradict: for a sum over everything,
    /// but not for the row of another pod.
    pub(crate) fn judge(&self, values: &[Value], down: &[OwnerId], condition: &mut Condition<'_>) -> Vec<Completeness> {
        let strangers = self.strangers(down, condition);
        values
            .iter()
            .map(|value| {
                let owners = self.rows.get(&value.labels).map_or(&[][..], |row| &row.owners);
                let mut completeness = condition.completeness(owners.iter().copied());
                for target in strangers.iter().filter(|t| !contradict(&value.labels, &t.labels)) {
                    completeness.feeders += 1;
                    completeness.down.push(target.owner);
                }
                completeness
            })
            .collect()
    }

    fn strangers(&self, down: &[OwnerId], condition: &mut Condition<'_>) -> Vec<Arc<TargetState>> {
        if down.is_empty() {
            return Vec::new();
        }
        let known = |owner: &OwnerId| self.rows.values().any(|row| row.owners.binary_search(owner).is_ok());
        let strangers: Vec<OwnerId> = down.iter().copied().filter(|owner| !known(owner)).collect();
        strangers
            .into_iter()
            .filter_map(|owner| condition.of(owner).map(|(t, _)| Arc::clone(t)))
            .collect()
    }
}

/// Whether two label sets give one label different values.
fn contradict(row: &Labels, target: &Labels) -> bool {
    row.iter()
        .any(|(name, value)| target.get(name).is_some_and(|other| other != value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::put_target;
    use leadline_model::provenance::Provenance;

    fn value(labels: &[(&str, &str)], owners: &[u32]) -> Value {
        let owners = owners.iter().copied().map(OwnerId).collect();
        let provenance = Provenance {
            oldest: 0,
            stalest: 0,
            series: 1,
            owners,
        };
        Value {
            labels: Labels::from_pairs(labels.iter().copied()),
            value: 1.0,
            provenance,
        }
    }

    fn board(down: &[u32]) -> Arc<Board> {
        let board = Board::new();
        for id in 1..=3 {
            let health = if down.contains(&id) { Health::Down } else { Health::Up };
            put_target(&board, id, "web", &format!("i{id}"), health);
        }
        board
    }

    fn judged(memory: &mut Memory, board: &Board, values: &[Value], feeders: &[u32]) -> Vec<(usize, Vec<u32>)> {
        let outages = Outages::default();
        let mut condition = Condition::new(board, &outages, 0, 0);
        memory.learn(values, &mut condition, 1_000, 0);
        let whole = condition.completeness(feeders.iter().copied().map(OwnerId));
        let rows = memory.judge(values, &whole.down, &mut condition);
        rows.into_iter()
            .map(|c| (c.feeders, c.down.iter().map(|o| o.0).collect()))
            .collect()
    }

    #[test]
    fn a_target_that_fed_a_row_earlier_counts_until_discovery_drops_it() {
        let mut memory = Memory::default();
        let board = board(&[]);
        assert_eq!(
            judged(&mut memory, &board, &[value(&[], &[1, 2])], &[1, 2]),
            [(2, vec![])]
        );
        board.update(OwnerId(2), |t| t.health = Health::Down);
        assert_eq!(
            judged(&mut memory, &board, &[value(&[], &[1])], &[1, 2]),
            [(2, vec![2])]
        );
        board.remove(OwnerId(2));
        assert_eq!(judged(&mut memory, &board, &[value(&[], &[1])], &[1, 2]), [(1, vec![])]);
    }

    #[test]
    fn a_failed_commit_counts_before_the_board_says_so() {
        let board = board(&[]);
        let mut outages = Outages::default();
        outages.note(OwnerId(2), leadline_model::port::Attempt::Failed, 0);
        let mut condition = Condition::new(&board, &outages, 0, 0);
        assert_eq!(condition.completeness([OwnerId(1), OwnerId(2)]).down, [OwnerId(2)]);
    }

    #[test]
    fn rules_and_pushes_are_no_feeders() {
        let mut memory = Memory::default();
        assert_eq!(
            judged(&mut memory, &board(&[]), &[value(&[], &[1, 77])], &[1, 77]),
            [(1, vec![])]
        );
    }

    #[test]
    fn a_down_feeder_that_no_row_remembers_counts_where_labels_do_not_contradict() {
        let mut memory = Memory::default();
        let values = [value(&[("instance", "i1")], &[1]), value(&[("path", "/")], &[1])];
        let rows = judged(&mut memory, &board(&[2]), &values, &[1, 2]);
        assert_eq!(rows, [(1, vec![]), (2, vec![2])]);
    }

    #[test]
    fn a_down_feeder_of_a_vanished_row_does_not_count_for_the_others() {
        let mut memory = Memory::default();
        let board = board(&[]);
        let (a, b) = (value(&[("path", "/a")], &[1]), value(&[("path", "/b")], &[2]));
        judged(&mut memory, &board, &[a.clone(), b], &[1, 2]);
        board.update(OwnerId(2), |t| t.health = Health::Down);
        assert_eq!(judged(&mut memory, &board, &[a], &[1, 2]), [(1, vec![])]);
    }
}
