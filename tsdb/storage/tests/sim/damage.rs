//! Every kind of file of a store, damaged in every way: never a panic, never a wrong value, what is lost is told, and no
//! more is lost than the damage explains.

use crate::deletion::Deletion;
use crate::dice::Dice;
use crate::model::{Dump, Model, read};
use crate::sound::{Holdings, Kind, PLACES, QUERY, Sound, Times, kinds};
use crate::step::contents;
use crate::world::{DATA, RANGE_MS, everything};
use leadline_model::clock::ManualClock;
use leadline_model::matcher::Matcher;
use leadline_model::port::ActiveQueries;
use leadline_model::sample::Timestamp;
use leadline_storage::StorageError;
use leadline_storage::active_queries::QueryFile;
use leadline_storage::db::Db;
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

impl Damage {
    /// Where it begins, in bytes of the file.
    fn begins(self) -> u64 {
        match self {
            Self::Delete => 0,
            Self::Truncate(at) | Self::Zero(at, _) | Self::Flip(at, _) => at,
            Self::Duplicate => u64::MAX,
        }
    }
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

/// One damage.
struct Case<'a> {
    kind: Kind,
    path: &'a Path,
    damage: Damage,
    when: When,
}

fn damages(dice: &Dice, len: u64, seams: &[u64], many: u64) -> Vec<Damage> {
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
    if !seams.is_empty() {
        all.extend((0..=many).map(|_| Damage::Truncate(seams[dice.index(seams.len())])));
    }
    all
}

/// Where a file of mapped chunks may end and look whole: behind its header, and behind each chunk but the last
/// (`FORMAT.md`).
fn seams(bytes: &[u8]) -> Vec<u64> {
    let (mut seams, mut at) = (Vec::new(), 8);
    while at < bytes.len() {
        seams.push(at as u64);
        // Series, both times, encoding; then the length.
        at += 25;
        let digits = bytes[at..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let len = (0..digits).fold(0, |len, i| len | usize::from(bytes[at + i] & 0x7f) << (7 * i));
        at += digits + len + 4;
    }
    assert_eq!(at, bytes.len(), "a file of mapped chunks ends with one");
    seams
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

/// What was seen of one damage.
#[derive(Default)]
struct Seen {
    /// The most samples that were there before and could not be read.
    lost: u64,
    /// What was deleted and came back.
    risen: u64,
    /// Whether an error, a warning or a figure said so.
    told: bool,
    /// Whether the store was not opened.
    refused: bool,
    /// Whether the query that had not finished is not known any more.
    forgotten: bool,
}

/// How often what, by kind of file.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    cases: u64,
    harmless: u64,
    told: u64,
    refused: u64,
    /// See [`looks_like_a_crash`].
    as_after_a_crash: u64,
    lost_samples: u64,
    forgotten_queries: u64,
}

impl Tally {
    fn add(&mut self, seen: &Seen) {
        self.told += u64::from(seen.told);
        self.refused += u64::from(seen.refused);
        self.lost_samples += seen.lost;
        self.forgotten_queries += u64::from(seen.forgotten);
    }

    /// Whether damage of the kind shows at all.
    fn shows(&self) -> bool {
        self.told + self.lost_samples + self.forgotten_queries > 0
    }
}

/// Whether what the damage leaves is what a crash may leave, so that nobody can tell them apart: the last segment of a log
/// ends early, is empty or is not there yet. The format says nowhere how far a log should go (`FORMAT.md`, The end of a
/// log).
fn looks_like_a_crash(files: &[(PathBuf, u64)], case: &Case<'_>) -> bool {
    // Segments behind it that are empty are not among them; the one that is begun at the start stays so.
    let Some((_, len)) = files.last().filter(|(last, _)| last == case.path) else {
        return false;
    };
    matches!(case.kind, Kind::Segment | Kind::OutOfOrderLog)
        && match case.damage {
            // Of a log without segments that is told, and of one with a gap.
            Damage::Delete => files.len() > 1 && case.when == When::Start,
            Damage::Truncate(_) => true,
            Damage::Zero(from, zeros) => from + zeros == *len,
            Damage::Flip(..) | Damage::Duplicate => false,
        }
}

impl Seen {
    /// Compares what was read, series by series: a value is right, or missing, or was deleted before; and what the damage
    /// cannot take away is there.
    fn compare(&mut self, model: &Model, sound: &Dump, dump: &Dump, kept: &Times) -> Result<(), String> {
        let mut risen = 0;
        for (labels, samples) in dump {
            for (t, value) in samples {
                match sound.get(labels).and_then(|samples| samples.get(t)) {
                    Some(there) if there == value => {}
                    Some(there) => return Err(format!("{labels} at {t}: {value:?} instead of {there:?}")),
                    None if model.was_written(labels, *t, value) => risen += 1,
                    None => return Err(format!("{labels} at {t}: {value:?} was never written")),
                }
            }
        }
        let there = |labels, t| dump.get(labels).is_some_and(|samples| samples.contains_key(t));
        let all = sound
            .iter()
            .flat_map(|(labels, samples)| samples.keys().map(move |t| (labels, t)));
        let lost = all.filter(|&(labels, t)| !there(labels, t)).count() as u64;
        (self.lost, self.risen) = (self.lost.max(lost), self.risen.max(risen));
        let kept = kept
            .iter()
            .flat_map(|(labels, times)| times.iter().map(move |t| (labels, t)));
        let mut missing = kept.filter(|&(labels, t)| !there(labels, t));
        let Some((labels, t)) = missing.next() else {
            return Ok(());
        };
        let rest: Vec<_> = missing.collect();
        let times: Vec<_> = rest
            .iter()
            .take_while(|other| other.0 == labels)
            .map(|other| other.1)
            .collect();
        let labels = labels.without(|name| name == "noise");
        Err(format!(
            "{labels} at {t} and {times:?}, {} samples in all, are lost, and the damage does not explain it",
            rest.len() + 1
        ))
    }
}

/// Reads all that can be read: where a query of everything fails, each series by itself, and where that fails, around the
/// time (ms) of the block that is damaged.
fn salvage(db: &Db, sound: &Dump, span: (Timestamp, Timestamp)) -> Result<Dump, String> {
    let mut all = Dump::new();
    for labels in sound.keys() {
        let name = |name| labels.get(name).map(|value| Matcher::equal(name, value));
        let matchers: Vec<_> = ["__name__", "job", "pod"].into_iter().filter_map(name).collect();
        let whole = read(db, &matchers, Timestamp::MIN, Timestamp::MAX);
        let parts = match whole {
            Ok(dump) => vec![dump?],
            Err(_) => [(Timestamp::MIN, span.0 - 1), (span.1 + 1, Timestamp::MAX)]
                .into_iter()
                .filter_map(|(mint, maxt)| read(db, &matchers, mint, maxt).ok())
                .collect::<Result<_, _>>()?,
        };
        for (labels, samples) in parts.into_iter().flatten() {
            all.entry(labels).or_default().extend(samples);
        }
    }
    Ok(all)
}

/// A store that is damaged, and what of it cannot be lost.
struct Meeting<'a> {
    sound: &'a Sound,
    holdings: &'a Holdings,
    case: &'a Case<'a>,
    disk: MemoryDisk,
    clock: Arc<ManualClock>,
    seen: Seen,
}

impl Meeting<'_> {
    /// Opens the store and reads its log; `None` where what is there seems to be newer, which is the only excuse.
    fn open(&mut self, when: When) -> Result<Option<Arc<Db>>, String> {
        let memory = u64::from(when == When::CutFirst);
        let opened = self.sound.open(&self.disk, &self.clock, memory);
        let replayed = opened.and_then(|db| Ok((db.replay()?, db)));
        match replayed {
            Ok((replayed, db)) => {
                self.seen.told |= !replayed.lost.is_empty() || db.stats().blocks_unreadable > 0;
                Ok(Some(db))
            }
            Err(StorageError::Unknown { .. }) => {
                (self.seen.told, self.seen.refused) = (true, true);
                Ok(None)
            }
            Err(error) => Err(format!("damage keeps the store from being opened: {error}")),
        }
    }

    /// Reads everything and compares it; of a block that cannot be read, its time is lost.
    fn look(&mut self, db: &Db, sound: &Dump, mut kept: Times) -> Result<(), String> {
        let dump = match read(db, &everything(), Timestamp::MIN, Timestamp::MAX) {
            Ok(dump) => dump?,
            Err(_) => {
                self.seen.told = true;
                // Chunks of the head that are damaged while it is open may be of any time.
                let span = self.holdings.span(self.case.path);
                let (mint, maxt) = span.unwrap_or((Timestamp::MIN + 1, Timestamp::MAX - 1));
                for times in kept.values_mut() {
                    times.retain(|&t| t < mint || t > maxt);
                }
                salvage(db, sound, (mint, maxt))?
            }
        };
        self.seen.compare(&self.sound.model, sound, &dump, &kept)
    }

    /// Opens, replays, reads, compacts, reads again, deletes and reads what is left, and once more after a second start.
    fn store(&mut self) -> Result<(), String> {
        let &Case {
            kind,
            path,
            damage,
            when,
        } = self.case;
        let mut kept = self.holdings.without(kind, path, damage.begins());
        if when != When::Running {
            apply(&self.disk, path, damage);
        }
        let Some(db) = self.open(when)? else { return Ok(()) };
        if when == When::Running {
            apply(&self.disk, path, damage);
        }
        for round in 0..2 {
            // What was read of a log is in memory.
            let memory = when == When::Running && kind.is_log();
            let here = if memory {
                self.holdings.everything()
            } else {
                kept.clone()
            };
            self.look(&db, &self.holdings.all, here)
                .map_err(|why| format!("look {round}: {why}"))?;
            if round == 0 {
                self.clock.advance(3 * RANGE_MS);
                for _ in 0..4 {
                    self.seen.told |= !db.maintain().failures.is_empty();
                }
            }
        }
        let deletion = Deletion::of(&self.holdings.all);
        let rest = deletion.rest(&self.holdings.all);
        deletion.spares(&mut kept);
        self.seen.told |= deletion.run(&db).map_err(|why| format!("deletion: {why}"))?;
        self.look(&db, &rest, kept.clone())
            .map_err(|why| format!("after the deletion: {why}"))?;
        let stats = db.stats();
        self.seen.told |= stats.blocks_unreadable > 0 || stats.head.mapped_damaged > 0 || db.health().is_err();
        self.seen.told |= db.close().is_err();
        drop(db);
        let Some(db) = self.open(When::Start)? else {
            return Ok(());
        };
        self.look(&db, &rest, kept)
            .map_err(|why| format!("second start: {why}"))
    }

    /// The file of running queries opens whatever it holds, and is whole again then.
    fn queries(&mut self) -> Result<(), String> {
        let Case { path, damage, when, .. } = *self.case;
        let open = || {
            QueryFile::open(&self.disk, Path::new(DATA), PLACES, self.clock.clone())
                .map_err(|error| format!("the file of running queries cannot be opened: {error}"))
        };
        let file = match when {
            When::Running => {
                let file = open()?;
                apply(&self.disk, path, damage);
                // Another one is noted in it, whatever has become of it.
                file.begin(QUERY).into_iter().for_each(|place| file.end(place));
                open()?
            }
            When::Start | When::CutFirst => {
                apply(&self.disk, path, damage);
                open()?
            }
        };
        let found: Vec<_> = file.unfinished().iter().map(|query| query.query.as_str()).collect();
        self.seen.forgotten = !found.contains(&QUERY);
        // The text has no checksum; where it was left alone it is right.
        let flipped = matches!(damage, Damage::Flip(..));
        if !flipped && found.iter().any(|query| *query != QUERY) {
            return Err(format!("{found:?} never ran"));
        }
        let places: Vec<_> = (0..=PLACES).map_while(|_| file.begin("sum(up)")).collect();
        if places.len() != PLACES as usize || contents(&self.disk, path)?.len() != 1 + PLACES as usize * 1000 {
            return Err(format!("there is room for {} queries", places.len()));
        }
        Ok(())
    }
}

fn meet(sound: &Sound, holdings: &Holdings, case: &Case<'_>) -> Result<Seen, String> {
    let mut meeting = Meeting {
        sound,
        holdings,
        case,
        disk: sound.disk.duplicate(),
        clock: Arc::new(ManualClock::at(sound.now)),
        seen: Seen::default(),
    };
    meeting.store()?;
    if case.kind == Kind::ActiveQueries {
        meeting.disk = sound.disk.duplicate();
        meeting.queries()?;
    }
    Ok(meeting.seen)
}

/// What came of a case, or why it must not: a panic, a wrong value, or a loss that nobody tells of.
fn judge(met: std::thread::Result<Result<Seen, String>>, excused: bool) -> Result<(Seen, bool), String> {
    match met {
        Ok(Ok(seen)) if seen.told => Ok((seen, false)),
        Ok(Ok(seen)) if excused => Ok((seen, true)),
        Ok(Ok(seen)) if seen.lost + seen.risen > 0 => {
            Err(format!("{} lost, {} risen, silently", seen.lost, seen.risen))
        }
        Ok(Ok(seen)) => Ok((seen, false)),
        Ok(Err(why)) => Err(why),
        Err(_) => Err("panic".to_owned()),
    }
}

/// All damages of all kinds, and when they are met.
fn cases<'a>(
    disk: &MemoryDisk,
    found: &'a BTreeMap<Kind, Vec<(PathBuf, u64)>>,
    dice: &Dice,
    many: u64,
) -> Vec<(Case<'a>, &'a [(PathBuf, u64)])> {
    let mut all = Vec::new();
    for (&kind, files) in found {
        let longest = files.iter().max_by_key(|(_, len)| *len);
        let chosen = files
            .first()
            .into_iter()
            .chain(longest.filter(|longest| *longest != &files[0]));
        for (path, len) in chosen {
            let seams = match kind {
                Kind::MappedChunks => seams(&contents(disk, path).unwrap()),
                _ => Vec::new(),
            };
            for damage in damages(dice, *len, &seams, many) {
                let times = [When::Start, When::CutFirst, When::Running];
                all.extend(times.map(|when| {
                    (
                        Case {
                            kind,
                            path,
                            damage,
                            when,
                        },
                        files.as_slice(),
                    )
                }));
            }
        }
    }
    all
}

#[test]
fn damage_is_told_and_never_becomes_a_value() {
    let from = crate::number("LEADLINE_SIM_FROM").unwrap_or(0);
    let mut sound = Sound::make(from);
    // What retention removes in the midst of a case would look like a loss.
    sound.settings.retention_ms *= 1000;
    let (dice, many) = (Dice::new(9 + from), crate::number("LEADLINE_SIM_DAMAGES").unwrap_or(0));
    let (holdings, found) = (Holdings::of(&sound), kinds(&sound.disk));
    let (mut tallies, mut wrong) = (BTreeMap::<Kind, Tally>::new(), Vec::new());
    // With one dispatcher alone, whichever thread reaches a warning first decides for all whether it is wanted, and the
    // threads of other tests want none (`Dispatchers::rebuilder` of tracing-core); with two, every dispatcher is asked.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    for (case, files) in cases(&sound.disk, &found, &dice, many) {
        let warnings = Warnings::default();
        let met = tracing::subscriber::with_default(warnings.clone(), || {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| meet(&sound, &holdings, &case)))
        });
        let met = met.map(|met| {
            met.map(|mut seen| {
                // That a query did not finish is told of a file that is whole, too.
                seen.told |= case.kind != Kind::ActiveQueries && warnings.0.load(Ordering::Relaxed) > 0;
                seen
            })
        });
        let tally = tallies.entry(case.kind).or_default();
        tally.cases += 1;
        match judge(met, looks_like_a_crash(files, &case)) {
            Ok((seen, excused)) => {
                tally.add(&seen);
                tally.as_after_a_crash += u64::from(excused);
                tally.harmless += u64::from(!excused && !seen.told && !seen.forgotten);
            }
            Err(why) => wrong.push(format!(
                "{:?} {}: {:?} at {:?}: {why}",
                case.kind,
                case.path.display(),
                case.damage,
                case.when
            )),
        }
    }
    for (kind, tally) in &tallies {
        eprintln!("{kind:?}: {tally:?}");
    }
    let cases: u64 = tallies.values().map(|tally| tally.cases).sum();
    let lost: u64 = tallies.values().map(|tally| tally.lost_samples).sum();
    eprintln!(
        "{cases} damages: {lost} samples lost, {} damages wrongly met",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
    let missing = Kind::ALL
        .iter()
        .filter(|kind| !tallies.get(kind).is_some_and(Tally::shows));
    assert_eq!(
        missing.collect::<Vec<_>>(),
        Vec::<&Kind>::new(),
        "kinds whose damage does not show"
    );
    assert!(
        tallies[&Kind::OutOfOrderLog].lost_samples > 0,
        "nothing of the late samples was at stake"
    );
}
