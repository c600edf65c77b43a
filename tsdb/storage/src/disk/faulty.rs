//! A disk that fails on purpose, over any other.
//!
//! Faults are armed by name and go off at the n-th operation that can have them, so a run repeats. What is lost when
//! un-synced is [`super::memory::MemoryDisk`]'s part.

use super::{Disk, Entry, File, Lock, ReadAt, Space};
use leadline_model::entropy::Entropy;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A write stores a part of its bytes and fails.
    TornWrite,
    /// A read gives fewer bytes than there are.
    ShortRead,
    /// Every write, growth and creation fails with [`io::ErrorKind::StorageFull`], until [`FaultyDisk::lift`].
    Full,
    /// One operation of any kind fails.
    Failure,
    /// One bit of what is read is wrong, once.
    BitFlip,
    /// One sync of a file or folder fails.
    FailedSync,
    /// A file lies on a bad spot: no sync through its handle succeeds any more.
    BadSpot,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TornWrite,
        Self::ShortRead,
        Self::Full,
        Self::Failure,
        Self::BitFlip,
        Self::FailedSync,
        Self::BadSpot,
    ];

    fn concerns(self, kind: Kind) -> bool {
        match self {
            Self::TornWrite => kind == Kind::Write,
            Self::ShortRead | Self::BitFlip => kind == Kind::Read,
            Self::Full => matches!(kind, Kind::Write | Kind::Create),
            Self::Failure => true,
            Self::FailedSync => matches!(kind, Kind::Sync | Kind::SyncName),
            Self::BadSpot => kind == Kind::Sync,
        }
    }
}

/// A fault that went off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Which.
    pub fault: Fault,
    /// At which file or folder.
    pub path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Create,
    Sync,
    SyncName,
    Other,
}

#[derive(Default)]
struct Plan {
    /// Operations that still go well before the fault, of those that it concerns.
    armed: Vec<(Fault, u64)>,
    full: bool,
    /// Faults go off below it alone, if there is one.
    below: Option<PathBuf>,
    fired: Vec<Fired>,
}

struct Shared {
    plan: Mutex<Plan>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("fired", &self.plan.lock().fired)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The fault that goes off now, if any.
    fn strike(&self, kind: Kind, path: &Path) -> Option<Fault> {
        let mut plan = self.plan.lock();
        if plan.below.as_ref().is_some_and(|below| !path.starts_with(below)) {
            return None;
        }
        let mut struck = None;
        for (fault, sound) in plan.armed.iter_mut().filter(|(fault, _)| fault.concerns(kind)) {
            match sound.checked_sub(1) {
                Some(left) => *sound = left,
                None => struck = struck.or(Some(*fault)),
            }
        }
        if let Some(fault) = struck {
            let at = plan
                .armed
                .iter()
                .position(|&(armed, sound)| armed == fault && sound == 0);
            plan.armed.remove(at?);
            plan.full |= fault == Fault::Full;
            let path = path.to_owned();
            plan.fired.push(Fired { fault, path });
        }
        let full = plan.full && Fault::Full.concerns(kind);
        struck.or(full.then_some(Fault::Full))
    }

    /// Fails as the plan says; what is no failure of the whole operation is returned.
    fn check(&self, kind: Kind, path: &Path) -> io::Result<Option<Fault>> {
        match self.strike(kind, path) {
            Some(Fault::Full) if kind == Kind::Create => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Failure | Fault::FailedSync) => Err(io::Error::other("input/output error")),
            fault => Ok(fault),
        }
    }

    fn below(&self, n: usize) -> usize {
        (self.entropy.next_u64() % n.max(1) as u64) as usize
    }
}

/// A disk that fails when told to. Clones share their faults.
#[derive(Debug, Clone)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    shared: Arc<Shared>,
}

impl FaultyDisk {
    /// `inner`, without a fault so far; `entropy` says how much of a torn write is stored and which bit flips.
    pub fn new(inner: Arc<dyn Disk>, entropy: Arc<dyn Entropy>) -> Self {
        let plan = Mutex::default();
        Self {
            inner,
            shared: Arc::new(Shared { plan, entropy }),
        }
    }

    /// `fault` goes off after `sound` more operations that it concerns.
    pub fn arm(&self, fault: Fault, sound: u64) {
        self.shared.plan.lock().armed.push((fault, sound));
    }

    /// Faults go off at `path` and below it alone, until [`Self::lift`]; operations elsewhere are not counted either.
    pub fn confine(&self, path: &Path) {
        self.shared.plan.lock().below = Some(path.to_owned());
    }

    /// Forgets what is armed, and there is room again.
    pub fn lift(&self) {
        let mut plan = self.shared.plan.lock();
        plan.armed.clear();
        plan.full = false;
        plan.below = None;
    }

    /// What went off so far.
    #[must_use]
    pub fn fired(&self) -> Vec<Fired> {
        self.shared.plan.lock().fired.clone()
    }

    fn writing(&self, path: &Path, inner: Box<dyn File>) -> Box<dyn File> {
        Box::new(FaultyFile {
            inner,
            path: path.to_owned(),
            shared: self.shared.clone(),
            bad: false,
        })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.shared.check(Kind::Create, path)?;
        Ok(self.writing(path, self.inner.create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.shared.check(Kind::Other, path)?;
        Ok(self.writing(path, self.inner.append(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadAt>> {
        self.shared.check(Kind::Other, path)?;
        Ok(Arc::new(FaultyReader {
            inner: self.inner.open(path)?,
            path: path.to_owned(),
            shared: self.shared.clone(),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.shared.check(Kind::Other, dir)?;
        self.inner.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.shared.check(Kind::Other, path)?;
        self.inner.exists(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.shared.check(Kind::Create, dir)?;
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.check(Kind::Other, from)?;
        self.inner.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.check(Kind::Create, to)?;
        self.inner.link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.shared.check(Kind::Other, path)?;
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.shared.check(Kind::Other, dir)?;
        self.inner.remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.shared.check(Kind::SyncName, dir)?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.shared.check(Kind::Other, path)?;
        self.inner.lock(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let space = self.inner.space(dir)?;
        let free = if self.shared.plan.lock().full { 0 } else { space.free };
        Ok(Space { free, ..space })
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn File>,
    path: PathBuf,
    shared: Arc<Shared>,
    /// See [`Fault::BadSpot`].
    bad: bool,
}

impl FaultyFile {
    /// Stores what the fault lets through of a write, and says how it ends.
    fn write(&mut self, bytes: &[u8], mut store: impl FnMut(&mut dyn File, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let fault = self.shared.check(Kind::Write, &self.path)?;
        let Some(fault) = fault else {
            return store(&mut *self.inner, bytes);
        };
        let kept = self.shared.below(bytes.len());
        store(&mut *self.inner, &bytes[..kept])?;
        Err(match fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            _ => io::Error::other("write ended early"),
        })
    }

    /// Whether the file may grow.
    fn grow(&self) -> io::Result<()> {
        match self.shared.check(Kind::Write, &self.path)? {
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            Some(_) => Err(io::Error::other("input/output error")),
            None => Ok(()),
        }
    }
}

impl File for FaultyFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, |file, kept| file.write_all(kept))
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(bytes, |file, kept| file.write_at(kept, offset))
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if len > self.inner.len() {
            self.grow()?;
        } else {
            self.shared.check(Kind::Other, &self.path)?;
        }
        self.inner.set_len(len)
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.grow()?;
        self.inner.allocate(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.bad |= self.shared.check(Kind::Sync, &self.path)? == Some(Fault::BadSpot);
        if self.bad {
            return Err(io::Error::other("input/output error"));
        }
        self.inner.sync()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }
}

#[derive(Debug)]
struct FaultyReader {
    inner: Arc<dyn ReadAt>,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl ReadAt for FaultyReader {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let fault = self.shared.check(Kind::Read, &self.path)?;
        let read = self.inner.read_at(into, offset)?;
        match fault {
            Some(Fault::ShortRead) => Ok(self.shared.below(read)),
            Some(Fault::BitFlip) if read > 0 => {
                let (at, bit) = (self.shared.below(read), self.shared.below(8));
                into[at] ^= 1 << bit;
                Ok(read)
            }
            _ => Ok(read),
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.shared.check(Kind::Other, &self.path)?;
        self.inner.len()
    }
}
