//! What is kept no longer (`tsdb/db.go`, `BeyondTimeRetention`, `BeyondSizeRetention`).

use crate::block::Ulid;
use leadline_model::sample::Timestamp;
use std::cmp::Reverse;

/// What retention looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The block.
    pub(crate) ulid: Ulid,
    /// Every sample is before this time, ms.
    pub(crate) max_time: Timestamp,
    /// Bytes of its files.
    pub(crate) bytes: u64,
}

/// Newest first.
fn newest_first(blocks: &[Candidate]) -> Vec<Candidate> {
    let mut sorted = blocks.to_vec();
    sorted.sort_by_key(|block| Reverse((block.max_time, block.ulid)));
    sorted
}

/// The blocks that end at least `retention_ms` before the end of the newest: the clock has no say, so that nothing goes
/// while nothing comes. Where what came cannot become a block, its newest time (ms) is `waiting`.
pub(crate) fn too_old(blocks: &[Candidate], retention_ms: i64, waiting: Option<Timestamp>) -> Vec<Ulid> {
    let Some(newest) = blocks.iter().map(|block| block.max_time).max() else {
        return Vec::new();
    };
    let newest = waiting.map_or(newest, |waiting| waiting.max(newest));
    #[cfg(feature = "planted")]
    let retention_ms = retention_ms - crate::planted::early(retention_ms);
    let old = |block: &&Candidate| newest.saturating_sub(block.max_time) >= retention_ms;
    blocks.iter().filter(old).map(|block| block.ulid).collect()
}

/// The oldest blocks that have no room when `others` bytes (log, mapped chunks) are taken already. A limit of 0 is none.
pub(crate) fn too_large(blocks: &[Candidate], others: u64, limit: u64) -> Vec<Ulid> {
    if limit == 0 {
        return Vec::new();
    }
    let mut taken = others;
    let mut too_much = |block: &Candidate| {
        taken = taken.saturating_add(block.bytes);
        taken > limit
    };
    let sorted = newest_first(blocks);
    let fit = sorted.iter().position(&mut too_much).unwrap_or(sorted.len());
    #[cfg(feature = "planted")]
    let fit = fit.saturating_sub(usize::from(crate::planted::on(crate::planted::Defect::OneBlockMore)));
    sorted.iter().skip(fit).map(|block| block.ulid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::entropy::SeededEntropy;

    fn blocks(ends: &[i64]) -> Vec<Candidate> {
        let entropy = SeededEntropy::new(1);
        let of = |&max_time: &i64| Candidate {
            ulid: Ulid::new(max_time, &entropy),
            max_time,
            bytes: 100,
        };
        ends.iter().map(of).collect()
    }

    #[test]
    fn a_block_goes_when_its_end_is_the_retention_before_the_newest_end() {
        let all = blocks(&[50, 100, 99, 10]);
        let gone = |retention| -> Vec<i64> {
            let gone = too_old(&all, retention, None);
            let ended = |ulid: &Ulid| all.iter().find(|b| b.ulid == *ulid).map(|b| b.max_time);
            gone.iter().filter_map(ended).collect()
        };
        assert_eq!(gone(100), [] as [i64; 0]);
        assert_eq!(gone(90), [10]);
        assert_eq!(gone(51), [10]);
        assert_eq!(gone(50), [50, 10]);
        assert!(too_old(&[], 1, Some(100)).is_empty());
    }

    #[test]
    fn what_waits_for_room_makes_blocks_older_but_never_younger() {
        let all = blocks(&[50, 100, 99, 10]);
        let gone = |waiting| too_old(&all, 60, Some(waiting)).len();
        assert_eq!([gone(0), gone(110), gone(159), gone(160)], [1, 2, 3, 4]);
    }

    #[test]
    fn the_oldest_blocks_go_when_all_is_too_large() {
        let all = blocks(&[50, 100, 99, 10]);
        let gone = |others, limit| too_large(&all, others, limit).len();
        assert_eq!([gone(0, 0), gone(0, 400), gone(0, 399), gone(1, 400)], [0, 0, 1, 1]);
        assert_eq!([gone(200, 400), gone(1_000, 400)], [2, 4]);
        assert_eq!(too_large(&all, 0, 300), [all[3].ulid]);
    }
}
