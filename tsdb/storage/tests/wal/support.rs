//! Logs to test with.

use leadline_model::entropy::{Entropy, SeededEntropy};
use leadline_storage::StorageError;
use leadline_storage::disk::{Disk, MemoryDisk};
use leadline_storage::wal::{Position, Reader, Wal};
use std::path::Path;
use std::sync::Arc;

pub(crate) const DIR: &str = "/wal";

pub(crate) fn dir() -> &'static Path {
    Path::new(DIR)
}

pub(crate) fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::new())
}

/// What reading a log from its beginning gives.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) position: Position,
    pub(crate) torn: bool,
    pub(crate) error: Option<StorageError>,
}

pub(crate) fn read(disk: &Arc<dyn Disk>) -> Read {
    let mut reader = Reader::open(Arc::clone(disk), dir(), ..).unwrap();
    let mut records = Vec::new();
    let error = loop {
        match reader.next() {
            Ok(Some(record)) => records.push(record.to_vec()),
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    Read {
        records,
        position: reader.position(),
        torn: reader.torn().is_some(),
        error,
    }
}

/// A record of `len` bytes that says which it is: of random bytes, or of few different ones so that it shrinks. Its type
/// is a known one, as that of all records is that are written.
pub(crate) fn record(seed: u64, len: usize, shrinks: bool) -> Vec<u8> {
    let entropy = SeededEntropy::new(seed);
    let mut bytes: Vec<u8> = (0..len)
        .map(|i| {
            if shrinks {
                (i / 40) as u8 ^ seed as u8
            } else {
                entropy.next_u64() as u8
            }
        })
        .collect();
    if let Some(first) = bytes.first_mut() {
        *first = 1 + (seed % 14) as u8;
    }
    bytes
}

pub(crate) fn log(wal: &mut Wal, records: &[Vec<u8>]) -> Result<(), StorageError> {
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    wal.log(&records)
}

pub(crate) fn write(disk: &Arc<dyn Disk>, segment_bytes: u64, records: &[Vec<u8>]) {
    let mut wal = Wal::open(Arc::clone(disk), dir(), segment_bytes).unwrap();
    log(&mut wal, records).unwrap();
    wal.sync().unwrap();
}

pub(crate) fn put(disk: &Arc<dyn Disk>, path: &Path, bytes: &[u8]) {
    let mut file = disk.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

pub(crate) fn get(disk: &Arc<dyn Disk>, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}
