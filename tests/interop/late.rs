//! A store that ends before its head was ever cut: what came out of order is in a log of its own, full chunks are in mapped
//! files, and there is no block.

use crate::answers::Queries;
use crate::port::{BEGIN, STEP, custom, float, int, labels, open};
use crate::programs::{Release, assert_same_lines, leadline};
use leadline_model::histogram::AnyHistogram;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, HistogramEntry, SeriesRef, Slot};
use leadline_storage::Settings;
use leadline_storage::db::Db;
use std::ops::Range;
use std::path::Path;

/// Samples of each series in order: three full chunks of 120 and a part of one.
const SAMPLES: i64 = 400;
/// The one before which the store is closed and opened again.
const RESTART: i64 = 250;
/// The first one beside which another comes late.
const FIRST_LATE: i64 = 8;
/// Samples of each series out of order: four full chunks of 32 and a part of one.
const LATE: i64 = 131;
/// How far back they may be, ms.
const WINDOW: i64 = 3_600_000;

/// What `promtool` has no flag for: nothing is too old.
const FOREVER: [&str; 1] = ["--storage.tsdb.retention.time=100y"];

/// What the series hold besides floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floats,
    Histograms,
}

/// The time of the late sample beside sample `i`: between two others, and none like another. Later ones may be older.
fn late_time(i: i64) -> Option<i64> {
    let is_late = i >= FIRST_LATE && (i - FIRST_LATE) % 3 == 0;
    is_late.then(|| BEGIN + i * STEP - i % 5 * 37_000 - 7_000)
}

/// The n-th series' sample `i` at `t`.
fn put(batch: &mut Batch, n: u32, series: Slot, kind: Kind, i: i64, t: i64) {
    let histogram: Option<AnyHistogram> = match (kind, n) {
        (Kind::Floats, _) | (Kind::Histograms, 0) => None,
        (_, 1) => Some(int(i)),
        (_, 2) => Some(float(i)),
        _ => Some(custom(i)),
    };
    match histogram {
        Some(h) => batch.extras.histograms.push(HistogramEntry { series, t, h }),
        None => batch.entries.push(Entry {
            series,
            t,
            v: (i * i64::from(n + 1)) as f64 + if t % STEP == 0 { 0.0 } else { 0.5 },
        }),
    }
}

/// Opens the store, commits some of the samples, writes full chunks away on the way, and closes it.
fn session(path: &Path, kind: Kind, samples: Range<i64>) {
    let settings = Settings {
        out_of_order_window_ms: WINDOW,
        retention_ms: 86_400_000,
        ..Settings::default()
    };
    let (db, clock) = open(path, settings, BEGIN + samples.start * STEP);
    let owner = db.new_owner();
    let mut refs: Vec<Option<SeriesRef>> = Vec::new();
    for i in samples {
        clock.set(BEGIN + i * STEP);
        let mut batch = Batch {
            owner,
            slot: BEGIN + i * STEP,
            attempt: Attempt::Good,
            created: if refs.is_empty() { labels() } else { Vec::new() },
            entries: Vec::new(),
            extras: Extras::default(),
        };
        for n in 0..4 {
            let series = refs
                .get(n as usize)
                .copied()
                .flatten()
                .map_or(Slot::New(n), Slot::Known);
            put(&mut batch, n, series, kind, i, BEGIN + i * STEP);
            if let Some(t) = late_time(i) {
                put(&mut batch, n, series, kind, i, t);
            }
        }
        let outcome = db.commit(&batch).unwrap();
        assert!(
            outcome.refused.is_empty() && outcome.refused_histograms.is_empty(),
            "{outcome:?}"
        );
        if refs.is_empty() {
            refs = outcome.refs;
        }
        if i % 50 == 0 {
            write_away(&db);
        }
    }
    write_away(&db);
    db.close().unwrap();
}

/// What a store in service does about once a minute, but for the blocks.
fn write_away(db: &Db) {
    db.flush().unwrap();
    db.head().map_chunks().unwrap();
    db.sync().unwrap();
}

/// The number between two words of what a command printed.
fn figure(text: &str, before: &str, behind: &str) -> i64 {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(behind));
    let number = found.and_then(|(number, _)| number.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number between {before:?} and {behind:?} in\n{text}"))
}

/// Holds dumps and answers of `releases` to leadline's.
async fn trial(kind: Kind, releases: &[Release]) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    session(&data, kind, 0..RESTART);
    session(&data, kind, RESTART..SAMPLES);
    assert!(crate::folder::metas(&data).is_empty(), "nothing is in blocks");
    let verified = leadline(&["verify"], &data);
    println!("{kind:?}:\n{verified}");
    assert!(figure(&verified, "wbl: ok: ", " records") > 0);
    let mapped = figure(&verified, "chunks_head: ok: ", " chunks");
    let full = 4 * (SAMPLES / 120 + LATE / 32);
    assert!(mapped >= full, "{mapped} chunks are mapped, {full} are full");

    let ours = leadline(&["dump"], &data);
    assert_eq!(ours.lines().count() as i64, 4 * (SAMPLES + LATE));
    // Between two samples, so that it does not matter to which window an instant belongs that ends one.
    let at = format!("{}.100", (BEGIN + SAMPLES * STEP) / 1000);
    let texts: &[&str] = match kind {
        Kind::Floats => &[
            "{job=\"port\"}[3h]",
            "sum(last_over_time({job=\"port\"}[90m]))",
            "sum_over_time(classes[90m])",
            "rate(plain_total[1h])",
        ],
        Kind::Histograms => &[
            "{job=\"port\"}[3h]",
            "count by (__name__) (last_over_time({job=\"port\"}[90m]))",
            "count_over_time(latency[90m])",
            "rate(latency[1h])",
            "histogram_count(increase(classes[1h]))",
        ],
    };
    let queries = Queries { texts, at: &at };
    let expected = queries.to_leadline(&data, &FOREVER).await;
    for release in releases {
        assert_same_lines(
            &format!("dump of {}", release.name),
            &ours,
            &release.promtool(&["dump"], &data),
        );
        queries.compare(release, &data, &FOREVER, &expected).await;
        println!(
            "Prometheus {}: {} lines of the dump and {} answers are the same",
            release.name,
            ours.lines().count(),
            expected.len()
        );
    }
}

#[tokio::test]
async fn floats_out_of_order_and_mapped_chunks_are_read_by_prometheus() {
    trial(Kind::Floats, &Release::all()).await;
}

#[tokio::test]
async fn histograms_out_of_order_and_mapped_chunks_are_read_by_the_newest_prometheus() {
    let newest: Vec<Release> = Release::newest().into_iter().collect();
    trial(Kind::Histograms, &newest).await;
}
