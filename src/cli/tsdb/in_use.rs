//! What only reads finds no damage in a directory that another process has open and goes on with.

use super::open;
use super::verify::verify;
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::{Disk, MemoryDisk, WatchedDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const DATA: &str = "data";
const MINUTE: i64 = 60_000;
/// Time that a block spans, ms.
const RANGE: i64 = 20 * MINUTE;

fn open_at(disk: &Arc<MemoryDisk>, minute: i64) -> Arc<Db> {
    let db = Db::open(Parts {
        disk: Arc::clone(disk) as _,
        path: PathBuf::from(DATA),
        settings: Settings {
            block_range_ms: RANGE,
            max_block_range_ms: 9 * RANGE,
            retention_ms: 100 * RANGE,
            ..Settings::default()
        },
        clock: Arc::new(ManualClock::at(minute * MINUTE)),
        entropy: Arc::new(SeededEntropy::new(minute as u64)),
    })
    .unwrap();
    db.replay().unwrap();
    db
}

fn commit(db: &Db, minute: i64) {
    let outcome = db.commit(&Batch {
        owner: db.new_owner(),
        slot: minute * MINUTE,
        attempt: Attempt::Good,
        created: vec![Labels::from_pairs([("__name__", "m")])],
        entries: vec![Entry {
            series: Slot::New(0),
            t: minute * MINUTE,
            v: minute as f64,
        }],
        extras: Extras::default(),
    });
    assert!(outcome.unwrap().refused.is_empty(), "minute {minute}");
}

/// Blocks, a checkpoint and segments, and samples of which the next maintenance makes blocks, merges some, and writes a
/// checkpoint.
fn directory() -> Arc<MemoryDisk> {
    let disk = Arc::new(MemoryDisk::new());
    for ten in 0..14 {
        // Every run begins a segment and a file of mapped chunks.
        let db = open_at(&disk, ten * 10);
        (ten * 10..ten * 10 + 10).for_each(|minute| commit(&db, minute));
        db.map_chunks().unwrap();
        if ten < 6 {
            let done = db.maintain();
            assert_eq!(done.failures, [] as [String; 0]);
        }
        db.close().unwrap();
    }
    disk
}

/// What `read` returns where the directory is maintained before the first file is read, before the second, and so on.
fn around<T>(read: impl Fn(Arc<dyn Disk>) -> T) -> Vec<T> {
    let (directory, mut all) = (directory(), Vec::new());
    loop {
        let disk = Arc::new(directory.duplicate());
        let db = open_at(&disk, 140);
        let (reads, at) = (Arc::new(AtomicUsize::new(0)), all.len());
        let (counted, log) = (Arc::clone(&reads), Arc::clone(&disk));
        let watched = WatchedDisk::new(disk, move |_| {
            if counted.fetch_add(1, Ordering::Relaxed) == at {
                let before = checkpoints(&log);
                let done = db.maintain();
                assert_eq!(done.failures, [] as [String; 0]);
                assert!(done.compacted.is_some() && !done.cut.is_empty(), "{done:?}");
                assert_ne!(before, checkpoints(&log));
            }
        });
        let result = read(Arc::new(watched));
        if reads.load(Ordering::Relaxed) <= at {
            return all;
        }
        all.push(result);
    }
}

fn checkpoints(disk: &MemoryDisk) -> Vec<String> {
    let names = disk.list(Path::new("data/wal")).unwrap().into_iter();
    names
        .map(|entry| entry.name)
        .filter(|name| name.starts_with('c'))
        .collect()
}

#[test]
fn a_directory_in_use_is_verified_without_a_finding() {
    let verified = around(|disk| {
        let mut out = Vec::new();
        let result = verify(disk, Path::new(DATA), &mut out).map_err(|error| error.to_string());
        (result, String::from_utf8(out).unwrap())
    });
    assert!(verified.len() > 30, "{}", verified.len());
    for (at, (result, out)) in verified.iter().enumerate() {
        assert_eq!(*result, Ok(()), "maintained before read {at}:\n{out}");
        for part in [": ok: 1 series", "wal/checkpoint.", "wal: ok", "chunks_head: ok"] {
            assert!(out.contains(part), "maintained before read {at}, {part}:\n{out}");
        }
    }
}

#[test]
fn the_blocks_of_a_directory_in_use_are_listed() {
    let listed = around(|disk| open::blocks(&disk, Path::new(DATA)));
    assert!(listed.len() > 5, "{}", listed.len());
    for (at, blocks) in listed.into_iter().enumerate() {
        let blocks = blocks.unwrap_or_else(|error| panic!("maintained before read {at}: {error}"));
        let ends: Vec<_> = blocks.iter().map(|block| block.meta().max_time).collect();
        assert!(
            ends.contains(&(2 * RANGE)) || ends.contains(&(6 * RANGE)),
            "{at}: {ends:?}"
        );
    }
}
