//! What no scrape brings yet: native histograms and exemplars, appended through the port.

use crate::folder::Copied;
use crate::programs::{Release, assert_same_lines, leadline};
use crate::server::Server;
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::exemplar::Exemplar;
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram, Histogram, ResetHint, Span};
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, ExemplarEntry, Extras, HistogramEntry, Queryable, Slot};
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::RealDisk;
use rustix::process::Signal;
use std::path::Path;
use std::sync::Arc;

/// Time of the first sample, ms.
pub(crate) const BEGIN: i64 = 1_795_344_000_000;
/// Samples per series.
pub(crate) const SAMPLES: i64 = 400;
/// Time between two, ms.
pub(crate) const STEP: i64 = 15_000;

/// The series: a float, an integer histogram that is reset once, a float histogram, one with bounds of its own.
pub(crate) fn labels() -> Vec<Labels> {
    ["plain_total", "latency", "sizes", "classes"]
        .map(|name| Labels::from_pairs([("__name__", name), ("job", "port")]))
        .to_vec()
}

/// An integer histogram; every 250th begins again.
pub(crate) fn int(i: i64) -> AnyHistogram {
    let n = i % 250 + 1;
    AnyHistogram::Int(Arc::new(Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: n as u64,
        count: 6 * n as u64,
        sum: n as f64 * 1.25,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![n, 0, n],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![n],
        ..Histogram::default()
    }))
}

/// A gauge of floats.
pub(crate) fn float(i: i64) -> AnyHistogram {
    let v = i as f64 + 0.5;
    AnyHistogram::Float(Arc::new(FloatHistogram {
        reset: ResetHint::Gauge,
        schema: 0,
        zero_threshold: 1e-128,
        zero_count: v,
        count: 3.0 * v,
        sum: -v,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![v, v],
        ..FloatHistogram::default()
    }))
}

/// An integer histogram with bounds of its own.
pub(crate) fn custom(i: i64) -> AnyHistogram {
    AnyHistogram::Int(Arc::new(Histogram {
        schema: CUSTOM_BUCKETS,
        count: 3 * i as u64,
        sum: i as f64 / 3.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![i, i],
        custom_values: Arc::from([0.25, 1.0].as_slice()),
        ..Histogram::default()
    }))
}

fn exemplar(i: i64) -> Exemplar {
    Exemplar {
        labels: Labels::from_pairs([("trace_id", format!("t{i}"))]),
        t: BEGIN + i * STEP,
        v: i as f64 / 4.0,
    }
}

/// A store whose log is read, and the clock (ms) that it goes by.
pub(crate) fn open(path: &Path, settings: Settings, now: i64) -> (Arc<Db>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(now));
    let db = Db::open(Parts {
        disk: Arc::new(RealDisk),
        path: path.to_owned(),
        settings,
        clock: Arc::clone(&clock) as _,
        entropy: Arc::new(SeededEntropy::new(now as u64)),
    })
    .unwrap();
    db.replay().unwrap();
    (db, clock)
}

/// Writes a directory through the port, with a cut of the head on the way, and closes it.
pub(crate) fn write(path: &Path) {
    let settings = Settings {
        block_range_ms: 1_200_000,
        retention_ms: 86_400_000,
        ..Settings::default()
    };
    let (db, clock) = open(path, settings, BEGIN);
    let owner = db.new_owner();
    let mut refs = Vec::new();
    for i in 0..SAMPLES {
        let t = BEGIN + i * STEP;
        clock.set(t);
        let slot = |n: u32| match refs.get(n as usize) {
            Some(Some(series)) => Slot::Known(*series),
            _ => Slot::New(n),
        };
        let histogram = |n, h| HistogramEntry { series: slot(n), t, h };
        let exemplar = ExemplarEntry {
            series: slot(0),
            exemplar: exemplar(i),
        };
        let batch = Batch {
            owner,
            slot: t,
            attempt: Attempt::Good,
            created: if i == 0 { labels() } else { Vec::new() },
            entries: vec![Entry {
                series: slot(0),
                t,
                v: i as f64,
            }],
            extras: Extras {
                histograms: vec![histogram(1, int(i)), histogram(2, float(i)), histogram(3, custom(i))],
                exemplars: if i % 10 == 0 { vec![exemplar] } else { Vec::new() },
                ..Extras::default()
            },
        };
        let outcome = db.commit(&batch).unwrap();
        assert!(
            outcome.refused.is_empty() && outcome.refused_histograms.is_empty(),
            "{outcome:?}"
        );
        if i == 0 {
            refs = outcome.refs;
        }
        if i % 40 == 0 {
            let done = db.maintain();
            assert!(done.failures.is_empty(), "{done:?}");
        }
    }
    db.close().unwrap();
}

#[tokio::test]
async fn native_histograms_and_exemplars_are_read_by_the_newest_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data);
    leadline(&["verify"], &data);
    let ours = leadline(&["dump"], &data);
    assert_eq!(ours.lines().count() as i64, 4 * SAMPLES);
    assert!(!crate::folder::metas(&data).is_empty(), "a part is in blocks");
    for release in Release::all().iter().filter(|release| release.is_newest()) {
        assert_same_lines("dump", &ours, &release.promtool(&["dump"], &data));
        println!(
            "Prometheus {}: {} lines of the dump are the same",
            release.name,
            ours.lines().count()
        );
        compare_exemplars(release, &data).await;
    }
}

async fn compare_exemplars(release: &Release, data: &Path) {
    let copy = Copied::of(data);
    let flags = [
        "--enable-feature=exemplar-storage",
        "--storage.tsdb.retention.time=100y",
    ];
    let server = Server::start(release, &copy.path(), copy.beside(), "global: {}\n", &flags).await;
    let (start, end) = (BEGIN.to_string(), (BEGIN + SAMPLES * STEP).to_string());
    let parameters = [("query", "plain_total"), ("start", &start[..10]), ("end", &end[..10])];
    let theirs = server.result("/api/v1/query_exemplars", &parameters).await;
    server.end(Signal::TERM).await;
    let store = Db::read_only(Arc::new(RealDisk), data, Arc::new(ManualClock::at(BEGIN))).unwrap();
    let matcher = leadline_model::Matcher::equal("__name__", "plain_total");
    let ours = store.exemplars(&[matcher], BEGIN, BEGIN + SAMPLES * STEP).unwrap();
    // Prometheus forgets those that are older than its newest block.
    let blocks = crate::folder::metas(data);
    let newest = blocks.iter().filter_map(|meta| meta["maxTime"].as_i64()).max().unwrap();
    let kept = ours
        .iter()
        .flat_map(|(_, all)| all)
        .filter(|exemplar| exemplar.t >= newest);
    let ours: Vec<(String, f64)> = kept
        .map(|e| (e.labels.get("trace_id").unwrap_or("").to_owned(), e.v))
        .collect();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let theirs: Vec<(String, f64)> = theirs[0]["exemplars"]
        .as_array()
        .unwrap_or_else(|| panic!("no exemplars: {theirs}"))
        .iter()
        .map(|e| (text(&e["labels"]["trace_id"]), text(&e["value"]).parse().unwrap()))
        .collect();
    assert_eq!(ours, theirs);
    assert!(!ours.is_empty());
}
