//! The files of a log.

use crate::disk::Disk;
use crate::error::StorageError;
use std::io;
use std::path::{Path, PathBuf};

/// One file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number; the log is their order.
    pub number: u32,
    /// Its length, bytes.
    pub len: u64,
}

/// Where segment `number` of the log in `dir` is.
#[must_use]
pub fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}"))
}

/// The number that a segment's name says; `None` for every other file.
fn number_of(name: &str) -> Option<u32> {
    let number = name.parse().ok()?;
    (format!("{number:08}") == name).then_some(number)
}

/// The segments in `dir` by number; none when there is no such folder. There may be gaps, which are damage to a
/// [`super::Reader`].
///
/// # Errors
/// [`StorageError::Io`] when the folder cannot be listed.
pub fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<Segment>, StorageError> {
    let entries = match disk.list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StorageError::io("list", dir, e)),
    };
    let mut found: Vec<Segment> = entries
        .into_iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| number_of(&entry.name).map(|number| Segment { number, len: entry.len }))
        .collect();
    found.sort_by_key(|segment| segment.number);
    Ok(found)
}

/// Removes the segments below `segment`, lowest first, so that what is left has no gap whenever this is cut short.
///
/// # Errors
/// [`StorageError::Io`]; what was removed until then is gone.
pub fn remove_before(disk: &dyn Disk, dir: &Path, segment: u32) -> Result<(), StorageError> {
    let old = segments(disk, dir)?;
    let mut old = old.iter().filter(|s| s.number < segment).peekable();
    if old.peek().is_none() {
        return Ok(());
    }
    for s in old {
        let path = segment_path(dir, s.number);
        disk.remove_file(&path)
            .map_err(|e| StorageError::io("remove", &path, e))?;
    }
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync", dir, e))
}

/// Bytes of all files of the log in `dir`, checkpoints included; 0 when there is no such folder.
///
/// # Errors
/// [`StorageError::Io`] when a folder cannot be listed.
pub fn size(disk: &dyn Disk, dir: &Path) -> Result<u64, StorageError> {
    let mut bytes = 0u64;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match disk.list(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(StorageError::io("list", &folder, e)),
        };
        for entry in entries {
            bytes = bytes.saturating_add(entry.len);
            if entry.is_dir {
                folders.push(folder.join(entry.name));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_number_names_a_segment() {
        for (name, number) in [
            ("00000000", Some(0)),
            ("00000042", Some(42)),
            ("123456789", Some(123_456_789)),
            ("42", None),
            ("000000042", None),
            ("00000042.repair", None),
            ("checkpoint.00000005", None),
            ("+0000042", None),
            ("99999999999", None),
        ] {
            assert_eq!(number_of(name), number, "{name}");
        }
    }
}
