//! Blocks that others put into the directory of an open store, and those that the disk cannot read for a while.

#[expect(dead_code, reason = "other tests need the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_model::matcher::Matcher;
use leadline_storage::Settings;
use leadline_storage::block::OUT_OF_ORDER;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stores::{RANGE, Store, read_all, small};

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
fn a_block_that_appears_is_answered_from_at_the_second_maintenance() {
    let (store, dir, files) = without_its_first_block().unwrap();
    let missing = store.read("a").len();
    store.put(&dir, &files);
    assert_eq!(store.db.maintain().adopted, [] as [&str; 0]);
    assert_eq!(store.db.damaged(), []);
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
    let missing = store.read("a");
    let segment = dir.join("chunks/000001");
    let mut copied = files.clone();
    let chunks = copied.remove(&segment).unwrap();
    // Nothing of it, then all but its chunks, then ever more of those.
    store.disk.create_dir_all(&dir.join("chunks")).unwrap();
    store.db.maintain();
    store.db.maintain();
    assert_eq!(store.db.damaged().len(), 1);
    store.put(&dir, &copied);
    for _ in 0..3 {
        assert_eq!(store.db.maintain().adopted, [] as [&str; 0]);
    }
    let told = store.db.damaged();
    assert!(told[0].1.contains("expected segments with"), "{told:?}");
    for len in [8, 9, chunks.len() - 1, chunks.len()] {
        copied.insert(segment.clone(), chunks[..len].to_vec());
        store.put(&dir, &copied);
        assert_eq!(store.db.maintain().adopted, [] as [&str; 0], "{len} bytes");
        assert_eq!(store.read("a"), missing);
        // However long the copy stands still.
        for _ in (0..3).filter(|_| len < chunks.len()) {
            assert_eq!(store.db.maintain().adopted, [] as [&str; 0], "{len} bytes");
            let told = store.db.damaged();
            assert!(told.len() == 1 && told[0].1.contains("chunks/000001"), "{told:?}");
        }
    }
    assert_eq!(store.db.maintain().adopted.len(), 1);
    assert_eq!(store.db.damaged(), []);
    assert_eq!(store.read("a"), Store::samples(0..100));
}

#[test]
fn a_part_of_a_block_does_not_take_the_place_of_what_it_would_replace_at_the_start_either() {
    let (mut store, dir, mut files) = without_its_first_block().unwrap();
    let (missing, blocks) = (store.read("a"), store.blocks());
    let meta = files.get_mut(&dir.join("meta.json")).unwrap();
    let mut told: serde_json::Value = serde_json::from_slice(meta).unwrap();
    let parent = store.db.blocks()[0].ulid().to_string();
    told["compaction"]["parents"] = serde_json::json!([{"ulid": parent, "minTime": 0, "maxTime": 1}]);
    *meta = told.to_string().into_bytes();
    let whole = files.clone();
    files.get_mut(&dir.join("chunks/000001")).unwrap().truncate(9);
    store.put(&dir, &files);
    store.restart();
    assert_eq!(store.db.damaged().len(), 1);
    assert_eq!((store.read("a"), store.blocks()), (missing, blocks));
    store.put(&dir, &whole);
    store.db.maintain();
    assert_eq!(store.db.maintain().adopted.len(), 1);
    assert!(store.db.blocks().iter().all(|block| block.ulid().to_string() != parent));
}

#[test]
fn a_block_without_its_chunks_is_left_out_at_the_start_too() {
    let (mut store, dir, mut files) = without_its_first_block().unwrap();
    let missing = store.read("a");
    files.remove(&dir.join("chunks/000001"));
    store.put(&dir, &files);
    store.restart();
    assert_eq!(store.db.damaged().len(), 1);
    assert_eq!(store.read("a"), missing);
}

#[test]
fn a_folder_whose_name_is_not_its_blocks_is_left_out_and_told_until_it_is_gone() {
    let (mut store, first, files) = without_its_first_block().unwrap();
    let (missing, blocks) = (store.read("a"), store.blocks());
    // Of a block that is open, and of one that is not there.
    let open = store.db.blocks()[0].clone();
    let copies = [
        ("01DXXFZDYD1MQW6079WK0K6EDQ", open.dir()),
        ("01DXXFZDYD1MQW6079WK0K6EDR", &first),
    ];
    for (name, of) in copies {
        let files = if of == first {
            files.clone()
        } else {
            store.copy_of(&open)
        };
        let moved = files.into_iter().map(|(path, bytes)| {
            let within = path.strip_prefix(of).unwrap();
            (Path::new("data").join(name).join(within), bytes)
        });
        store.put(&Path::new("data").join(name), &moved.collect());
    }
    for life in 0..2 {
        for _ in 0..4 {
            assert_eq!(store.db.maintain().adopted, [] as [&str; 0], "life {life}");
        }
        assert_eq!(store.blocks(), blocks, "life {life}");
        assert_eq!(store.read("a"), missing, "life {life}");
        let damaged = store.db.damaged();
        assert_eq!(damaged.len(), 2, "{damaged:?}");
        for ((name, of), (told, why)) in copies.iter().zip(&damaged) {
            let block = of.file_name().and_then(|name| name.to_str()).unwrap();
            assert!(told == name && why.contains(name) && why.contains(block), "{damaged:?}");
        }
        store.restart();
    }
    for (name, _) in copies {
        store.disk.remove_dir_all(&Path::new("data").join(name)).unwrap();
    }
    store.db.maintain();
    assert_eq!(store.db.damaged(), []);
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
    store.db.maintain();
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

/// A store whose first block the disk did not read when it was opened, and that block's folder.
fn with_its_first_block_misread() -> Option<(Arc<FaultyDisk>, Arc<Db>, PathBuf)> {
    let store = Store::new(small());
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let first = store.db.blocks().first()?.clone();
    store.db.close().ok()?;
    let disk = Arc::new(FaultyDisk::new(store.disk.clone(), Arc::new(SeededEntropy::new(1))));
    disk.confine(first.dir());
    disk.arm(Fault::Failure, 0);
    let db = Db::open(Parts {
        disk: disk.clone(),
        ..store.parts()
    })
    .ok()?;
    db.replay().ok()?;
    Some((disk, db, first.dir().to_owned()))
}

#[test]
fn a_block_that_the_disk_cannot_read_does_not_keep_the_store_from_starting_and_comes_back_at_once() {
    let (disk, db, first) = with_its_first_block_misread().unwrap();
    let damaged = db.damaged();
    assert!(first.ends_with(&damaged[0].0), "{damaged:?}");
    assert!(read_all(db.as_ref(), "a").len() < 100);
    disk.lift();
    assert_eq!(db.maintain().adopted.len(), 1);
    assert_eq!(read_all(db.as_ref(), "a"), Store::samples(0..100));
    assert_eq!(db.damaged(), []);
}

#[test]
fn a_deletion_that_misses_a_block_deletes_from_the_others_and_says_which_it_missed() {
    let (disk, db, _) = with_its_first_block_misread().unwrap();
    let name = db.damaged()[0].0.clone();
    let delete = |db: &Db| db.delete_series(&[Matcher::equal("__name__", "a")], i64::MIN, i64::MAX);
    let missed = delete(&db).unwrap_err().to_string();
    assert!(
        missed.contains(&name) && missed.contains("repeat the deletion"),
        "{missed}"
    );
    assert_eq!(read_all(db.as_ref(), "a"), []);
    disk.lift();
    assert_eq!(db.maintain().adopted.len(), 1);
    assert_eq!(read_all(db.as_ref(), "a"), Store::samples(0..60));
    delete(&db).unwrap();
    assert_eq!(read_all(db.as_ref(), "a"), []);
}

#[test]
fn a_deletion_before_a_new_block_is_open_says_so_and_one_after_the_block_is_moved_away_does_not() {
    let (store, dir, files) = without_its_first_block().unwrap();
    let delete = || {
        store
            .db
            .delete_series(&[Matcher::equal("__name__", "a")], i64::MIN, i64::MAX)
    };
    store.put(&dir, &files);
    let missed = delete().unwrap_err().to_string();
    assert!(missed.contains("(not opened yet)"), "{missed}");
    store.disk.remove_dir_all(&dir).unwrap();
    delete().unwrap();
    store.db.maintain();
    delete().unwrap();
}

/// A store that is about to merge its first three blocks.
fn about_to_merge() -> Store {
    let mut store = Store::new(Settings {
        max_block_range_ms: RANGE,
        ..small()
    });
    for minute in 0..250 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    store.settings.max_block_range_ms = 3 * RANGE;
    store.restart();
    store
}

/// Which blocks are not merged any more, as far as the first three go.
fn marked(db: &Db) -> Vec<bool> {
    let blocks = db.blocks();
    let first = blocks.iter().take(3);
    first.map(|block| block.meta().compaction.failed).collect()
}

#[test]
fn only_the_damaged_one_of_blocks_that_were_to_be_merged_is_marked() {
    let store = about_to_merge();
    let segment = store.db.blocks()[1].dir().join("chunks/000001");
    let last = store.disk.open(&segment).unwrap().len().unwrap() - 1;
    store.disk.append(&segment).unwrap().write_at(&[0x55], last).unwrap();
    let done = store.db.maintain();
    assert_eq!(done.failures.len(), 1, "{done:?}");
    assert_eq!(marked(&store.db), [false, true, false]);
}

#[test]
fn only_the_one_that_the_disk_does_not_read_of_blocks_that_were_to_be_merged_is_marked() {
    let store = about_to_merge();
    store.db.close().unwrap();
    let disk = Arc::new(FaultyDisk::new(store.disk.clone(), Arc::new(SeededEntropy::new(1))));
    let db = Db::open(Parts {
        disk: disk.clone(),
        ..store.parts()
    })
    .unwrap();
    db.replay().unwrap();
    let dir = db.blocks()[1].dir().to_owned();
    // One operation fails at a time, and the block is given up after three.
    for round in 1..=3 {
        assert_eq!(marked(&db), [false; 3], "round {round}");
        disk.confine(&dir.join("chunks"));
        disk.arm(Fault::Failure, 0);
        let done = db.maintain();
        assert_eq!(done.failures.len(), 1, "round {round}: {done:?}");
        disk.lift();
    }
    assert_eq!(marked(&db), [false, true, false]);
    assert_eq!(read_all(db.as_ref(), "a"), Store::samples(0..250));
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
