//! Reading a directory that another process has open and goes on with.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_model::sample::STALE_NAN;
use leadline_storage::Settings;
use leadline_storage::StorageError;
use leadline_storage::block::Ulid;
use leadline_storage::db::{Db, ReadOnly};
use leadline_storage::disk::{Disk, MemoryDisk, WatchedDisk};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use stores::{MINUTE, RANGE, Store};

const DATA: &str = "data";

/// Reads a store's directory; `watcher` is told of everything that is read.
fn read(store: &Store, watcher: impl Fn(&Path) + Send + Sync + 'static) -> Result<ReadOnly, StorageError> {
    let disk = Arc::new(WatchedDisk::new(store.disk.clone(), watcher));
    Db::read_only(disk, Path::new(DATA), store.clock.clone())
}

/// Two series of which one has ended.
fn with_ended_series() -> Store {
    let store = Store::new(Settings {
        stale_after_ms: 5 * MINUTE,
        stale_min_series: 1,
        ..stores::small()
    });
    store.write("a", 0..3);
    store.write_value("a", 3, STALE_NAN);
    store.write("b", 0..12);
    store
}

/// Four segments of log, of which the first ones go with a cut.
fn with_ranges_to_cut() -> Store {
    let mut store = Store::new(stores::small());
    for ten in 0..5 {
        store.write("a", ten * 10..ten * 10 + 10);
        store.write("b", ten * 10..ten * 10 + 10);
        // Every run begins a segment.
        store.restart();
    }
    store
}

/// Samples that came out of order, and a clock that makes them due.
fn with_late_samples() -> Store {
    let store = Store::new(Settings {
        out_of_order_window_ms: 2 * RANGE,
        ..stores::small()
    });
    store.write("a", 20..25);
    store.write("a", 0..20);
    store.write("b", 0..25);
    store
}

/// The values of both series.
fn values(from: &ReadOnly) -> [Vec<i64>; 2] {
    ["a", "b"].map(|name| {
        let samples = stores::read_all(from, name);
        samples.into_iter().map(|(t, _)| t / MINUTE).collect()
    })
}

/// What moves samples while a directory is read.
struct Move {
    what: &'static str,
    store: fn() -> Store,
    make: fn(&Db) -> Result<(), StorageError>,
    /// Blocks that come of it.
    blocks: usize,
    /// Whether a checkpoint takes the place of segments.
    checkpoint: bool,
    /// How many minutes the series have samples of.
    minutes: [i64; 2],
}

fn maintain(db: &Db) -> Result<(), StorageError> {
    let done = db.maintain();
    assert_eq!(done.failures, [] as [String; 0]);
    db.flush()
}

const MOVES: [Move; 4] = [
    Move {
        what: "stale series",
        store: with_ended_series,
        make: maintain,
        blocks: 1,
        checkpoint: false,
        minutes: [4, 12],
    },
    Move {
        what: "a cut of the head",
        store: with_ranges_to_cut,
        make: maintain,
        blocks: 1,
        checkpoint: true,
        minutes: [50, 50],
    },
    Move {
        what: "late samples",
        store: with_late_samples,
        make: maintain,
        blocks: 1,
        checkpoint: false,
        minutes: [25, 25],
    },
    Move {
        what: "a checkpoint",
        store: with_ranges_to_cut,
        make: |db| db.head().truncate(0).map(drop),
        blocks: 0,
        checkpoint: true,
        minutes: [50, 50],
    },
];

/// What is found where the move is made before the read `at`; `None` where there are not so many.
fn found_around(case: &Move, at: usize) -> Option<Result<ReadOnly, StorageError>> {
    let store = (case.store)();
    store.db.sync().unwrap();
    let (db, make) = (Arc::clone(&store.db), case.make);
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let found = read(&store, move |_| {
        if counted.fetch_add(1, Ordering::Relaxed) == at {
            make(&db).unwrap();
        }
    });
    if reads.load(Ordering::Relaxed) <= at {
        return None;
    }
    let log = store.disk.list(Path::new("data/wal")).unwrap();
    let checkpoint = log.iter().any(|entry| entry.name.starts_with("checkpoint."));
    assert_eq!(
        (store.blocks().len(), checkpoint),
        (case.blocks, case.checkpoint),
        "{}",
        case.what
    );
    Some(found)
}

#[test]
fn nothing_is_missing_whenever_samples_move_while_a_directory_is_read() {
    for case in &MOVES {
        let mut reads = 0;
        while let Some(found) = found_around(case, reads) {
            let found = found.unwrap();
            let what = format!("{}, before read {reads}", case.what);
            assert_eq!(
                values(&found),
                case.minutes.map(|n| (0..n).collect::<Vec<_>>()),
                "{what}"
            );
            assert_eq!((found.damaged(), &found.replayed().lost), (vec![], &vec![]), "{what}");
            reads += 1;
        }
        assert!(reads > 10, "{}: {reads} reads", case.what);
    }
}

#[test]
fn a_directory_that_changes_as_often_as_it_is_read_is_refused() {
    let store = Store::new(stores::small());
    store.write("a", 0..3);
    store.db.sync().unwrap();
    let (disk, n): (Arc<MemoryDisk>, _) = (store.disk.clone(), AtomicI64::new(0));
    let error = read(&store, move |path| {
        if path.ends_with("chunks_head") {
            let ulid = Ulid::new(n.fetch_add(1, Ordering::Relaxed), &SeededEntropy::new(1));
            disk.create_dir_all(&Path::new(DATA).join(ulid.to_string())).unwrap();
        }
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("changes while it is read: take a snapshot"), "{error}");
}

#[test]
fn a_file_that_is_gone_for_a_moment_is_read_by_the_next_attempt() {
    let store = Store::new(stores::small());
    store.write("a", 0..3);
    store.write("b", 0..3);
    store.db.sync().unwrap();
    let (disk, opened) = (store.disk.clone(), AtomicUsize::new(0));
    let (segment, aside) = (Path::new("data/wal/00000000"), Path::new("data/aside"));
    let found = read(&store, move |path| {
        if path == segment && opened.fetch_add(1, Ordering::Relaxed) == 0 {
            disk.rename(segment, aside).unwrap();
        } else if disk.exists(aside).unwrap() {
            disk.rename(aside, segment).unwrap();
        }
    });
    assert_eq!(values(&found.unwrap()), [vec![0, 1, 2], vec![0, 1, 2]]);
}

#[test]
fn a_file_that_stays_away_is_an_error_that_names_it() {
    let store = Store::new(stores::small());
    store.write("a", 0..3);
    store.db.sync().unwrap();
    let disk = store.disk.clone();
    let (segment, aside) = (Path::new("data/wal/00000000"), Path::new("data/aside"));
    let error = read(&store, move |path| match disk.exists(segment).unwrap() {
        true if path == segment => disk.rename(segment, aside).unwrap(),
        false if path != segment => disk.rename(aside, segment).unwrap(),
        _ => {}
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("wal/00000000: cannot open"), "{error}");
}

#[test]
fn a_log_that_takes_more_memory_than_it_may_is_refused_with_the_way_out() {
    let mut store = Store::new(stores::small());
    for series in 0..2000 {
        store.write(&format!("m{series}"), 0..1);
    }
    store.write("a", 0..3);
    store.write("b", 0..3);
    store.db.sync().unwrap();
    let before = store.files();
    let within =
        |store: &Store, path: &Path, limit| Db::read_only_within(store.disk.clone(), path, store.clock.clone(), limit);
    let error = within(&store, Path::new(DATA), 50_000).unwrap_err().to_string();
    assert!(
        error.contains("may take 50000: write it into blocks (leadline tsdb snapshot data,"),
        "{error}"
    );
    assert_eq!(store.files(), before);
    let all = within(&store, Path::new(DATA), 1 << 30).unwrap();
    assert_eq!(values(&all), [vec![0, 1, 2], vec![0, 1, 2]]);
    // As `leadline tsdb snapshot` opens it.
    store.db.close().unwrap();
    store.settings.replay_memory_bytes = 50_000;
    store.reopen();
    let copy = Path::new("data/snapshots").join(store.db.snapshot(true).unwrap());
    assert_eq!(
        values(&within(&store, &copy, 50_000).unwrap()),
        [vec![0, 1, 2], vec![0, 1, 2]]
    );
}
