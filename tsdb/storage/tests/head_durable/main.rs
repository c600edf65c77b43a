//! What a head with a directory keeps: over a clean end, a crash, and a disk that fails.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod early;
mod failing;
mod joined;
mod lacking;

use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{
    AppendError, Appender, Attempt, Batch, Commits, Entry, Extras, Outcome, QueryError, Queryable, Refusal, Slot,
};
use leadline_model::sample::{STALE_NAN, Samples, Timestamp};
use leadline_model::target::OwnerId;
use leadline_storage::cache::Cache;
use leadline_storage::disk::{Disk, MemoryDisk, RealDisk};
use leadline_storage::source::Source;
use leadline_storage::{Head, HeadParts, Replayed, Settings, chunk};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

const NOW: Timestamp = 1_700_006_400_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
type Series = Vec<(String, Vec<(Timestamp, u64)>)>;

struct World {
    head: Arc<Head>,
    clock: Arc<ManualClock>,
    disk: MemoryDisk,
    settings: Settings,
}

fn settings() -> Settings {
    Settings {
        retention_ms: 24 * HOUR,
        chunk_samples: 10,
        wal_segment_bytes: 64 * 1024,
        ..Settings::default()
    }
}

fn open(disk: &MemoryDisk, clock: &Arc<ManualClock>, settings: &Settings) -> Arc<Head> {
    open_on(Arc::new(disk.clone()), clock, settings)
}

fn open_on(disk: Arc<dyn Disk>, clock: &Arc<ManualClock>, settings: &Settings) -> Arc<Head> {
    Head::durable(HeadParts {
        settings: settings.clone(),
        clock: clock.clone(),
        disk,
        dir: "data".into(),
        read_only: false,
        cache: Cache::new(1 << 20),
    })
    .unwrap()
}

impl World {
    fn new(settings: Settings) -> Self {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::at(NOW)));
        disk.create_dir_all(Path::new("data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let head = open(&disk, &clock, &settings);
        head.replay(&()).unwrap();
        Self {
            head,
            clock,
            disk,
            settings,
        }
    }

    /// Begins again on what `disk` has.
    fn restart_on(&mut self, disk: MemoryDisk) -> Replayed {
        self.disk = disk;
        self.head = open(&self.disk, &self.clock, &self.settings);
        self.head.replay(&()).unwrap()
    }

    fn restart(&mut self) -> Replayed {
        self.head.close();
        self.head.shut().unwrap();
        self.restart_on(self.disk.clone())
    }

    fn put(&self, owner: OwnerId, samples: &[(&str, Timestamp, f64)]) -> Outcome {
        self.try_put(owner, samples).unwrap()
    }

    fn try_put(&self, owner: OwnerId, samples: &[(&str, Timestamp, f64)]) -> Result<Outcome, AppendError> {
        let labels = |text: &str| Labels::from_pairs(text.split(',').map(|pair| pair.split_once('=').unwrap()));
        let created = samples.iter().map(|s| labels(s.0)).collect();
        let entry = |(i, s): (usize, &(&str, Timestamp, f64))| Entry {
            series: Slot::New(i as u32),
            t: s.1,
            v: s.2,
        };
        self.head.commit(&Batch {
            owner,
            slot: samples[0].1,
            attempt: Attempt::Good,
            created,
            entries: samples.iter().enumerate().map(entry).collect(),
            extras: Extras::default(),
        })
    }

    /// Fills `minutes` of two targets with three series each, by the clock, mapping chunks once a minute.
    fn fill(&self, minutes: i64) {
        let owners = [self.head.new_owner(), self.head.new_owner()];
        for _ in 0..minutes * 2 {
            let now = self.clock.advance(30_000);
            for owner in owners {
                let texts: Vec<String> = (0..3)
                    .map(|i| format!("__name__=m{i},job=j,instance=i{}", owner.0 % 2))
                    .collect();
                let samples: Vec<_> = texts
                    .iter()
                    .enumerate()
                    .map(|(i, t)| (t.as_str(), now, (now / 1000 * i as i64) as f64))
                    .collect();
                self.put(owner, &samples);
            }
            self.head.flush().unwrap();
            self.head.map_chunks().unwrap();
        }
        self.head.sync().unwrap();
    }

    fn get(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Series {
        let set = self.head.select(matchers, mint, maxt, true).unwrap();
        let mut samples = Samples::default();
        (0..set.len())
            .map(|i| {
                set.read(i, mint, maxt, &mut samples).unwrap();
                let newest = set.newest(i, mint, maxt).unwrap();
                assert_eq!(
                    newest.map(|s| (s.t, s.v.to_bits())),
                    samples.t.last().copied().zip(samples.v.last().map(|v| v.to_bits()))
                );
                let pairs = samples.t.iter().copied().zip(samples.v.iter().map(|v| v.to_bits()));
                (set.labels(i).to_string(), pairs.collect())
            })
            .filter(|(_, samples): &(String, Vec<_>)| !samples.is_empty())
            .collect()
    }

    fn all(&self) -> Series {
        self.get(&[], i64::MIN, i64::MAX)
    }
}

fn samples(series: &Series) -> usize {
    series.iter().map(|s| s.1.len()).sum()
}

#[test]
fn chunks_keep_no_series_further_than_the_log_keeps_the_others() {
    let mut w = World::new(settings());
    let owner = w.head.new_owner();
    w.put(owner, &[("__name__=early", NOW, 0.0)]);
    w.head.flush().unwrap();
    // The chunk of ten samples of one series ends here, with the last commit but one.
    for i in 1..=10 {
        let t = w.clock.advance(1_000);
        w.put(
            owner,
            &[("__name__=early", t, f64::from(i)), ("__name__=late", t, f64::from(i))],
        );
    }
    assert_eq!(w.head.map_chunks().unwrap(), 1);
    // A kill keeps what was written, durable or not, and nothing else.
    w.restart_on(w.disk.clone());
    let series = w.get(&[], NOW, NOW + MINUTE);
    let ends: Vec<_> = series.iter().map(|(_, samples)| samples.last().map(|s| s.0)).collect();
    assert_eq!(ends, [Some(NOW + 10_000); 2], "{series:?}");
}

#[test]
fn a_clean_end_keeps_everything_and_chunks_stay_mapped() {
    let mut w = World::new(settings());
    w.fill(90);
    let (before, stats) = (w.all(), w.head.stats());
    assert_eq!((before.len(), samples(&before)), (6, 6 * 180));
    let found = w.restart();
    assert_eq!(w.all(), before);
    assert_eq!((found.series, found.lost), (6, Vec::<String>::new()));
    assert_eq!(found.chunks, 6 * 17);
    let after = w.head.stats();
    assert_eq!(
        (after.series, after.samples, after.chunks),
        (stats.series, stats.samples, stats.chunks)
    );
    assert_eq!(
        (w.head.min_time(), w.head.max_time()),
        (Some(NOW + 30_000), Some(NOW + 90 * MINUTE))
    );
    // References and chunks go on where they ended.
    w.fill(10);
    let longer = w.all();
    assert_eq!((longer.len(), samples(&longer)), (6, 6 * 200));
    w.restart();
    assert_eq!(w.all(), longer);
}

#[test]
fn a_crash_loses_nothing_that_was_synced() {
    for seed in 0..40 {
        let mut w = World::new(settings());
        w.fill(30);
        let before = w.all();
        let owner = w.head.new_owner();
        for i in 1..=seed {
            w.put(owner, &[("__name__=later", w.clock.advance(1_000), i as f64)]);
            w.head.flush().unwrap();
            w.head.map_chunks().unwrap();
        }
        let crashed = w.disk.crash(&SeededEntropy::new(seed));
        let found = w.restart_on(crashed);
        let only = matcher("__name__", MatchOp::Regex, "m.*");
        assert_eq!(
            w.get(&[only], i64::MIN, i64::MAX),
            before,
            "seed {seed}: {:?}",
            found.lost
        );
        // What was not synced is a beginning of what was written.
        let later = w.get(&[Matcher::equal("__name__", "later")], i64::MIN, i64::MAX);
        let later = later.first().map(|s| s.1.clone()).unwrap_or_default();
        assert!(
            later
                .iter()
                .enumerate()
                .all(|(i, s)| f64::from_bits(s.1) == (i + 1) as f64),
            "seed {seed}"
        );
        w.fill(5);
        let before = w.all();
        w.restart();
        assert_eq!(w.all(), before, "seed {seed}, the second start");
    }
}

#[test]
fn without_mapped_chunks_the_log_has_everything() {
    let mut w = World::new(settings());
    w.fill(45);
    let before = w.all();
    for entry in w.disk.list(Path::new("data/chunks_head")).unwrap() {
        w.disk
            .remove_file(&Path::new("data/chunks_head").join(entry.name))
            .unwrap();
    }
    let found = w.restart();
    assert_eq!((w.all(), found.chunks), (before, 0));
}

#[test]
fn a_damaged_file_of_mapped_chunks_is_rebuilt_from_the_log() {
    for at in [0u64, 4, 9, 40, 300, 2_000] {
        let mut w = World::new(settings());
        w.fill(60);
        let before = w.all();
        w.head.shut().unwrap();
        let path = Path::new("data/chunks_head/000001");
        let mut byte = [0];
        w.disk.open(path).unwrap().read_exact_at(&mut byte, at).unwrap();
        w.disk.append(path).unwrap().write_at(&[byte[0] ^ 0x10], at).unwrap();
        w.restart_on(w.disk.clone());
        assert_eq!(w.all(), before, "byte {at}");
        w.fill(30);
        let before = w.all();
        w.restart();
        assert_eq!(w.all(), before, "byte {at}, the second start");
    }
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(name, op, value).unwrap()
}

/// The samples of a source, checked to be in order.
fn dump(source: &dyn Source) -> Series {
    let mut all: Series = Vec::new();
    let mut last: Option<Labels> = None;
    let symbols: Vec<String> = source.symbols().unwrap().map(Result::unwrap).collect();
    assert!(symbols.is_sorted() && symbols.windows(2).all(|w| w[0] != w[1]));
    for series in source.series().unwrap() {
        let series = series.unwrap();
        assert!(last.replace(series.labels.clone()).is_none_or(|l| l < series.labels));
        for (name, value) in &series.labels {
            assert!(symbols.iter().any(|s| s == name) && symbols.iter().any(|s| s == value));
        }
        let mut samples = Samples::default();
        let mut end = i64::MIN;
        for c in &series.chunks {
            assert!(c.mint > end && c.mint <= c.maxt);
            end = c.maxt;
            let from = samples.t.len();
            chunk::decode(c.encoding, &c.data, i64::MIN, i64::MAX, &mut samples).unwrap();
            assert_eq!((samples.t[from], samples.t[samples.t.len() - 1]), (c.mint, c.maxt));
        }
        let pairs = samples.t.iter().copied().zip(samples.v.iter().map(|v| v.to_bits()));
        let kept = pairs.filter(|(t, _)| !series.deleted.contains(*t)).collect();
        all.push((series.labels.to_string(), kept));
    }
    all
}

#[test]
fn a_range_gives_exactly_its_samples_in_label_order() {
    let w = World::new(settings());
    w.fill(180);
    for (mint, maxt) in [
        (i64::MIN, i64::MAX),
        (NOW, NOW + 2 * HOUR - 1),
        (NOW + 2 * HOUR, NOW + 4 * HOUR),
        (NOW + 7 * MINUTE, NOW + 95 * MINUTE),
        (NOW + 30_000, NOW + 30_000),
    ] {
        let source = w.head.range(mint, maxt);
        assert_eq!(dump(&source), w.get(&[], mint, maxt), "{mint} to {maxt}");
    }
    assert_eq!(dump(&w.head.range(NOW + 10 * HOUR, i64::MAX)), []);
}

#[test]
fn no_chunk_reaches_over_the_end_of_a_block() {
    let w = World::new(settings());
    w.fill(130);
    let source = w.head.range(i64::MIN, i64::MAX);
    for series in source.series().unwrap() {
        for chunk in series.unwrap().chunks {
            assert_eq!(chunk.mint.div_euclid(2 * HOUR), chunk.maxt.div_euclid(2 * HOUR));
        }
    }
}

#[test]
fn truncating_drops_what_blocks_hold_from_memory_log_and_disk() {
    let mut w = World::new(settings());
    let gone = w.head.new_owner();
    w.put(gone, &[("__name__=gone", NOW + 1, 1.0)]);
    let files = |w: &World, dir: &str| w.disk.list(Path::new(dir)).unwrap();
    for hours in 1..5 {
        w.fill(240);
        let removed = w.head.truncate(NOW + (4 * hours - 2) * HOUR).unwrap();
        assert_eq!(removed, usize::from(hours == 1));
    }
    let end = NOW + 14 * HOUR;
    let checkpoint = files(&w, "data/wal").into_iter().find(|e| e.is_dir).unwrap();
    assert!(checkpoint.name.starts_with("checkpoint.0000000"));
    // Chunks that have samples on both sides would stay; here none has.
    let before = w.all();
    assert_eq!(before, w.get(&[], end, i64::MAX));
    assert_eq!((w.head.min_time(), samples(&before)), (Some(end), 6 * 241));
    assert_eq!(files(&w, "data/chunks_head").len(), 1);
    let refused = w.put(gone, &[("__name__=m0,job=j,instance=i0", end - 1, 1.0)]).refused;
    assert_eq!(refused, [(0, Refusal::TooOld)]);
    w.restart();
    assert_eq!(w.get(&[], end, i64::MAX), before);
    assert_eq!(w.head.stats().series, 6);
}

#[test]
fn what_was_deleted_stays_deleted_and_what_comes_later_is_kept() {
    let mut w = World::new(settings());
    w.fill(60);
    let (mint, maxt) = (NOW + 10 * MINUTE, i64::MAX);
    let m1 = [Matcher::equal("__name__", "m1")];
    assert_eq!(w.head.delete(&m1, mint, maxt).unwrap(), 2);
    assert_eq!(samples(&w.get(&m1, i64::MIN, i64::MAX)), 2 * 19);
    assert_eq!(w.head.delete(&m1, NOW - HOUR, NOW - MINUTE).unwrap(), 0);
    w.fill(5);
    let kept = w.all();
    assert_eq!(samples(&kept), 6 * 130 - 2 * 101);
    assert_eq!(dump(&w.head.range(i64::MIN, i64::MAX)), kept);
    w.restart();
    assert_eq!(w.all(), kept);
    let crashed = w.disk.crash(&SeededEntropy::new(3));
    w.restart_on(crashed);
    assert_eq!(w.all(), kept);
}

#[test]
fn a_series_that_ended_leaves_early_and_comes_back_under_another_reference() {
    let mut w = World::new(settings());
    w.fill(30);
    let owner = w.head.new_owner();
    let first = w.put(owner, &[("__name__=pod", w.clock.advance(1000), 1.0)]).refs[0];
    w.put(owner, &[("__name__=pod", w.clock.advance(1000), STALE_NAN)]);
    let ended = w.clock.advance(1000);
    assert!(w.head.stale(ended - 1000).is_empty());
    let stale = w.head.stale(ended);
    assert_eq!((stale.len(), stale.maxt), (1, ended - 1000));
    let moved = dump(&w.head.stale_range(&stale, stale.mint, stale.maxt));
    assert_eq!((moved.len(), samples(&moved)), (1, 2));
    assert_eq!(w.head.evict(&stale).unwrap(), 1);
    let again = w.put(owner, &[("__name__=pod", w.clock.advance(1000), 2.0)]).refs[0];
    assert_ne!(first, again);
    let before = w.all();
    assert_eq!(samples(&before), 6 * 60 + 1);
    w.restart();
    assert_eq!(w.all(), before);
}

#[test]
fn a_series_that_was_written_to_while_it_was_copied_stays_even_when_it_ended_again() {
    for ends_again in [false, true] {
        let w = World::new(settings());
        let owner = w.head.new_owner();
        let at = |seconds: i64, v| w.put(owner, &[("__name__=pod", NOW + seconds * 1000, v)]);
        at(0, 1.0);
        at(1, STALE_NAN);
        let stale = w.head.stale(w.clock.advance(MINUTE));
        // A stream whose samples come with a delay: all of them are older than what is called stale.
        at(2, 2.0);
        if ends_again {
            at(3, STALE_NAN);
        }
        assert_eq!((stale.len(), w.head.evict(&stale).unwrap()), (1, 0));
        assert_eq!(samples(&w.all()), 3 + usize::from(ends_again));
    }
}

#[test]
fn commits_before_the_replay_are_kept_and_their_references_become_unknown() {
    let mut w = World::new(settings());
    w.fill(30);
    let before = w.all();
    w.head.close();
    w.head.shut().unwrap();
    w.clock.advance(5_000);
    w.head = open(&w.disk, &w.clock, &w.settings);
    let registered = w.head.register(Arc::from([Matcher::equal("job", "j")]));
    let now = w.clock.advance(1_000);
    let owner = w.head.new_owner();
    let early = w.put(
        owner,
        &[
            ("__name__=new,job=j", now, 7.0),
            ("__name__=m0,job=j,instance=i0", now, 8.0),
        ],
    );
    assert!(w.head.sync().is_err());
    assert!(matches!(
        w.head.select(&[], now - 60_000, now, false),
        Err(QueryError::Unavailable(_))
    ));
    assert_eq!(samples(&w.get(&[], now, now)), 2);
    w.head.replay(&()).unwrap();
    let all = w.all();
    assert_eq!((all.len(), samples(&all)), (7, samples(&before) + 2));
    assert_eq!(w.head.feeders(registered), [owner]);
    let entries = early.refs.iter().map(|r| Entry {
        series: Slot::Known(r.unwrap()),
        t: now + 1,
        v: 1.0,
    });
    let known = Batch {
        owner,
        slot: now,
        attempt: Attempt::Good,
        created: vec![],
        entries: entries.collect(),
        extras: Extras::default(),
    };
    let refused = w.head.commit(&known).unwrap().refused;
    assert_eq!(refused, [(0, Refusal::UnknownSeries), (1, Refusal::UnknownSeries)]);
    w.head.sync().unwrap();
    let crashed = w.disk.crash(&SeededEntropy::new(1));
    w.restart_on(crashed);
    assert_eq!(w.all(), all);
}

#[test]
fn reading_alone_changes_nothing_on_the_disk() {
    let w = World::new(settings());
    w.fill(45);
    let before = w.all();
    let crashed = w.disk.crash(&SeededEntropy::new(4));
    let files = |disk: &MemoryDisk| -> Vec<_> {
        ["data", "data/wal", "data/chunks_head"]
            .iter()
            .flat_map(|dir| disk.list(Path::new(dir)).unwrap())
            .collect()
    };
    let list = files(&crashed);
    let head = Head::durable(HeadParts {
        settings: settings(),
        clock: w.clock.clone(),
        disk: Arc::new(crashed.clone()),
        dir: "data".into(),
        read_only: true,
        cache: Cache::new(1 << 20),
    })
    .unwrap();
    head.replay(&()).unwrap();
    let reader = World {
        head,
        clock: w.clock.clone(),
        disk: crashed.clone(),
        settings: settings(),
    };
    assert_eq!(reader.all(), before);
    reader.head.flush().unwrap();
    reader.head.sync().unwrap();
    reader.head.shut().unwrap();
    assert_eq!(files(&crashed), list);
}

#[test]
fn the_same_commits_end_in_the_same_bytes() {
    let files = || {
        let w = World::new(settings());
        w.fill(200);
        w.head.truncate(NOW + 2 * HOUR).unwrap();
        w.head.shut().unwrap();
        let mut bytes = Vec::new();
        for dir in ["data/wal", "data/chunks_head"] {
            for entry in w.disk.list(Path::new(dir)).unwrap().into_iter().filter(|e| !e.is_dir) {
                let file = w.disk.open(&Path::new(dir).join(&entry.name)).unwrap();
                let mut content = vec![0; entry.len as usize];
                file.read_exact_at(&mut content, 0).unwrap();
                bytes.push((entry.name, content));
            }
        }
        bytes
    };
    assert_eq!(files(), files());
}

fn with_window() -> Settings {
    Settings {
        out_of_order_window_ms: HOUR,
        ..settings()
    }
}

#[test]
fn samples_out_of_order_are_merged_kept_and_leave_as_a_range_of_their_own() {
    let mut w = World::new(with_window());
    w.fill(60);
    let owner = w.head.new_owner();
    let name = "__name__=m1,job=j,instance=i0";
    let start = NOW + 20 * MINUTE;
    // Backwards, between those that came in order, and one of them of the same time.
    for i in (0..100).rev() {
        let outcome = w.put(owner, &[(name, start + i * 1_000, i as f64)]);
        assert_eq!(outcome.refused, []);
        w.head.flush().unwrap();
        if i % 17 == 0 {
            w.head.map_chunks().unwrap();
        }
    }
    let stats = w.head.stats();
    assert_eq!(stats.out_of_order, 100);
    assert_eq!(w.put(owner, &[(name, NOW - 1, 1.0)]).refused, [(0, Refusal::TooOld)]);
    let one = [Matcher::equal("__name__", "m1"), Matcher::equal("instance", "i0")];
    let all = w.get(&one, i64::MIN, i64::MAX);
    // Four of them have the time of a sample that was there.
    assert_eq!(samples(&all), 120 + 100 - 4);
    assert!(all[0].1.is_sorted_by_key(|s| s.0));
    w.head.sync().unwrap();
    for seed in 0..6 {
        let crashed = w.disk.crash(&SeededEntropy::new(seed));
        let other = World {
            head: open(&crashed, &w.clock, &w.settings),
            clock: w.clock.clone(),
            disk: crashed,
            settings: w.settings.clone(),
        };
        other.head.replay(&()).unwrap();
        assert_eq!(other.get(&one, i64::MIN, i64::MAX), all, "seed {seed}");
    }
    w.restart();
    assert_eq!(w.get(&one, i64::MIN, i64::MAX), all);

    let found = w.head.out_of_order().unwrap();
    assert_eq!((found.len(), found.mint, found.maxt), (1, start, start + 99_000));
    let owner = w.head.new_owner();
    w.put(owner, &[(name, start + 500, 0.5)]);
    let mut times: Vec<Timestamp> = Vec::new();
    for (mint, maxt) in [(start, start + 49_000), (start + 49_001, i64::MAX)] {
        for series in w.head.out_of_order_range(&found, mint, maxt).series().unwrap() {
            for c in series.unwrap().chunks {
                let mut samples = Samples::default();
                chunk::decode(c.encoding, &c.data, i64::MIN, i64::MAX, &mut samples).unwrap();
                assert!(samples.t[0] >= mint && *samples.t.last().unwrap() <= maxt);
                times.append(&mut samples.t);
            }
        }
    }
    times.sort_unstable();
    times.dedup();
    assert_eq!(times, (0..100).map(|i| start + i * 1_000).collect::<Vec<_>>());
    w.head.truncate_out_of_order(&found).unwrap();
    let rest = w.get(&one, i64::MIN, i64::MAX);
    assert_eq!(samples(&rest), 121);
    w.restart();
    assert_eq!(w.get(&one, i64::MIN, i64::MAX), rest);
}

/// The label set, the time and the bits of the value of each line of a dump.
fn expected(name: &str) -> Option<Vec<(String, Timestamp, u64)>> {
    let data = std::env::var("LEADLINE_CONFORMANCE_DATA").unwrap_or_else(|_| "../../../shared/data".to_owned());
    let path = Path::new(&data).join(format!("prom242-datadir/expected-dump-{name}.txt.gz"));
    if !path.exists() {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "absent: no {} (set LEADLINE_CONFORMANCE_DATA)",
            path.display()
        );
        return None;
    }
    let unpacked = std::process::Command::new("gzip")
        .arg("-dc")
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8(unpacked.stdout).unwrap();
    let parse = |line: &str| {
        let (series, rest) = line.rsplit_once("} ").unwrap();
        let (value, t) = rest.split_once(' ').unwrap();
        let bits = match value {
            "NaN" => f64::NAN.to_bits(),
            value => value.replace("Inf", "inf").parse::<f64>().unwrap().to_bits(),
        };
        (format!("{series}}}"), t.parse().unwrap(), bits)
    };
    Some(text.lines().map(parse).collect())
}

#[test]
fn a_directory_of_prometheus_is_replayed_to_what_prometheus_reads_of_it() {
    for name in ["clean", "crash"] {
        let Some(want) = expected(name) else { return };
        let data = std::env::var("LEADLINE_CONFORMANCE_DATA").unwrap_or_else(|_| "../../../shared/data".to_owned());
        let dir = Path::new(&data).join("prom242-datadir").join(name);
        let disk = Arc::new(RealDisk);
        let clock = Arc::new(ManualClock::at(NOW));
        let head = Head::durable(HeadParts {
            settings: Settings {
                block_range_ms: 20_000,
                ..Settings::default()
            },
            clock: clock.clone(),
            disk: disk.clone(),
            dir: dir.clone(),
            read_only: true,
            cache: Cache::new(1 << 20),
        })
        .unwrap();
        let blocks = disk
            .list(&dir)
            .unwrap()
            .into_iter()
            .filter(|e| e.is_dir && e.name.len() == 26);
        let ends = blocks.map(|e| {
            let meta = std::fs::read(dir.join(e.name).join("meta.json")).unwrap();
            serde_json::from_slice::<serde_json::Value>(&meta).unwrap()["maxTime"]
                .as_i64()
                .unwrap()
        });
        head.seal(ends.max().unwrap());
        let found = head.replay(&()).unwrap();
        assert_eq!(found.lost, Vec::<String>::new());
        let w = World {
            head,
            clock,
            disk: MemoryDisk::new(),
            settings: Settings::default(),
        };
        let mint = w.head.min_time().unwrap();
        let set = w.head.select(&[], i64::MIN, i64::MAX, true).unwrap();
        let (mut got, mut samples) = (Vec::new(), Samples::default());
        for i in 0..set.len() {
            set.read(i, i64::MIN, i64::MAX, &mut samples).unwrap();
            let labels: Vec<String> = set.labels(i).iter().map(|(n, v)| format!("{n}={v:?}")).collect();
            let text = format!("{{{}}}", labels.join(", "));
            let nan = |v: f64| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() };
            got.extend(
                samples
                    .t
                    .iter()
                    .zip(&samples.v)
                    .map(|(&t, &v)| (text.clone(), t, nan(v))),
            );
        }
        // The blocks have what is older than the head.
        let mut want: Vec<_> = want.into_iter().filter(|s| s.1 >= mint).collect();
        want.sort_unstable();
        got.sort_unstable();
        println!("{name}: {} samples of {} series from {mint} on", got.len(), set.len());
        assert_eq!(got.len(), want.len());
        assert!(got == want);
    }
}
