//! Going on where mapped chunks of the head cannot be read.

use super::Db;
use super::maintenance::{Maintenance, Work};
use super::standstill::is_mapped;
use crate::error::StorageError;

/// In how many calls in a row the disk may fail to read before what it does not read is given up.
const PATIENCE: u32 = 3;

impl Db {
    /// Does something for which mapped chunks are read. Where one of them is damaged, or the disk does not read it again and
    /// again, the log's samples take its place ([`crate::Head::mend_mapped`]) and it is done once more: what is lost
    /// must not keep blocks from being made of the rest.
    pub(super) fn despite_damage(
        &self,
        work: &mut Work,
        done: &mut Maintenance,
        mut act: impl FnMut(&Self, &mut Work, &mut Maintenance) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        if self.head.needs_mending() {
            self.mend(work)?;
        }
        let error = match act(self, work, done) {
            Err(error) if is_mapped(&error) && !self.is_closed() => error,
            other => return other,
        };
        if matches!(error, StorageError::Io { .. }) && work.misreads < PATIENCE {
            work.misread = true;
            return Err(error);
        }
        self.mend(work)?;
        act(self, work, done)
    }

    fn mend(&self, work: &mut Work) -> Result<(), StorageError> {
        let mended = self.head.mend_mapped(work.misreads < PATIENCE);
        work.misread |= mended.is_err();
        mended.map(drop)
    }
}
