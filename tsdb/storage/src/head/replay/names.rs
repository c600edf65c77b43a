//! Which series a part has, before anything else of it is read: mapped chunks tell references alone, and rows for those
//! of all other parts would take the memory that parts are there to save.

use super::Replay;
use crate::codec::Malformed;
use crate::error::StorageError;
use crate::wal::record::Record;

impl Replay<'_> {
    /// Finds the references of the part's series in the log.
    pub(super) fn names(&mut self) -> Result<(), StorageError> {
        self.wanted = Some(Vec::new());
        let checkpoint = self.checkpoint(Self::name)?;
        self.segments(checkpoint, &(), Self::name)?;
        if let Some(wanted) = &mut self.wanted {
            wanted.sort_unstable();
            wanted.dedup();
        }
        Ok(())
    }

    /// Whether the series of a mapped chunk is to be read.
    pub(super) fn wants(&self, reference: u64) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_none_or(|wanted| wanted.binary_search(&reference).is_ok())
    }

    fn name(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let Record::Series(series) = Record::parse(record)? else {
            return Ok(());
        };
        for entry in series {
            let entry = entry?;
            if self.part.takes(&entry.labels.to_labels())
                && let Some(wanted) = &mut self.wanted
            {
                wanted.push(entry.series);
            }
        }
        Ok(())
    }
}
