//! Letting go of what blocks hold: samples, series, mapped chunks and the beginning of the log.

use super::Head;
use super::durable::Durable;
use super::stripe::{make_ref, number_of, stripe_of};
use crate::error::StorageError;
use crate::wal::record::{encode_metadata, encode_tombstones};
use crate::wal::{self, checkpoint};
use leadline_model::port::SeriesRef;
use leadline_model::sample::Timestamp;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl Head {
    /// [`Self::forget`] and [`Self::shorten`]. Returns how many series were dropped.
    ///
    /// # Errors
    /// As [`Self::shorten`].
    pub fn truncate(&self, mint: Timestamp) -> Result<usize, StorageError> {
        let removed = self.forget(mint);
        self.shorten(mint)?;
        Ok(removed)
    }

    /// Drops from memory what is older than `mint` (ms), which blocks hold now: chunks, and series without newer samples.
    /// Samples older than `mint` are refused from now on. Returns how many series were dropped.
    pub fn forget(&self, mint: Timestamp) -> usize {
        self.seal(mint);
        let _one = self.tidying.lock();
        self.floor.fetch_max(mint, Ordering::AcqRel);
        let removed = self.drop_before(mint);
        self.narrow(mint);
        removed
    }

    /// Removes from the disk what [`Self::forget`] has dropped: files of mapped chunks, and of the log what a checkpoint does
    /// not need. A log that cannot be read gets a checkpoint of what is in memory instead.
    ///
    /// # Errors
    /// [`StorageError`]: files could not be removed or the checkpoint not be written; one does not keep the other from being
    /// done, and the next call tries again.
    pub fn shorten(&self, mint: Timestamp) -> Result<(), StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_writable()) else {
            return Ok(());
        };
        let _one = self.tidying.lock();
        let removed = durable.chunks.truncate(mint, self.oldest_late_file());
        let shortened = self.checkpoint(durable, mint);
        removed.and(shortened)
    }

    /// The oldest file of mapped chunks that has samples which came out of order and are in no block yet.
    fn oldest_late_file(&self) -> u32 {
        let oldest =
            |stripe: &super::stripe::Stripe| stripe.late.values().filter_map(super::late::Late::oldest_file).min();
        let all = self.stripes.iter().filter_map(|stripe| oldest(&stripe.read()));
        all.min().unwrap_or(u32::MAX)
    }

    /// Nothing older than `mint` (ms) is there any more.
    fn narrow(&self, mint: Timestamp) {
        let empty = || self.stripes.iter().all(|stripe| stripe.read().numbers().is_empty());
        if self.mint.load(Ordering::Acquire) < mint {
            self.mint.store(mint, Ordering::Release);
        }
        if empty() {
            self.mint.store(Timestamp::MAX, Ordering::Release);
            // A commit may have come in between.
            if !empty() {
                self.mint.fetch_min(mint, Ordering::AcqRel);
            }
        }
    }

    /// Finds out the time of the oldest sample, so that [`Self::min_time`] is that and no time before it. Commits wait
    /// meanwhile, so it is for those who met a gap.
    pub fn skip_gap(&self) {
        let _one = self.tidying.lock();
        // All stripes at once: a commit widens what is held while it holds its stripes.
        let stripes: Vec<_> = self.stripes.iter().map(parking_lot::RwLock::read).collect();
        let rows = stripes.iter().flat_map(|stripe| {
            let rows = 0..stripe.numbers().len();
            rows.map(|row| stripe.ends(row).0)
        });
        let oldest = rows.min().unwrap_or(Timestamp::MAX);
        // A chunk may reach over what was forgotten.
        let oldest = oldest.max(self.floor.load(Ordering::Acquire));
        self.mint.store(oldest, Ordering::Release);
    }

    /// Rewrites the first two thirds of the log as a checkpoint of what is needed still (`tsdb/head.go`, `truncateWAL`).
    fn checkpoint(&self, durable: &Durable, mint: Timestamp) -> Result<(), StorageError> {
        if durable.wal.is_broken() {
            return Ok(());
        }
        let now = self.clock.now();
        self.log_deletions_before(durable, mint);
        self.give_up_aliases(durable, mint);
        durable.wal.flush(now)?;
        durable.wal.cut(now)?;
        let (disk, dir) = (&durable.disk, durable.wal.dir());
        if let Some(done) = checkpoint::latest(&**disk, dir)? {
            // A crash behind the last checkpoint may have left what it stands for.
            wal::remove_before(&**disk, dir, done.number + 1)?;
        }
        let Some(span) = checkpoint::span(&wal::segments(&**disk, dir)?) else {
            return Ok(());
        };
        let last = *span.end();
        let aliases = durable.aliases.lock().clone();
        let held = |reference: u64| aliases.get(&reference).map_or(reference, |alias| alias.series);
        #[cfg(feature = "planted")]
        let held = |reference: u64| match crate::planted::on(crate::planted::Defect::ToldByName) {
            true => reference,
            false => held(reference),
        };
        let keep = |reference: u64| self.lives(SeriesRef(reference)) || aliases.contains_key(&reference);
        #[cfg(feature = "planted")]
        let keep = |reference: u64| {
            let dropped =
                crate::planted::on(crate::planted::Defect::CheckpointDropsSeries) && reference.is_multiple_of(3);
            keep(reference) && !dropped
        };
        match checkpoint::write(disk, dir, span, &keep, &held, mint) {
            Ok(kept) => tracing::debug!(segment = last, ?kept, "checkpoint written"),
            Err(error) if error.is_unreadable() => {
                tracing::error!(%error, "the write-ahead log cannot be read: what is in memory takes its place");
                return self.renew_log(durable);
            }
            Err(error) => return Err(error),
        }
        wal::remove_before(&**disk, dir, last + 1)?;
        checkpoint::remove_before(&**disk, dir, last)
    }

    /// Logs deletions that ended before `mint` (ms) once more: the checkpoint leaves them out, and chunks that reach over
    /// `mint` still have the samples.
    fn log_deletions_before(&self, durable: &Durable, mint: Timestamp) {
        for (at, stripe) in self.stripes.iter().enumerate() {
            let stripe = stripe.read();
            let all = stripe.deleted.iter().flat_map(|(&number, deleted)| {
                let series = make_ref(at, number).0;
                deleted.as_slice().iter().map(move |&interval| (series, interval))
            });
            let mut ended = all.filter(|(_, interval)| interval.maxt < mint).peekable();
            if ended.peek().is_none() {
                continue;
            }
            let mut record = durable.wal.buffer();
            encode_tombstones(&mut record, ended);
            durable.wal.push(&[&record]);
            durable.wal.recycle(record);
        }
    }

    /// Forgets other names of series that the log has no sample of from `mint` (ms) on, so that the checkpoint leaves them
    /// out. What was told of a series under such a name is logged once more under its own.
    fn give_up_aliases(&self, durable: &Durable, mint: Timestamp) {
        let mut series = BTreeSet::new();
        durable.aliases.lock().retain(|_, alias| {
            let needed = alias.newest >= mint;
            if !needed {
                series.insert(alias.series);
            }
            needed
        });
        #[cfg(feature = "planted")]
        if crate::planted::on(crate::planted::Defect::ToldByName) {
            return;
        }
        if series.is_empty() {
            return;
        }
        let mut record = durable.wal.buffer();
        let told = self.told.read();
        encode_metadata(
            &mut record,
            series
                .into_iter()
                .filter_map(|series| Some((series, told.get(series)?))),
        );
        // While nothing newer can be told: that must come behind this.
        durable.wal.push(&[&record]);
        drop(told);
        durable.wal.recycle(record);
    }

    fn lives(&self, series: SeriesRef) -> bool {
        let stripe = self.stripes[stripe_of(series)].read();
        number_of(series).is_some_and(|number| stripe.row(number, 0).is_some())
    }
}
