//! When a target is scraped: on an absolute grid, so that restarts and replicas keep its slots.

use leadline_model::Timestamp;

/// The slots of one target: `offset + k * interval` (ms since the epoch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    interval: i64,
    offset: i64,
}

/// The least lateness (ms) that still counts as being on time.
const TOLERANCE_MS: i64 = 2;

impl Grid {
    /// The grid of a target whose identity hashes to `key`, spread over `interval_ms` by `seed`.
    #[must_use]
    pub fn new(key: u64, seed: u64, interval_ms: i64) -> Self {
        let interval = interval_ms.max(1);
        // The hash decides where in the interval the target is scraped; consecutive values must not be neighbours.
        let offset = (spread(key ^ seed) % interval.unsigned_abs()) as i64;
        Self { interval, offset }
    }

    /// The first slot at or after `now` (ms).
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Timestamp {
        let since = (now - self.offset).rem_euclid(self.interval);
        if since == 0 { now } else { now - since + self.interval }
    }

    /// The slot that follows `slot`.
    #[must_use]
    pub fn after(&self, slot: Timestamp) -> Timestamp {
        slot + self.interval
    }

    /// How many slots lie between `slot` and the later `next`, neither counted.
    #[must_use]
    pub fn missed(&self, slot: Timestamp, next: Timestamp) -> usize {
        usize::try_from((next - slot) / self.interval - 1).unwrap_or(0)
    }

    /// Whether `slot` lies so far (more than two intervals) ahead of `now` that nobody who goes by this grid can have reached
    /// it, had the clock not been set back since. Less is waited for: the store would refuse samples of that time.
    #[must_use]
    pub fn is_far_ahead(&self, slot: Timestamp, now: Timestamp) -> bool {
        slot.saturating_sub(now) > self.interval.saturating_mul(2)
    }

    /// The timestamp of a scrape for `slot` that begins at `now`: the slot, which packs well and which evaluations are
    /// aligned to, while the scrape is at most 1 % of the interval (or 2 ms) late; otherwise the true time.
    #[must_use]
    pub fn stamp(&self, slot: Timestamp, now: Timestamp) -> Timestamp {
        if now - slot <= TOLERANCE_MS.max(self.interval / 100) {
            slot
        } else {
            now
        }
    }
}

/// Finalizer of MurmurHash3: every bit of the input moves every bit of the output.
fn spread(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// FNV-1a, 64 bits; the same in every process, so that a target keeps its slots.
#[must_use]
pub fn fnv64a(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .flat_map(|p| p.iter())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_the_same_whenever_one_asks() {
        for key in 0..100 {
            let grid = Grid::new(key, 7, 5_000);
            let slot = grid.next(1_700_000_000_000);
            assert!((1_700_000_000_000..1_700_000_005_000).contains(&slot));
            assert_eq!(
                (grid.next(slot), grid.next(slot + 1), grid.after(slot)),
                (slot, slot + 5_000, slot + 5_000)
            );
            assert_eq!(Grid::new(key, 7, 5_000).next(slot - 3), slot);
        }
    }

    #[test]
    fn targets_and_replicas_are_spread_over_the_interval() {
        let offsets: std::collections::HashSet<i64> = (0..1_000).map(|key| Grid::new(key, 1, 60_000).next(0)).collect();
        assert!(offsets.len() > 950, "{}", offsets.len());
        assert_ne!(Grid::new(1, 1, 60_000), Grid::new(1, 2, 60_000));
    }

    #[test]
    fn a_scrape_is_stamped_with_its_slot_unless_it_is_late() {
        let grid = Grid::new(0, 0, 5_000);
        for (late, stamped) in [(0, 0), (2, 0), (50, 0), (51, 51), (4_000, 4_000)] {
            assert_eq!(grid.stamp(1_000, 1_000 + late), 1_000 + stamped);
        }
        assert_eq!(Grid::new(0, 0, 100).stamp(0, 2), 0);
        assert_eq!((grid.missed(0, 5_000), grid.missed(0, 20_000)), (0, 3));
    }

    #[test]
    fn a_slot_is_waited_for_up_to_two_intervals_ahead() {
        let grid = Grid::new(0, 0, 5_000);
        for (ahead, far) in [(-5_000, false), (0, false), (10_000, false), (10_001, true)] {
            assert_eq!(grid.is_far_ahead(1_000_000 + ahead, 1_000_000), far, "{ahead}");
        }
    }

    #[test]
    fn fnv_is_fnv() {
        assert_eq!(fnv64a(&[b"foo", b"bar"]), 0x8594_4171_f739_67e8);
    }
}
