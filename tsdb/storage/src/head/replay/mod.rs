//! Reading the log at the start (`tsdb/head.go`, `Head.Init`; `tsdb/head_wal.go`, `loadWAL`).
//!
//! Mapped chunks come first, then the newest checkpoint, then the segments behind it. All of it goes straight into
//! stripes and an index of its own, which nobody else sees; commits are taken meanwhile into those of the head. At the end
//! ([`install`]) the two are joined while all stripes are held.
//!
//! What is read is weighed. Where it takes more memory than it may, it is thrown away, and whoever replays reads the log in
//! [`Part`]s, makes blocks of these ([`Portion`]), empties the log ([`empty`]) and replays what is left.

mod apply;
mod empty;
mod install;
mod lacking;
mod names;
mod older;
mod part;
mod portion;
mod weight;

pub(crate) use empty::Remains;
pub(crate) use part::Part;
pub(crate) use portion::{KeptExemplar, Portion};
pub(super) use weight::beside;

use super::Head;
use super::chunks_head::Found;
use super::durable::Durable;
use super::exemplars::Exemplars;
use super::index::Index;
use super::metadata::Told;
use super::stripe::{Cuts, STRIPES, Stripe};
use crate::codec::Malformed;
use crate::error::StorageError;
use crate::wal::record::unknown_type;
use crate::wal::{self, Reader, checkpoint};
use lacking::Mapped;
use leadline_model::sample::Timestamp;
use older::Older;
use rapidhash::{RapidHashMap, RapidHashSet};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Closed chunks of more bytes than this are written away while the log is read; few where the store is tested.
const MAP_BYTES: u64 = if cfg!(feature = "planted") {
    2048
} else {
    16 * 1024 * 1024
};

/// Is told how far a replay has come.
pub trait ReplayMonitor: Sync {
    /// Segment `current` of the segments from `first` to `last` is being read.
    fn segment(&self, first: u32, current: u32, last: u32);
}

impl ReplayMonitor for () {
    fn segment(&self, _: u32, _: u32, _: u32) {}
}

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Series that exist now.
    pub series: u64,
    /// Samples that were read from the log and are not in a mapped chunk.
    pub samples: u64,
    /// Chunks that are mapped.
    pub chunks: u64,
    /// Mapped chunks that were given up because others before them are missing: the log has their samples, and was read without
    /// them.
    pub given_up: u64,
    /// Histograms that were passed over: invalid, or of a schema that is not known.
    pub unknown_histograms: u64,
    /// Blocks that all of it was cut into because it would have taken more memory than it may.
    pub blocks: u64,
    /// How often the log was read for these blocks; 0 where it was not cut. Where all of it was deleted there are none.
    pub passes: u64,
    /// What was damaged and could not be kept, in words.
    pub lost: Vec<String>,
}

/// What became of a replay that must not take more than so much memory.
pub(crate) enum Weighed {
    /// It was installed.
    Installed(Replayed),
    /// It was given up when it took so many bytes.
    TooLarge {
        bytes: u64,
        /// What was damaged until there, in words.
        lost: Vec<String>,
    },
}

impl Weighed {
    /// What was found where there was no limit.
    fn without_limit(self) -> Replayed {
        match self {
            Self::Installed(found) => found,
            Self::TooLarge { .. } => Replayed::default(),
        }
    }
}

/// Takes a record over.
type Take<R> = fn(&mut R, &[u8]) -> Result<(), Malformed>;

/// A replay that is under way.
struct Replay<'h> {
    head: &'h Head,
    durable: &'h Durable,
    /// The series that are read.
    part: Part,
    /// The references of these series, where not all are read.
    wanted: Option<Vec<u64>>,
    /// The most bytes of memory that may be taken.
    limit: Option<u64>,
    /// Gives up when it is set; where there is none, it is read to its end.
    stop: Option<&'h AtomicBool>,
    /// The bytes that were taken when it was more.
    over: Option<u64>,
    /// Bytes of records since it was weighed.
    unweighed: usize,
    stripes: Vec<Stripe>,
    index: Index,
    /// For references of series that the log has under another reference too: that one.
    aliases: RapidHashMap<u64, u64>,
    /// The newest time (ms) of samples under such references.
    alias_times: BTreeMap<u64, Timestamp>,
    /// References of series that left the head: none is given out again.
    evicted: RapidHashSet<u64>,
    /// How often the log named one of them again.
    repeated: u64,
    /// Where the next series of each stripe probably is.
    guess: [usize; STRIPES],
    cuts: Cuts,
    min_valid: Timestamp,
    mint: Timestamp,
    maxt: Timestamp,
    mapped: Mapped,
    /// The samples that the log has of series and that should be in mapped chunks before those that are there.
    older: Older,
    /// Whether a part of the log is missing or was cut off.
    cut_off: bool,
    /// Chunks of samples that came out of order, by their place; used when the log of such samples names them.
    late: BTreeMap<u64, Found>,
    /// Entries whose series the log does not have.
    unknown: u64,
    exemplars: Exemplars,
    told: Told,
    found: Replayed,
}

impl Head {
    /// Reads the directory: what was committed before is there afterwards, and commits reach the log. To be called until it
    /// succeeds, from a thread that may block, after [`Self::seal`] with the end of the newest block. Commits are taken meanwhile;
    /// they reach the log at the end.
    ///
    /// Damage is cut off the log and named in [`Replayed::lost`].
    ///
    /// # Errors
    /// [`StorageError`]: the directory cannot be read or repaired. The head goes on in memory then.
    /// [`StorageError::Unknown`]: a newer version has written a record or a mapped chunk; the log is left as it is. Or [`Self::close`] was
    /// called before all was read: the log is as it was, but for damage that was cut off.
    pub fn replay(&self, monitor: &dyn ReplayMonitor) -> Result<Replayed, StorageError> {
        self.replay_within(None, monitor).map(Weighed::without_limit)
    }

    /// [`Self::replay`] of what is left of a log after all up to `newest` (ms) was cut from it: what is late is late still.
    /// It is little, so it is read to its end whoever closes the head meanwhile.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub(crate) fn replay_behind(
        &self,
        newest: Timestamp,
        monitor: &dyn ReplayMonitor,
    ) -> Result<Replayed, StorageError> {
        self.try_replay(None, newest, None, monitor).map(Weighed::without_limit)
    }

    /// [`Self::replay`], unless it takes more than `limit` bytes of memory: nothing has changed for who reads and writes
    /// then. Closed chunks may have been mapped, and damage was cut off the log.
    ///
    /// # Errors
    /// As [`Self::replay`].
    pub(crate) fn replay_within(
        &self,
        limit: Option<u64>,
        monitor: &dyn ReplayMonitor,
    ) -> Result<Weighed, StorageError> {
        self.try_replay(limit, Timestamp::MIN, Some(&self.closed), monitor)
    }

    fn try_replay(
        &self,
        limit: Option<u64>,
        newest: Timestamp,
        stop: Option<&AtomicBool>,
        monitor: &dyn ReplayMonitor,
    ) -> Result<Weighed, StorageError> {
        let Some(durable) = self.durable.as_ref().filter(|d| d.is_replaying()) else {
            return Ok(Weighed::Installed(Replayed::default()));
        };
        let _one = self.tidying.lock();
        let mut replay = Replay::new(self, durable, Part::whole(0), limit);
        (replay.maxt, replay.stop) = (newest, stop);
        replay.read_all(monitor)?;
        self.maxt.fetch_max(newest, Ordering::AcqRel);
        match replay.over {
            Some(bytes) => Ok(Weighed::TooLarge {
                bytes,
                lost: replay.found.lost,
            }),
            None => {
                let mut found = self.install(replay)?;
                found.lost = std::mem::take(&mut durable.lost.lock());
                Ok(Weighed::Installed(found))
            }
        }
    }
}

impl<'h> Replay<'h> {
    fn new(head: &'h Head, durable: &'h Durable, part: Part, limit: Option<u64>) -> Self {
        Self {
            head,
            durable,
            part,
            wanted: None,
            limit,
            stop: Some(&head.closed),
            over: None,
            unweighed: 0,
            stripes: (0..STRIPES).map(|_| Stripe::new()).collect(),
            index: Index::default(),
            aliases: RapidHashMap::default(),
            alias_times: BTreeMap::new(),
            evicted: RapidHashSet::default(),
            repeated: 0,
            guess: [0; STRIPES],
            cuts: head.cuts(),
            min_valid: head.min_valid.load(Ordering::Acquire),
            mint: Timestamp::MAX,
            maxt: Timestamp::MIN,
            mapped: Mapped::used(),
            older: Older::default(),
            cut_off: false,
            late: BTreeMap::new(),
            unknown: 0,
            exemplars: Exemplars::new(head.settings.max_exemplars, head.window()),
            told: Told::default(),
            found: Replayed::default(),
        }
    }

    /// [`Self::all`], and keeps what was lost for the attempt that succeeds: damage was cut off, so no other meets it.
    fn read_all(&mut self, monitor: &dyn ReplayMonitor) -> Result<(), StorageError> {
        let read = self.all(monitor);
        let mut lost = self.durable.lost.lock();
        for text in &self.found.lost {
            if !lost.contains(text) {
                lost.push(text.clone());
            }
        }
        read
    }

    /// Reads everything, or as much as may be.
    fn all(&mut self, monitor: &dyn ReplayMonitor) -> Result<(), StorageError> {
        self.bound()?;
        if !self.part.is_whole() {
            self.names()?;
        }
        self.chunks_and_logs(monitor)?;
        if !self.is_over()
            && let Some(file) = self.gap()
        {
            self.without_chunks(file, monitor)?;
        }
        match self.is_over() {
            true => Ok(()),
            false => self.finish(),
        }
    }

    /// Reads what there is in the order in which it counts.
    fn chunks_and_logs(&mut self, monitor: &dyn ReplayMonitor) -> Result<(), StorageError> {
        self.map()?;
        self.weigh();
        if self.is_over() {
            return Ok(());
        }
        let checkpoint = self.checkpoint(Self::record)?;
        if self.is_over() {
            return Ok(());
        }
        self.segments(checkpoint, monitor, Self::record)?;
        if self.is_over() {
            return Ok(());
        }
        self.late()?;
        self.weigh();
        Ok(())
    }

    /// Finds out before which time the log was cut off: mapped chunks from before may still be there, but what was deleted
    /// of them is not known any more.
    fn bound(&mut self) -> Result<(), StorageError> {
        match checkpoint::min_valid_time(&self.durable.disk, self.durable.wal.dir()) {
            Ok(bound) => self.min_valid = self.min_valid.max(bound.unwrap_or(Timestamp::MIN)),
            // Reading it tells.
            Err(StorageError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads the newest checkpoint and returns its number. What is damaged of it is cut off.
    fn checkpoint(&mut self, take: Take<Self>) -> Result<Option<u32>, StorageError> {
        let (disk, dir) = (&self.durable.disk, self.durable.wal.dir());
        let Some(newest) = checkpoint::latest(&**disk, dir)? else {
            return Ok(None);
        };
        let reader = match Reader::open(Arc::clone(disk), &newest.path, ..) {
            Ok(reader) => reader.whole(),
            Err(error @ StorageError::Damaged(_)) => {
                self.lose(&error);
                return Ok(Some(newest.number));
            }
            Err(error) => return Err(error),
        };
        let damages = self.found.lost.len();
        let mut begun = false;
        self.read(reader, &newest.path, &mut |_| begun = true, take)?;
        if !begun {
            self.lose(&empty(&newest.path));
        }
        if self.found.lost.len() > damages && !self.durable.read_only {
            checkpoint::mend(&self.durable.disk, &newest)?;
        }
        Ok(Some(newest.number))
    }

    /// Reads the segments behind a checkpoint.
    fn segments(
        &mut self,
        checkpoint: Option<u32>,
        monitor: &dyn ReplayMonitor,
        take: Take<Self>,
    ) -> Result<(), StorageError> {
        let disk = &self.durable.disk;
        let dir = self.durable.wal.dir().to_owned();
        let mut segments = wal::segments(&**disk, &dir)?;
        segments.retain(|s| checkpoint.is_none_or(|c| s.number > c));
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return self.hollow(&dir);
        };
        let (first, last) = (first.number, last.number);
        if let Some(gap) = checkpoint.map(|c| c + 1).filter(|&next| next < first) {
            let text = format!("segments {gap:08} to {:08} of the log are missing", first - 1);
            tracing::warn!("{text}");
            self.found.lost.push(text);
            self.cut_off = true;
        }
        let reader = Reader::open(Arc::clone(disk), &dir, first..)?;
        self.read(reader, &dir, &mut |current| monitor.segment(first, current, last), take)
    }

    /// Tells of a log of which only the folder is left: whoever makes one begins it with a segment and never removes the
    /// last. A crash between the two looks the same, and nothing is lost then.
    fn hollow(&mut self, dir: &Path) -> Result<(), StorageError> {
        let there = self.durable.disk.exists(dir);
        if there.map_err(|error| StorageError::io("look for", dir, error))? {
            let text = format!("{}: all segments are missing", dir.display());
            tracing::warn!("{text}");
            self.found.lost.push(text);
            self.cut_off = true;
        }
        Ok(())
    }

    /// Reads the log of samples that came out of order.
    fn late(&mut self) -> Result<(), StorageError> {
        let dir = self.durable.wbl.dir().to_owned();
        if wal::segments(&*self.durable.disk, &dir)?.is_empty() {
            return self.hollow(&dir);
        }
        let reader = Reader::open(Arc::clone(&self.durable.disk), &dir, ..)?;
        self.read(reader, &dir, &mut |_| {}, Self::late_record)
    }

    /// Reads records to the end of a log, to its damage, which is cut off together with what follows, or until too much
    /// memory is taken.
    fn read(
        &mut self,
        mut reader: Reader,
        dir: &Path,
        progress: &mut dyn FnMut(u32),
        take: Take<Self>,
    ) -> Result<(), StorageError> {
        let mut segment = None;
        let damage = loop {
            self.go_on()?;
            let malformed = match reader.next() {
                Ok(Some(record)) => {
                    // Passed over, it would be gone with the next checkpoint.
                    if let Some(number) = unknown_type(record) {
                        return Err(reader.unknown(number));
                    }
                    self.weigh_after(record.len());
                    take(self, record).err()
                }
                Ok(None) => break reader.torn().cloned(),
                Err(error @ StorageError::Damaged(_)) => break Some(error),
                Err(error) => return Err(error),
            };
            if let Some(malformed) = malformed {
                break Some(reader.malformed(malformed));
            }
            let position = reader.position();
            if segment.replace(position.segment) != Some(position.segment) {
                progress(position.segment);
            }
            self.write_closed(MAP_BYTES)?;
            if self.is_over() {
                return Ok(());
            }
        };
        for segment in reader.hollow() {
            let text = format!("segment {segment:08} of the log is empty although others follow");
            tracing::warn!("{text}");
            self.found.lost.push(text);
        }
        let Some(damage) = damage else {
            return match self.durable.read_only {
                true => Ok(()),
                false => wal::settle(&*self.durable.disk, dir),
            };
        };
        let position = reader.position();
        if reader.torn().is_none() {
            self.lose(&damage);
        } else {
            tracing::warn!(%damage, "the log ends in a record that was not written whole");
        }
        if self.durable.read_only {
            return Ok(());
        }
        wal::repair(&*self.durable.disk, dir, position.segment, position.offset)
    }

    /// Fails when it is to be given up.
    pub(super) fn go_on(&self) -> Result<(), StorageError> {
        match self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            true => Err(StorageError::closing()),
            false => Ok(()),
        }
    }

    fn lose(&mut self, damage: &StorageError) {
        tracing::warn!(%damage, "the log is cut off here, what follows is lost");
        self.found.lost.push(damage.to_string());
        self.cut_off = true;
    }

    /// Writes closed chunks away once they take more than `limit` bytes.
    fn write_closed(&mut self, limit: u64) -> Result<(), StorageError> {
        let closed: u64 = self.stripes.iter().map(Stripe::closed_memory).sum();
        if closed <= limit || self.durable.read_only {
            return Ok(());
        }
        for (at, stripe) in self.stripes.iter_mut().enumerate() {
            let outgoing = stripe.outgoing(at);
            if outgoing.is_empty() {
                continue;
            }
            match self.durable.chunks.write(&outgoing) {
                Ok(places) => stripe.landed(&outgoing, &places),
                Err(error) if error.is_full() => {
                    // They stay in memory, and the log still has them.
                    stripe.take_back(&outgoing);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A checkpoint says at least up to where it left samples out, or what lives; without a record, it has lost them.
fn empty(path: &Path) -> StorageError {
    StorageError::damaged(path, 0, "records", "none")
}
