//! A store that is closed before its log was read.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_storage::Settings;
use leadline_storage::disk::Disk;
use std::path::Path;
use stores::{RANGE, Store, small};

/// A store with a log of `a` up to minute 30, opened and not read, to which more of `a` and some of `b` was committed.
fn unread(out_of_order_window_ms: i64) -> Store {
    let mut store = Store::new(Settings {
        out_of_order_window_ms,
        ..small()
    });
    store.write("a", 0..30);
    store.db.close().unwrap();
    store.open_without_replay();
    // The log has another value at that time.
    store.write_value("a", 22, 99.0);
    store.write("a", 30..45);
    store.write("b", 35..41);
    store
}

#[test]
fn what_was_committed_before_a_store_was_closed_is_there_afterwards_whatever_of_its_log_was_read() {
    for (window, seed) in [(0, 1), (0, 2), (4 * RANGE, 3)] {
        let mut store = unread(window);
        if window > 0 {
            store.write("b", 33..34);
            store.write("b", 12..13);
        }
        let log = store.disk.list(Path::new("data/wal")).unwrap();
        store.db.close().unwrap();
        assert!(store.db.replay().is_err(), "it is closed");
        assert_eq!(store.disk.list(Path::new("data/wal")).unwrap(), log);
        let newest = store.blocks().iter().map(|ends| ends.1).max();
        assert_eq!(newest, None, "queries of the store that is closed find them in memory");
        store.crash(seed);
        let newest = store.blocks().iter().map(|ends| ends.1).max();
        assert_eq!(
            newest,
            Some(44 * stores::MINUTE + 1),
            "no block ends in time that has not come"
        );
        let b = match window {
            0 => Store::samples(35..41),
            _ => [Store::samples(12..13), Store::samples(33..34), Store::samples(35..41)].concat(),
        };
        assert_eq!(
            (store.read("a"), store.read("b")),
            (Store::samples(0..45), b.clone()),
            "window {window}"
        );
        store.write("a", 45..140);
        for _ in 0..10 {
            assert_eq!(store.db.maintain().failures, [] as [&str; 0]);
        }
        store.restart();
        assert_eq!(
            (store.read("a"), store.read("b")),
            (Store::samples(0..140), b),
            "window {window}, later"
        );
    }
}

#[test]
fn a_store_that_takes_nothing_before_it_is_closed_writes_nothing() {
    let mut store = Store::new(small());
    store.write("a", 0..30);
    store.db.close().unwrap();
    let before = store.files();
    store.open_without_replay();
    store.db.close().unwrap();
    assert_eq!(store.files(), before);
}

#[test]
fn a_store_that_was_closed_reads_no_log_though_there_is_none_to_read() {
    let mut store = Store::new(small());
    store.db.close().unwrap();
    let wal = Path::new("data/wal");
    for entry in store.disk.list(wal).unwrap() {
        store.disk.remove_file(&wal.join(entry.name)).unwrap();
    }
    store.open_without_replay();
    store.db.close().unwrap();
    let before = store.files();
    assert!(store.db.replay().is_err(), "it is closed");
    assert_eq!(store.files(), before);
}
