//! One seed: a store on a disk in memory, a model of what it must hold, and what is done to both.

use crate::change::{RINGS, WINDOWS};
use crate::dice::{Dice, mix};
use crate::extras::Extras;
use crate::model::{Dump, Model, read, samples_of};
use crate::value::{self, Kind, Value};
use leadline_model::clock::ManualClock;
use leadline_model::entropy::{Entropy, SeededEntropy};
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{Appender, SeriesRef};
use leadline_model::sample::Timestamp;
use leadline_model::target::OwnerId;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts, Replayed};
use leadline_storage::disk::Disk;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use leadline_storage::disk::memory::MemoryDisk;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the store is.
pub(crate) const DATA: &str = "/data";
/// When it begins, ms.
const BEGIN: Timestamp = 1_700_000_000_000;
/// Time of a block of the first level, ms.
pub(crate) const RANGE_MS: i64 = 60_000;
/// How many steps are shown when a seed fails.
const SHOWN: usize = 60;

/// What happens, or why it must not.
pub(crate) type Verdict = Result<(), String>;

/// A series that somebody writes to.
pub(crate) struct Active {
    pub(crate) labels: Labels,
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) reference: Option<SeriesRef>,
}

/// Somebody who writes.
pub(crate) struct Writer {
    pub(crate) owner: OwnerId,
    pub(crate) name: u64,
    pub(crate) series: Vec<Active>,
}

/// How often what happened, over all seeds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) steps: u64,
    pub(crate) samples: u64,
    pub(crate) compared: u64,
    pub(crate) crashes: u64,
    pub(crate) restarts: u64,
    pub(crate) faults: u64,
    pub(crate) cuts: u64,
    pub(crate) first_cuts: u64,
    pub(crate) compactions: u64,
    pub(crate) evictions: u64,
    pub(crate) removed: u64,
    /// How often the log was written anew.
    pub(crate) rebuilds: u64,
    /// Blocks that were walked through.
    pub(crate) verified: u64,
    /// Exemplars that were compared.
    pub(crate) exemplars: u64,
    /// Series whose metadata was compared.
    pub(crate) metadata: u64,
    /// Blocks that had to go since all was too large.
    pub(crate) outgrown: u64,
    /// How often settings changed.
    pub(crate) adjusted: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.steps, other.steps),
            (&mut self.samples, other.samples),
            (&mut self.compared, other.compared),
            (&mut self.crashes, other.crashes),
            (&mut self.restarts, other.restarts),
            (&mut self.faults, other.faults),
            (&mut self.cuts, other.cuts),
            (&mut self.first_cuts, other.first_cuts),
            (&mut self.compactions, other.compactions),
            (&mut self.evictions, other.evictions),
            (&mut self.removed, other.removed),
            (&mut self.rebuilds, other.rebuilds),
            (&mut self.verified, other.verified),
            (&mut self.exemplars, other.exemplars),
            (&mut self.metadata, other.metadata),
            (&mut self.outgrown, other.outgrown),
            (&mut self.adjusted, other.adjusted),
        ];
        pairs.into_iter().for_each(|(sum, more)| *sum += more);
    }
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) memory: MemoryDisk,
    pub(crate) faulty: FaultyDisk,
    pub(crate) settings: Settings,
    pub(crate) db: Arc<Db>,
    pub(crate) model: Model,
    pub(crate) extras: Extras,
    /// For exemplars, metadata and changes of settings: what else a seed does depends on them no more than it must.
    pub(crate) apart: Dice,
    pub(crate) writers: Vec<Writer>,
    /// Whether faults are armed or the disk is full: only then may anything fail.
    pub(crate) troubled: bool,
    /// Whether every other crash ends the process alone.
    pub(crate) kills: bool,
    /// The next start is that of a killed process.
    pub(crate) killed: bool,
    /// As long as the log has not been read: the newest time (ms) that it may have.
    pub(crate) replaying: Option<Timestamp>,
    pub(crate) counts: Counts,
    /// Scrapes are at most so many seconds apart: lives of some minutes, and lives that the retention ends a part of.
    pub(crate) pace: i64,
    born: u64,
    /// Whether the log is to grow.
    fat: bool,
    entropy: Arc<SeededEntropy>,
    story: Vec<String>,
    aloud: bool,
    /// How often this store wrote its log anew, as far as that was counted.
    rebuilt: u64,
    /// The same, as far as the exemplars know of it.
    pub(crate) reordered: u64,
    /// Before this time (ms) a checkpoint may have nothing.
    pub(crate) truncated: Timestamp,
}

/// The most memory that a start may take, bytes; in most seeds as much as it wants. Drawn apart: what else a seed does
/// depends on it no more than it must.
fn replay_memory(seed: u64) -> u64 {
    let dice = Dice::new(mix(seed ^ (1 << 40)));
    dice.weighted(&[(14, 0), (1, 1), (2, 70_000), (2, 100_000), (1, 250_000)])
}

fn settings(dice: &Dice) -> Settings {
    Settings {
        retention_ms: RANGE_MS * dice.between(6, 30),
        max_block_range_ms: RANGE_MS * [3, 9][dice.index(2)],
        block_range_ms: RANGE_MS,
        chunk_samples: dice.between(3, 9) as u16,
        out_of_order_window_ms: WINDOWS[dice.index(3)],
        wal_segment_bytes: 64 * 1024,
        cache_bytes: [0, 20_000, 10_000_000][dice.index(3)],
        stale_after_ms: [0, 20_000, 60_000][dice.index(3)],
        stale_percent: 1,
        stale_min_series: 1,
        compaction_bytes_per_second: 0,
        ..Settings::default()
    }
}

/// What opens a store on `disk`.
fn parts(disk: Arc<dyn Disk>, settings: &Settings, clock: &Arc<ManualClock>, entropy: &Arc<SeededEntropy>) -> Parts {
    Parts {
        disk,
        path: PathBuf::from(DATA),
        settings: settings.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
    }
}

fn faults_over(memory: &MemoryDisk, dice: &Dice) -> FaultyDisk {
    FaultyDisk::new(Arc::new(memory.clone()), Arc::new(SeededEntropy::new(dice.seed())))
}

/// Words for something that went wrong.
pub(crate) fn told<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

/// A matcher that every series fulfils.
pub(crate) fn everything() -> Vec<Matcher> {
    Matcher::new("__name__", MatchOp::Regex, ".+").into_iter().collect()
}

impl World {
    pub(crate) fn new(seed: u64, aloud: bool) -> Result<Self, String> {
        let dice = Dice::new(mix(seed));
        // Scrapes are whole seconds apart: in a third of the seeds some are the last millisecond of a block's time, in
        // another third some the first.
        let offset = [0, RANGE_MS - 1, dice.between(0, 999)][dice.index(3)] - BEGIN % RANGE_MS;
        let clock = Arc::new(ManualClock::at(BEGIN + dice.between(0, 600) * 1000 + offset));
        let (memory, entropy) = (MemoryDisk::new(), Arc::new(SeededEntropy::new(dice.seed())));
        told("data", memory.create_dir_all(Path::new(DATA)))?;
        told("data", memory.sync_dir(Path::new("/")))?;
        let apart = Dice::new(mix(seed ^ (1 << 41)));
        let settings = Settings {
            replay_memory_bytes: replay_memory(seed),
            retention_bytes: apart.weighted(&[(6, 0), (2, 120_000), (1, 200_000), (1, 500_000)]),
            max_exemplars: RINGS[apart.index(4)],
            ..settings(&dice)
        };
        let faulty = faults_over(&memory, &dice);
        let db = told(
            "first open",
            Db::open(parts(Arc::new(faulty.clone()), &settings, &clock, &entropy)),
        )?;
        told("first replay", db.replay())?;
        let max_exemplars = settings.max_exemplars;
        let mut world = Self {
            dice,
            clock,
            memory,
            faulty,
            settings,
            db,
            model: Model::default(),
            extras: Extras::new(max_exemplars),
            apart,
            writers: Vec::new(),
            troubled: false,
            kills: Dice::new(mix(seed ^ (1 << 42))).chance(25),
            killed: false,
            replaying: None,
            counts: Counts::default(),
            pace: 0,
            born: 0,
            fat: false,
            entropy,
            story: Vec::new(),
            aloud,
            rebuilt: 0,
            reordered: 0,
            truncated: Timestamp::MIN,
        };
        world.fat = world.dice.chance(25);
        world.pace = world.dice.weighted(&[(2, 8), (1, 30)]);
        for name in 0..world.dice.between(1, 4) as u64 {
            world.hire(name);
        }
        Ok(world)
    }

    fn hire(&mut self, name: u64) {
        let mut writer = Writer {
            owner: self.db.new_owner(),
            name,
            series: Vec::new(),
        };
        for _ in 0..self.dice.between(1, 6) {
            writer.series.push(self.bear(name));
        }
        self.writers.push(writer);
    }

    /// A series that was never there.
    pub(crate) fn bear(&mut self, writer: u64) -> Active {
        self.born += 1;
        let id = self.born;
        let (pod, job) = (format!("pod-{id}"), format!("job-{writer}"));
        let mut pairs = vec![("pod", pod), ("job", job), ("__name__", format!("metric_{}", id % 3))];
        let (percent, most) = if self.fat { (50, 600) } else { (15, 100) };
        if self.dice.chance(percent) {
            // Does not compress, so that the log gets pages and segments.
            let noise = (0..self.dice.below(most)).map(|_| format!("{:x}", self.dice.below(1 << 60)));
            pairs.push(("noise", noise.collect()));
        }
        Active {
            labels: Labels::from_pairs(pairs),
            id,
            kind: Kind::ALL[self.dice.weighted(&[(6, 0), (6, 1), (3, 2), (2, 3), (2, 4), (2, 5)])],
            reference: None,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        leadline_model::Clock::now(&*self.clock)
    }

    /// Notes what is going to happen.
    pub(crate) fn tell(&mut self, step: String) {
        if self.aloud {
            eprintln!("{:>4} {step}", self.story.len());
        }
        self.story.push(step);
    }

    /// The last steps.
    pub(crate) fn story(&self) -> String {
        let from = self.story.len().saturating_sub(SHOWN);
        let steps = self.story.iter().enumerate().skip(from);
        steps.map(|(i, step)| format!("{i:>4} {step}\n")).collect()
    }

    /// Fails when nothing that was done to the disk excuses it.
    pub(crate) fn excused<T, E: Debug>(&mut self, what: &str, result: Result<T, E>) -> Result<Option<T>, String> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if self.troubled => {
                self.tell(format!("  {what} failed: {error:?}"));
                Ok(None)
            }
            Err(error) => Err(format!("{what}: {error:?}")),
        }
    }

    /// All that the store holds.
    fn dump(&self) -> Result<Dump, String> {
        told(
            "select all",
            read(&*self.db, &everything(), Timestamp::MIN, Timestamp::MAX),
        )?
    }

    /// Where the samples of the series are that was found wrong.
    pub(crate) fn autopsy(&self) -> String {
        let all = (Timestamp::MIN, Timestamp::MAX);
        let Some(suspect) = &self.model.suspect else {
            return String::new();
        };
        let mut words = String::new();
        let mut show = |place: String, dump: Option<Dump>| {
            let times: Vec<_> = dump
                .unwrap_or_default()
                .remove(suspect)
                .unwrap_or_default()
                .into_keys()
                .collect();
            words += &format!("     {place}: {times:?}\n");
        };
        let head = read(&**self.db.head(), &everything(), all.0, all.1);
        show("head".to_owned(), head.ok().and_then(Result::ok));
        for block in self.db.blocks() {
            let set = block.select(&everything(), all.0, all.1, true);
            let dump = set
                .ok()
                .and_then(|set| samples_of(&*set, all.0, all.1).ok())
                .and_then(Result::ok);
            let meta = block.meta();
            show(
                format!("{} from {} to {}", meta.ulid, meta.min_time, meta.max_time),
                dump,
            );
        }
        words + &crate::autopsy::logs(&self.memory, Path::new(DATA), suspect)
    }

    /// Compares everything.
    pub(crate) fn check_all(&mut self) -> Verdict {
        let dump = self.dump()?;
        self.model.check(&dump, &[], (Timestamp::MIN, Timestamp::MAX))?;
        self.check_extras()
    }

    /// Makes the disk sound again; after that nothing may fail.
    pub(crate) fn mend(&mut self) -> Verdict {
        if !self.troubled {
            return Ok(());
        }
        self.counts.faults += self.faulty.fired().len() as u64;
        let broken = self.db.head().log_health().dropped_bytes;
        self.faulty.lift();
        self.memory.limit(None);
        self.memory.fail_sync(u64::MAX);
        self.troubled = false;
        self.tell("the disk is sound again".to_owned());
        let mut failed = None;
        for _ in 0..3 {
            match self.db.sync() {
                Ok(()) => {
                    if !self.memory.is_crashed() {
                        self.synced();
                    }
                    self.count_rebuilds(broken);
                    if self.db.health().is_err() {
                        // That the head cannot be cut is over when it was cut.
                        self.maintain()?;
                    }
                    return told("health with a sound disk", self.db.health());
                }
                Err(error) => failed = Some(error),
            }
            self.db.maintain();
        }
        Err(format!("sync fails three times on a sound disk: {failed:?}"))
    }

    /// A sync completed.
    pub(crate) fn synced(&mut self) {
        self.model.synced();
        self.extras.synced();
    }

    /// Counts how often the log was written anew until now; `dropped` bytes of it had been dropped.
    fn count_rebuilds(&mut self, dropped: u64) {
        let rebuilds = self.db.head().log_health().rebuilds;
        if rebuilds > self.rebuilt {
            self.tell(format!(
                "  the log was written anew, {dropped} bytes of it had been dropped"
            ));
        }
        self.counts.rebuilds += rebuilds.saturating_sub(self.rebuilt);
        self.rebuilt = rebuilds;
    }

    /// What comes up after the store was closed, or after the machine lost power and `left` is what it finds.
    pub(crate) fn start(&mut self, left: Option<MemoryDisk>) -> Verdict {
        self.note_rebuild();
        self.extras.exemplars.expired(self.truncated);
        self.next_retention();
        match left {
            Some(disk) => {
                self.counts.crashes += 1;
                self.model.crashed();
                self.extras.crashed();
                self.memory = disk;
                self.troubled = false;
                self.faulty = faults_over(&self.memory, &self.dice);
            }
            None => self.counts.restarts += 1,
        }
        for writer in &mut self.writers {
            writer.series.iter_mut().for_each(|series| series.reference = None);
        }
        // A start that may cut its log does more.
        let (percent, changes) = match self.settings.replay_memory_bytes {
            0 => (15, 12),
            _ => (40, 250),
        };
        // What a killed process left is durable only once it was read.
        let interrupted = self.dice.chance(percent) && !self.killed;
        if interrupted {
            let entropy = Arc::new(SeededEntropy::new(self.dice.seed()));
            self.memory.crash_after(self.dice.below(changes), entropy);
        }
        let disk: Arc<dyn Disk> = Arc::new(self.faulty.clone());
        self.db = told(
            "open",
            Db::open(parts(disk, &self.settings, &self.clock, &self.entropy)),
        )?;
        (self.rebuilt, self.reordered) = (0, 0);
        for writer in &mut self.writers {
            writer.owner = self.db.new_owner();
        }
        if self.dice.chance(30) {
            self.replaying = Some(self.model.newest());
            self.before_replay()?;
            self.replaying = None;
            if !interrupted && self.dice.chance(30) {
                self.tell("the store is closed before its log is read".to_owned());
                told("close", self.db.close())?;
                self.model.synced();
                // Blocks keep neither exemplars nor metadata.
                self.extras.crashed();
                return self.start(None);
            }
        }
        let replayed = self.read_log()?;
        self.killed = false;
        // What was deleted piece by piece may be taken for missing: the log is read twice then, and nothing else.
        if replayed.given_up > 0 && !self.model.has_deletions() {
            return Err(format!(
                "{} mapped chunks were given up, and no file is missing",
                replayed.given_up
            ));
        }
        if replayed.passes > 0 {
            self.counts.first_cuts += 1;
            self.tell(format!("  the log was cut into {} blocks first", replayed.blocks));
        }
        self.settle()?;
        self.settle_extras(replayed.passes > 0)?;
        match self.memory.crashed() {
            Some(left) if interrupted => {
                self.tell("power is lost during the start".to_owned());
                self.start(Some(left))
            }
            _ => Ok(()),
        }
    }

    /// Reads the log, perhaps of a disk that fails; what fails must not once the disk is sound.
    fn read_log(&mut self) -> Result<Replayed, String> {
        let fails = !self.troubled && self.dice.chance(15);
        if fails {
            let fault = [Fault::Failure, Fault::Full][self.dice.index(2)];
            self.faulty.arm(fault, self.dice.below(100));
        }
        let replayed = self.db.replay();
        if fails {
            self.counts.faults += self.faulty.fired().len() as u64;
            self.faulty.lift();
            // The log may have to be written anew.
            self.troubled = true;
        }
        match replayed {
            Err(error) if fails => {
                self.tell(format!("  the log cannot be read: {error}"));
                if self.db.health().is_ok() {
                    return Err("a log that is not read is not told".to_owned());
                }
                told("replay on a disk that is sound again", self.db.replay())
            }
            replayed => told("replay", replayed),
        }
    }

    /// Commits and looks while the log is not replayed.
    fn before_replay(&mut self) -> Verdict {
        for _ in 0..self.dice.between(1, 3) {
            self.clock.advance(5_000);
            let writer = self.dice.index(self.writers.len());
            self.commit(writer)?;
        }
        if let Ok(dump) = read(&*self.db, &everything(), Timestamp::MIN, Timestamp::MAX) {
            self.model.check(&dump?, &[], (Timestamp::MIN, Timestamp::MAX))?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Verdict {
        let dump = self.dump()?;
        self.model.settle(&dump)?;
        let names = told("list", self.memory.list(Path::new(DATA)))?;
        if let Some(left) = names.iter().find(|entry| entry.name.contains(".tmp")) {
            return Err(format!("{} was left behind", left.name));
        }
        self.verify_blocks()
    }

    /// Every block of the store is whole.
    pub(crate) fn verify_blocks(&mut self) -> Verdict {
        let stats = self.db.stats();
        if stats.blocks_unreadable > 0 {
            return Err(format!("{} blocks cannot be read", stats.blocks_unreadable));
        }
        for block in self.db.blocks() {
            let mut damages = Vec::new();
            let walk = block.verify(&mut |damage| damages.push(damage.to_string()));
            told("walk through a block", walk)?;
            self.counts.verified += 1;
            if !damages.is_empty() {
                return Err(format!("block {}: {}", block.ulid(), damages.join(", ")));
            }
        }
        Ok(())
    }

    /// The value that a series has at a time.
    pub(crate) fn value(active: &Active, t: Timestamp) -> (value::Sample, Value) {
        let sample = value::sample(active.id, active.kind, t);
        let value = Value::of(&sample);
        (sample, value)
    }

    /// A seed for something that must repeat.
    pub(crate) fn seeded(&self) -> Arc<dyn Entropy> {
        Arc::new(SeededEntropy::new(self.dice.seed()))
    }
}
