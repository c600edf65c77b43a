//! Records that are written together.

use crate::error::StorageError;
use crate::wal::Wal;

/// Records one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
}

impl Batch {
    /// Adds a record.
    pub(super) fn push(&mut self, record: &[u8]) {
        self.append(|out| out.extend_from_slice(record));
    }

    /// Adds the record that `encode` appends, if it has a byte.
    pub(super) fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        encode(&mut self.bytes);
        if self.bytes.len() > start {
            self.ends.push(self.bytes.len());
        }
    }

    /// Bytes of the records.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Logs the records and forgets them.
    pub(super) fn write(&mut self, log: &mut Wal) -> Result<(), StorageError> {
        let mut start = 0;
        let records: Vec<&[u8]> = self
            .ends
            .iter()
            .map(|&end| {
                self.bytes
                    .get(std::mem::replace(&mut start, end)..end)
                    .unwrap_or_default()
            })
            .collect();
        log.log(&records)?;
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}
