//! What is said about a block that others became (`tsdb/compact.go`, `CompactBlockMetas`).

use super::plan::SELECTED_SERIES;
use crate::block::{Meta, OUT_OF_ORDER, STALE_SERIES, Ulid};
use leadline_model::sample::Timestamp;
use std::collections::BTreeSet;

/// Describes the block `ulid` that `parents` become: one level above the highest of them, over the time of all.
///
/// A hint that says "this is not all that there was" must not get lost, else the end of such a block would be taken for
/// the time up to which the log is not needed; "came out of order" holds when it holds for every parent.
#[must_use]
pub fn describe(ulid: Ulid, parents: &[&Meta]) -> Meta {
    let times = |of: fn(&Meta) -> Timestamp| parents.iter().map(move |meta| of(meta));
    let mut meta = Meta::new(
        ulid,
        times(|meta| meta.min_time).min().unwrap_or(0),
        times(|meta| meta.max_time).max().unwrap_or(0),
    );
    let levels = parents.iter().map(|meta| meta.compaction.level);
    let sources: BTreeSet<Ulid> = parents
        .iter()
        .flat_map(|meta| meta.compaction.sources.iter().copied())
        .collect();
    meta.compaction.level = levels.max().unwrap_or(0).saturating_add(1);
    meta.compaction.sources = sources.into_iter().collect();
    meta.compaction.parents = parents.iter().map(|meta| meta.as_parent()).collect();
    for hint in [STALE_SERIES, SELECTED_SERIES] {
        if parents.iter().any(|meta| meta.has_hint(hint)) {
            meta.add_hint(hint);
        }
    }
    if !parents.is_empty() && parents.iter().all(|meta| meta.has_hint(OUT_OF_ORDER)) {
        meta.add_hint(OUT_OF_ORDER);
    }
    meta
}

/// Describes the block `ulid` that `old` becomes when it is written anew without what was deleted. It stays on its level,
/// with its sources and with the keys that others put there.
#[must_use]
pub fn describe_rewritten(ulid: Ulid, old: &Meta) -> Meta {
    let mut meta = Meta::new(ulid, old.min_time, old.max_time);
    meta.compaction.level = old.compaction.level;
    meta.compaction.sources.clone_from(&old.compaction.sources);
    meta.compaction.hints.clone_from(&old.compaction.hints);
    meta.compaction.parents = vec![old.as_parent()];
    meta.extra = old.extra.clone();
    meta
}
