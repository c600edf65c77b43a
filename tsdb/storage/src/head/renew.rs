//! Putting a checkpoint of what is in memory in the place of a log that cannot be read.
//!
//! A checkpoint is written of the log's first segments. Where a byte of them is damaged, or the disk does not read it, none
//! can be written any more: the log would grow for ever, and the next start would end it at the damage and lose all that
//! came behind. Memory has everything that the log is for, so it takes the log's place at the moment of a renaming: whoever
//! starts before that finds the old log, whoever starts later the new one.

use super::Head;
use super::durable::Durable;
use super::rebuild::write_stripe;
use super::series::Data;
use crate::error::StorageError;
use crate::wal::checkpoint::Put;
use crate::wal::record::{encode_min_valid_time, encode_series};
use crate::wal::{self, checkpoint};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

impl Head {
    /// Replaces all of the log but what is committed from now on by a checkpoint of what is in memory: all series, deletions,
    /// exemplars and samples, those of mapped chunks too, because a start gives up chunks that are damaged. To be called while
    /// nobody else tidies and the log is not broken.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails, or mapped chunks are damaged and the log cannot be read now for what they had; the
    /// log is as it was, and the next call begins anew.
    pub(super) fn renew_log(&self, durable: &Durable) -> Result<(), StorageError> {
        let now = self.clock.now();
        // The log that goes may be the only one that has what they had. To give up what is never read again is for who mends
        // without patience ([`Head::mend_mapped`]).
        self.mend(durable, true)?;
        durable.wal.flush(now)?;
        // What is committed from here on is in this segment or behind it; what is copied below may be there once more, which a
        // replay does not mind.
        let first = durable.wal.cut(now)?;
        let Some(last) = first.checked_sub(1) else {
            return Ok(());
        };
        let (disk, dir) = (&durable.disk, durable.wal.dir());
        checkpoint::write_bare(disk, dir, last, |put| {
            let mut bound = Vec::new();
            encode_min_valid_time(&mut bound, self.floor.load(Ordering::Acquire));
            put(&bound)?;
            self.put_stripes(durable, put)?;
            self.put_aliases(durable, put)
        })?;
        durable.rebuilds.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            segment = last,
            "what is in memory took the place of the write-ahead log up to here"
        );
        wal::remove_before(&**disk, dir, first)?;
        checkpoint::remove_before(&**disk, dir, last)
    }

    fn put_stripes(&self, durable: &Durable, put: &mut Put<'_>) -> Result<(), StorageError> {
        for (at, stripe) in self.stripes.iter().enumerate() {
            let (copied, files) = {
                let stripe = stripe.read();
                (self.copy(at, &stripe, |_| true), durable.chunks.files())
            };
            // A chunk that is damaged since they were mended is mended first: nothing is left out here.
            let read = |data: &Data| files.bytes(data).map(Some);
            write_stripe(copied, read, |records| records.iter().try_for_each(&mut *put))?;
        }
        Ok(())
    }

    /// The other references of series, behind their own: the log of what came out of order may have samples under them.
    fn put_aliases(&self, durable: &Durable, put: &mut Put<'_>) -> Result<(), StorageError> {
        let mut others: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (&other, alias) in durable.aliases.lock().iter() {
            others.entry(alias.series).or_default().push(other);
        }
        if others.is_empty() {
            return Ok(());
        }
        let (mut all, index) = (Vec::new(), self.index.read());
        for id in index.all() {
            for &other in others.get(&index.series(id).0).into_iter().flatten() {
                all.push((other, index.labels(id)));
            }
        }
        drop(index);
        let mut record = Vec::new();
        encode_series(&mut record, all.iter().map(|(other, labels)| (*other, labels)));
        put(&record)
    }
}
