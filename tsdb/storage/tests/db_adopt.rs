//! Blocks that others put into the directory of an open store, and those that the disk cannot read for a while.

#[expect(dead_code, reason = "other tests need the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_storage::Settings;
use leadline_storage::block::OUT_OF_ORDER;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use std::path::PathBuf;
use std::sync::Arc;
use stores::{Store, read_all, small};

/// A store whose first block (minutes 0 to 20) was taken away, and is told with its files; the log begins behind it.
fn without_its_first_block() -> Option<(Store, PathBuf, stores::Files)> {
    let mut store = Store::new(small());
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let first = store.db.blocks().first()?.clone();
    let (dir, files) = (first.dir().to_owned(), store.copy_of(&first));
    store.db.close().ok()?;
    store.disk.remove_dir_all(&dir).ok()?;
    store.reopen();
    Some((store, dir, files))
}

#[test]
fn a_block_that_appears_is_answered_from_at_the_next_maintenance() {
    let (store, dir, files) = without_its_first_block().unwrap();
    let missing = store.read("a").len();
    store.put(&dir, &files);
    let done = store.db.maintain();
    assert_eq!(done.adopted.len(), 1, "{done:?}");
    assert!(dir.ends_with(&done.adopted[0]));
    assert_eq!(store.read("a"), Store::samples(0..100));
    assert!(missing < 100);
    assert_eq!(store.db.maintain().adopted, [] as [&str; 0]);
}

#[test]
fn a_block_in_the_middle_of_being_copied_is_taken_when_it_is_whole() {
    let (store, dir, files) = without_its_first_block().unwrap();
    store.disk.create_dir_all(&dir.join("chunks")).unwrap();
    assert_eq!(store.db.maintain().adopted, [] as [&str; 0]);
    assert_eq!(store.db.damaged().len(), 1);
    store.put(&dir, &files);
    assert_eq!(store.db.maintain().adopted.len(), 1);
    assert_eq!(store.db.damaged(), []);
    assert_eq!(store.read("a"), Store::samples(0..100));
}

#[test]
fn a_block_that_reaches_into_the_time_of_the_head_takes_nothing_from_the_log() {
    // Of minutes 80 to 99, which the other store still has in its head and log alone.
    let theirs = Store::new(small());
    theirs.write("b", 80..100);
    theirs.write("b", 160..161);
    theirs.db.maintain();
    let block = theirs.db.blocks()[0].clone();
    let mut store = Store::new(small());
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    assert!(store.blocks().last().unwrap().1 < block.meta().max_time);
    store.put(block.dir(), &theirs.copy_of(&block));
    assert_eq!(store.db.maintain().adopted.len(), 1);
    for life in 0..3 {
        assert_eq!(store.read("b"), Store::samples(80..100), "life {life}");
        assert_eq!(store.read("a"), Store::samples(0..100), "life {life}");
        store.restart();
    }
    let hints = store
        .db
        .blocks()
        .iter()
        .filter(|b| b.meta().has_hint(OUT_OF_ORDER))
        .count();
    assert_eq!(hints, 1);
}

#[test]
fn a_block_that_the_disk_cannot_read_does_not_keep_the_store_from_starting_and_comes_back() {
    let store = Store::new(small());
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let first = store.db.blocks()[0].clone();
    store.db.close().unwrap();
    let disk = Arc::new(FaultyDisk::new(store.disk.clone(), Arc::new(SeededEntropy::new(1))));
    disk.confine(first.dir());
    disk.arm(Fault::Failure, 0);
    let db = Db::open(Parts {
        disk: disk.clone(),
        ..store.parts()
    })
    .unwrap();
    db.replay().unwrap();
    let damaged = db.damaged();
    assert!(first.dir().ends_with(&damaged[0].0), "{damaged:?}");
    assert!(read_all(db.as_ref(), "a").len() < 100);
    disk.lift();
    assert_eq!(db.maintain().adopted.len(), 1);
    assert_eq!(read_all(db.as_ref(), "a"), Store::samples(0..100));
    assert_eq!(db.damaged(), []);
}

#[test]
fn exemplars_of_time_that_was_not_read_yet_are_unavailable() {
    use leadline_model::port::{QueryError, Queryable};
    let mut store = Store::new(Settings::default());
    store.write("a", 0..10);
    store.db.close().unwrap();
    store.open_without_replay();
    let asked = store.db.exemplars(&[], 0, i64::MAX);
    assert!(matches!(asked, Err(QueryError::Unavailable(_))), "{asked:?}");
}
