//! Native histograms that come out of order: in the head, over crashes, in blocks, merged with those of their time, and as
//! Prometheus' own tool reads them.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, Histogram, ResetHint, Span};
use leadline_model::labels::Labels;
use leadline_model::number::general;
use leadline_model::port::{
    Appender, Attempt, Batch, Entry, Extras, HistogramEntry, Outcome, Queryable, Refusal, Slot,
};
use leadline_model::sample::{STALE_NAN, Samples, Timestamp};
use leadline_storage::Settings;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use stores::{MINUTE, RANGE, Store};

#[derive(Clone)]
enum Value {
    Float(f64),
    Histogram(AnyHistogram),
}

const SERIES: [&str; 5] = ["int", "float", "gauge", "custom", "mixed"];

/// What a series has at a time. Counters begin again every 37 minutes; between two minutes they are higher than after.
fn value(series: &str, t: Timestamp) -> Value {
    let n = (t / MINUTE % 37) as u64 + if t % MINUTE == 0 { 1 } else { 20 };
    let int = |schema: i32, reset| Histogram {
        schema,
        reset,
        count: 3 * n,
        sum: t as f64 / 7.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n as i64, n as i64],
        custom_values: if schema == CUSTOM_BUCKETS {
            Arc::from([0.5, 2.5])
        } else {
            Arc::default()
        },
        ..Histogram::default()
    };
    let kind = match (series, t / (5 * MINUTE) % 3) {
        ("mixed", 0) => return Value::Float(n as f64),
        ("mixed", 1) => "int",
        ("mixed", _) => "float",
        (series, _) => series,
    };
    Value::Histogram(match kind {
        "float" => AnyHistogram::Float(Arc::new(int(2, ResetHint::Unknown).to_float())),
        "gauge" => AnyHistogram::Int(Arc::new(int(0, ResetHint::Gauge))),
        "custom" => AnyHistogram::Int(Arc::new(int(CUSTOM_BUCKETS, ResetHint::Unknown))),
        _ => AnyHistogram::Int(Arc::new(int(2, ResetHint::Unknown))),
    })
}

fn line(series: &str, t: Timestamp, value: &Value) -> String {
    match value {
        Value::Float(v) => format!("{{__name__={series:?}}} {} {t}", general(*v)),
        Value::Histogram(h) => format!("{{__name__={series:?}}} {h} {t}"),
    }
}

fn put(store: &Store, t: Timestamp, values: &[(&str, Value)]) -> Outcome {
    let mut batch = Batch {
        owner: store.db.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        created: values.iter().map(|v| Labels::from_pairs([("__name__", v.0)])).collect(),
        entries: Vec::new(),
        extras: Extras::default(),
    };
    for (i, (_, value)) in values.iter().enumerate() {
        let series = Slot::New(i as u32);
        match value.clone() {
            Value::Float(v) => batch.entries.push(Entry { series, t, v }),
            Value::Histogram(h) => batch.extras.histograms.push(HistogramEntry { series, t, h }),
        }
    }
    store.db.commit(&batch).unwrap()
}

struct Filled {
    store: Store,
    /// What a dump must have.
    lines: BTreeSet<String>,
}

impl Filled {
    fn new() -> Self {
        let store = Store::new(Settings {
            out_of_order_window_ms: 3 * RANGE,
            ..stores::small()
        });
        Self {
            store,
            lines: BTreeSet::new(),
        }
    }

    /// All series get their value of a time.
    fn at(&mut self, t: Timestamp) {
        if t > leadline_model::clock::Clock::now(self.store.clock.as_ref()) {
            self.store.clock.set(t);
        }
        let values = SERIES.map(|series| (series, value(series, t)));
        let outcome = put(&self.store, t, &values);
        assert_eq!(
            (outcome.appended, outcome.refused_histograms),
            (SERIES.len(), vec![]),
            "at {t}"
        );
        self.lines
            .extend(values.iter().map(|(series, value)| line(series, t, value)));
    }

    /// Minutes, and half of those between `behind` minutes later.
    fn minutes(&mut self, minutes: std::ops::Range<i64>, behind: i64) {
        for minute in minutes {
            self.at(minute * MINUTE);
            if minute >= behind {
                self.at((minute - behind) * MINUTE + MINUTE / 2);
            }
        }
    }

    fn check(&self, when: &str) {
        let found = dump(self.store.db.as_ref());
        let missing: Vec<_> = self.lines.difference(&found).take(5).collect();
        let extra: Vec<_> = found.difference(&self.lines).take(5).collect();
        assert!(found == self.lines, "{when}: missing {missing:#?}, extra {extra:#?}");
    }
}

/// Everything that a store has, as `promtool tsdb dump` prints it. A histogram that says that its counter did not begin
/// again must be right.
fn dump(store: &dyn Queryable) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for series in SERIES {
        let matcher = [leadline_model::matcher::Matcher::equal("__name__", series)];
        let set = store.select(&matcher, i64::MIN, i64::MAX, true).unwrap();
        let (mut floats, mut histograms) = (Samples::default(), Vec::new());
        for i in 0..set.len() {
            set.read(i, i64::MIN, i64::MAX, &mut floats).unwrap();
            set.read_histograms(i, i64::MIN, i64::MAX, &mut histograms).unwrap();
            let newest = set.newest(i, i64::MIN, i64::MAX).unwrap().map(|s| s.t);
            assert_eq!(newest, floats.t.last().copied(), "{series}");
        }
        let all = floats.t.iter().zip(&floats.v);
        lines.extend(all.map(|(&t, &v)| line(series, t, &Value::Float(v))));
        lines.extend(
            histograms
                .iter()
                .map(|s| line(series, s.t, &Value::Histogram(s.h.clone()))),
        );
        for pair in histograms.windows(2) {
            if let (AnyHistogram::Int(a), AnyHistogram::Int(b)) = (&pair[0].h, &pair[1].h)
                && b.reset == ResetHint::NotReset
            {
                assert!(
                    a.count <= b.count,
                    "{series}: {} and {} do not follow",
                    pair[0].t,
                    pair[1].t
                );
            }
        }
    }
    lines
}

#[test]
fn histograms_out_of_order_are_there_at_once_and_after_a_crash() {
    let mut filled = Filled::new();
    filled.minutes(0..50, 17);
    filled.check("in the head");
    assert_eq!(filled.store.db.stats().head.out_of_order, 33 * SERIES.len() as u64);
    for seed in 0..4 {
        filled.store.db.sync().unwrap();
        if seed % 2 == 1 {
            filled.store.db.maintain();
        }
        filled.store.crash(seed);
        filled.check("after a crash");
        filled.minutes(50 + seed as i64..51 + seed as i64, 17);
    }
    filled.check("behind the crashes");
}

#[test]
fn what_is_there_already_is_not_taken_twice_and_another_value_is_refused() {
    let mut filled = Filled::new();
    filled.minutes(0..40, 10);
    let late = 29 * MINUTE + MINUTE / 2;
    for series in SERIES {
        let again = put(&filled.store, late, &[(series, value(series, late))]);
        assert_eq!((again.appended, again.refused_histograms), (0, vec![]), "{series}");
    }
    let other = put(&filled.store, late, &[("int", value("int", 0))]);
    assert_eq!(other.refused_histograms, [(0, Refusal::Duplicate)]);
    let old = put(
        &filled.store,
        40 * MINUTE - 3 * RANGE - 2 * MINUTE,
        &[("int", value("int", 0))],
    );
    assert_eq!(old.refused_histograms, [(0, Refusal::TooOld)]);
    filled.check("unchanged");
}

#[test]
fn late_stale_markers_are_refused_where_the_batch_wants_it_and_nothing_else_is() {
    let filled = Filled::new();
    filled.store.clock.set(30 * MINUTE);
    let db = &filled.store.db;
    for series in ["int", "plain"] {
        let values = |n| match series {
            "int" => value("int", n),
            _ => Value::Float(n as f64),
        };
        put(&filled.store, 30 * MINUTE, &[(series, values(0))]);
        let late = |t: Timestamp, v: f64| {
            let batch = Batch {
                owner: db.new_owner(),
                slot: t,
                attempt: Attempt::Good,
                created: vec![Labels::from_pairs([("__name__", series)])],
                entries: vec![Entry {
                    series: Slot::New(0),
                    t,
                    v,
                }],
                extras: Extras {
                    refuse_late_markers: true,
                    ..Extras::default()
                },
            };
            let outcome = db.commit(&batch).unwrap();
            (outcome.appended, outcome.refused)
        };
        assert_eq!(
            late(20 * MINUTE, STALE_NAN),
            (0, vec![(0, Refusal::OutOfOrder)]),
            "{series}"
        );
        assert_eq!(late(21 * MINUTE, 1.0), (1, vec![]), "{series}");
        assert_eq!(late(31 * MINUTE, STALE_NAN), (1, vec![]), "{series}: in order");
    }
}

#[test]
fn a_late_stale_marker_of_a_series_of_histograms_is_one_of_its_kind() {
    let filled = Filled::new();
    filled.store.clock.set(30 * MINUTE);
    for series in ["int", "float"] {
        put(&filled.store, 30 * MINUTE, &[(series, value(series, 0))]);
        let outcome = put(&filled.store, 20 * MINUTE, &[(series, Value::Float(STALE_NAN))]);
        assert_eq!((outcome.appended, outcome.refused), (1, vec![]));
        let set = filled
            .store
            .db
            .select(
                &[leadline_model::matcher::Matcher::equal("__name__", series)],
                0,
                i64::MAX,
                true,
            )
            .unwrap();
        let mut histograms = Vec::new();
        set.read_histograms(0, 0, i64::MAX, &mut histograms).unwrap();
        assert_eq!(histograms.len(), 2);
        assert!(histograms[0].h.is_stale() && histograms[0].t == 20 * MINUTE);
        assert_eq!(matches!(histograms[0].h, AnyHistogram::Float(_)), series == "float");
    }
}

#[test]
fn histograms_out_of_order_become_blocks_that_are_merged_and_promtool_reads_them() {
    let mut filled = Filled::new();
    for minute in 0..170 {
        filled.minutes(minute..minute + 1, 45);
        filled.store.db.maintain();
        assert_eq!(filled.store.db.health(), Ok(()));
        if minute % 13 == 0 {
            filled.check(&format!("at minute {minute}"));
        }
        if minute == 90 {
            filled.store.db.sync().unwrap();
            filled.store.crash(5);
        }
    }
    let stats = filled.store.db.stats();
    assert!(stats.out_of_order_compactions > 0 && stats.compactions > 0, "{stats:?}");
    filled.store.restart();
    filled.check("after a restart");
    filled.store.db.close().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in filled.store.files() {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
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
        .arg(dir.path().join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = filled.lines.difference(&theirs).take(5).collect();
    assert!(theirs == filled.lines, "promtool misses {missing:#?}");
    println!("promtool read {} samples", theirs.len());
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
fn the_newest_floats_are_there_when_a_histogram_of_their_time_came_late() {
    let filled = Filled::new();
    let store = &filled.store;
    // More of them than lie between two places at which an open chunk can be read from.
    for second in 1..=100 {
        store.clock.set(second * 1_000);
        put(store, second * 1_000, &[("mixed", Value::Float(second as f64))]);
    }
    let late = value("int", MINUTE);
    put(store, 97_500, &[("mixed", late)]);
    let matcher = [leadline_model::matcher::Matcher::equal("__name__", "mixed")];
    let set = store.db.select(&matcher, 96_000, 100_000, true).unwrap();
    let (mut floats, mut histograms) = (Samples::default(), Vec::new());
    set.read(0, 96_000, 100_000, &mut floats).unwrap();
    set.read_histograms(0, 96_000, 100_000, &mut histograms).unwrap();
    assert_eq!(floats.t, [96_000, 97_000, 98_000, 99_000, 100_000]);
    assert_eq!(floats.v, [96.0, 97.0, 98.0, 99.0, 100.0]);
    assert_eq!(histograms.iter().map(|h| h.t).collect::<Vec<_>>(), [97_500]);
}
