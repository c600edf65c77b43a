//! Putting a new file in the place of one that cannot be made durable.

use super::{Disk, File, ReadAt};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is copied at once, bytes.
const BLOCK: usize = 1024 * 1024;
/// What the name of a copy ends in as long as it is not whole.
const TEMPORARY: &str = ".tmp";

/// A new file, to be written on and to be read.
pub(crate) type Afresh = (Box<dyn File>, Arc<dyn ReadAt>);

/// Puts a new file in the place of the one at `path`: its first `len` bytes and `rest` behind them. The content is
/// durable; the name is when the folder is synced next, and until then a loss of power may bring the old file back.
///
/// A file that lies on a bad spot fails to be synced however often it is written over, and a new one lies elsewhere.
///
/// # Errors
/// The operating system's; the old file is there as it was.
pub(crate) fn write_afresh(disk: &dyn Disk, path: &Path, len: u64, rest: &[u8]) -> io::Result<Afresh> {
    let beside = beside(path);
    let written = copy(disk, path, &beside, len, rest);
    if written.is_err() {
        // Best effort: see `remove_copies`.
        let _ = disk.remove_file(&beside);
    }
    written
}

/// Where the new file is written: no name of a segment or of a file of mapped chunks.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(TEMPORARY);
    path.with_file_name(name)
}

fn copy(disk: &dyn Disk, path: &Path, beside: &Path, len: u64, rest: &[u8]) -> io::Result<Afresh> {
    let old = disk.open(path)?;
    let mut new = disk.create(beside)?;
    let mut block = vec![0; usize::try_from(len).unwrap_or(BLOCK).min(BLOCK)];
    let mut at = 0;
    while at < len {
        let n = usize::try_from(len - at).unwrap_or(BLOCK).min(block.len());
        let part = block.get_mut(..n).unwrap_or_default();
        old.read_exact_at(part, at)?;
        new.write_all(part)?;
        at += n as u64;
    }
    new.write_all(rest)?;
    new.sync()?;
    let reader = disk.open(beside)?;
    disk.rename(beside, path)?;
    Ok((new, reader))
}

/// Removes from a folder of numbered files what a crash left of copies. Who lists the folder passes over such names.
///
/// # Errors
/// The operating system's.
pub(crate) fn remove_copies(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)?.into_iter().filter(|entry| !entry.is_dir) {
        let number = entry.name.strip_suffix(TEMPORARY).unwrap_or_default();
        if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
            disk.remove_file(&dir.join(&entry.name))?;
        }
    }
    Ok(())
}
