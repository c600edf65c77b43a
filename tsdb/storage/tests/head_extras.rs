//! Native histograms, exemplars and metadata through the store's ports: in memory, over restarts, in blocks, and as
//! Prometheus' own tool reads them.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::exemplar::Exemplar;
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, ResetHint, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::metadata::{Metadata, MetricKind};
use leadline_model::number::general;
use leadline_model::port::{
    Appender, Attempt, Batch, Entry, ExemplarEntry, Extras, HistogramEntry, MetadataEntry, Outcome, Queryable, Refusal,
    Slot,
};
use leadline_model::sample::{STALE_NAN, Samples, Timestamp};
use leadline_model::target::OwnerId;
use leadline_storage::cache::Cache;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::{Disk, MemoryDisk, RealDisk};
use leadline_storage::source::Source;
use leadline_storage::{Head, HeadParts, Settings, chunk};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const NOW: Timestamp = 1_700_006_400_000;
const SECOND: i64 = 1000;
const ALL: (Timestamp, Timestamp) = (i64::MIN, i64::MAX);

/// A counter histogram after so many observations; new buckets come in between as it grows.
fn int(n: u64) -> AnyHistogram {
    let buckets = 1 + (n % 40) / 8 + n / 40;
    let counts: Vec<i64> = (0..buckets as i64).map(|i| n as i64 * (i + 1)).collect();
    let deltas = counts.iter().scan(0, |last, &c| Some(c - std::mem::replace(last, c)));
    let total = counts.iter().sum::<i64>() as u64;
    AnyHistogram::Int(Arc::new(Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: n,
        count: total + n,
        sum: n as f64 * 1.5,
        positive_spans: vec![Span {
            offset: -2,
            length: buckets as u32,
        }],
        positive_buckets: deltas.collect(),
        ..Histogram::default()
    }))
}

fn float(n: u64) -> AnyHistogram {
    let AnyHistogram::Int(h) = int(n) else { return int(n) };
    let mut h = h.to_float();
    h.count += 0.25;
    AnyHistogram::Float(Arc::new(h))
}

fn gauge(n: u64) -> AnyHistogram {
    let AnyHistogram::Int(h) = int(n * 7 % 23) else {
        return int(n);
    };
    let mut h = Histogram::clone(&h);
    h.reset = ResetHint::Gauge;
    AnyHistogram::Int(Arc::new(h))
}

fn custom(n: u64) -> AnyHistogram {
    AnyHistogram::Int(Arc::new(Histogram {
        schema: CUSTOM_BUCKETS,
        count: 3 * n,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n as i64, n as i64],
        custom_values: Arc::from([0.5, 2.5]),
        ..Histogram::default()
    }))
}

fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split(',').map(|pair| pair.split_once('=').unwrap()))
}

#[derive(Clone)]
enum Value {
    Float(f64),
    Histogram(AnyHistogram),
}

fn batch(owner: OwnerId, t: Timestamp, values: &[(&str, Value)]) -> Batch {
    let mut batch = Batch {
        owner,
        slot: t,
        attempt: Attempt::Good,
        created: values.iter().map(|v| labels(v.0)).collect(),
        entries: Vec::new(),
        extras: Extras::default(),
    };
    for (i, (_, value)) in values.iter().enumerate() {
        let series = Slot::New(i as u32);
        match value {
            Value::Float(v) => batch.entries.push(Entry { series, t, v: *v }),
            Value::Histogram(h) => batch.extras.histograms.push(HistogramEntry {
                series,
                t,
                h: h.clone(),
            }),
        }
    }
    batch
}

fn put(store: &dyn Appender, owner: OwnerId, t: Timestamp, values: &[(&str, Value)]) -> Outcome {
    store.commit(&batch(owner, t, values)).unwrap()
}

/// Everything that a store has, as `promtool tsdb dump` prints it, sorted.
fn dump(store: &dyn Queryable, (mint, maxt): (Timestamp, Timestamp)) -> Vec<String> {
    let set = store.select(&[], mint, maxt, true).unwrap();
    let (mut samples, mut histograms, mut lines) = (Samples::default(), Vec::new(), Vec::new());
    for i in 0..set.len() {
        let labels = dumped_labels(&set.labels(i));
        set.read(i, mint, maxt, &mut samples).unwrap();
        let floats = samples.t.iter().zip(&samples.v);
        lines.extend(floats.map(|(t, v)| format!("{labels} {} {t}", general(*v))));
        set.read_histograms(i, mint, maxt, &mut histograms).unwrap();
        lines.extend(histograms.iter().map(|s| format!("{labels} {} {}", s.h, s.t)));
        let newest = set.newest(i, mint, maxt).unwrap().map(|s| s.t);
        assert_eq!(newest, samples.t.last().copied(), "{labels}");
    }
    lines.sort();
    lines
}

/// Names only what differs.
fn assert_same(got: &[String], want: &[String]) {
    let missing: Vec<_> = want.iter().filter(|line| got.binary_search(line).is_err()).collect();
    let extra: Vec<_> = got.iter().filter(|line| want.binary_search(line).is_err()).collect();
    assert!(got == want, "missing {missing:#?}\nextra {extra:#?}");
}

fn dumped_labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

struct World {
    clock: Arc<ManualClock>,
    disk: MemoryDisk,
    head: Arc<Head>,
}

fn open(disk: &MemoryDisk, clock: &Arc<ManualClock>) -> Arc<Head> {
    disk.create_dir_all(Path::new("data")).unwrap();
    Head::durable(HeadParts {
        settings: Settings {
            retention_ms: 24 * 3600 * SECOND,
            ..Settings::default()
        },
        clock: clock.clone(),
        disk: Arc::new(disk.clone()),
        dir: "data".into(),
        read_only: false,
        cache: Cache::new(1 << 20),
    })
    .unwrap()
}

impl World {
    fn new() -> Self {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::at(NOW)));
        let head = open(&disk, &clock);
        head.replay(&()).unwrap();
        Self { clock, disk, head }
    }

    /// Begins again on what a crash leaves after everything was made durable.
    fn crash(&mut self) {
        self.head.sync().unwrap();
        self.disk = self.disk.crash(&SeededEntropy::new(1));
        self.head = open(&self.disk, &self.clock);
        self.head.replay(&()).unwrap();
    }
}

/// A value of each kind for each step, and what a dump must have of them.
fn fill(store: &dyn Appender, clock: &ManualClock, owner: OwnerId, steps: std::ops::Range<u64>) -> Vec<String> {
    let mut lines = Vec::new();
    for n in steps {
        let t = clock.advance(30 * SECOND);
        let mixed = match n / 5 % 3 {
            0 => Value::Float(n as f64),
            1 => Value::Histogram(int(n)),
            _ => Value::Histogram(float(n)),
        };
        let values = [
            ("__name__=i,job=a", Value::Histogram(int(n))),
            ("__name__=f,job=a", Value::Histogram(float(n))),
            ("__name__=g,job=a", Value::Histogram(gauge(n))),
            ("__name__=c,job=a", Value::Histogram(custom(n))),
            ("__name__=m,job=a", mixed),
            ("__name__=v,job=a", Value::Float(n as f64 / 3.0)),
        ];
        let outcome = put(store, owner, t, &values);
        assert_eq!((outcome.appended, outcome.refused_histograms.len()), (6, 0));
        lines.extend(values.iter().map(|(text, value)| {
            let labels = dumped_labels(&labels(text));
            match value {
                Value::Float(v) => format!("{labels} {} {t}", general(*v)),
                Value::Histogram(h) => format!("{labels} {h} {t}"),
            }
        }));
    }
    lines.sort();
    lines
}

#[test]
fn histograms_of_every_kind_are_read_back_within_the_window() {
    let clock = Arc::new(ManualClock::at(NOW));
    let head = Head::new(Settings::default(), clock.clone()).unwrap();
    let lines = fill(&*head, &clock, head.new_owner(), 0..200);
    assert_eq!(dump(&*head, ALL), lines);
    let window = (NOW + 900 * SECOND, NOW + 1800 * SECOND);
    let inside = |line: &&String| {
        let t: Timestamp = line.rsplit(' ').next().unwrap().parse().unwrap();
        (window.0..=window.1).contains(&t)
    };
    let inside: Vec<_> = lines.iter().filter(inside).cloned().collect();
    assert_eq!(inside.len(), 31 * 6);
    assert_eq!(dump(&*head, window), inside);
    let stats = head.stats();
    assert_eq!((stats.samples, stats.series), (1200, 6));
}

#[test]
fn each_histogram_is_taken_or_refused_on_its_own_merits() {
    let clock = Arc::new(ManualClock::at(NOW));
    let head = Head::new(Settings::default(), clock.clone()).unwrap();
    let owner = head.new_owner();
    let series = "__name__=h";
    let mut invalid = int(3);
    if let AnyHistogram::Int(h) = &mut invalid {
        Arc::make_mut(h).count += 1;
    }
    let hour = 3_600 * SECOND;
    for (t, h, stored, refused) in [
        (NOW, int(2), 1, None),
        (NOW, int(2), 0, None),
        (NOW, int(3), 0, Some(Refusal::Duplicate)),
        (NOW - 1, int(2), 0, Some(Refusal::OutOfOrder)),
        (NOW + 1, invalid, 0, Some(Refusal::Invalid)),
        (NOW + hour, int(4), 0, Some(Refusal::TooFarAhead)),
        (NOW - 3 * hour, int(4), 0, Some(Refusal::TooOld)),
        (NOW + 2, int(4), 1, None),
    ] {
        let outcome = put(&*head, owner, t, &[(series, Value::Histogram(h))]);
        assert_eq!(outcome.appended, stored, "{t}");
        assert_eq!(
            outcome.refused_histograms,
            refused.map(|why| (0, why)).into_iter().collect::<Vec<_>>()
        );
    }
    let float = put(&*head, owner, NOW + 2, &[(series, Value::Float(1.0))]);
    assert_eq!(float.refused, [(0, Refusal::Duplicate)]);
    let refused = head.stats().refused;
    assert_eq!((refused.invalid, refused.duplicate, refused.out_of_order), (1, 2, 1));
}

#[test]
fn a_stale_marker_ends_a_series_of_histograms_as_one_of_its_kind() {
    let mut world = World::new();
    let owner = world.head.new_owner();
    let kinds = [("__name__=i", int(1)), ("__name__=f", float(1))];
    let values = kinds.clone().map(|(text, h)| (text, Value::Histogram(h)));
    put(&*world.head, owner, NOW, &values);
    world.crash();
    let ends = kinds.clone().map(|(text, _)| (text, Value::Float(STALE_NAN)));
    put(&*world.head, world.head.new_owner(), NOW + SECOND, &ends);
    for _ in 0..2 {
        let stale = |line: &String| line.contains("{count:0, sum:NaN}");
        assert_eq!(
            dump(&*world.head, (NOW + 1, i64::MAX))
                .iter()
                .filter(|l| stale(l))
                .count(),
            2
        );
        assert_eq!(world.head.stale(NOW + 2 * SECOND).len(), 2);
        world.crash();
    }
    assert_eq!(world.head.evict(&world.head.stale(NOW + 2 * SECOND)).unwrap(), 2);
    assert!(dump(&*world.head, ALL).is_empty());
}

#[test]
fn a_series_whose_newest_histogram_is_in_a_mapped_chunk_has_not_got_a_float_there() {
    for (ends, at) in [(true, NOW + SECOND), (false, NOW)] {
        let mut world = World::new();
        let owner = world.head.new_owner();
        let at_time = |t, v| put(&*world.head, owner, t, &[("__name__=h", v)]);
        at_time(NOW, Value::Histogram(int(1)));
        if ends {
            at_time(NOW + SECOND, Value::Float(STALE_NAN));
        }
        world.head.sync().unwrap();
        let log = Path::new("data/wal/00000000");
        let durable = world.disk.open(log).unwrap().len().unwrap();
        // Closes the chunk, which becomes durable, and is lost itself.
        at_time(world.clock.advance(3 * 60 * 60 * SECOND), Value::Histogram(int(2)));
        assert_eq!(world.head.map_chunks().unwrap(), 1);
        world.head.sync().unwrap();
        world.disk.append(log).unwrap().set_len(durable).unwrap();
        world.head = open(&world.disk, &world.clock);
        world.head.replay(&()).unwrap();

        assert_eq!(world.head.stale(i64::MAX).len(), usize::from(ends));
        let float = put(&*world.head, owner, at, &[("__name__=h", Value::Float(0.0))]);
        assert_eq!(float.refused, [(0, Refusal::Duplicate)]);
    }
}

#[test]
fn what_was_made_durable_is_there_after_a_crash() {
    let mut world = World::new();
    let owner = world.head.new_owner();
    let mut lines = fill(&*world.head, &world.clock, owner, 0..90);
    world.crash();
    assert_same(&dump(&*world.head, ALL), &lines);
    let owner = world.head.new_owner();
    lines.extend(fill(&*world.head, &world.clock, owner, 90..150));
    lines.sort();
    world.head.map_chunks().unwrap();
    assert_same(&dump(&*world.head, ALL), &lines);
    world.crash();
    assert_same(&dump(&*world.head, ALL), &lines);
}

#[test]
fn histograms_behind_a_mapped_chunk_of_floats_are_the_newest_after_a_crash() {
    let mut world = World::new();
    let owner = world.head.new_owner();
    put(&*world.head, owner, NOW, &[("__name__=m", Value::Float(1.0))]);
    put(
        &*world.head,
        owner,
        NOW + 10,
        &[("__name__=m", Value::Histogram(int(1)))],
    );
    world.head.map_chunks().unwrap();
    world.crash();
    assert_eq!(world.head.truncate(NOW + 5).unwrap(), 0);
    assert_eq!(dump(&*world.head, ALL).len(), 1);
    let late = put(
        &*world.head,
        world.head.new_owner(),
        NOW + 9,
        &[("__name__=m", Value::Float(1.0))],
    );
    assert_eq!(late.refused, [(0, Refusal::OutOfOrder)]);
}

#[test]
fn what_is_committed_while_the_log_is_read_joins_it() {
    let mut world = World::new();
    let mut lines = fill(&*world.head, &world.clock, world.head.new_owner(), 0..20);
    extras(&*world.head, world.head.new_owner(), NOW + 1, "first");
    world.head.sync().unwrap();
    world.head = open(&world.disk, &world.clock);
    lines.extend(fill(&*world.head, &world.clock, world.head.new_owner(), 20..70));
    extras(&*world.head, world.head.new_owner(), NOW + 2, "second");
    world.head.replay(&()).unwrap();
    lines.sort();
    let extra = |lines: Vec<String>| {
        lines
            .into_iter()
            .filter(|l| !l.contains("requests"))
            .collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_same(&extra(dump(&*world.head, ALL)), &lines);
        assert_eq!(
            traces(&*world.head, ALL),
            [("requests".to_owned(), vec!["first".to_owned(), "second".to_owned()])]
        );
        assert_eq!(&*world.head.metadata()[0].1.help, "second");
        world.crash();
    }
}

#[test]
fn a_log_that_is_written_anew_has_everything() {
    let (disk, clock) = (MemoryDisk::new(), Arc::new(ManualClock::at(NOW)));
    let head = open(&disk, &clock);
    disk.limit(Some(disk.used()));
    head.replay(&()).unwrap();
    let lines = fill(&*head, &clock, head.new_owner(), 0..40);
    extras(&*head, head.new_owner(), clock.advance(SECOND), "kept");
    assert!(head.sync().is_err(), "the disk is full");
    disk.limit(None);
    let mut world = World { clock, disk, head };
    world.crash();
    let others = |line: &String| !line.contains("requests");
    let got: Vec<_> = dump(&*world.head, ALL).into_iter().filter(others).collect();
    assert_same(&got, &lines);
    assert_eq!(traces(&*world.head, ALL)[0].1, ["kept"]);
    assert_eq!(&*world.head.metadata()[0].1.help, "kept");
}

/// Commits one sample of `requests` with an exemplar and a help text.
fn extras(store: &dyn Appender, owner: OwnerId, t: Timestamp, text: &str) -> Outcome {
    let mut batch = batch(owner, t, &[("__name__=requests", Value::Float(1.0))]);
    batch.extras.exemplars.push(ExemplarEntry {
        series: Slot::New(0),
        exemplar: Exemplar {
            labels: Labels::from_pairs([("trace_id", text)]),
            t,
            v: 0.5,
        },
    });
    batch.extras.metadata.push(MetadataEntry {
        series: Slot::New(0),
        metadata: Metadata {
            kind: MetricKind::Counter,
            unit: Arc::from("requests"),
            help: Arc::from(text),
        },
    });
    store.commit(&batch).unwrap()
}

/// The trace of each exemplar, by metric.
fn traces(store: &dyn Queryable, (mint, maxt): (Timestamp, Timestamp)) -> Vec<(String, Vec<String>)> {
    let found = store
        .exemplars(&[Matcher::equal("__name__", "requests")], mint, maxt)
        .unwrap();
    let name = |labels: &Labels| labels.get("__name__").unwrap().to_owned();
    let trace = |exemplar: &Exemplar| exemplar.labels.get("trace_id").unwrap().to_owned();
    found
        .iter()
        .map(|(labels, all)| (name(labels), all.iter().map(trace).collect()))
        .collect()
}

#[test]
fn exemplars_and_metadata_survive_a_crash_and_go_with_their_series() {
    let mut world = World::new();
    let owner = world.head.new_owner();
    for (i, text) in ["a", "b", "b", "c"].into_iter().enumerate() {
        assert!(
            extras(&*world.head, owner, NOW + i as i64, text)
                .refused_exemplars
                .is_empty()
        );
    }
    let late = extras(&*world.head, owner, NOW - 5, "late");
    assert_eq!(late.refused_exemplars, [(0, Refusal::OutOfOrder)]);
    for _ in 0..2 {
        let all: Vec<String> = ["a", "b", "b", "c"].map(str::to_owned).into();
        assert_eq!(traces(&*world.head, ALL), [("requests".to_owned(), all)]);
        assert_eq!(traces(&*world.head, (NOW + 2, NOW + 3))[0].1.len(), 2);
        assert!(
            world
                .head
                .exemplars(&[Matcher::equal("__name__", "other")], ALL.0, ALL.1)
                .unwrap()
                .is_empty()
        );
        let told = world.head.metadata();
        // The metadata of a sample that is refused is taken all the same.
        assert_eq!(
            (told.len(), told[0].0.as_str(), &*told[0].1.help),
            (1, "requests", "late")
        );
        world.crash();
    }
    assert_eq!(world.head.stats().exemplars, 4);
    world.head.truncate(NOW + 10).unwrap();
    assert!(traces(&*world.head, ALL).is_empty() && world.head.metadata().is_empty());
}

/// A checkpoint goes by references: one that the log still tells something of is not given out again.
#[test]
fn what_was_told_of_a_series_that_is_gone_is_not_told_of_one_that_comes_after_it() {
    let mut world = World::new();
    // Segments end with truncations, if they have something. The series of this are of another stripe than the others.
    let segment = |world: &World, i: i64, mint: Timestamp| {
        let [_, owner] = [(); 2].map(|()| world.head.new_owner());
        put(&*world.head, owner, NOW + i, &[("__name__=goes_on", Value::Float(1.0))]);
        world.head.truncate(mint).unwrap();
    };
    let owner = world.head.new_owner();
    put(&*world.head, owner, NOW, &[("__name__=requests", Value::Float(1.0))]);
    // The first two segments have its labels, and the checkpoint of them leaves these out; the third has what is told of it.
    (1..3).for_each(|i| segment(&world, i, NOW));
    extras(&*world.head, owner, NOW + 3, "gone");
    segment(&world, 4, NOW + 4);
    world.crash();
    let owner = world.head.new_owner();
    put(&*world.head, owner, NOW + 5, &[("__name__=other", Value::Float(1.0))]);
    (6..12).for_each(|i| segment(&world, i, NOW + 5));
    world.crash();
    assert_eq!(dump(&*world.head, ALL).len(), 7);
    assert_eq!(world.head.metadata(), []);
    assert!(world.head.exemplars(&[], ALL.0, ALL.1).unwrap().is_empty());
}

#[test]
fn a_range_of_the_head_has_its_histograms_and_no_others() {
    let world = World::new();
    let lines = fill(&*world.head, &world.clock, world.head.new_owner(), 0..150);
    let (mint, maxt) = (NOW + 1000 * SECOND, NOW + 2000 * SECOND);
    let range = world.head.range(mint, maxt);
    let mut got = Vec::new();
    for series in range.series().unwrap() {
        let series = series.unwrap();
        let labels = dumped_labels(&series.labels);
        for chunk in &series.chunks {
            let (mut floats, mut histograms) = (Samples::default(), Vec::new());
            if chunk.encoding.is_float() {
                chunk::decode(chunk.encoding, &chunk.data, ALL.0, ALL.1, &mut floats).unwrap();
            } else {
                chunk::decode_histograms(chunk.encoding, &chunk.data, ALL.0, ALL.1, &mut histograms).unwrap();
            }
            let times: Vec<_> = floats.t.iter().copied().chain(histograms.iter().map(|h| h.t)).collect();
            assert_eq!((times[0], times[times.len() - 1]), (chunk.mint, chunk.maxt));
            got.extend(
                floats
                    .t
                    .iter()
                    .zip(&floats.v)
                    .map(|(t, v)| format!("{labels} {} {t}", general(*v))),
            );
            got.extend(histograms.iter().map(|s| format!("{labels} {} {}", s.h, s.t)));
        }
    }
    got.sort();
    let inside = |line: &&String| {
        let t: Timestamp = line.rsplit(' ').next().unwrap().parse().unwrap();
        (mint..=maxt).contains(&t)
    };
    assert_eq!(got, lines.iter().filter(inside).cloned().collect::<Vec<_>>());
}

#[test]
fn deleted_histograms_are_gone_from_open_and_closed_chunks() {
    let mut world = World::new();
    let lines = fill(&*world.head, &world.clock, world.head.new_owner(), 0..60);
    let (mint, maxt) = (NOW + 600 * SECOND, NOW + 1200 * SECOND);
    assert_eq!(world.head.delete(&[Matcher::equal("job", "a")], mint, maxt).unwrap(), 6);
    let kept = |line: &&String| {
        let t: Timestamp = line.rsplit(' ').next().unwrap().parse().unwrap();
        !(mint..=maxt).contains(&t)
    };
    let kept: Vec<_> = lines.iter().filter(kept).cloned().collect();
    assert_same(&dump(&*world.head, ALL), &kept);
    world.crash();
    assert_same(&dump(&*world.head, ALL), &kept);
}

/// promtool 3.16, where it was built.
fn promtool() -> Option<PathBuf> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs/build");
    let output = Command::new(&build).args(["--where", "prometheus"]).output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let program = folder.join("promtool");
    program.is_file().then_some(program)
}

#[test]
fn promtool_reads_the_histograms_of_log_and_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let settings = Settings {
        retention_ms: 30 * 24 * 3600 * SECOND,
        block_range_ms: 20 * 60 * SECOND,
        ..Settings::default()
    };
    let db = Db::open(Parts {
        disk: Arc::new(RealDisk),
        path: dir.path().to_owned(),
        settings,
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(7)),
    })
    .unwrap();
    db.replay().unwrap();
    let owner = db.new_owner();
    let mut lines = Vec::new();
    for step in 0..32 {
        lines.extend(fill(&*db, &clock, owner, step * 10..step * 10 + 10));
        let _ = db.maintain();
        assert_eq!(db.health(), Ok(()));
    }
    lines.sort();
    assert_same(&dump(&*db, ALL), &lines);
    let blocks = db.blocks();
    println!("{} samples, {} blocks", lines.len(), blocks.len());
    assert!(
        blocks.iter().any(|b| b.meta().compaction.level > 1),
        "a compaction was done"
    );
    drop(blocks);
    db.close().unwrap();
    let Some(promtool) = promtool() else {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED in part: no promtool; `tests/programs/build prometheus` builds it"
        );
        return;
    };
    let output = Command::new(promtool)
        .args(["tsdb", "dump"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = String::from_utf8(output.stdout).unwrap();
    let mut theirs: Vec<String> = theirs.lines().map(str::to_owned).collect();
    theirs.sort();
    assert_same(&theirs, &lines);
}

#[test]
fn float_histograms_that_are_valid_are_taken() {
    let clock = Arc::new(ManualClock::at(NOW));
    let head = Head::new(Settings::default(), clock).unwrap();
    let h = AnyHistogram::Float(Arc::new(FloatHistogram {
        count: 0.5,
        sum: f64::NAN,
        ..FloatHistogram::default()
    }));
    let outcome = put(&*head, head.new_owner(), NOW, &[("__name__=h", Value::Histogram(h))]);
    assert_eq!(outcome.appended, 1);
    assert_eq!(
        dump(&*head, ALL),
        [format!("{{__name__=\"h\"}} {{count:0.5, sum:NaN}} {NOW}")]
    );
}
