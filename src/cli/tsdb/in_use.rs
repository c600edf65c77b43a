//! What only reads finds no damage in a directory that another process has open and goes on with.

use super::open;
use super::verify::verify;
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::faulty::Fault;
use leadline_storage::disk::{Disk, FaultyDisk, MemoryDisk, WatchedDisk};
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
    let all = around(verified);
    assert!(all.len() > 30, "{}", all.len());
    for (at, (result, out)) in all.iter().enumerate() {
        assert_eq!(*result, Ok(()), "maintained before read {at}:\n{out}");
        for part in [": ok: 1 series", "wal/checkpoint.", "wal: ok", "chunks_head: ok"] {
            assert!(out.contains(part), "maintained before read {at}, {part}:\n{out}");
        }
    }
}

/// The result of `leadline tsdb verify` and what it wrote.
fn verified(disk: Arc<dyn Disk>) -> (Result<(), String>, String) {
    let mut out = Vec::new();
    let result = verify(disk, Path::new(DATA), &mut out).map_err(|error| error.to_string());
    (result, String::from_utf8(out).unwrap())
}

/// The names in a folder that are numbers, as paths, ascending.
fn numbered(disk: &MemoryDisk, dir: &str) -> Vec<PathBuf> {
    let names = disk.list(Path::new(dir)).unwrap().into_iter().map(|entry| entry.name);
    let numbers = names.filter(|name| name.parse::<u32>().is_ok());
    let mut paths: Vec<PathBuf> = numbers.map(|name| Path::new(dir).join(name)).collect();
    paths.sort();
    paths
}

/// Turns bits of a byte over.
fn spoil(disk: &MemoryDisk, path: &Path, at: u64) {
    let mut byte = [0];
    disk.open(path).unwrap().read_exact_at(&mut byte, at).unwrap();
    disk.append(path).unwrap().write_at(&[byte[0] ^ 0x55], at).unwrap();
}

#[test]
fn damage_is_told_of_a_directory_that_changes_as_often_as_it_is_read() {
    let disk = directory();
    let (segments, chunks) = (numbered(&disk, "data/wal"), numbered(&disk, "data/chunks_head"));
    // Behind the header of its first record.
    spoil(&disk, &segments[1], 9);
    spoil(&disk, &chunks[0], 20);
    let (first, changed) = (segments[0].clone(), Arc::new(AtomicUsize::new(0)));
    let (spoilt, mapped, log, times) = (
        segments[1].clone(),
        chunks[0].clone(),
        Arc::clone(&disk),
        Arc::clone(&changed),
    );
    let watched = WatchedDisk::new(Arc::clone(&disk) as _, move |path| {
        if path == spoilt {
            // The log begins elsewhere, in a segment that the checkpoint stands for.
            let number: usize = first.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let earlier = number - 1 - times.fetch_add(1, Ordering::Relaxed) % number;
            drop(log.create(&first.with_file_name(format!("{earlier:08}"))).unwrap());
        }
        if path == mapped {
            log.append(numbered(&log, "data/chunks_head").last().unwrap())
                .unwrap()
                .write_all(&[0; 100])
                .unwrap();
        }
    });
    let (result, out) = verified(Arc::new(watched));
    assert_eq!(result, Err("2 places are damaged".to_owned()), "{out}");
    for part in [
        format!("{}: damaged at offset", segments[1].display()),
        format!("{}: damaged at offset", chunks[0].display()),
        "data/wal: it changed each of the 5 times".to_owned(),
        "data/chunks_head: it changed each of the 5 times".to_owned(),
        "on a copy of the whole directory".to_owned(),
        ": ok: 1 series".to_owned(),
    ] {
        assert!(out.contains(&part), "{part}:\n{out}");
    }
    assert!(!out.contains("snapshot"), "{out}");
    assert_eq!(changed.load(Ordering::Relaxed), 5);
}

#[test]
fn a_part_that_cannot_be_read_is_a_finding_and_the_others_are_verified() {
    let directory = directory();
    let blocks = verified(Arc::clone(&directory) as _)
        .1
        .matches(": ok: 1 series")
        .count();
    let mut found = 0;
    for at in 0.. {
        let faulty = FaultyDisk::new(Arc::clone(&directory) as _, Arc::new(SeededEntropy::new(1)));
        faulty.arm(Fault::Failure, at);
        let (result, out) = verified(Arc::new(faulty.clone()));
        if faulty.fired().is_empty() {
            break;
        }
        if at == 0 {
            assert_eq!(result, Err("data: cannot list: input/output error".to_owned()));
            continue;
        }
        let ok = out.matches(": ok: 1 series").count()
            + ["wal/checkpoint.", "wal: ok", "chunks_head: ok"]
                .iter()
                .filter(|part| out.contains(**part))
                .count();
        match result {
            Ok(()) => assert_eq!(ok, blocks + 3, "failure {at}:\n{out}"),
            Err(error) => {
                found += 1;
                assert_eq!(error, "1 place is damaged", "failure {at}:\n{out}");
                assert!(out.contains("input/output error"), "failure {at}:\n{out}");
                // A log that cannot be listed takes its checkpoint along.
                assert!(ok > blocks, "failure {at}:\n{out}");
            }
        }
    }
    assert!(found > 20, "{found}");
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
