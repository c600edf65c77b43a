//! A disk in memory that forgets at a crash what was not synced.
//!
//! It is as strict as POSIX allows a file system to be: a synced file whose folder was not synced may have no name, a
//! renamed one its old name, and a written one any part of what was written, sector by sector, with zeros in between.

mod content;
mod names;

use super::{Disk, Entry, File, Lock, ReadAt, Space};
use content::Content;
use leadline_model::entropy::Entropy;
use names::{Inode, Names, Node};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Files and folders in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<Names>,
    limits: Mutex<Limits>,
    picture: Mutex<Picture>,
}

/// What the disk refuses.
#[derive(Debug, Default)]
struct Limits {
    /// Bytes of all files together, where there is a limit.
    total: Option<u64>,
    /// Syncs that succeed before one fails.
    sound_syncs: Option<u64>,
}

/// What a crash between two changes leaves.
#[derive(Default)]
enum Picture {
    /// Nobody asked.
    #[default]
    None,
    /// Asked for, after this many more changes.
    After(u64, Arc<dyn Entropy>),
    /// Taken.
    Taken(MemoryDisk),
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::After(..) => "After",
            Self::Taken(_) => "Taken",
        })
    }
}

/// Stands for "as much as one likes" where there is no limit, bytes.
const VAST: u64 = 1 << 50;

impl MemoryDisk {
    /// An empty disk without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the bytes of all files together; `None` lifts the limit. What is there already stays.
    pub fn limit(&self, total: Option<u64>) {
        self.0.limits.lock().total = total;
    }

    /// Lets one [`File::sync`] fail after `sound` more that succeed. What was written to its file since the last
    /// success stays readable and never becomes durable, as with a failed write-back of the page cache.
    pub fn fail_sync(&self, sound: u64) {
        self.0.limits.lock().sound_syncs = Some(sound);
    }

    /// Bytes of all files that have a name.
    #[must_use]
    pub fn used(&self) -> u64 {
        let files = self.0.names.lock().files();
        files.iter().map(|file| file.lock().bytes().len() as u64).sum()
    }

    /// The disk as a machine finds it that lost power now: what was synced, and of the rest what `entropy` chooses.
    /// Nobody holds a lock on it, and there is no limit. This one goes on as if nothing had happened.
    #[must_use]
    pub fn crash(&self, entropy: &dyn Entropy) -> Self {
        let mut copy = |content: &Content| content.after_crash(entropy);
        Self::of(self.0.names.lock().after_crash(entropy, &mut copy))
    }

    /// Takes all locks away, as when the process that held them is killed. What it wrote and did not sync is still there, and
    /// a later crash may still lose it.
    pub fn unlock(&self) {
        for file in self.0.names.lock().files() {
            file.lock().locked = false;
        }
    }

    /// Asks for [`Self::crash`] in the midst of what is going to happen: after `changes` more changes of content or names,
    /// syncs included. [`Self::crashed`] gives the disk that it leaves; this one goes on.
    pub fn crash_after(&self, changes: u64, entropy: Arc<dyn Entropy>) {
        *self.0.picture.lock() = Picture::After(changes, entropy);
    }

    /// The disk that [`Self::crash_after`] asked for; `None` when there were fewer changes, and then it is not asked for
    /// any more.
    #[must_use]
    pub fn crashed(&self) -> Option<Self> {
        match std::mem::take(&mut *self.0.picture.lock()) {
            Picture::Taken(disk) => Some(disk),
            Picture::None | Picture::After(..) => None,
        }
    }

    /// Whether the crash that [`Self::crash_after`] asked for has happened: what succeeded since is not on the disk that it
    /// left.
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        matches!(&*self.0.picture.lock(), Picture::Taken(_))
    }

    /// Another disk with what a reader sees on this one, all of it durable.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::of(self.0.names.lock().duplicate(&mut |content| content.bytes().to_vec()))
    }

    fn of(names: Names) -> Self {
        Self(Arc::new(Shared {
            names: Mutex::new(names),
            ..Shared::default()
        }))
    }
}

impl Shared {
    /// Something is going to change; to be called without a lock.
    fn change(&self) {
        let mut picture = self.picture.lock();
        match &mut *picture {
            Picture::After(0, entropy) => {
                let mut copy = |content: &Content| content.after_crash(entropy.as_ref());
                let names = self.names.lock().after_crash(entropy.as_ref(), &mut copy);
                *picture = Picture::Taken(MemoryDisk::of(names));
            }
            Picture::After(left, _) => *left -= 1,
            Picture::None | Picture::Taken(_) => {}
        }
    }

    /// How many of `wanted` more bytes there is room for.
    fn room(&self, wanted: usize) -> usize {
        let Some(total) = self.limits.lock().total else {
            return wanted;
        };
        let files = self.names.lock().files();
        let used: u64 = files.iter().map(|file| file.lock().bytes().len() as u64).sum();
        usize::try_from(total.saturating_sub(used)).map_or(wanted, |room| room.min(wanted))
    }

    fn sync_fails(&self) -> bool {
        let mut limits = self.limits.lock();
        let fails = limits.sound_syncs == Some(0);
        limits.sound_syncs = limits.sound_syncs.and_then(|sound| sound.checked_sub(1));
        fails
    }
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.0.change();
        let inode = self.0.names.lock().file_or_new(path)?;
        inode.lock().set_len(0);
        Ok(Box::new(Writing(self.0.clone(), inode)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let inode = self.0.names.lock().file(path)?;
        Ok(Box::new(Writing(self.0.clone(), inode)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(Reading(self.0.names.lock().file(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let names = self.0.names.lock();
        let entries = names.entries(names.folder(dir)?).map(|(name, node)| Entry {
            name: name.clone(),
            is_dir: matches!(node, Node::Folder(_)),
            len: match node {
                Node::File(file) => file.lock().bytes().len() as u64,
                Node::Folder(_) => 0,
            },
        });
        Ok(entries.collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.0.names.lock().find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.change();
        self.0.names.lock().create_folders(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.change();
        self.0.names.lock().rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.change();
        self.0.names.lock().link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.change();
        self.0.names.lock().remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.change();
        self.0.names.lock().remove_folder(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.change();
        let mut names = self.0.names.lock();
        let folder = names.folder(dir)?;
        names.sync(folder);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let inode = self.0.names.lock().file_or_new(path)?;
        if std::mem::replace(&mut inode.lock().locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held(inode)))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.0.names.lock().folder(dir)?;
        let total = self.0.limits.lock().total.unwrap_or(VAST);
        Ok(Space {
            free: total.saturating_sub(self.used()),
            total,
        })
    }
}

/// A file that is being written.
#[derive(Debug)]
struct Writing(Arc<Shared>, Inode);

impl Writing {
    /// Makes the file this long when there is room, with zeros.
    fn grow(&self, len: usize) -> io::Result<()> {
        self.0.change();
        let more = len.saturating_sub(self.1.lock().bytes().len());
        if self.0.room(more) < more {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.lock().set_len(len);
        Ok(())
    }
}

impl File for Writing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.change();
        let room = self.0.room(bytes.len());
        let mut content = self.1.lock();
        let end = content.bytes().len();
        content.write(&bytes[..room], end);
        if room < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.change();
        let mut content = self.1.lock();
        match usize::try_from(offset)
            .ok()
            .filter(|at| at + bytes.len() <= content.bytes().len())
        {
            Some(at) => content.write(bytes, at),
            None => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.grow(usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?)
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let there = self.1.lock().bytes().len();
        self.grow(len.max(there))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.change();
        if self.0.sync_fails() {
            self.1.lock().forsake();
            return Err(io::Error::other("write-back failed"));
        }
        self.1.lock().sync();
        Ok(())
    }

    fn len(&self) -> u64 {
        self.1.lock().bytes().len() as u64
    }
}

/// A file that is being read.
#[derive(Debug)]
struct Reading(Inode);

impl ReadAt for Reading {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = self.0.lock();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.bytes().len());
        let rest = &content.bytes()[from..];
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().bytes().len() as u64)
    }
}

/// A lock that is held.
#[derive(Debug)]
struct Held(Inode);

impl Lock for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.lock().locked = false;
    }
}
