//! Writing full chunks away, so that memory holds only where they are.

use super::Head;
use super::durable::Durable;
use crate::error::StorageError;
use std::sync::atomic::Ordering;

impl Head {
    /// Writes the chunks that were closed since the last call to the disk and frees their memory; returns how many. To
    /// be called about once a minute: not when chunks close, because those of a target close together. Commits go on,
    /// except that each stripe is held for a moment. Nothing is written before the log was read or after [`Self::close`].
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails. The chunks that could not be written stay in memory and go with the next call.
    pub fn map_chunks(&self) -> Result<usize, StorageError> {
        self.map(true)
    }

    /// [`Self::map_chunks`] without those that came out of order, and so to be called also while blocks are made of the
    /// head. Of chunks that came out of order the log is told where they are, and that must not be in the part of it that
    /// stays when a block has them: a crash would bring back what is deleted from the block.
    ///
    /// # Errors
    /// As [`Self::map_chunks`].
    pub fn map_in_order(&self) -> Result<usize, StorageError> {
        self.map(false)
    }

    fn map(&self, late: bool) -> Result<usize, StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_writable()) else {
            return Ok(0);
        };
        let one = self.tidying.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(0);
        }
        durable.compare_with_log(self.clock.now());
        let mapped = self.map_stripes(durable, late);
        drop(one);
        self.chunks_written(durable, mapped.is_ok());
        mapped
    }

    pub(super) fn map_stripes(&self, durable: &Durable, late: bool) -> Result<usize, StorageError> {
        let mut mapped = 0;
        for (at, stripe) in self.stripes.iter().enumerate() {
            if late {
                mapped += self.map_late(durable, at)?;
            }
            let outgoing = stripe.write().outgoing(at);
            if outgoing.is_empty() {
                continue;
            }
            // Of a commit that a killed process had not logged yet, a chunk would keep the samples of one series alone. Where
            // the log cannot be written, they are better there than nowhere.
            if !durable.wal.is_broken() {
                let _ = durable.wal.flush(self.clock.now());
            }
            match durable.chunks.write(&outgoing) {
                Ok(places) => stripe.write().landed(&outgoing, &places),
                Err(error) => {
                    stripe.write().take_back(&outgoing);
                    return Err(error);
                }
            }
            mapped += outgoing.len();
        }
        Ok(mapped)
    }
}
