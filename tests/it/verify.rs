//! `leadline tsdb verify`: whatever is damaged in a directory is found and named.

use crate::world::{printed, run};
use leadline_model::Matcher;
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::RealDisk;
use leadline_storage::wal::{Wal, record::RecordType};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Time of the first sample, ms; where a block begins.
const BEGIN: i64 = 1_795_344_000_000;
const STEP: i64 = 15_000;
/// Time that a block spans, ms.
const RANGE: i64 = 1_200_000;
/// Length of the log's segments, bytes.
const SEGMENT: u64 = 65_536;
/// Series, and samples of each.
const SERIES: u32 = 5;
const SAMPLES: i64 = 400;

fn open(path: &Path, now: i64) -> (Arc<Db>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(now));
    let db = Db::open(Parts {
        disk: Arc::new(RealDisk),
        path: path.to_owned(),
        settings: Settings {
            block_range_ms: RANGE,
            retention_ms: 86_400_000,
            out_of_order_window_ms: RANGE,
            wal_segment_bytes: SEGMENT,
            ..Settings::default()
        },
        clock: Arc::clone(&clock) as _,
        entropy: Arc::new(SeededEntropy::new(now as u64)),
    })
    .unwrap();
    db.replay().unwrap();
    (db, clock)
}

/// Commits the samples with these numbers, `back` ms before their time.
fn commit(db: &Db, clock: &ManualClock, samples: std::ops::Range<i64>, back: i64, maintained: bool) {
    let owner = db.new_owner();
    for i in samples {
        let t = BEGIN + i * STEP;
        clock.set(t);
        let labels = |n: u32| Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]);
        let entry = |n: u32| Entry {
            series: Slot::New(n),
            t: t - back,
            v: (i * i64::from(n)) as f64,
        };
        let outcome = db.commit(&Batch {
            owner,
            slot: t,
            attempt: Attempt::Good,
            created: (0..SERIES).map(labels).collect(),
            entries: (0..SERIES).map(entry).collect(),
            extras: Extras::default(),
        });
        assert!(outcome.unwrap().refused.is_empty(), "sample {i}, {back} ms late");
        if maintained && i % 20 == 0 {
            let done = db.maintain();
            assert!(done.failures.is_empty(), "{done:?}");
        }
    }
}

/// A directory with everything that there can be in one, closed.
fn write(path: &Path) {
    let (db, clock) = open(path, BEGIN);
    commit(&db, &clock, 0..SAMPLES, 0, true);
    db.head().map_chunks().unwrap();
    db.close().unwrap();
    // Each time that it is open begins a file of mapped chunks, and 32 late samples make a chunk.
    let (db, clock) = open(path, BEGIN + SAMPLES * STEP);
    commit(&db, &clock, SAMPLES - 50..SAMPLES, 7_000, false);
    commit(&db, &clock, SAMPLES..SAMPLES + 30, 0, false);
    db.head().map_chunks().unwrap();
    db.close().unwrap();
    let (db, clock) = open(path, BEGIN + (SAMPLES + 30) * STEP);
    commit(&db, &clock, SAMPLES - 20..SAMPLES + 20, 3_000, false);
    db.head().map_chunks().unwrap();
    let one = [Matcher::equal("n", "1")];
    db.delete_series(&one, BEGIN, BEGIN + 100 * STEP).unwrap();
    db.close().unwrap();
}

/// The files below `dir` whose path ends as `like` says, sorted; the folders in it may be patterns with a `*` at their end.
fn files(dir: &Path, like: &str) -> Vec<PathBuf> {
    let Some((folder, rest)) = like.split_once('/') else {
        let matches = |name: &str| name == like || like == "*" && name.bytes().all(|b| b.is_ascii_digit());
        return entries(dir)
            .into_iter()
            .filter(|path| matches(last(path)) && path.is_file())
            .collect();
    };
    let matches = |name: &str| match folder.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == folder,
    };
    let folders = entries(dir)
        .into_iter()
        .filter(|path| path.is_dir() && matches(last(path)));
    folders.flat_map(|folder| files(&folder, rest)).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

fn last(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap()
}

/// Runs `verify`: its exit code and all that it printed.
async fn verify(data: &Path) -> (Option<i32>, String) {
    let output = run(&["tsdb", "verify", data.to_str().unwrap()]).await;
    (output.status.code(), printed(&output))
}

/// Damages the byte at `at` of a file, runs `verify`, and makes it good again.
async fn flipped(data: &Path, file: &Path, at: usize) {
    let whole = std::fs::read(file).unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= 0x01;
    std::fs::write(file, &bytes).unwrap();
    let (code, text) = verify(data).await;
    std::fs::write(file, &whole).unwrap();
    assert_eq!(
        code,
        Some(1),
        "byte {at} of {} in {}:\n{text}",
        whole.len(),
        file.display()
    );
    assert_named(&text, file);
}

/// Holds a line to the form `FILE: damaged at offset N: expected …, got …`.
fn assert_named(text: &str, file: &Path) {
    let begin = format!("{}: damaged at offset ", file.display());
    let line = text.lines().find_map(|line| line.strip_prefix(&begin));
    let parts = line.and_then(|line| {
        let (offset, rest) = line.split_once(": expected ")?;
        Some((offset.parse::<u64>().ok()?, rest.split_once(", got ")?))
    });
    assert!(
        parts.is_some_and(|(_, (expected, got))| !expected.is_empty() && !got.is_empty()),
        "no line that begins with {begin:?}, then says the offset, what was expected and what is there:\n{text}"
    );
}

/// The first byte from `at` on that is not 0: what is 0 may be padding, which nobody reads.
fn meant(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().position(|&b| b != 0).unwrap()
}

#[tokio::test]
async fn a_flipped_byte_in_any_file_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data);
    let (code, text) = verify(&data).await;
    assert_eq!(code, Some(0), "{text}");
    for part in ["wal: ok: ", "wbl: ok: ", "wal/checkpoint.", "chunks_head: ok: "] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    for like in [
        "wal/*",
        "wbl/*",
        "wal/checkpoint.*/*",
        "chunks_head/*",
        "01*/index",
        "01*/chunks/*",
        "01*/tombstones",
    ] {
        let all = files(&data, like);
        let largest = all.iter().max_by_key(|path| path.metadata().unwrap().len());
        let file = largest.unwrap_or_else(|| panic!("no {like} in {}", data.display()));
        let bytes = std::fs::read(file).unwrap();
        let end = bytes.iter().rposition(|&b| b != 0).unwrap();
        flipped(&data, file, meant(&bytes, end / 2)).await;
        // What ends a log is what a kill may have torn. Nothing else is.
        if !matches!(like, "wal/*" | "wbl/*") {
            flipped(&data, file, end).await;
        }
    }
    for file in files(&data, "01*/meta.json") {
        let text = std::fs::read_to_string(&file).unwrap();
        for key in ["\"numSamples\": ", "\"numChunks\": ", "\"numSeries\": "] {
            let digits = text.find(key).unwrap() + key.len();
            flipped(&data, &file, digits).await;
        }
        flipped(&data, &file, text.find('{').unwrap()).await;
    }
}

#[tokio::test]
async fn a_mapped_file_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data);
    let mapped = files(&data, "chunks_head/*");
    assert!(mapped.len() > 1, "{mapped:?}");
    let file = mapped.last().unwrap();
    let number: u32 = last(file).parse().unwrap();
    std::fs::rename(file, file.with_file_name(format!("{:06}", number + 1))).unwrap();
    let (code, text) = verify(&data).await;
    assert_eq!(code, Some(1), "{text}");
    assert_named(&text, file);
}

#[tokio::test]
async fn a_checkpoint_that_ends_early_is_not_taken_for_torn() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write(&data);
    let checkpoint = files(&data, "wal/checkpoint.*/*").remove(0);
    let bytes = std::fs::read(&checkpoint).unwrap();
    let end = bytes.iter().rposition(|&b| b != 0).unwrap();
    std::fs::write(&checkpoint, &bytes[..end]).unwrap();
    let (code, text) = verify(&data).await;
    assert_eq!(code, Some(1), "{text}");
    assert_named(&text, &checkpoint);
}

#[tokio::test]
async fn a_histogram_that_ends_inside_its_record_is_named_though_the_checksum_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut log = Wal::open(Arc::new(RealDisk), &data.join("wal"), SEGMENT).unwrap();
    // Series 0 at 0, then of the one histogram its difference to both and its hint, and nothing more.
    let mut record = vec![RecordType::Histograms as u8];
    record.extend_from_slice(&[0; 16 + 3]);
    log.log(&[&record]).unwrap();
    log.close().unwrap();
    let (code, text) = verify(&data).await;
    assert_eq!(code, Some(1), "{text}");
    assert_named(&text, &files(&data, "wal/*")[0]);
}

#[tokio::test]
async fn records_of_a_newer_version_are_counted_and_named_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut log = Wal::open(Arc::new(RealDisk), &data.join("wal"), SEGMENT).unwrap();
    let newer: [&[u8]; 4] = [&[200, 1], &[2], &[200, 2], &[15, 3]];
    log.log(&newer).unwrap();
    log.close().unwrap();
    let (code, text) = verify(&data).await;
    assert_eq!(code, Some(1), "{text}");
    let file = files(&data, "wal/*")[0].display().to_string();
    // Each fragment has 7 bytes before its record.
    for (offset, of_type, records) in [(0, 200, 2), (26, 15, 1)] {
        let line = format!("{file}: at offset {offset}: record type {of_type} is not known, expected 1 to 14");
        let found = text.lines().find(|found| found.starts_with(&line));
        let counted = found.is_some_and(|found| found.ends_with(&format!(": {records} such records")));
        assert!(counted, "{line:?} in\n{text}");
    }
    assert!(text.contains("3 records were written by a newer version"), "{text}");
    assert!(!text.contains("wal: ok"), "{text}");
}
