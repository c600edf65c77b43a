//! A disk that tells when it is read: whoever watches can do meanwhile what another process does to a directory that is in
//! use.

use super::{Disk, Entry, File, Lock, ReadAt, Space};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What is called with the path of a file or folder.
type Watcher = dyn Fn(&Path) + Send + Sync;

/// Another disk, and somebody who is told of every file that is opened to be read and of every folder that is looked at,
/// just before that is done. What the watcher itself does must go to the other disk directly.
pub struct WatchedDisk {
    inner: Arc<dyn Disk>,
    watcher: Box<Watcher>,
}

impl fmt::Debug for WatchedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedDisk")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl WatchedDisk {
    /// The disk `inner`; `watcher` is called before each of its files or folders is read.
    #[must_use]
    pub fn new(inner: Arc<dyn Disk>, watcher: impl Fn(&Path) + Send + Sync + 'static) -> Self {
        Self {
            inner,
            watcher: Box::new(watcher),
        }
    }
}

impl Disk for WatchedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.inner.create(path)
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.inner.append(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        (self.watcher)(path);
        self.inner.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        (self.watcher)(dir);
        self.inner.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        (self.watcher)(path);
        self.inner.exists(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.inner.lock(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.inner.space(dir)
    }
}
