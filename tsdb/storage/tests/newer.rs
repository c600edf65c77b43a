//! Directories that a newer version wrote in: they are refused with the place, and stay as they are.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::labels::Labels;
use leadline_storage::db::Db;
use leadline_storage::disk::Disk;
use leadline_storage::wal::{PAGE_BYTES, Wal, checkpoint};
use leadline_storage::{Settings, StorageError, verify_mapped};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stores::{MINUTE, Store, small};

/// A closed store with a checkpoint, late samples and mapped chunks; it reads `memory` bytes of its log at once, or all.
fn closed(memory: u64) -> Store {
    let store = Store::new(Settings {
        out_of_order_window_ms: 30 * MINUTE,
        replay_memory_bytes: memory,
        chunk_samples: 10,
        ..small()
    });
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        for n in 0..40 {
            let name = format!("{n}-{}", "long".repeat(20));
            store.write_labels(&Labels::from_pairs([("__name__", name)]), minute, 1.0);
        }
        store.db.maintain();
    }
    store.write_value("late", 99, 99.0);
    store.write_value("late", 98, 98.0);
    store.db.map_chunks().unwrap();
    store.db.close().unwrap();
    store
}

fn disk(store: &Store) -> Arc<dyn Disk> {
    store.disk.clone()
}

/// What opening, reading, writing and closing it says; whatever that is, nothing may change.
fn refused(store: &Store) -> String {
    let before = store.files();
    let read = Db::read_only(disk(store), Path::new("data"), store.clock.clone())
        .map(|_| "it was read")
        .unwrap_err();
    let db = Db::open(store.parts()).unwrap();
    let error = db.replay().unwrap_err();
    assert!(matches!(error, StorageError::Unknown { .. }), "{error:?}");
    assert_eq!(read.to_string(), error.to_string());
    let _ = (db.map_chunks(), db.flush(), db.sync(), db.maintain(), db.close());
    let after = store.files();
    let changed: Vec<_> = after
        .iter()
        .filter(|(path, bytes)| before.get(*path) != Some(bytes))
        .collect();
    assert!(
        changed.is_empty(),
        "{:?}",
        changed.iter().map(|f| f.0).collect::<Vec<_>>()
    );
    assert_eq!(before.len(), after.len());
    error.to_string()
}

#[test]
fn a_record_of_an_unknown_type_is_refused_with_its_place_and_stays() {
    for memory in [0, 20_000] {
        for log in ["wal", "wbl", "checkpoint"] {
            let mut store = closed(memory);
            let dir = match log {
                "checkpoint" => {
                    checkpoint::latest(store.disk.as_ref(), Path::new("data/wal"))
                        .unwrap()
                        .unwrap()
                        .path
                }
                log => Path::new("data").join(log),
            };
            let mut wal = Wal::open(disk(&store), &dir, PAGE_BYTES).unwrap();
            wal.log(&[&[2][..], &[200, 1, 2, 3]]).unwrap();
            let segment = wal.segment();
            wal.close().unwrap();
            let file = dir.join(format!("{segment:08}"));
            let text = refused(&store);
            let place = format!("{}: at offset ", file.display());
            assert!(text.starts_with(&place), "{log}, {memory}: {text}");
            assert!(
                text.contains("record type 200 is not known, expected 1 to 14"),
                "{text}"
            );
            // Who has taken it away again has everything else.
            store.disk.remove_file(&file).unwrap();
            store.reopen();
            assert_eq!(store.read("a"), Store::samples(0..100), "{log}, {memory}");
            assert_eq!(store.read("late"), Store::samples(98..100), "{log}, {memory}");
        }
    }
}

#[test]
fn a_torn_record_of_an_unknown_type_is_the_end_of_the_log() {
    let mut store = closed(0);
    let dir = Path::new("data/wal");
    let mut wal = Wal::open(disk(&store), dir, PAGE_BYTES).unwrap();
    wal.log(&[&[200, 1, 2, 3]]).unwrap();
    let file = dir.join(format!("{:08}", wal.segment()));
    wal.close().unwrap();
    let mut bytes = store.files()[&file].clone();
    bytes[9] ^= 1;
    bytes.truncate(11);
    put(&store, &file, &bytes);
    store.open_without_replay();
    let found = store.db.replay().unwrap();
    assert_eq!(store.read("a"), Store::samples(0..100), "{:?}", found.lost);
}

fn put(store: &Store, path: &Path, bytes: &[u8]) {
    store.disk.create(path).unwrap().write_all(bytes).unwrap();
}

/// The files of mapped chunks, and the name of the next one.
fn mapped(store: &Store) -> (Vec<PathBuf>, PathBuf) {
    let dir = Path::new("data/chunks_head");
    let files: Vec<PathBuf> = store.files().into_keys().filter(|path| path.starts_with(dir)).collect();
    let last = files.last().and_then(|path| path.file_name()?.to_str());
    let number: u32 = last.unwrap().parse().unwrap();
    (files, dir.join(format!("{:06}", number + 1)))
}

/// The header of a file of mapped chunks, and a chunk whose checksum is right.
fn file_of(version: u8, encoding: u8) -> Vec<u8> {
    let mut bytes = vec![0x01, 0x30, 0xbc, 0x91, version, 0, 0, 0];
    let mut chunk = [
        &7u64.to_be_bytes()[..],
        &[0; 8],
        &1_000i64.to_be_bytes(),
        &[encoding, 3],
        b"abc",
    ]
    .concat();
    chunk.extend_from_slice(&crc32c::crc32c(&chunk).to_be_bytes());
    bytes.extend_from_slice(&chunk);
    bytes
}

#[test]
fn mapped_chunks_of_an_unknown_kind_are_refused_with_their_place_and_stay() {
    let newer = [0x01, 0x30, 0xbc, 0x91, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    for (bytes, offset, what) in [
        (newer.to_vec(), 4, "mapped chunks version 2"),
        (newer[..8].to_vec(), 4, "mapped chunks version 2"),
        (file_of(1, 9), 32, "chunk encoding 9"),
        (file_of(1, 0x80 | 9), 32, "chunk encoding 9"),
    ] {
        let store = closed(0);
        let (files, next) = mapped(&store);
        put(&store, &next, &bytes);
        let want = format!(
            "{}: at offset {offset}: {what} is not known, expected 1",
            next.display()
        );
        for damaged in [false, true] {
            // A file before it that is damaged does not take it away; a chunk is met only where all before it is whole.
            if damaged && what.starts_with("mapped") {
                put(&store, &files[0], &[0; 100]);
            }
            let text = refused(&store);
            assert!(text.starts_with(&want), "{text}");
        }
        let verified = verify_mapped(disk(&store), Path::new("data/chunks_head"), &mut |_| {});
        assert!(verified.unwrap_err().to_string().starts_with(&want));
    }
}

#[test]
fn a_damaged_version_of_mapped_chunks_keeps_no_store_from_being_opened() {
    for version in [0, 2, 0x81] {
        let mut store = closed(0);
        let (files, _) = mapped(&store);
        let mut bytes = store.files()[&files[0]].clone();
        bytes[4] = version;
        put(&store, &files[0], &bytes);
        store.open_without_replay();
        let found = store.db.replay().unwrap();
        assert!(found.lost.is_empty(), "the log has it: {:?}", found.lost);
        assert_eq!(store.read("a"), Store::samples(0..100), "version {version}");
    }
}
