//! The disk as a component: the store reaches files only through [`Disk`], so that the same code runs on a real one, in
//! memory, and on one that fails on purpose.
//!
//! Paths are relative to nothing: they are handed on as they are. Nothing is durable before [`File::sync`] (content) and
//! [`Disk::sync_dir`] (names: creation, renaming and removal) have returned, and the implementation in memory forgets
//! what was not when it crashes.

mod afresh;
pub mod faulty;
pub mod memory;
mod real;
mod watched;

pub(crate) use afresh::{remove_copies, write_afresh};
pub use faulty::FaultyDisk;
pub use memory::MemoryDisk;
pub use real::RealDisk;
pub use watched::WatchedDisk;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name within the folder.
    pub name: String,
    /// Whether it is a folder itself.
    pub is_dir: bool,
    /// Length, bytes; 0 for a folder.
    pub len: u64,
}

/// Room of the file system that holds a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes of the whole.
    pub total: u64,
}

/// Files and folders. Errors are the operating system's, with its kinds.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Creates a file for writing, or empties the one that is there. Its folder must exist.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a file that exists for writing; it is neither emptied nor moved: writes go behind its end.
    ///
    /// # Errors
    /// The operating system's; [`io::ErrorKind::NotFound`] where there is none.
    fn append(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a file for reading. It sees what is written to it later.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>>;

    /// What a folder holds, sorted by name.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Whether there is a file or folder.
    ///
    /// # Errors
    /// The operating system's, but not [`io::ErrorKind::NotFound`].
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Creates a folder and those above it; one that is there is fine.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file or folder; a file or an empty folder under the new name is replaced.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name; where the file system cannot, it is copied.
    ///
    /// # Errors
    /// The operating system's.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and all that it holds.
    ///
    /// # Errors
    /// The operating system's.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock of a file (`flock`, exclusive), which is created if need be; held until the value is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process holds it; else the operating system's.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// The room that is left where `dir` is.
    ///
    /// # Errors
    /// The operating system's.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// A file that is being written.
pub trait File: fmt::Debug + Send {
    /// Writes behind the end.
    ///
    /// # Errors
    /// The operating system's. A part may have been written then: [`Self::len`] tells.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes over what is at `offset`, within the length.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file this long, bytes: cuts its end off or adds zeros.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Takes room for this many bytes on the disk and makes the file at least that long, with zeros; what cannot be had
    /// fails here and not when it is written.
    ///
    /// # Errors
    /// The operating system's; [`io::ErrorKind::StorageFull`] when there is no room.
    fn allocate(&mut self, len: u64) -> io::Result<()>;

    /// Makes the content durable.
    ///
    /// # Errors
    /// The operating system's. What was written since the last success must be taken for lost then.
    fn sync(&mut self) -> io::Result<()>;

    /// Its length, bytes.
    fn len(&self) -> u64;

    /// Whether it has no byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file that can be read anywhere.
pub trait ReadAt: fmt::Debug + Send + Sync {
    /// Fills as much of `into` as the file has from `offset` on; fewer bytes only at its end.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Its length now, bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no byte.
    ///
    /// # Errors
    /// The operating system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the file ends before; else the operating system's.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        match self.read_at(into, offset)? {
            n if n == into.len() => Ok(()),
            n => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} bytes wanted at offset {offset}, {n} are there", into.len()),
            )),
        }
    }
}

/// A lock that is held.
pub trait Lock: fmt::Debug + Send + Sync {}
