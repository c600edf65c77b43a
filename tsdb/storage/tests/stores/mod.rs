//! A store on a disk in memory, with a clock that is moved by hand. One sample a minute, whose value is its minute.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{AppendError, Appender, Attempt, Batch, Entry, Extras, Outcome, Queryable, Slot};
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_storage::Settings;
use leadline_storage::block::Block;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const MINUTE: i64 = 60_000;
/// Time that a block spans in [`small`], ms.
pub(crate) const RANGE: i64 = 20 * MINUTE;

/// Blocks of twenty minutes and segments of 64 KiB, so that everything happens soon.
pub(crate) fn small() -> Settings {
    Settings {
        block_range_ms: RANGE,
        max_block_range_ms: 9 * RANGE,
        retention_ms: 100 * RANGE,
        wal_segment_bytes: 64 * 1024,
        compaction_bytes_per_second: 0,
        ..Settings::default()
    }
}

pub(crate) struct Store {
    pub(crate) disk: Arc<MemoryDisk>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) settings: Settings,
    pub(crate) db: Arc<Db>,
    owner: OwnerId,
}

pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

fn open(parts: Parts) -> (Arc<Db>, OwnerId) {
    let db = Db::open(parts).unwrap();
    let owner = db.new_owner();
    (db, owner)
}

impl Store {
    pub(crate) fn new(settings: Settings) -> Self {
        let disk = Arc::new(MemoryDisk::new());
        let clock = Arc::new(ManualClock::at(0));
        let entropy = Arc::new(SeededEntropy::new(1));
        let (db, owner) = open(Parts {
            disk: disk.clone(),
            path: PathBuf::from("data"),
            settings: settings.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
        });
        db.replay().unwrap();
        Self {
            disk,
            clock,
            entropy,
            settings,
            db,
            owner,
        }
    }

    pub(crate) fn parts(&self) -> Parts {
        Parts {
            disk: self.disk.clone(),
            path: PathBuf::from("data"),
            settings: self.settings.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
        }
    }

    pub(crate) fn open_without_replay(&mut self) {
        (self.db, self.owner) = open(self.parts());
    }

    pub(crate) fn reopen(&mut self) {
        self.open_without_replay();
        self.db.replay().unwrap();
    }

    /// Ends in order and begins again.
    pub(crate) fn restart(&mut self) {
        self.db.close().unwrap();
        self.reopen();
    }

    /// Loses what is not durable and begins again.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.disk = Arc::new(self.disk.crash(&SeededEntropy::new(seed)));
        self.reopen();
    }

    pub(crate) fn samples(minutes: Range<i64>) -> Vec<(i64, f64)> {
        minutes.map(|minute| (minute * MINUTE, minute as f64)).collect()
    }

    pub(crate) fn write_labels(&self, labels: &Labels, minute: i64, v: f64) -> Outcome {
        self.commit(labels, minute, v).unwrap()
    }

    fn commit(&self, labels: &Labels, minute: i64, v: f64) -> Result<Outcome, AppendError> {
        let t = minute * MINUTE;
        if t > leadline_model::clock::Clock::now(self.clock.as_ref()) {
            self.clock.set(t);
        }
        self.db.commit(&Batch {
            owner: self.owner,
            slot: t,
            attempt: Attempt::Good,
            created: vec![labels.clone()],
            entries: vec![Entry {
                series: Slot::New(0),
                t,
                v,
            }],
            extras: Extras::default(),
        })
    }

    pub(crate) fn try_write(&self, name: &str, minute: i64) -> Result<Outcome, AppendError> {
        self.commit(&Labels::from_pairs([("__name__", name)]), minute, minute as f64)
    }

    pub(crate) fn write_value(&self, name: &str, minute: i64, v: f64) {
        let outcome = self.write_labels(&Labels::from_pairs([("__name__", name)]), minute, v);
        assert_eq!(outcome.refused, [], "{name} at minute {minute}");
    }

    pub(crate) fn write(&self, name: &str, minutes: Range<i64>) {
        for minute in minutes {
            self.write_value(name, minute, minute as f64);
        }
    }

    pub(crate) fn read(&self, name: &str) -> Vec<(i64, f64)> {
        read_all(self.db.as_ref(), name)
    }

    /// The ends of the blocks, ms.
    pub(crate) fn blocks(&self) -> Vec<(i64, i64)> {
        let metas = self.db.blocks().into_iter().map(|block| block.meta());
        metas.map(|meta| (meta.min_time, meta.max_time)).collect()
    }

    /// All files with their bytes.
    pub(crate) fn files(&self) -> Files {
        let mut files = Files::new();
        collect(self.disk.as_ref(), Path::new("data"), &mut files);
        files
    }

    pub(crate) fn copy_of(&self, block: &Block) -> Files {
        let mut files = Files::new();
        collect(self.disk.as_ref(), block.dir(), &mut files);
        files
    }

    pub(crate) fn put_back(&self, block: &Block, files: &Files) {
        self.put(block.dir(), files);
    }

    /// Makes a block's folder with its files.
    pub(crate) fn put(&self, dir: &Path, files: &Files) {
        self.disk.create_dir_all(&dir.join("chunks")).unwrap();
        for (path, bytes) in files {
            self.disk.create(path).unwrap().write_all(bytes).unwrap();
        }
    }
}

fn collect(disk: &dyn Disk, dir: &Path, files: &mut Files) {
    for entry in disk.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            collect(disk, &path, files);
        } else {
            let mut bytes = vec![0; entry.len as usize];
            disk.open(&path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
            files.insert(path, bytes);
        }
    }
}

pub(crate) fn read_all(from: &dyn Queryable, name: &str) -> Vec<(i64, f64)> {
    let set = from
        .select(&[Matcher::equal("__name__", name)], i64::MIN, i64::MAX, true)
        .unwrap();
    assert!(set.len() <= 1);
    let mut samples = Samples::default();
    if !set.is_empty() {
        set.read(0, i64::MIN, i64::MAX, &mut samples).unwrap();
    }
    samples.t.into_iter().zip(samples.v).collect()
}
