//! Series that have ended leave the head early, so that memory follows what lives.

use super::Db;
use super::cut::range_end;
use super::maintenance::{Maintenance, Work};
use crate::block::{Block, Meta, OUT_OF_ORDER, STALE_SERIES};
use crate::error::StorageError;
use crate::head::StaleSeries;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long (ms) a series has to be stale to leave the head where its place is needed: one that comes back after a scrape
/// that failed is not written away first.
const CROWDED_AFTER_MS: i64 = 60 * 1000;

/// How much the cap on series is felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    /// There is room.
    None,
    /// Nine tenths of the series that may be are there: what comes with the next rollout may not fit.
    Near,
    /// Series were refused since this was asked the last time.
    Refusing,
}

impl Db {
    /// Writes stale series into blocks of their own and drops them from the head, once there are enough of them. They count
    /// toward the cap on series: close to it they go sooner, and fewer are enough.
    pub(super) fn evict_stale(&self, work: &mut Work, done: &mut Maintenance) -> Result<(), StorageError> {
        let (now, pressure) = (self.clock.now(), self.pressure(work));
        let crowded = pressure != Pressure::None;
        let after = match (crowded, self.settings.stale_after_ms) {
            (true, usual) => usual.min(CROWDED_AFTER_MS),
            (false, usual) => usual,
        };
        // To look reads a line of memory for each series: often enough is ten times in the time that they are kept.
        let looked = now.saturating_sub(work.stale_looked_at);
        if after == 0 || (!crowded && (0..after / 10).contains(&looked)) {
            return Ok(());
        }
        work.stale_looked_at = now;
        let stale = self.head.stale(now.saturating_sub(after));
        if !self.enough(stale.len() as u64, pressure) {
            return Ok(());
        }
        let mut blocks = Vec::new();
        let written = self.write_stale(&stale, &mut blocks);
        self.show_all(written, blocks, done)?;
        let evicted = self.head.evict(&stale)?;
        tracing::info!(series = evicted, "stale series evicted");
        done.series_evicted = evicted;
        self.counters.stale_evicted.fetch_add(evicted as u64, Ordering::Relaxed);
        Ok(())
    }

    /// How much the cap is felt now.
    fn pressure(&self, work: &mut Work) -> Pressure {
        let (series, refused) = self.head.crowding();
        let known = std::mem::replace(&mut work.series_refused, refused);
        match series.saturating_mul(10) >= u64::from(self.settings.max_series).saturating_mul(9) {
            _ if refused > known => Pressure::Refusing,
            true => Pressure::Near,
            false => Pressure::None,
        }
    }

    /// Whether so many are worth blocks. Near the cap a hundredth of it is; a place that was missing is whatever it takes.
    fn enough(&self, stale: u64, pressure: Pressure) -> bool {
        let enough = match pressure {
            Pressure::Refusing => true,
            Pressure::Near => stale.saturating_mul(100) >= u64::from(self.settings.max_series),
            Pressure::None => {
                let all = self.head.stats().series;
                stale >= u64::from(self.settings.stale_min_series)
                    && stale.saturating_mul(100) >= all.saturating_mul(u64::from(self.settings.stale_percent))
            }
        };
        stale > 0 && enough
    }

    /// A block for each range of time, as of the head (`tsdb/db.go`, `compactHeadViewLocked`).
    fn write_stale(&self, stale: &StaleSeries, blocks: &mut Vec<Arc<Block>>) -> Result<(), StorageError> {
        let range = self.settings.block_range_ms;
        let mut mint = stale.mint;
        while mint <= stale.maxt {
            let end = range_end(mint, range);
            let source = self.head.stale_range(stale, mint, end - 1);
            let mut meta = Meta::new(self.new_ulid(), mint, end.min(stale.maxt.saturating_add(1)));
            meta.add_hint(STALE_SERIES);
            // Who does not know that hint (Prometheus 2.42) knows this one, and reads the log from before the block's
            // end too: it has not all series of its time.
            meta.add_hint(OUT_OF_ORDER);
            blocks.extend(self.write_block(&[&source], meta)?);
            mint = end;
        }
        Ok(())
    }
}
