//! Deleting samples.

use super::Db;
use crate::block::Ulid;
use crate::error::StorageError;
use leadline_model::matcher::Matcher;
use leadline_model::sample::Timestamp;

impl Db {
    /// See [`Db::delete_series`]. Nothing moves from the head to a block or between blocks meanwhile, so nothing slips
    /// through. As long as a block could not be removed that nobody is shown any more, nothing can be deleted: the next
    /// start would take it for a block, or for what replaces another one, with all that is deleted now. What cannot be read
    /// or written now does not keep the rest from being deleted: it is told when all else is done.
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
        let mut failed = Vec::new();
        for block in self.blocks.list().iter() {
            let meta = block.meta();
            if meta.min_time > maxt || meta.max_time <= mint {
                continue;
            }
            if let Err(error) = block.delete(matchers, mint, maxt) {
                failed.push((block.ulid(), error.to_string()));
            }
        }
        let head = self.head.delete(matchers, mint, maxt);
        let synced = self.head.sync();
        failed.extend(self.not_reached()?);
        if failed.is_empty() {
            return head.and(synced);
        }
        let head = head
            .and(synced)
            .err()
            .map(|error| format!("; nor durably from the head: {error}"));
        Err(StorageError::Refused(format!(
            "deleted from all else, but not from {}: repeat the deletion once they can be read and written or are moved \
             away{}",
            told(&failed),
            head.unwrap_or_default()
        )))
    }

    /// Blocks of the directory that are not open, and why: once they can be read they are taken, at run time too, and would
    /// bring back what was deleted from all others.
    fn not_reached(&self) -> Result<Vec<(Ulid, String)>, StorageError> {
        let why = |ulid| self.blocks.why_left_out(ulid);
        let missed = self.not_open()?.into_keys();
        Ok(missed
            .map(|ulid| (ulid, why(ulid).unwrap_or_else(|| "not opened yet".to_owned())))
            .collect())
    }
}

/// Names of blocks that are told one by one, of however many.
const NAMED: usize = 5;

/// Which blocks something could not be done with, and why.
pub(super) fn told(failed: &[(Ulid, String)]) -> String {
    let named = failed.iter().take(NAMED).map(|(ulid, why)| format!("{ulid} ({why})"));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = failed.len().checked_sub(NAMED) {
        text.push_str(&format!(" and {more} more"));
    }
    match failed.len() {
        1 => format!("the block {text}"),
        n => format!("{n} blocks: {text}"),
    }
}
