//! Which blocks are merged next. The cases are those of Prometheus (`tsdb/compact_test.go`: `TestLeveledCompactor`,
//! `TestSplitByRange`, `TestRangeWithFailedCompactionWontGetSelected`, `TestPlanDoesNotMergeStaleAndNonStaleBlocks`), and some
//! more.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use leadline_model::entropy::SeededEntropy;
use leadline_storage::block::{Meta, OUT_OF_ORDER, STALE_SERIES, Ulid};
use leadline_storage::compact::{
    Plan, PlanSettings, SELECTED_SERIES, Why, describe, describe_rewritten, in_order_end, plan,
};
use proptest::prelude::*;

/// Blocks that can be told apart by their names in a case.
#[derive(Default)]
struct Case {
    blocks: Vec<(&'static str, Meta)>,
}

impl Case {
    fn of(ranges: &[(&'static str, i64, i64)]) -> Self {
        ranges.iter().fold(Self::default(), |case, &(name, mint, maxt)| {
            case.with(name, mint, maxt, |_| {})
        })
    }

    fn with(mut self, name: &'static str, mint: i64, maxt: i64, change: impl FnOnce(&mut Meta)) -> Self {
        let entropy = SeededEntropy::new(self.blocks.len() as u64);
        let mut meta = Meta::new(Ulid::new(1_000 - self.blocks.len() as i64, &entropy), mint, maxt);
        change(&mut meta);
        self.blocks.push((name, meta));
        self
    }

    fn planned(&self, ranges: &[i64]) -> (Option<Why>, Vec<&'static str>) {
        let metas: Vec<Meta> = self.blocks.iter().map(|b| b.1.clone()).collect();
        let settings = PlanSettings {
            ranges: ranges.to_vec(),
        };
        let Some(Plan { why, blocks }) = plan(&metas, &settings) else {
            return (None, Vec::new());
        };
        let name = |ulid: &Ulid| self.blocks.iter().find(|b| b.1.ulid == *ulid).unwrap().0;
        (Some(why), blocks.iter().map(name).collect())
    }
}

const RANGES: [i64; 5] = [20, 60, 180, 540, 1620];

#[track_caller]
fn check(ranges: &[(&'static str, i64, i64)], why: Option<Why>, expected: &[&str]) {
    assert_eq!(
        Case::of(ranges).planned(&RANGES),
        (why, expected.to_vec()),
        "{ranges:?}"
    );
}

fn tombstones(series: u64, deleted: u64) -> impl FnOnce(&mut Meta) {
    move |meta| {
        meta.stats.num_series = series;
        meta.stats.num_tombstones = deleted;
    }
}

#[test]
fn nothing_is_merged_before_a_range_is_full_and_a_newer_block_is_there() {
    check(&[], None, &[]);
    check(&[("1", 0, 20)], None, &[]);
    check(&[("1", 0, 20), ("2", 20, 40)], None, &[]);
    check(&[("1", 0, 20), ("2", 20, 40), ("3", 40, 60)], None, &[]);
    check(&[("1", 0, 20), ("2", 20, 40), ("3", 60, 80)], None, &[]);
}

#[test]
fn a_full_range_is_merged() {
    let range = Some(Why::Range);
    check(
        &[("1", 0, 20), ("2", 20, 40), ("3", 40, 60), ("4", 60, 80)],
        range,
        &["1", "2", "3"],
    );
    check(
        &[
            ("1", 0, 20),
            ("2", 20, 40),
            ("3", 40, 60),
            ("4", 60, 120),
            ("5", 120, 180),
        ],
        range,
        &["1", "2", "3"],
    );
}

#[test]
fn a_range_with_a_gap_is_merged_once_it_is_older_than_the_newest_but_one() {
    let range = Some(Why::Range);
    check(
        &[("1", 0, 20), ("2", 20, 40), ("3", 60, 80), ("4", 80, 100)],
        range,
        &["1", "2"],
    );
    let shuffled = [
        ("2", 20, 40),
        ("4", 60, 120),
        ("5", 960, 980),
        ("6", 120, 180),
        ("7", 720, 960),
    ];
    check(&shuffled, range, &["2", "4", "6"]);
}

#[test]
fn the_newest_is_told_by_its_time_and_not_by_its_name() {
    check(
        &[("5", 0, 360), ("6", 540, 560), ("7", 360, 420), ("8", 420, 540)],
        Some(Why::Range),
        &["7", "8"],
    );
}

#[test]
fn blocks_that_lie_in_no_aligned_range_are_left_alone() {
    // Ranges begin at 0, also below it, and a block that crosses one's end belongs to none.
    let ranges = [20, 60];
    let planned = |blocks: &[(&'static str, i64, i64)]| Case::of(blocks).planned(&ranges).1;
    assert_eq!(
        planned(&[("1", 50, 70), ("2", 70, 80), ("3", 130, 140), ("4", 200, 220)]),
        [] as [&str; 0]
    );
    assert_eq!(
        planned(&[("1", -60, -50), ("2", -10, -5), ("3", 0, 15), ("4", 20, 40)]),
        ["1", "2"]
    );
    assert_eq!(
        planned(&[
            ("1", 70, 90),
            ("2", 125, 130),
            ("3", 130, 180),
            ("4", 1000, 1001),
            ("5", 2000, 2001)
        ]),
        ["2", "3"]
    );
}

#[test]
fn overlapping_blocks_come_first_and_the_newest_is_no_exception() {
    let overlap = Some(Why::Overlap);
    check(&[("1", 0, 20), ("2", 19, 40), ("3", 40, 60)], overlap, &["1", "2"]);
    check(&[("1", 0, 20), ("2", 20, 40), ("3", 30, 50)], overlap, &["2", "3"]);
    check(&[("1", 0, 20), ("2", 10, 40), ("3", 30, 50)], overlap, &["1", "2", "3"]);
    check(
        &[("5", 0, 360), ("6", 340, 560), ("7", 360, 420), ("8", 420, 540)],
        overlap,
        &["5", "6", "7", "8"],
    );
    check(
        &[("1", 0, 10), ("2", 9, 20), ("3", 30, 40), ("4", 39, 50)],
        overlap,
        &["1", "2"],
    );
    check(
        &[("2", 0, 60), ("1", 0, 20), ("3", 20, 40), ("4", 50, 55)],
        overlap,
        &["1", "2", "3", "4"],
    );
}

#[test]
fn a_block_is_written_anew_for_its_deletions_only_when_it_is_worth_it() {
    let with = |end, series, deleted| {
        Case::default()
            .with("1", 0, end, tombstones(series, deleted))
            .with("2", end, end + 20, |_| {})
            .planned(&RANGES)
    };
    let anew = (Some(Why::Deletions), vec!["1"]);
    assert_eq!(with(540, 10, 3), anew);
    assert_eq!(with(540, 0, 0), (None, vec![]), "nothing was deleted");
    assert_eq!(with(540, 99, 5), (None, vec![]), "exactly 5 %");
    assert_eq!(with(540, 98, 5), anew);
    assert_eq!(with(60, 10, 3), (None, vec![]), "it will be merged soon");
    assert_eq!(with(60, 10, 10), anew, "all of it");
    let alone = Case::default().with("1", 0, 540, tombstones(10, 3));
    assert_eq!(alone.planned(&RANGES), (None, vec![]), "it is the newest");
}

#[test]
fn a_range_with_a_block_that_failed_is_left_alone() {
    for blocks in [
        &[("1", 0, 20), ("2", 20, 40), ("3", 40, 60), ("4", 60, 80)][..],
        &[("1", 0, 20), ("2", 20, 40), ("3", 60, 80), ("4", 80, 100)],
        &[
            ("1", 0, 20),
            ("2", 20, 40),
            ("3", 40, 60),
            ("4", 60, 120),
            ("5", 120, 180),
            ("6", 180, 200),
        ],
    ] {
        let mut case = Case::of(blocks);
        case.blocks[1].1.compaction.failed = true;
        assert_eq!(case.planned(&[20, 60, 240, 720, 2160]), (None, vec![]), "{blocks:?}");
    }
    let mut overlapping = Case::of(&[("1", 0, 20), ("2", 10, 30), ("3", 25, 40)]);
    overlapping.blocks[0].1.compaction.failed = true;
    assert_eq!(overlapping.planned(&RANGES), (Some(Why::Overlap), vec!["2", "3"]));
}

#[test]
fn blocks_of_a_part_of_the_series_are_merged_among_themselves_alone() {
    let stale = |meta: &mut Meta| meta.add_hint(STALE_SERIES);
    let mixed = Case::of(&[("1", 0, 20), ("2", 20, 40), ("3", 40, 60), ("fresh", 60, 80)]).with("s", 0, 20, stale);
    assert_eq!(mixed.planned(&[20, 60, 180]), (Some(Why::Range), vec!["1", "2", "3"]));
    for first in [None, Some("1")] {
        let mut case = Case::default();
        if let Some(name) = first {
            case = case.with(name, 0, 20, |_| {});
        }
        let case = case
            .with("s1", 0, 20, stale)
            .with("s2", 20, 40, stale)
            .with("s3", 40, 60, stale)
            .with("s4", 60, 80, stale);
        assert_eq!(case.planned(&[20, 60, 180]), (Some(Why::Range), vec!["s1", "s2", "s3"]));
    }
    let apart = Case::of(&[("1", 0, 20)])
        .with("stale", 0, 20, stale)
        .with("selected", 0, 20, |meta| meta.add_hint(SELECTED_SERIES));
    assert_eq!(apart.planned(&RANGES), (None, vec![]));
}

#[test]
fn blocks_of_what_came_out_of_order_are_merged_with_those_they_overlap() {
    let case = Case::of(&[("1", 0, 20), ("2", 20, 40)]).with("late", 0, 20, |meta| meta.add_hint(OUT_OF_ORDER));
    let (why, mut blocks) = case.planned(&RANGES);
    blocks.sort_unstable();
    assert_eq!((why, blocks), (Some(Why::Overlap), vec!["1", "late"]));
}

#[test]
fn blocks_of_what_came_out_of_order_wait_until_blocks_hold_what_came_in_order_in_their_time() {
    let late = |meta: &mut Meta| meta.add_hint(OUT_OF_ORDER);
    // The head was cut at 25, because nothing came any more, and has gone on since.
    let early = Case::of(&[("1", 0, 20), ("2", 20, 25)]);
    let overlapping = early.with("late", 20, 40, late);
    assert_eq!(overlapping.planned(&RANGES), (None, vec![]));
    let settled = overlapping.with("3", 25, 40, |_| {});
    assert_eq!(settled.planned(&RANGES), (Some(Why::Overlap), vec!["2", "late", "3"]));

    let beside = Case::of(&[("1", 0, 20), ("2", 20, 40)])
        .with("late", 40, 60, late)
        .with("later", 60, 80, late);
    assert_eq!(beside.planned(&RANGES), (None, vec![]), "it would fill the range");

    let twice = Case::of(&[("1", 0, 20)])
        .with("late", 20, 40, late)
        .with("again", 20, 40, late);
    let (why, mut blocks) = twice.planned(&RANGES);
    blocks.sort_unstable();
    assert_eq!((why, blocks), (Some(Why::Overlap), vec!["again", "late"]));
}

proptest! {
    #[test]
    fn what_blocks_become_never_says_that_it_holds_more_of_what_came_in_order(
        blocks in proptest::collection::vec((0..8i64, 1..4i64, 0..10i64, 0..4usize), 1..9),
    ) {
        const HINTS: [&[&str]; 4] = [&[], &[], &[OUT_OF_ORDER], &[STALE_SERIES]];
        let metas: Vec<Meta> = (1..).zip(blocks).map(|(n, (from, long, short, hints))| {
            let mut meta = Meta::new(Ulid::new(n, &SeededEntropy::new(1)), from * 20, (from + long) * 20 - short);
            HINTS[hints].iter().for_each(|hint| meta.add_hint(hint));
            meta
        }).collect();
        let settings = PlanSettings { ranges: RANGES.to_vec() };
        if let Some(plan) = plan(&metas, &settings) {
            let parents: Vec<&Meta> = metas.iter().filter(|meta| plan.blocks.contains(&meta.ulid)).collect();
            let merged = describe(Ulid::new(99, &SeededEntropy::new(1)), &parents);
            let rest = metas.iter().filter(|meta| !plan.blocks.contains(&meta.ulid));
            prop_assert_eq!(in_order_end(rest.chain([&merged])), in_order_end(metas.iter()));
        }
    }
}

#[test]
fn the_description_of_merged_blocks_names_their_sources_and_keeps_the_hints_that_must_not_get_lost() {
    let ulid = |n: i64| Ulid::new(n, &SeededEntropy::new(n as u64));
    let of = |n: i64, mint, maxt, hints: &[&str]| {
        let mut meta = Meta::new(ulid(n), mint, maxt);
        hints.iter().for_each(|hint| meta.add_hint(hint));
        meta
    };
    let (a, b) = (
        of(2, 0, 20, &[OUT_OF_ORDER]),
        of(1, 20, 40, &[OUT_OF_ORDER, STALE_SERIES]),
    );
    let merged = describe(ulid(9), &[&a, &b]);
    assert_eq!((merged.min_time, merged.max_time, merged.compaction.level), (0, 40, 2));
    assert_eq!(merged.compaction.sources, [ulid(1), ulid(2)]);
    assert_eq!(merged.compaction.parents, [a.as_parent(), b.as_parent()]);
    assert_eq!(merged.compaction.hints, [OUT_OF_ORDER, STALE_SERIES]);

    let c = of(3, 40, 60, &[]);
    let again = describe(ulid(10), &[&merged, &c]);
    assert_eq!(again.compaction.level, 3);
    assert_eq!(again.compaction.sources, [ulid(1), ulid(2), ulid(3)]);
    assert_eq!(
        again.compaction.hints,
        [STALE_SERIES],
        "not all of it came out of order any more"
    );

    let anew = describe_rewritten(ulid(11), &again);
    assert_eq!((anew.min_time, anew.max_time), (again.min_time, again.max_time));
    assert_eq!(anew.compaction.level, 3);
    assert_eq!(anew.compaction.sources, again.compaction.sources);
    assert_eq!(anew.compaction.parents, [again.as_parent()]);
    assert_eq!(anew.compaction.hints, [STALE_SERIES]);
}
