//! A store with every kind of file, closed in good order, and what each of its files is worth.

use crate::model::{Dump, Model, read, samples_of};
use crate::step::contents_of_all;
use crate::world::{DATA, World, everything, told};
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::sample::Timestamp;
use leadline_storage::Settings;
use leadline_storage::StorageError;
use leadline_storage::active_queries;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::wal::record::Record;
use leadline_storage::wal::{Reader, checkpoint};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Segment,
    Checkpoint,
    MappedChunks,
    Index,
    Chunks,
    Meta,
    Tombstones,
    OutOfOrderLog,
    ActiveQueries,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Segment,
        Self::Checkpoint,
        Self::MappedChunks,
        Self::Index,
        Self::Chunks,
        Self::Meta,
        Self::Tombstones,
        Self::OutOfOrderLog,
        Self::ActiveQueries,
    ];

    /// What the file at a path is.
    fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix(DATA)?.strip_prefix('/')?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            ["wal", segment] if segment.parse::<u32>().is_ok() => Some(Self::Segment),
            ["wal", checkpoint, _] if checkpoint.starts_with("checkpoint.") => Some(Self::Checkpoint),
            ["chunks_head", _] => Some(Self::MappedChunks),
            ["wbl", _] => Some(Self::OutOfOrderLog),
            ["queries.active"] => Some(Self::ActiveQueries),
            [_, "index"] => Some(Self::Index),
            [_, "chunks", _] => Some(Self::Chunks),
            [_, "meta.json"] => Some(Self::Meta),
            [_, "tombstones"] => Some(Self::Tombstones),
            _ => None,
        }
    }

    /// Whether it is a file of a log, whose records count in their order.
    pub(crate) fn is_log(self) -> bool {
        matches!(self, Self::Segment | Self::Checkpoint | Self::OutOfOrderLog)
    }
}

/// The files of each kind with their lengths; an empty one is none, for nothing of it can be damaged.
pub(crate) fn kinds(disk: &MemoryDisk) -> BTreeMap<Kind, Vec<(PathBuf, u64)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (path, bytes) in contents_of_all(disk).unwrap() {
        if let Some(kind) = Kind::of(&path).filter(|_| !path.ends_with('/') && !bytes.is_empty()) {
            found
                .entry(kind)
                .or_default()
                .push((PathBuf::from(path), bytes.len() as u64));
        }
    }
    // A tombstones file without a deletion tells nothing.
    found.entry(Kind::Tombstones).or_default().retain(|(_, len)| *len > 9);
    found.retain(|_, files| !files.is_empty());
    found
}

/// Times of samples by series.
pub(crate) type Times = BTreeMap<Labels, BTreeSet<Timestamp>>;

/// A store with every kind of file, closed.
pub(crate) struct Sound {
    pub(crate) disk: MemoryDisk,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    pub(crate) model: Model,
}

impl Sound {
    /// Steps of the first seed from `from` on with which every kind is there at last, and late samples that no block holds
    /// yet; without faults.
    pub(crate) fn make(from: u64) -> Self {
        let made = (from..from + 50).find_map(Self::of_seed);
        made.unwrap_or_else(|| panic!("no seed has every kind of file"))
    }

    fn of_seed(seed: u64) -> Option<Self> {
        let mut world = World::new(seed, false).unwrap();
        // What the retention by size takes away is nobody's loss.
        if world.settings.out_of_order_window_ms == 0 || world.settings.retention_bytes > 0 {
            return None;
        }
        for _ in 0..600 {
            world.calm_step().unwrap();
            let there = kinds(&world.memory);
            // These two are made below.
            let later = [Kind::ActiveQueries, Kind::OutOfOrderLog];
            let missing = Kind::ALL
                .iter()
                .any(|kind| !later.contains(kind) && !there.contains_key(kind));
            if !missing && there.get(&Kind::Index).map_or(0, Vec::len) > 1 {
                return Self::closed(world);
            }
        }
        None
    }

    /// Late samples of every series: some in mapped chunks with their markers, some behind these in their log alone.
    fn closed(mut world: World) -> Option<Self> {
        for late in [1..41, 0..4] {
            world.clock.advance(5_000);
            for writer in 0..world.writers.len() {
                world.commit_late(writer, late.clone()).unwrap();
            }
            world.db.sync().unwrap();
            world.db.head().map_chunks().unwrap();
        }
        world.db.close().unwrap();
        let path = Path::new(DATA).join(active_queries::FILE);
        let mut file = world.memory.create(&path).unwrap();
        file.write_all(&unfinished_query()).unwrap();
        let (samples, markers) = late_records(&world.memory);
        let whole = samples > 0 && markers > 0 && Kind::ALL.iter().all(|kind| kinds(&world.memory).contains_key(kind));
        whole.then(|| Self {
            now: world.now(),
            disk: world.memory,
            settings: world.settings,
            model: world.model,
        })
    }

    /// Opens a copy of it, which may take so many bytes of memory for its log; 0: as many as it wants.
    pub(crate) fn open(
        &self,
        disk: &MemoryDisk,
        clock: &Arc<ManualClock>,
        replay_memory_bytes: u64,
    ) -> Result<Arc<Db>, StorageError> {
        Db::open(Parts {
            disk: Arc::new(disk.clone()),
            path: PathBuf::from(DATA),
            settings: Settings {
                replay_memory_bytes,
                ..self.settings.clone()
            },
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
        })
    }
}

/// The text of the query that did not finish.
pub(crate) const QUERY: &str = "up";
/// How many queries there is room for.
pub(crate) const PLACES: u32 = 20;

/// Room for queries, of which one did not finish (`promql/query_logger.go`).
fn unfinished_query() -> Vec<u8> {
    let mut bytes = vec![0; 1 + PLACES as usize * 1000];
    bytes[0] = b'[';
    let entry = format!(r#"{{"query":"{QUERY}","timestamp_sec":1700000000}}"#);
    bytes[1..=entry.len()].copy_from_slice(entry.as_bytes());
    bytes[1000] = b',';
    bytes
}

/// The records of samples and of markers in the log of late samples.
fn late_records(disk: &MemoryDisk) -> (u64, u64) {
    let mut reader = Reader::open(Arc::new(disk.clone()), &Path::new(DATA).join("wbl"), ..).unwrap();
    let (mut samples, mut markers) = (0, 0);
    while let Some(record) = reader.next().unwrap() {
        match Record::parse(record).unwrap() {
            Record::Samples(_) | Record::Histograms(_) => samples += 1,
            Record::MmapMarkers(_) => markers += 1,
            _ => {}
        }
    }
    (samples, markers)
}

/// What is where: the samples of each block, and of all together.
pub(crate) struct Holdings {
    disk: MemoryDisk,
    /// All that can be read.
    pub(crate) all: Dump,
    head: Dump,
    /// By folder, with the first and the last time (ms) that the block may have.
    blocks: BTreeMap<PathBuf, (Dump, (Timestamp, Timestamp))>,
}

impl Holdings {
    pub(crate) fn of(sound: &Sound) -> Self {
        let disk = sound.disk.duplicate();
        let clock = Arc::new(ManualClock::at(sound.now));
        let db = sound.open(&disk, &clock, 0).unwrap();
        db.replay().unwrap();
        let (mint, maxt) = (Timestamp::MIN, Timestamp::MAX);
        let blocks = db.blocks().into_iter().map(|block| {
            let set = block.select(&everything(), mint, maxt, true).unwrap();
            let dump = samples_of(&*set, mint, maxt).unwrap().unwrap();
            let meta = block.meta();
            (block.dir().to_owned(), (dump, (meta.min_time, meta.max_time - 1)))
        });
        Self {
            blocks: blocks.collect(),
            all: read(&*db, &everything(), mint, maxt).unwrap().unwrap(),
            head: read(&**db.head(), &everything(), mint, maxt).unwrap().unwrap(),
            disk: sound.disk.duplicate(),
        }
    }

    /// The block that a file belongs to, and its time (ms).
    fn block_of(&self, path: &Path) -> Option<(&PathBuf, (Timestamp, Timestamp))> {
        let found = self.blocks.iter().find(|(dir, _)| path.starts_with(dir));
        found.map(|(dir, (_, span))| (dir, *span))
    }

    /// The time (ms) of the block that a file belongs to.
    pub(crate) fn span(&self, path: &Path) -> Option<(Timestamp, Timestamp)> {
        self.block_of(path).map(|(_, span)| span)
    }

    /// Everything.
    pub(crate) fn everything(&self) -> Times {
        times([&self.all])
    }

    /// What the blocks hold.
    fn of_blocks(&self) -> Times {
        times(self.blocks.values().map(|(dump, _)| dump))
    }

    /// What a file that is damaged from byte `at` on cannot take away, whatever the damage is.
    pub(crate) fn without(&self, kind: Kind, path: &Path, at: u64) -> Times {
        match kind {
            Kind::MappedChunks | Kind::ActiveQueries => self.everything(),
            // A twin says nothing new.
            kind if kind.is_log() && at == u64::MAX => self.everything(),
            Kind::Index | Kind::Chunks | Kind::Meta | Kind::Tombstones => {
                let gone = self.block_of(path).map(|(dir, _)| dir);
                let others = self.blocks.iter().filter(|(dir, _)| Some(*dir) != gone);
                times(others.map(|(_, (dump, _))| dump).chain([&self.head]))
            }
            Kind::Segment | Kind::Checkpoint | Kind::OutOfOrderLog => {
                let mut kept = self.of_blocks();
                for (labels, times) in self.logs(path, at) {
                    // What was deleted later, or past its time, is in the log still.
                    let there = self.all.get(&labels);
                    let there = |t: &Timestamp| there.is_some_and(|samples| samples.contains_key(t));
                    kept.entry(labels).or_default().extend(times.into_iter().filter(there));
                }
                kept
            }
        }
    }

    /// What the logs say of series that they name, where the file at `path` ends at `at` and its log with it. What follows
    /// a checkpoint is a log of its own.
    fn logs(&self, path: &Path, at: u64) -> Times {
        let data = Path::new(DATA);
        let newest = checkpoint::latest(&self.disk, &data.join("wal")).unwrap();
        let first = newest.as_ref().map(|newest| newest.number + 1);
        let logs = newest.into_iter().map(|newest| (newest.path, None));
        let (mut series, mut found) = (BTreeMap::new(), Times::new());
        for (dir, first) in logs.chain([(data.join("wal"), first), (data.join("wbl"), None)]) {
            let damaged = (path.parent() == Some(&*dir)).then(|| {
                let name = path.file_name().and_then(|name| name.to_str());
                (name.and_then(|name| name.parse::<u32>().ok()).unwrap(), at)
            });
            let range = (first.map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded);
            let mut reader = Reader::open(Arc::new(self.disk.clone()), &dir, range).unwrap();
            // A record goes to where the next one begins; of a log that is whole the last one counts too.
            let mut before: Option<Vec<u8>> = None;
            while let Some(record) = reader.next().unwrap().map(<[u8]>::to_vec) {
                let begins = (reader.position().segment, reader.position().offset);
                if damaged.is_some_and(|damaged| begins > damaged) {
                    break;
                }
                before
                    .replace(record)
                    .iter()
                    .for_each(|record| note(record, &mut series, &mut found));
            }
            let last = before.filter(|_| damaged.is_none());
            last.iter().for_each(|record| note(record, &mut series, &mut found));
        }
        found
    }
}

/// Notes the series and the samples of a record.
fn note(record: &[u8], series: &mut BTreeMap<u64, Labels>, found: &mut Times) {
    let mut sample = |series: Option<&Labels>, t| {
        if let Some(labels) = series {
            found.entry(labels.clone()).or_default().insert(t);
        }
    };
    match Record::parse(record).unwrap() {
        Record::Series(entries) => series.extend(entries.map(|entry| {
            let entry = told("series", entry).unwrap();
            (entry.series, entry.labels.to_labels())
        })),
        Record::Samples(entries) => entries
            .map(Result::unwrap)
            .for_each(|entry| sample(series.get(&entry.series), entry.t)),
        Record::Histograms(entries) => entries
            .map(Result::unwrap)
            .for_each(|entry| sample(series.get(&entry.series), entry.t)),
        _ => {}
    }
}

fn times<'a>(dumps: impl IntoIterator<Item = &'a Dump>) -> Times {
    let mut all = Times::new();
    for (labels, samples) in dumps.into_iter().flatten() {
        all.entry(labels.clone()).or_default().extend(samples.keys());
    }
    all
}
