//! `tombstones`: what was deleted of a block's series since it was written (`tsdb/tombstones/tombstones.go`).

use super::replace_file;
use crate::codec::{self, Cursor};
use crate::disk::Disk;
use crate::error::StorageError;
use crate::interval::{Interval, Intervals};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file within a block's folder.
pub(crate) const FILE: &str = "tombstones";

const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
/// Magic and version.
const HEADER: usize = 5;
const CRC: usize = 4;

/// The longest file that is read, bytes: some hundred million ranges.
const MAX_LEN: u64 = 4 << 30;

/// Deleted ranges by series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tombstones(BTreeMap<u64, Intervals>);

impl Tombstones {
    /// What was deleted of the series with this reference (that of its postings).
    #[must_use]
    pub fn get(&self, series: u64) -> Option<&Intervals> {
        self.0.get(&series)
    }

    /// Deletes a range of a series. One that ends before it begins holds nothing.
    pub fn add(&mut self, series: u64, range: Interval) {
        if range.mint <= range.maxt {
            self.0.entry(series).or_default().add(range);
        }
    }

    /// Whether nothing is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Deleted ranges of all series together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|ranges| ranges.as_slice().len() as u64).sum()
    }

    /// The series and their ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Intervals)> {
        self.0.iter().map(|(&series, ranges)| (series, ranges))
    }

    /// The content of a file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(HEADER + CRC + 24 * self.0.len());
        codec::put_u32(&mut file, MAGIC);
        file.push(VERSION);
        for (series, ranges) in self.iter() {
            for range in ranges.as_slice() {
                codec::put_uvarint(&mut file, series);
                codec::put_varint(&mut file, range.mint);
                codec::put_varint(&mut file, range.maxt);
            }
        }
        // The sum does not cover the version.
        let sum = crc32c::crc32c(file.get(HEADER..).unwrap_or_default());
        codec::put_u32(&mut file, sum);
        file
    }

    /// What the content of the file `path` says.
    ///
    /// # Errors
    /// [`StorageError::Damaged`]; [`StorageError::Unknown`] for another version.
    pub fn decode(path: &Path, file: &[u8]) -> Result<Self, StorageError> {
        let damaged =
            |offset: usize, expected: &str, got: String| StorageError::damaged(path, offset as u64, expected, got);
        let Some((entries, sum)) = file.get(HEADER..).and_then(|rest| rest.split_last_chunk::<CRC>()) else {
            return Err(damaged(
                file.len(),
                "a header and a checksum of 9 bytes",
                format!("{} bytes", file.len()),
            ));
        };
        let mut header = Cursor::new(file);
        let wrap = |e: codec::Malformed| e.in_file(path, 0);
        let magic = header.be_u32().map_err(wrap)?;
        if magic != MAGIC {
            return Err(damaged(0, "magic number 0130ba30", format!("{magic:08x}")));
        }
        let version = header.u8().map_err(wrap)?;
        if version != VERSION {
            return Err(StorageError::Unknown {
                path: path.to_owned(),
                offset: size_of_val(&MAGIC) as u64,
                what: "tombstones version",
                found: version.to_string(),
                known: "1",
            });
        }
        let (expected, got) = (u32::from_be_bytes(*sum), crc32c::crc32c(entries));
        if expected != got {
            return Err(damaged(
                HEADER,
                &format!("checksum {expected:08x}"),
                format!("{got:08x}"),
            ));
        }
        Self::entries(entries).map_err(|e| e.in_file(path, HEADER as u64))
    }

    fn entries(bytes: &[u8]) -> Result<Self, codec::Malformed> {
        let mut all = Self::default();
        let mut cursor = Cursor::new(bytes);
        while cursor.remaining() > 0 {
            let series = cursor.uvarint()?;
            let (mint, maxt) = (cursor.varint()?, cursor.varint()?);
            all.add(series, Interval { mint, maxt });
        }
        Ok(all)
    }

    /// Reads those in a block's folder, and how many bytes they take. Where there is no file nothing was deleted, as
    /// in Prometheus.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<(Self, u64), StorageError> {
        let path = dir.join(FILE);
        if !disk.exists(&path).map_err(|e| StorageError::io("look for", &path, e))? {
            return Ok((Self::default(), 0));
        }
        let file = super::read_file(disk, &path, MAX_LEN)?;
        Ok((Self::decode(&path, &file)?, file.len() as u64))
    }

    /// Writes them into a block's folder so that either the old or the new ones are there whole, durably. Returns how
    /// many bytes they take.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<u64, StorageError> {
        let file = self.encode();
        replace_file(disk, dir, FILE, &file)?;
        Ok(file.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_empty_file_has_the_bytes_of_prometheus() {
        assert_eq!(Tombstones::default().encode(), [0x01, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ranges in proptest::collection::vec((0u64..9, any::<i64>(), 0i64..1_000_000), 0..20)) {
            let mut all = Tombstones::default();
            for (series, mint, len) in ranges {
                all.add(series, Interval { mint, maxt: mint.saturating_add(len) });
            }
            let file = all.encode();
            prop_assert_eq!(Tombstones::decode(Path::new("t"), &file).unwrap(), all);
            for at in 0..file.len() {
                let mut flipped = file.clone();
                flipped[at] ^= 0x10;
                prop_assert!(Tombstones::decode(Path::new("t"), &flipped).is_err(), "byte {}", at);
                prop_assert!(Tombstones::decode(Path::new("t"), &file[..at]).is_err(), "length {}", at);
            }
        }
    }
}
