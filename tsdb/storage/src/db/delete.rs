//! Deleting samples.

use super::Db;
use crate::error::StorageError;
use leadline_model::matcher::Matcher;
use leadline_model::sample::Timestamp;

impl Db {
    /// See [`Db::delete_series`]. Nothing moves from the head to a block or between blocks meanwhile, so nothing slips
    /// through.
    pub(super) fn delete_everywhere(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<(), StorageError> {
        for block in self.blocks.list().iter() {
            let meta = block.meta();
            if meta.min_time <= maxt && meta.max_time > mint {
                block.delete(matchers, mint, maxt)?;
            }
        }
        self.head.delete(matchers, mint, maxt)?;
        self.head.sync()
    }
}
