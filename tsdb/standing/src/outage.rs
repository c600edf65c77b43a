//! When each target was down: a window that reaches into an outage lacks a part, also once the target is up again.
//!
//! A `rate()` over a minute has no value for a target until its second scrape after a long outage, and too small a one
//! until the window lies behind the outage. An autoscaler that takes the rest for the whole removes pods just when their
//! neighbour came back.

use leadline_model::Timestamp;
use leadline_model::port::Attempt;
use leadline_model::target::{Board, Health, OwnerId};
use std::collections::HashMap;

/// How many outages of one target are told apart; older ones are taken for one.
const MOST: usize = 8;

/// A stretch of failed attempts. Where the clock was set back, the store refuses what is scraped until it has caught up: then it
/// is as long as the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outage {
    /// Slot time (ms) of the first.
    since: Timestamp,
    /// Slot time (ms) of the first good attempt after; absent while it lasts.
    until: Option<Timestamp>,
}

/// The outages of every discovered target since the start.
#[derive(Debug, Default)]
pub(crate) struct Outages(HashMap<OwnerId, Vec<Outage>>);

impl Outages {
    /// Takes note of an attempt whose slot time is `slot` (ms).
    pub(crate) fn note(&mut self, owner: OwnerId, attempt: Attempt, slot: Timestamp) {
        match attempt {
            Attempt::Failed => self.begin(owner, slot),
            Attempt::Good => self.end(owner, slot),
            Attempt::Gone => {
                self.0.remove(&owner);
            }
        }
    }

    /// Whether [`Self::note`] would change something.
    pub(crate) fn changes(&self, owner: OwnerId, attempt: Attempt) -> bool {
        match attempt {
            Attempt::Failed => !self.lasts(owner),
            Attempt::Good => self.lasts(owner),
            Attempt::Gone => self.0.contains_key(&owner),
        }
    }

    fn lasts(&self, owner: OwnerId) -> bool {
        let last = self.0.get(&owner).and_then(|outages| outages.last());
        last.is_some_and(|outage| outage.until.is_none())
    }

    fn begin(&mut self, owner: OwnerId, slot: Timestamp) {
        if self.lasts(owner) {
            return;
        }
        let outages = self.0.entry(owner).or_default();
        outages.push(Outage {
            since: slot,
            until: None,
        });
        if outages.len() > MOST {
            let first = outages.remove(0);
            outages[0].since = first.since;
        }
    }

    fn end(&mut self, owner: OwnerId, slot: Timestamp) {
        let last = self.0.get_mut(&owner).and_then(|outages| outages.last_mut());
        if let Some(outage) = last.filter(|outage| outage.until.is_none()) {
            outage.until = Some(slot.max(outage.since));
        }
    }

    /// After attempts were missed: the board knows who is up again.
    pub(crate) fn catch_up(&mut self, board: &Board) {
        for (&owner, outages) in &mut self.0 {
            let up = board.get(owner).filter(|target| target.health == Health::Up);
            if let (Some(target), Some(outage)) = (up, outages.last_mut()) {
                outage.until = outage.until.or(target.last_scrape);
            }
        }
    }

    /// Forgets who is no longer discovered.
    pub(crate) fn forget(&mut self, board: &Board) {
        self.0.retain(|&owner, _| board.get(owner).is_some());
    }

    /// Whether what a target contributes at `at` (ms) to an expression that reads `window_ms` back is not all there: its
    /// outage lasts, or was longer than a quarter of the window and the window still reaches into it. A shorter gap is
    /// what the window is there to bridge.
    pub(crate) fn lack(&self, owner: OwnerId, at: Timestamp, window_ms: i64) -> bool {
        let outages = self.0.get(&owner).map_or(&[][..], Vec::as_slice);
        outages.iter().any(|outage| match outage.until {
            None => true,
            Some(until) => until - outage.since > window_ms / 4 && until.saturating_add(window_ms) > at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::put_target;

    const MINUTE: i64 = 60_000;
    const OWNER: OwnerId = OwnerId(1);

    fn after(attempts: &[(i64, Attempt)]) -> Outages {
        let mut outages = Outages::default();
        for &(second, attempt) in attempts {
            outages.note(OWNER, attempt, second * 1000);
        }
        outages
    }

    #[test]
    fn a_window_that_reaches_into_an_outage_lacks_a_part() {
        use Attempt::{Failed, Gone, Good};
        // attempts, at (s), window (ms), lacking?
        type Case = (&'static [(i64, Attempt)], i64, i64, bool);
        let cases: &[Case] = &[
            (&[], 0, MINUTE, false),
            (&[(0, Good), (5, Good)], 5, MINUTE, false),
            (&[(0, Failed)], 0, 0, true),
            (&[(0, Failed), (90, Failed)], 90, MINUTE, true),
            (&[(0, Failed), (90, Good)], 90, MINUTE, true),
            (&[(0, Failed), (90, Good), (105, Good)], 149, MINUTE, true),
            (&[(0, Failed), (90, Good)], 150, MINUTE, false),
            // What is bridged: a quarter of the window, and nothing for what reads one sample.
            (&[(0, Failed), (15, Good)], 15, MINUTE, false),
            (&[(0, Failed), (16, Good)], 16, MINUTE, true),
            (&[(0, Failed), (90, Good)], 90, 0, false),
            // A short gap after a long one does not hide it.
            (
                &[(0, Failed), (90, Good), (100, Failed), (105, Good)],
                110,
                MINUTE,
                true,
            ),
            (&[(0, Failed), (90, Gone)], 90, MINUTE, false),
            // A clock that is set back: by 15 s, by an hour, and during an outage.
            (&[(3600, Good), (3586, Failed), (3601, Good)], 3601, MINUTE, false),
            (&[(3600, Good), (5, Failed), (3605, Good)], 3605, MINUTE, true),
            (&[(3600, Good), (5, Failed), (3605, Good)], 3665, MINUTE, false),
            (&[(3600, Failed), (5, Good)], 5, MINUTE, false),
        ];
        for (attempts, at, window, lacking) in cases {
            let outages = after(attempts);
            assert_eq!(
                outages.lack(OWNER, at * 1000, *window),
                *lacking,
                "{attempts:?} at {at}"
            );
        }
    }

    #[test]
    fn many_outages_are_merged_and_none_is_lost() {
        let flapping: Vec<_> = (0..100)
            .flat_map(|i| [(i * 20, Attempt::Failed), (i * 20 + 10, Attempt::Good)])
            .collect();
        let outages = after(&flapping);
        assert_eq!(outages.0[&OWNER].len(), MOST);
        assert_eq!(outages.0[&OWNER][0].since, 0);
        assert!(outages.lack(OWNER, 1_990_000, 600_000));
    }

    #[test]
    fn the_board_ends_what_was_missed_and_discovery_forgets() {
        let board = Board::new();
        put_target(&board, 1, "web", "a:80", Health::Up);
        board.update(OWNER, |target| target.last_scrape = Some(90_000));
        let mut outages = after(&[(0, Attempt::Failed)]);
        outages.catch_up(&board);
        assert!(outages.lack(OWNER, 90_000, MINUTE));
        assert!(!outages.lack(OWNER, 150_000, MINUTE));
        board.remove(OWNER);
        outages.forget(&board);
        assert!(outages.0.is_empty());
    }
}
