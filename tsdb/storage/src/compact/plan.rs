//! Which blocks should become one (`tsdb/compact.go`, `LeveledCompactor.plan`).

use crate::block::{Meta, STALE_SERIES, Ulid};
use leadline_model::sample::Timestamp;

/// Hint of a block of series that someone chose (`CompactionHintFromSelectedSeries`); never written here.
pub const SELECTED_SERIES: &str = "from-selected-series";

/// What a plan follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSettings {
    /// Time spans of blocks by level, ms, ascending.
    pub ranges: Vec<i64>,
}

/// Why blocks should become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// They overlap in time.
    Overlap,
    /// They fill a range of the next level, or as much of it as ever will be.
    Range,
    /// More than 5 % of its series have deletions, or all of them.
    Deletions,
}

/// Blocks that should become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why.
    pub why: Why,
    /// Which, in order of their time. One block alone is written anew without what was deleted.
    pub blocks: Vec<Ulid>,
}

/// What should be done next; `None`: nothing.
///
/// Blocks of a part of the head's series ([`STALE_SERIES`], [`SELECTED_SERIES`]) are never merged with others: what they
/// become must not be taken for all that there was at its time. Other blocks come first, so that they never starve.
#[must_use]
pub fn plan(metas: &[Meta], settings: &PlanSettings) -> Option<Plan> {
    let class = |hint: Option<&str>| -> Vec<&Meta> {
        let found = [STALE_SERIES, SELECTED_SERIES].into_iter();
        let of = |meta: &Meta| found.clone().find(|hint| meta.has_hint(hint));
        metas.iter().filter(|meta| of(meta) == hint).collect()
    };
    [None, Some(STALE_SERIES), Some(SELECTED_SERIES)]
        .into_iter()
        .find_map(|hint| plan_class(class(hint), &settings.ranges))
}

fn plan_class(mut metas: Vec<&Meta>, ranges: &[i64]) -> Option<Plan> {
    metas.sort_by_key(|meta| (meta.min_time, meta.max_time, meta.ulid));
    let named = |why, metas: &[&Meta]| {
        (!metas.is_empty()).then(|| Plan {
            why,
            blocks: metas.iter().map(|meta| meta.ulid).collect(),
        })
    };
    if let Some(plan) = named(Why::Overlap, &overlapping(&metas)) {
        return Some(plan);
    }
    // The newest is left alone for one range of time, so that it can be copied away as it is.
    metas.pop()?;
    named(Why::Range, complete(&metas, ranges)).or_else(|| named(Why::Deletions, &deleted_from(&metas, ranges)))
}

/// The first blocks in a row that overlap.
fn overlapping<'a>(metas: &[&'a Meta]) -> Vec<&'a Meta> {
    let mut row: Vec<&Meta> = Vec::new();
    let mut end = Timestamp::MIN;
    for &meta in metas.iter().filter(|meta| !meta.compaction.failed) {
        if meta.min_time >= end {
            if row.len() > 1 {
                break;
            }
            row.clear();
        }
        row.push(meta);
        end = end.max(meta.max_time);
    }
    if row.len() > 1 { row } else { Vec::new() }
}

/// The first blocks that fill a range of a higher level, or that are older than the newest block, so that nothing will
/// come to fill it.
fn complete<'m, 'a>(metas: &'m [&'a Meta], ranges: &[i64]) -> &'m [&'a Meta] {
    let Some(newest) = metas.last() else { return &[] };
    for &range in ranges.iter().skip(1) {
        let due = split(metas, range).into_iter().find(|group| {
            let (Some(first), Some(last)) = (group.first(), group.last()) else {
                return false;
            };
            let whole = last.max_time - first.min_time == range || last.max_time <= newest.min_time;
            whole && group.len() > 1 && !group.iter().any(|meta| meta.compaction.failed)
        });
        if let Some(group) = due {
            return group;
        }
    }
    &[]
}

/// Blocks that lie in the same aligned range; those that lie in none are left out.
fn split<'m, 'a>(metas: &'m [&'a Meta], range: i64) -> Vec<&'m [&'a Meta]> {
    let mut groups = Vec::new();
    let mut rest = metas;
    while let Some(first) = rest.first() {
        let end = range
            .saturating_mul(first.min_time.div_euclid(range))
            .saturating_add(range);
        let within = rest.iter().take_while(|meta| meta.max_time <= end).count();
        let (group, behind) = rest.split_at(within.max(1));
        if within > 0 {
            groups.push(group);
        }
        rest = behind;
    }
    groups
}

/// The newest block that is worth writing anew for what was deleted from it.
fn deleted_from<'a>(metas: &[&'a Meta], ranges: &[i64]) -> Vec<&'a Meta> {
    let large = ranges.get(ranges.len() / 2).copied().unwrap_or(i64::MAX);
    for meta in metas.iter().rev().filter(|meta| !meta.compaction.failed) {
        let (deleted, series) = (meta.stats.num_tombstones, meta.stats.num_series);
        if meta.max_time - meta.min_time < large {
            if deleted > 0 && deleted >= series {
                return vec![meta];
            }
            break;
        }
        // More than 5 %, in whole numbers.
        if deleted.saturating_mul(20) > series.saturating_add(1) {
            return vec![meta];
        }
    }
    Vec::new()
}
