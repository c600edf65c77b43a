//! Mapped chunks that no store would write.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::sample::Timestamp;
use leadline_storage::disk::Disk;
use std::path::Path;

/// Appends a chunk of floats from `mint` to `maxt` (ms) of the series that the first chunk of the file is of
/// (`tsdb/docs/format/head_chunks.md`): its checksum is right, whatever `data` is.
pub(crate) fn append(disk: &dyn Disk, path: &Path, (mint, maxt): (Timestamp, Timestamp), data: &[u8]) {
    let mut series = [0; 8];
    disk.open(path).unwrap().read_exact_at(&mut series, 8).unwrap();
    let mut bytes = [series, mint.to_be_bytes(), maxt.to_be_bytes()].concat();
    bytes.extend([1, data.len() as u8]);
    bytes.extend(data);
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    disk.append(path).unwrap().write_all(&bytes).unwrap();
}
