//! What is on the disk of a series that was found wrong.

use leadline_model::labels::Labels;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::wal::record::Record;
use leadline_storage::wal::{Reader, checkpoint};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The entries of a series in the logs of the store in `data`, and how they end.
pub(crate) fn logs(disk: &MemoryDisk, data: &Path, suspect: &Labels) -> String {
    let (mut references, mut words) = (BTreeSet::new(), String::new());
    let newest = checkpoint::latest(disk, &data.join("wal")).ok().flatten();
    let dirs = newest.map(|newest| newest.path).into_iter();
    for dir in dirs.chain([data.join("wal"), data.join("wbl")]) {
        let Ok(mut reader) = Reader::open(Arc::new(disk.clone()), &dir, ..) else {
            continue;
        };
        loop {
            match reader.next() {
                Ok(Some(record)) => {
                    let told = told(record, suspect, &mut references);
                    if !told.is_empty() {
                        let (dir, at) = (dir.display(), reader.position());
                        words += &format!("     {dir} {} {}: {told}\n", at.segment, at.offset);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    words += &format!("     {}: {error}\n", dir.display());
                    break;
                }
            }
        }
    }
    words
}

/// What a record says of the series.
fn told(record: &[u8], suspect: &Labels, references: &mut BTreeSet<u64>) -> String {
    match Record::parse(record) {
        Ok(Record::Series(series)) => series
            .flatten()
            .filter(|entry| entry.labels.to_labels() == *suspect)
            .map(|entry| {
                references.insert(entry.series);
                format!("series {} ", entry.series)
            })
            .collect(),
        Ok(Record::Samples(samples)) => samples
            .flatten()
            .filter(|sample| references.contains(&sample.series))
            .map(|sample| format!("{}@{} ", sample.series, sample.t))
            .collect(),
        Ok(Record::Histograms(samples)) => samples
            .flatten()
            .filter(|sample| references.contains(&sample.series))
            .map(|sample| format!("{}@{} (histogram) ", sample.series, sample.t))
            .collect(),
        Ok(Record::Tombstones(tombstones)) => tombstones
            .flatten()
            .filter(|tombstone| references.contains(&tombstone.series))
            .map(|tombstone| format!("deleted {} {:?} ", tombstone.series, tombstone.interval))
            .collect(),
        Ok(Record::MmapMarkers(markers)) => markers
            .flatten()
            .filter(|marker| references.contains(&marker.series))
            .map(|marker| format!("{} in chunk {:x} ", marker.series, marker.chunk))
            .collect(),
        Ok(Record::MinValidTime(t)) => format!("nothing before {t}"),
        _ => String::new(),
    }
}
