//! Every kind of file of a store, damaged in every way: never a panic, never a wrong value, and what is lost is told.

use crate::dice::Dice;
use crate::model::{Dump, Model, read};
use crate::step::{contents, contents_of_all};
use crate::world::{DATA, RANGE_MS, World, everything};
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::sample::Timestamp;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
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
    const ALL: [Self; 9] = [
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
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Delete,
    Truncate(u64),
    Zero(u64, u64),
    Flip(u64, u8),
    /// A numbered file gets a twin behind the last one; any other holds everything twice.
    Duplicate,
}

/// When the damage is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before the store is opened, whose first query follows the replay.
    Start,
    /// As [`Self::Start`], and the log takes more memory than it may. That is told too, so that only values are looked at.
    CutFirst,
    /// While it is open.
    Running,
}

fn damages(dice: &Dice, len: u64, many: u64) -> Vec<Damage> {
    let within = |n: u64| dice.below(n.max(1));
    let mut all = vec![
        Damage::Delete,
        Damage::Duplicate,
        Damage::Truncate(0),
        Damage::Zero(0, len),
    ];
    all.push(Damage::Truncate(len.saturating_sub(1)));
    for _ in 0..many {
        all.push(Damage::Truncate(within(len)));
        let from = within(len);
        all.push(Damage::Zero(from, (1 + within(64)).min(len - from.min(len))));
        all.push(Damage::Flip(within(len), dice.below(8) as u8));
        // Where the lengths and kinds are.
        all.push(Damage::Flip(within(len.min(40)), dice.below(8) as u8));
    }
    all
}

/// The file name behind the last one of a folder, where the names are numbers.
fn next_name(disk: &MemoryDisk, path: &Path) -> Option<PathBuf> {
    let dir = path.parent()?;
    let last = disk
        .list(dir)
        .ok()?
        .into_iter()
        .filter(|e| !e.is_dir)
        .map(|e| e.name)
        .max()?;
    let number: u64 = last.parse().ok()?;
    Some(dir.join(format!("{:0width$}", number + 1, width = last.len())))
}

fn put(disk: &MemoryDisk, path: &Path, bytes: &[u8]) {
    disk.create(path).unwrap().write_all(bytes).unwrap();
}

fn apply(disk: &MemoryDisk, path: &Path, damage: Damage) {
    let mut bytes = contents(disk, path).unwrap();
    match damage {
        Damage::Delete => return disk.remove_file(path).unwrap(),
        Damage::Truncate(len) => bytes.truncate(len as usize),
        Damage::Zero(from, len) => bytes[from as usize..(from + len) as usize].fill(0),
        Damage::Flip(at, bit) => {
            if let Some(byte) = bytes.get_mut(at as usize) {
                *byte ^= 1 << bit;
            }
        }
        Damage::Duplicate => {
            if let Some(twin) = next_name(disk, path) {
                return put(disk, &twin, &bytes);
            }
            bytes.extend_from_within(..);
        }
    }
    put(disk, path, &bytes);
}

/// Counts the warnings and errors that are logged on this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU64>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// A store with every kind of file, closed.
struct Sound {
    disk: MemoryDisk,
    settings: Settings,
    now: Timestamp,
    model: Model,
}

impl Sound {
    /// Steps of a seed, without faults, until every kind is there.
    fn make() -> Self {
        for seed in 0..50 {
            let mut world = World::new(seed, false).unwrap();
            if world.settings.out_of_order_window_ms == 0 {
                continue;
            }
            for _ in 0..600 {
                world.calm_step().unwrap();
                let there = kinds(&world.memory);
                let missing = Kind::ALL
                    .iter()
                    .any(|kind| *kind != Kind::ActiveQueries && !there.contains_key(kind));
                let blocks = there.get(&Kind::Index).map_or(0, Vec::len);
                if !missing && blocks > 1 {
                    world.db.close().unwrap();
                    put(
                        &world.memory,
                        &Path::new(DATA).join("queries.active"),
                        &active_queries(),
                    );
                    return Self {
                        now: world.now(),
                        disk: world.memory,
                        settings: world.settings,
                        model: world.model,
                    };
                }
            }
        }
        panic!("no seed has every kind of file");
    }

    fn open(
        &self,
        disk: &MemoryDisk,
        now: &Arc<ManualClock>,
        when: When,
    ) -> Result<Arc<Db>, leadline_storage::StorageError> {
        Db::open(Parts {
            disk: Arc::new(disk.clone()),
            path: PathBuf::from(DATA),
            settings: Settings {
                replay_memory_bytes: u64::from(when == When::CutFirst),
                ..self.settings.clone()
            },
            clock: now.clone(),
            entropy: Arc::new(SeededEntropy::new(1)),
        })
    }
}

/// Room for 20 queries, of which one did not finish (`promql/query_logger.go`).
fn active_queries() -> Vec<u8> {
    let mut bytes = vec![0; 1 + 20 * 1000];
    bytes[0] = b'[';
    let entry = br#"{"query":"up","timestamp_sec":1700000000}"#;
    bytes[1..=entry.len()].copy_from_slice(entry);
    bytes[1000] = b',';
    bytes
}

fn kinds(disk: &MemoryDisk) -> BTreeMap<Kind, Vec<(PathBuf, u64)>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (path, bytes) in contents_of_all(disk).unwrap() {
        if let Some(kind) = Kind::of(&path).filter(|_| !path.ends_with('/')) {
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

/// What was seen of one damage.
#[derive(Default)]
struct Seen {
    /// Samples that were there before and could not be read.
    lost: u64,
    /// What was deleted and came back.
    risen: u64,
    /// Whether an error, a warning or a figure said so.
    told: bool,
}

/// How often what, by kind of file.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    cases: u64,
    harmless: u64,
    told: u64,
    /// See [`looks_like_a_crash`].
    as_after_a_crash: u64,
    lost_samples: u64,
}

/// Whether what the damage leaves is what a crash may leave, so that nobody can tell them apart: the last segment of a log
/// ends early, is empty or is not there yet. The format says nowhere how far a log should go (`FORMAT.md`, The end of a
/// log).
fn looks_like_a_crash((kind, files): (Kind, &[(PathBuf, u64)]), path: &Path, damage: Damage, when: When) -> bool {
    // Segments behind it that are empty do not count; the one that is begun at the start stays so.
    let last = files.iter().rfind(|(_, len)| *len > 0);
    let Some((_, len)) = last.filter(|(last, _)| last == path) else {
        return false;
    };
    let log = matches!(kind, Kind::Segment | Kind::OutOfOrderLog);
    log && match damage {
        // Of a log without segments that is told, and of one with a gap.
        Damage::Delete => files.len() > 1 && when == When::Start,
        Damage::Truncate(_) => true,
        Damage::Zero(from, zeros) => from + zeros == *len,
        Damage::Flip(..) | Damage::Duplicate => false,
    }
}

impl Seen {
    /// Compares what was read, series by series: a value is right, or missing, or was deleted before.
    fn compare(&mut self, model: &Model, sound: &Dump, dump: &Dump) -> Result<(), String> {
        for (labels, samples) in dump {
            for (t, value) in samples {
                match sound.get(labels).and_then(|samples| samples.get(t)) {
                    Some(there) if there == value => {}
                    Some(there) => return Err(format!("{labels} at {t}: {value:?} instead of {there:?}")),
                    None if model.was_written(labels, *t, value) => self.risen += 1,
                    None => return Err(format!("{labels} at {t}: {value:?} was never written")),
                }
            }
        }
        for (labels, samples) in sound {
            let there = dump.get(labels).map_or(0, BTreeMap::len) as u64;
            self.lost += (samples.len() as u64).saturating_sub(there);
        }
        Ok(())
    }
}

/// Opens, replays, reads, compacts and reads again.
fn meet(sound: &Sound, before: &Dump, path: &Path, damage: Damage, when: When) -> Result<Seen, String> {
    let (disk, clock) = (sound.disk.duplicate(), Arc::new(ManualClock::at(sound.now)));
    let mut seen = Seen::default();
    if when != When::Running {
        apply(&disk, path, damage);
    }
    let Ok(db) = sound.open(&disk, &clock, when) else {
        seen.told = true;
        return Ok(seen);
    };
    match db.replay() {
        Ok(replayed) => seen.told |= !replayed.lost.is_empty(),
        Err(_) => seen.told = true,
    }
    if when == When::Running {
        apply(&disk, path, damage);
    }
    for round in 0..2 {
        match read(&*db, &everything(), Timestamp::MIN, Timestamp::MAX) {
            Ok(dump) => seen.compare(&sound.model, before, &dump?)?,
            Err(_) => seen.told = true,
        }
        if round == 0 {
            clock.advance(3 * RANGE_MS);
            for _ in 0..4 {
                seen.told |= !db.maintain().failures.is_empty();
            }
        }
    }
    seen.told |= db.stats().blocks_unreadable > 0 || db.health().is_err();
    // The second start.
    seen.told |= db.close().is_err();
    drop(db);
    if let Ok(db) = sound.open(&disk, &clock, When::Start) {
        seen.told |= db.replay().is_err();
        if let Ok(dump) = read(&*db, &everything(), Timestamp::MIN, Timestamp::MAX) {
            seen.compare(&sound.model, before, &dump?)?;
        }
    }
    Ok(seen)
}

#[test]
fn damage_is_told_and_never_becomes_a_value() {
    let mut sound = Sound::make();
    // What retention removes in the midst of a case would look like a loss.
    sound.settings.retention_ms *= 1000;
    let (dice, many) = (Dice::new(9), crate::number("LEADLINE_SIM_DAMAGES").unwrap_or(0));
    let clock = Arc::new(ManualClock::at(sound.now));
    let undamaged = sound.disk.duplicate();
    let db = sound.open(&undamaged, &clock, When::Start).unwrap();
    db.replay().unwrap();
    let before = read(&*db, &everything(), Timestamp::MIN, Timestamp::MAX)
        .unwrap()
        .unwrap();
    let (mut tallies, mut wrong) = (BTreeMap::<Kind, Tally>::new(), Vec::new());
    for (kind, files) in kinds(&sound.disk) {
        let mut chosen = vec![&files[0]];
        chosen.extend(
            files
                .iter()
                .max_by_key(|(_, len)| *len)
                .filter(|longest| *longest != &files[0]),
        );
        for (path, len) in chosen {
            for damage in damages(&dice, *len, many) {
                for when in [When::Start, When::CutFirst, When::Running] {
                    let warnings = Warnings::default();
                    let met = tracing::subscriber::with_default(warnings.clone(), || {
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            meet(&sound, &before, path, damage, when)
                        }))
                    });
                    let case = format!("{kind:?} {}: {damage:?} at {when:?}", path.display());
                    let told = warnings.0.load(Ordering::Relaxed) > 0;
                    let tally = tallies.entry(kind).or_default();
                    tally.cases += 1;
                    match met {
                        Ok(Ok(seen))
                            if !(seen.told || told) && looks_like_a_crash((kind, &files), path, damage, when) =>
                        {
                            tally.as_after_a_crash += 1;
                            tally.lost_samples += seen.lost;
                        }
                        Ok(Ok(seen)) if seen.lost + seen.risen > 0 && !(seen.told || told) => {
                            wrong.push(format!("{case}: {} lost, {} risen, silently", seen.lost, seen.risen));
                        }
                        Ok(Ok(seen)) => {
                            tally.told += u64::from(seen.told || told);
                            tally.harmless += u64::from(!seen.told && !told);
                            tally.lost_samples += seen.lost;
                        }
                        Ok(Err(why)) => wrong.push(format!("{case}: {why}")),
                        Err(_) => wrong.push(format!("{case}: panic")),
                    }
                }
            }
        }
    }
    for (kind, tally) in &tallies {
        eprintln!("{kind:?}: {tally:?}");
    }
    let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !tallies.contains_key(kind)).collect();
    assert!(missing.is_empty(), "no file of {missing:?}");
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}
