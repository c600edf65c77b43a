//! Writing full chunks away, so that memory holds only where they are.

use super::Head;
use super::durable::Durable;
use crate::error::StorageError;

impl Head {
    /// Writes the chunks that were closed since the last call to the disk and frees their memory; returns how many. To
    /// be called about once a minute: not when chunks close, because those of a target close together. Commits go on,
    /// except that each stripe is held for a moment.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails. The chunks that could not be written stay in memory and go with the next call.
    pub fn map_chunks(&self) -> Result<usize, StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_writable()) else {
            return Ok(0);
        };
        let one = self.tidying.lock();
        let mapped = self.map_all(durable);
        drop(one);
        self.chunks_written(durable, mapped.is_ok());
        mapped
    }

    fn map_all(&self, durable: &Durable) -> Result<usize, StorageError> {
        let mut mapped = 0;
        for (at, stripe) in self.stripes.iter().enumerate() {
            mapped += self.map_late(durable, at)?;
            let outgoing = stripe.write().outgoing(at);
            if outgoing.is_empty() {
                continue;
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
