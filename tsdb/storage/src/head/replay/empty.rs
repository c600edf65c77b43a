//! Emptying the log once blocks have all of it.

use super::super::Head;
use super::super::durable::Durable;
use super::portion::KeptExemplar;
use crate::error::StorageError;
use crate::wal::record::{ExemplarsEncoder, encode_min_valid_time, encode_series};
use crate::wal::{self, checkpoint};
use leadline_model::labels::Labels;
use leadline_model::sample::Timestamp;
use std::collections::BTreeMap;

/// Records are ended when they have this many bytes.
const RECORD_BYTES: usize = 256 * 1024;

/// What stays of a log that blocks have all samples of.
pub(crate) struct Remains {
    /// Exemplars, in the order in which they came.
    pub(crate) exemplars: Vec<KeptExemplar>,
    /// Before this time (ms) nothing is to come back.
    pub(crate) min_valid: Timestamp,
}

impl Head {
    /// Empties the log before it is replayed: durable blocks must have all samples of it, and queries see them. Exemplars
    /// and the series that they belong to stay, as a checkpoint.
    ///
    /// The log of late samples and the mapped chunks go first: the log itself still has what was deleted of them. Then a
    /// checkpoint takes the place of all segments, at the moment of its renaming. So whenever this is cut short, who
    /// reads next finds nothing that blocks do not have, or all of it with its deletions.
    ///
    /// # Errors
    /// [`StorageError`]: the disk fails. What is left of the log may be replayed.
    pub(crate) fn empty_log(&self, remains: &Remains) -> Result<(), StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| !d.read_only) else {
            return Ok(());
        };
        let _one = self.tidying.lock();
        self.empty_late(durable)?;
        durable.chunks.clear()?;
        let first = self.begin_behind_checkpoint(durable)?;
        let (disk, dir) = (&durable.disk, durable.wal.dir());
        let Some(last) = first.checked_sub(1) else {
            return Ok(());
        };
        checkpoint::write_bare(disk, dir, last, |put| {
            records(remains).iter().try_for_each(|record| put(record))
        })?;
        wal::remove_before(&**disk, dir, first)?;
        checkpoint::remove_before(&**disk, dir, last)
    }

    /// Lets the log of late samples begin anew. It keeps a segment: without any, the others would be taken for lost.
    fn empty_late(&self, durable: &Durable) -> Result<(), StorageError> {
        if wal::segments(&*durable.disk, durable.wbl.dir())?.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        durable.wbl.open_anew(now)?;
        let first = durable.wbl.cut(now)?;
        wal::remove_before(&*durable.disk, durable.wbl.dir(), first)
    }

    /// Begins an empty segment and returns its number; a checkpoint of what is before it is newer than all that are there.
    fn begin_behind_checkpoint(&self, durable: &Durable) -> Result<u32, StorageError> {
        let now = self.clock.now();
        durable.wal.open_anew(now)?;
        let first = durable.wal.cut(now)?;
        let newest = checkpoint::latest(&*durable.disk, durable.wal.dir())?;
        if newest.is_none_or(|newest| newest.number + 1 < first) {
            return Ok(first);
        }
        let mut record = Vec::new();
        encode_min_valid_time(&mut record, Timestamp::MIN);
        durable.wal.push(&[&record]);
        durable.wal.flush(now)?;
        durable.wal.cut(now)
    }
}

/// The records of what stays.
fn records(remains: &Remains) -> Vec<Vec<u8>> {
    let mut records = vec![Vec::new()];
    if let Some(first) = records.first_mut() {
        encode_min_valid_time(first, remains.min_valid);
    }
    let series: BTreeMap<u64, &Labels> = remains
        .exemplars
        .iter()
        .map(|kept| (kept.reference, &kept.labels))
        .collect();
    records.extend(series.into_iter().map(|(reference, labels)| {
        let mut record = Vec::new();
        encode_series(&mut record, [(reference, labels)]);
        record
    }));
    let (mut record, mut encoder) = (Vec::new(), ExemplarsEncoder::default());
    for kept in &remains.exemplars {
        encoder.push(&mut record, kept.reference, &kept.exemplar);
        if record.len() > RECORD_BYTES {
            records.push(std::mem::take(&mut record));
            encoder = ExemplarsEncoder::default();
        }
    }
    records.push(record);
    records
}
