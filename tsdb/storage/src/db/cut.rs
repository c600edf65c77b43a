//! Cutting the head into blocks.

use super::Db;
use super::maintenance::{Maintenance, Work};
use crate::block::Meta;
use crate::error::StorageError;
use leadline_model::sample::Timestamp;
use std::sync::atomic::Ordering;

/// What a cut takes: `mint <= t < end` (ms).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    mint: Timestamp,
    end: Timestamp,
}

/// When the head's newest sample was last seen to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Newest {
    maxt: Timestamp,
    since: Timestamp,
}

/// The end of the aligned range that `t` lies in, ms (`tsdb/db.go`, `rangeForTimestamp`).
pub(super) fn range_end(t: Timestamp, range: i64) -> Timestamp {
    t.div_euclid(range).saturating_add(1).saturating_mul(range)
}

/// What is due of a head that holds `mint` to `maxt` (ms) and has not grown since `idle` ms.
///
/// A range is due when the head has gone half a range beyond it: samples as old as that are refused, so nothing can come
/// for it any more. A head that does not grow for half a range is cut whole, though not to the end of a range that it
/// has not reached: what comes later must still find its place.
fn due(mint: Timestamp, maxt: Timestamp, idle: i64, range: i64) -> Option<Cut> {
    let end = range_end(mint, range);
    if maxt >= end.saturating_add(range / 2) {
        return Some(Cut { mint, end });
    }
    (idle >= range / 2).then_some(Cut {
        mint,
        end: end.min(maxt.saturating_add(1)),
    })
}

impl Db {
    /// The oldest and the newest time (ms) of the head, if it has any.
    pub(super) fn head_span(&self) -> Option<(Timestamp, Timestamp)> {
        let span = self.head.min_time().zip(self.head.max_time());
        span.filter(|(mint, maxt)| mint <= maxt)
    }

    /// Cuts what is due. That files stay which are not needed any more keeps nothing from being cut: memory must not grow
    /// because of them.
    pub(super) fn cut_head(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        if work.shorten_to.is_some() {
            // What came late since then too.
            self.reorder_now(work, done)?;
        }
        self.forget(work, done)?;
        let mut shortened = self.shorten(work);
        while let Some(cut) = self.due(work).filter(|_| !self.is_closed()) {
            self.cut(cut, work, done)?;
            shortened = shortened.and_then(|()| self.shorten(work));
        }
        shortened
    }

    fn due(&self, work: &mut Work) -> Option<Cut> {
        let (mint, maxt) = self.head_span()?;
        let now = self.clock.now();
        if work.newest.maxt != maxt || work.newest.since > now {
            work.newest = Newest { maxt, since: now };
        }
        due(
            mint,
            maxt,
            now.saturating_sub(work.newest.since),
            self.settings.block_range_ms,
        )
    }

    fn cut(&self, cut: Cut, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        self.head.seal(cut.end);
        // A block's end is not part of it.
        let source = self.head.range(cut.mint, cut.end.saturating_sub(1));
        let written = self.write_block(&[&source], Meta::new(self.new_ulid(), cut.mint, cut.end));
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::TruncatedBeforeBlock) && written.is_err() {
            done.series_removed += self.head.truncate(cut.end)?;
        }
        let new = written?;
        drop(source);
        let gap = new.is_none();
        if let Some(block) = new {
            tracing::info!(block = %block.ulid(), mint = cut.mint, end = cut.end, "head cut");
            done.cut.push(block.ulid().to_string());
            self.counters.head_cuts.fetch_add(1, Ordering::Relaxed);
            self.blocks.exchange(&[], Some(block));
        }
        work.cut_to = Some(cut.end);
        self.forget(work, done)?;
        if gap {
            // Years may follow without a sample: a clock that was wrong.
            self.head.skip_gap();
        }
        Ok(())
    }

    /// Lets the head forget what was cut from it.
    ///
    /// The log will forget deletions with it, so what came out of order before that time leaves its own log first: else a crash
    /// would raise what was deleted of it.
    fn forget(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        if let Some(end) = work.cut_to {
            self.reorder_now(work, done)?;
            done.series_removed += self.head.forget(end);
            work.cut_to = None;
            work.shorten_to = Some(end);
        }
        Ok(())
    }

    /// Removes from the disk what the head has forgotten. What cannot be removed now is by the next call.
    fn shorten(&self, work: &mut Work) -> Result<(), StorageError> {
        if let Some(end) = work.shorten_to {
            self.head.shorten(end)?;
            work.shorten_to = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_when_the_head_has_gone_half_a_range_beyond_it() {
        let cut = |mint, end| Some(Cut { mint, end });
        for (mint, maxt, idle, expected) in [
            (0, 149, 0, None),
            (0, 150, 0, cut(0, 100)),
            (0, 1_000, 0, cut(0, 100)),
            (90, 149, 0, None),
            (90, 150, 0, cut(90, 100)),
            (100, 250, 0, cut(100, 200)),
            (-30, 49, 0, None),
            (-30, 50, 0, cut(-30, 0)),
        ] {
            assert_eq!(due(mint, maxt, idle, 100), expected, "{mint}..={maxt}");
        }
    }

    #[test]
    fn a_head_that_does_not_grow_is_cut_whole() {
        let cut = |mint, end| Some(Cut { mint, end });
        for (mint, maxt, idle, expected) in [
            (0, 120, 49, None),
            (0, 120, 50, cut(0, 100)),
            (100, 120, 50, cut(100, 121)),
            (100, 199, 50, cut(100, 200)),
        ] {
            assert_eq!(due(mint, maxt, idle, 100), expected, "{mint}..={maxt} idle {idle}");
        }
    }
}
