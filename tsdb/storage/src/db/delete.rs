//! Deleting samples.

use super::Db;
use crate::error::StorageError;
use leadline_model::matcher::Matcher;
use leadline_model::sample::Timestamp;

impl Db {
    /// See [`Db::delete_series`]. Nothing moves from the head to a block or between blocks meanwhile, so nothing slips
    /// through. As long as a block could not be removed that nobody is shown any more, nothing can be deleted: the next
    /// start would take it for a block, or for what replaces another one, with all that is deleted now. What cannot be read
    /// now does not keep the rest from being deleted.
    pub(super) fn delete_everywhere(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<(), StorageError> {
        if !self.remove_garbage() {
            return Err(StorageError::Refused(
                "a block that was given up cannot be removed yet, a restart would bring back what is deleted"
                    .to_owned(),
            ));
        }
        for block in self.blocks.list().iter() {
            let meta = block.meta();
            if meta.min_time <= maxt && meta.max_time > mint {
                block.delete(matchers, mint, maxt)?;
            }
        }
        self.head.delete(matchers, mint, maxt)?;
        self.head.sync()?;
        self.all_reached()
    }

    /// Refuses where the directory has blocks that are not open: once they can be read they are taken, at run time too, and
    /// would bring back what was deleted from all others.
    fn all_reached(&self) -> Result<(), StorageError> {
        let missed = self.not_open()?;
        if missed.is_empty() {
            return Ok(());
        }
        let why = |ulid| self.blocks.why_left_out(ulid);
        let told = missed
            .keys()
            .map(|&ulid| format!("{ulid} ({})", why(ulid).unwrap_or_else(|| "not opened yet".to_owned())));
        Err(StorageError::Refused(format!(
            "deleted from all that is open, but not from blocks that cannot be read: {}: repeat the deletion once they can be \
             read or are moved away",
            told.collect::<Vec<_>>().join(", ")
        )))
    }
}
