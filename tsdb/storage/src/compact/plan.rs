//! Which blocks should become one (`tsdb/compact.go`, `LeveledCompactor.plan`).

use crate::block::{Meta, OUT_OF_ORDER, STALE_SERIES, Ulid};
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
/// What blocks become must not be taken for all that there was at its time when it is not. So blocks of a part of the
/// head's series ([`STALE_SERIES`], [`SELECTED_SERIES`]) are never merged with others, and blocks of samples that came out
/// of order ([`OUT_OF_ORDER`]) only with each other as long as they reach beyond the end of what came in order: the head
/// still has samples of their time. Other blocks come first, so that they never starve.
#[must_use]
pub fn plan(metas: &[Meta], settings: &PlanSettings) -> Option<Plan> {
    let end = in_order_end(metas.iter());
    let of = |class: Class| metas.iter().filter(|meta| Class::of(meta, end) == class).collect();
    [Class::Settled, Class::Stale, Class::Selected, Class::Ahead]
        .into_iter()
        .find_map(|class| plan_class(of(class), &settings.ranges))
}

/// Up to where (ms) the blocks hold all that came in order; `None` without a block that was cut from the head whole.
#[must_use]
pub fn in_order_end<'a>(metas: impl Iterator<Item = &'a Meta>) -> Option<Timestamp> {
    metas.filter(|meta| is_whole(meta)).map(|meta| meta.max_time).max()
}

/// Whether a block holds all that came in order in its time.
#[must_use]
pub fn is_whole(meta: &Meta) -> bool {
    let partial = [OUT_OF_ORDER, STALE_SERIES, SELECTED_SERIES];
    !partial.iter().any(|hint| meta.has_hint(hint))
}

/// Blocks that may be merged with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// All that came in order in their time is in blocks.
    Settled,
    /// [`STALE_SERIES`]
    Stale,
    /// [`SELECTED_SERIES`]
    Selected,
    /// [`OUT_OF_ORDER`], and the head still has samples of their time.
    Ahead,
}

impl Class {
    fn of(meta: &Meta, in_order_end: Option<Timestamp>) -> Self {
        match meta {
            _ if meta.has_hint(STALE_SERIES) => Self::Stale,
            _ if meta.has_hint(SELECTED_SERIES) => Self::Selected,
            _ if meta.has_hint(OUT_OF_ORDER) && Some(meta.max_time) > in_order_end => Self::Ahead,
            _ => Self::Settled,
        }
    }
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
