//! The store as a whole, on a disk in memory.

mod stores;

use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{AppendError, QueryError, Queryable, Refusal};
use leadline_storage::block::Meta;
use leadline_storage::db::Db;
use leadline_storage::disk::Disk;
use leadline_storage::{Settings, StorageError};
use std::path::Path;
use std::sync::Arc;
use stores::{MINUTE, RANGE, Store};

#[test]
fn what_was_made_durable_is_there_after_a_crash() {
    let mut store = Store::new(Settings::default());
    store.write("a", 0..10);
    store.db.sync().unwrap();
    store.write("a", 10..12);
    store.crash(1);
    let found = store.read("a");
    assert_eq!(found[..10], Store::samples(0..10));
    assert!(found.len() <= 12);
}

#[test]
fn what_was_committed_is_there_after_an_orderly_end() {
    let mut store = Store::new(Settings::default());
    store.write("a", 0..10);
    store.write("b", 5..10);
    store.restart();
    assert_eq!(store.read("a"), Store::samples(0..10));
    assert_eq!(store.read("b"), Store::samples(5..10));
    assert!(store.db.replay_status().done);
}

#[test]
fn the_head_is_cut_into_blocks_that_answer_like_the_head_did() {
    let mut store = Store::new(stores::small());
    for minute in 0..400 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
        assert_eq!(store.read("a"), Store::samples(0..minute + 1), "at minute {minute}");
    }
    assert!(store.blocks().len() >= 2, "{:?}", store.blocks());
    assert!(store.db.stats().head_cuts >= 5);
    assert!(store.db.stats().compactions >= 1);
    store.restart();
    assert_eq!(store.read("a"), Store::samples(0..400));
    store.crash(7);
    assert_eq!(store.read("a"), Store::samples(0..400));
}

#[test]
fn blocks_are_aligned_and_follow_each_other() {
    let store = Store::new(stores::small());
    for minute in 7..200 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let blocks = store.blocks();
    for pair in blocks.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{blocks:?}");
    }
    for (_, end) in &blocks {
        assert_eq!(end % RANGE, 0, "{blocks:?}");
    }
}

#[test]
fn a_head_that_nobody_writes_to_is_cut_by_the_clock() {
    let store = Store::new(stores::small());
    store.write("a", 0..20);
    assert_eq!(store.db.maintain().cut.len(), 0);
    store.clock.advance(RANGE / 2);
    let done = store.db.maintain();
    assert_eq!((done.cut.len(), done.series_removed, done.failures), (1, 1, vec![]));
    assert_eq!(store.db.stats().head.series, 0);
    assert_eq!(store.read("a"), Store::samples(0..20));
    // The range goes on where it stopped.
    store.write("a", 20..25);
    assert_eq!(store.read("a"), Store::samples(0..25));
}

#[test]
fn what_is_deleted_stays_deleted_in_head_and_blocks() {
    let mut store = Store::new(stores::small());
    for minute in 0..120 {
        store.write("a", minute..minute + 1);
        store.write("b", minute..minute + 1);
        store.db.maintain();
    }
    assert!(!store.blocks().is_empty());
    let a = [Matcher::equal("__name__", "a")];
    store.db.delete_series(&a, 10 * MINUTE, 100 * MINUTE).unwrap();
    let left: Vec<(i64, f64)> = [Store::samples(0..10), Store::samples(101..120)].concat();
    assert_eq!(store.read("a"), left);
    store.crash(5);
    assert_eq!(store.read("a"), left);
    assert_eq!(store.read("b"), Store::samples(0..120));
    store.db.clean_tombstones().unwrap();
    assert!(store.db.blocks().iter().all(|block| block.tombstones().is_empty()));
    store.restart();
    assert_eq!(store.read("a"), left);
    store.db.delete_series(&[], i64::MIN, i64::MAX).unwrap();
    store.db.clean_tombstones().unwrap();
    assert!(store.db.blocks().len() <= 1, "the newest stays, with nothing in it");
    assert!(store.read("a").is_empty() && store.read("b").is_empty());
}

#[test]
fn old_blocks_go_by_time() {
    let settings = Settings {
        retention_ms: 3 * RANGE,
        max_block_range_ms: RANGE,
        ..stores::small()
    };
    let mut store = Store::new(settings);
    for minute in 0..300 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let blocks = store.blocks();
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    assert!(store.db.stats().time_retentions > 0);
    let first = store.read("a")[0].0;
    assert_eq!(first, blocks[0].0);
    let names = store.disk.list(Path::new("data")).unwrap();
    assert_eq!(
        names.iter().filter(|entry| entry.name.len() >= 26).count(),
        3,
        "{names:?}"
    );
    store.restart();
    assert_eq!(store.blocks(), blocks);
}

#[test]
fn old_blocks_go_by_size() {
    let settings = Settings {
        retention_bytes: 1,
        retention_ms: 1_000 * RANGE,
        ..stores::small()
    };
    let store = Store::new(settings);
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    assert_eq!(store.blocks(), [(60 * MINUTE, 80 * MINUTE)], "the newest stays");
    assert!(store.db.stats().size_retentions > 0);
}

#[test]
fn a_directory_is_open_once() {
    let store = Store::new(Settings::default());
    let again = Db::open(store.parts());
    assert!(matches!(again, Err(StorageError::Locked { .. })), "{again:?}");
    store.db.close().unwrap();
    assert!(Db::open(store.parts()).is_ok());
}

#[test]
fn what_unfinished_work_left_is_removed_and_nothing_else() {
    let mut store = Store::new(Settings::default());
    store.write("a", 0..3);
    let ulid = "01DXXFZDYD1MQW6079WK0K6EDQ";
    for name in [".tmp-for-creation", ".tmp-for-deletion"] {
        let dir = Path::new("data").join(format!("{ulid}{name}"));
        store.disk.create_dir_all(&dir.join("chunks")).unwrap();
        store.disk.create(&dir.join("index")).unwrap();
    }
    store.disk.create_dir_all(Path::new("data/mine.tmp")).unwrap();
    store.disk.create_dir_all(Path::new("data/snapshots/whole")).unwrap();
    store.disk.create_dir_all(Path::new("data/snapshots/part.tmp")).unwrap();
    store.restart();
    let names: Vec<String> = store
        .disk
        .list(Path::new("data"))
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert!(
        names.contains(&"mine.tmp".to_owned()) && names.contains(&"wal".to_owned()),
        "{names:?}"
    );
    assert!(!names.iter().any(|name| name.starts_with(ulid)), "{names:?}");
    let copies = store.disk.list(Path::new("data/snapshots")).unwrap();
    assert_eq!(copies.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["whole"]);
}

#[test]
fn a_damaged_block_is_left_out_and_left_alone() {
    let mut store = Store::new(stores::small());
    for minute in 0..120 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let dir = store.db.blocks()[0].dir().to_owned();
    store.db.close().unwrap();
    let mut index = store.disk.append(&dir.join("index")).unwrap();
    index.write_at(b"not an index", 0).unwrap();
    drop(index);
    store.reopen();
    let damaged = store.db.damaged();
    assert_eq!(damaged.len(), 1);
    assert!(dir.ends_with(&damaged[0].0), "{damaged:?}");
    assert_eq!(store.db.stats().blocks_unreadable, 1);
    assert!(store.disk.exists(&dir.join("chunks")).unwrap());
    assert_eq!(store.db.health(), Ok(()));
    assert!(!store.read("a").is_empty());
}

/// A store of 250 minutes whose blocks are not merged yet.
fn with_unmerged_blocks() -> Store {
    let store = Store::new(Settings {
        max_block_range_ms: RANGE,
        ..stores::small()
    });
    for minute in 0..250 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    store
}

#[test]
fn a_damaged_block_does_not_keep_others_from_being_merged() {
    let mut store = with_unmerged_blocks();
    let first = store.db.blocks()[0].clone();
    let foreign = |meta: &mut Meta| drop(meta.compaction.extra.insert("theirs".to_owned(), true.into()));
    first.update_meta(foreign).unwrap();
    store.settings.max_block_range_ms = 3 * RANGE;
    store.restart();
    let chunks = first.dir().join("chunks/000001");
    let last = store.disk.open(&chunks).unwrap().len().unwrap() - 1;
    store.disk.append(&chunks).unwrap().write_at(&[0x55], last).unwrap();
    assert_eq!(store.db.maintain().failures.len(), 1);
    // Its description says so from now on, beside what others put there.
    store.restart();
    for _ in 0..5 {
        assert_eq!(store.db.maintain().failures, [] as [&str; 0]);
    }
    let compaction = store.db.blocks()[0].meta().compaction.clone();
    assert!(
        compaction.failed && compaction.extra.contains_key("theirs"),
        "{compaction:?}"
    );
    let spans: Vec<i64> = store.blocks().iter().map(|(mint, end)| (end - mint) / RANGE).collect();
    assert_eq!(spans[..4], [1, 1, 1, 3], "{spans:?}");
}

/// Makes the first chunk of a segment one that cannot be decoded, with the checksum of that.
#[expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]
fn make_undecodable(store: &Store, segment: &Path) {
    let file = store.disk.open(segment).unwrap();
    let mut chunk = vec![0; file.len().unwrap() as usize - 8];
    file.read_exact_at(&mut chunk, 8).unwrap();
    assert!(
        chunk[0] < 128,
        "its length is one byte, and so is its encoding, before the number of its samples"
    );
    let end = 2 + usize::from(chunk[0]);
    chunk[4..end].fill(0xff);
    let sum = crc32c::crc32c(&chunk[1..end]).to_be_bytes();
    chunk[end..end + 4].copy_from_slice(&sum);
    store.disk.append(segment).unwrap().write_at(&chunk, 8).unwrap();
}

#[test]
fn of_blocks_that_are_merged_the_one_with_a_chunk_that_cannot_be_decoded_is_blamed_alone() {
    let mut store = with_unmerged_blocks();
    let bad = store.db.blocks()[1].clone();
    let a = [Matcher::equal("__name__", "a")];
    // A chunk that is cut is decoded.
    store.db.delete_series(&a, 25 * MINUTE, 26 * MINUTE).unwrap();
    store.settings.max_block_range_ms = 3 * RANGE;
    store.restart();
    let segment = bad.dir().join("chunks/000001");
    make_undecodable(&store, &segment);
    let failures = store.db.maintain().failures;
    let place = format!(
        "{}: damaged at offset 8: expected a chunk that can be decoded",
        segment.display()
    );
    assert!(failures.len() == 1 && failures[0].contains(&place), "{failures:?}");
    for _ in 0..5 {
        assert_eq!(store.db.maintain().failures, [] as [&str; 0]);
    }
    let blocks = store.db.blocks();
    let failed = blocks.iter().filter(|block| block.meta().compaction.failed);
    assert_eq!(failed.map(|block| block.ulid()).collect::<Vec<_>>(), [bad.ulid()]);
    let spans: Vec<i64> = store.blocks().iter().map(|(mint, end)| (end - mint) / RANGE).collect();
    assert_eq!(spans[..4], [1, 1, 1, 3], "{spans:?}");
}

#[test]
fn a_block_of_a_newer_version_is_not_opened_and_says_so() {
    let store = Store::new(Settings::default());
    store.db.close().unwrap();
    let dir = Path::new("data/01DXXFZDYD1MQW6079WK0K6EDQ");
    store.disk.create_dir_all(dir).unwrap();
    let mut meta = store.disk.create(&dir.join("meta.json")).unwrap();
    meta.write_all(br#"{"version": 2}"#).unwrap();
    drop(meta);
    let opened = Db::open(store.parts());
    assert!(matches!(opened, Err(StorageError::Unknown { .. })), "{opened:?}");
}

#[test]
fn blocks_that_another_replaces_are_removed_at_the_start() {
    let mut store = Store::new(stores::small());
    for minute in 0..150 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let expected = store.read("a");
    // The parents come back, as after a crash before their removal was durable.
    let parent = store.db.blocks()[0].clone();
    let copy = store.copy_of(&parent);
    store
        .db
        .delete_series(&[Matcher::equal("__name__", "nothing")], 0, 1)
        .unwrap();
    store
        .db
        .delete_series(
            &[Matcher::equal("__name__", "a")],
            parent.meta().min_time,
            parent.meta().min_time,
        )
        .unwrap();
    store.db.clean_tombstones().unwrap();
    store.db.close().unwrap();
    store.put_back(&parent, &copy);
    store.reopen();
    assert_eq!(store.read("a"), expected[1..]);
    assert!(!store.disk.exists(parent.dir()).unwrap());
}

#[test]
fn a_copy_holds_everything_and_can_be_opened() {
    let mut store = Store::new(stores::small());
    for minute in 0..150 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let name = store.db.snapshot(true).unwrap();
    let without = store.db.snapshot(false).unwrap();
    store.write("a", 150..160);
    let open = |name: &str| {
        let path = Path::new("data/snapshots").join(name);
        let disk: Arc<dyn Disk> = store.disk.clone();
        Db::read_only(disk, &path, store.clock.clone()).unwrap()
    };
    assert_eq!(stores::read_all(&open(&name), "a"), Store::samples(0..150));
    let ended = store.blocks().last().unwrap().1 / MINUTE;
    assert_eq!(stores::read_all(&open(&without), "a"), Store::samples(0..ended));
    assert_eq!(store.disk.list(Path::new("data/snapshots")).unwrap().len(), 2);
    store.restart();
    assert_eq!(store.read("a"), Store::samples(0..160));
}

#[test]
fn a_directory_that_is_only_read_does_not_change() {
    let mut store = Store::new(stores::small());
    for minute in 0..150 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    store.db.sync().unwrap();
    let before = store.files();
    let disk: Arc<dyn Disk> = store.disk.clone();
    let read = Db::read_only(disk, Path::new("data"), store.clock.clone()).unwrap();
    assert_eq!(stores::read_all(&read, "a"), Store::samples(0..150));
    assert_eq!(read.label_names(&[], i64::MIN, i64::MAX).unwrap(), ["__name__"]);
    assert_eq!(read.label_values("__name__", &[], i64::MIN, i64::MAX).unwrap(), ["a"]);
    assert_eq!(store.files(), before);
    assert!(store.db.close().is_ok());
    store.reopen();
    assert_eq!(store.read("a"), Store::samples(0..150));
}

#[test]
fn a_directory_that_is_not_there_cannot_be_read() {
    let store = Store::new(Settings::default());
    let disk: Arc<dyn Disk> = store.disk.clone();
    assert!(Db::read_only(disk, Path::new("elsewhere"), store.clock.clone()).is_err());
}

#[test]
fn names_and_values_come_from_head_and_blocks() {
    let store = Store::new(stores::small());
    for minute in 0..80 {
        store.write(if minute < 60 { "old" } else { "new" }, minute..minute + 1);
        store.db.maintain();
    }
    store.db.maintain();
    let values = |mint, maxt| store.db.label_values("__name__", &[], mint, maxt).unwrap();
    assert_eq!(values(0, 80 * MINUTE), ["new", "old"]);
    assert_eq!(values(75 * MINUTE, 80 * MINUTE), ["new"]);
}

#[test]
fn before_the_log_is_read_only_blocks_and_the_present_answer() {
    let mut store = Store::new(stores::small());
    for minute in 0..100 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let end = store.blocks().last().unwrap().1;
    store.db.close().unwrap();
    store.open_without_replay();
    let select = |mint, maxt| store.db.select(&[], mint, maxt, true).map(|set| set.len());
    assert_eq!(select(0, end - 1).unwrap(), 1);
    assert!(select(0, end).is_err());
    assert!(select(end, end + MINUTE).is_err());
    assert!(store.db.delete_series(&[], 0, 1).is_err());
    assert_eq!(store.db.maintain(), leadline_storage::db::Maintenance::default());
    store.db.replay().unwrap();
    assert_eq!(select(0, end).unwrap(), 1);
    assert_eq!(store.read("a"), Store::samples(0..100));
}

#[test]
fn what_came_late_keeps_blocks_from_answering_alone_though_the_window_is_closed_now() {
    let late = |window| Settings {
        out_of_order_window_ms: window,
        ..stores::small()
    };
    let mut store = Store::new(late(60 * MINUTE));
    store.write("a", 0..100);
    store.write("b", 99..100);
    store.db.maintain();
    let end = store.blocks().last().unwrap().1;
    store.write("b", 50..51);
    assert!(50 * MINUTE < end, "a block holds the time that came late");
    store.db.close().unwrap();
    store.settings = late(0);
    store.open_without_replay();
    let b = [Matcher::equal("__name__", "b")];
    let select = store.db.select(&b, 0, end - 1, true).map(|set| set.len());
    assert!(matches!(select, Err(QueryError::Unavailable(_))), "{select:?}");
    let names = store.db.label_values("__name__", &[], 0, end - 1);
    assert!(matches!(names, Err(QueryError::Unavailable(_))), "{names:?}");
    store.db.replay().unwrap();
    assert_eq!(
        store.read("b"),
        [Store::samples(50..51), Store::samples(99..100)].concat()
    );
    // A log whose late samples are in blocks holds nobody up.
    store.write("b", 100..250);
    store.db.maintain();
    let end = store
        .db
        .blocks()
        .iter()
        .map(|block| block.meta().max_time)
        .max()
        .unwrap();
    store.db.close().unwrap();
    store.open_without_replay();
    assert_eq!(store.db.select(&b, 0, end - 1, true).map(|set| set.len()).unwrap(), 1);
}

#[test]
fn a_store_that_is_closed_before_its_log_was_read_leaves_it_to_the_next_start() {
    let mut store = Store::new(stores::small());
    store.write("a", 0..50);
    store.db.maintain();
    store.db.close().unwrap();
    let files = store.files();
    store.open_without_replay();
    store.write("a", 50..51);
    store.db.close().unwrap();
    assert!(store.db.replay().is_err());
    assert_eq!(store.db.health(), Ok(()), "its log is not to blame");
    assert!(!store.db.replay_status().done);
    let now = store.files();
    assert!(files.iter().all(|(path, bytes)| now.get(path) == Some(bytes)));
    store.reopen();
    assert_eq!(store.read("a"), Store::samples(0..51));
}

#[test]
fn chunks_leave_the_memory_while_a_block_is_written_slowly_and_the_block_is_none_the_worse() {
    // A second for each series.
    let settings = Settings {
        compaction_bytes_per_second: 20,
        chunk_samples: 5,
        ..stores::small()
    };
    let mut store = Store::new(settings);
    let is_cutting = |store: &Store| {
        let names = store.disk.list(Path::new("data")).unwrap();
        names.iter().any(|entry| entry.name.ends_with(".tmp-for-creation"))
    };
    let series: Vec<String> = (0..200).map(|i| format!("m{i}")).collect();
    let write = |minutes: std::ops::Range<i64>| {
        for minute in minutes {
            series.iter().for_each(|name| store.write(name, minute..minute + 1));
        }
    };
    write(0..50);
    std::thread::scope(|threads| {
        let working = threads.spawn(|| store.db.maintain());
        while !is_cutting(&store) {
            std::thread::yield_now();
        }
        write(50..60);
        let before = store.db.stats().head.chunk_bytes;
        let mapped = store.db.map_chunks().unwrap();
        let after = store.db.stats().head.chunk_bytes;
        let cutting = is_cutting(&store);
        store.db.close().unwrap();
        assert!(cutting, "the block took less time than 10 samples of each series");
        assert_eq!(mapped, 2 * series.len());
        assert!(after < before, "{before} bytes before, {after} after");
        assert_eq!(working.join().unwrap().cut, [] as [String; 0]);
        assert_eq!(store.db.map_chunks().unwrap(), 0);
    });
    store.settings.compaction_bytes_per_second = 0;
    store.reopen();
    store.db.maintain();
    assert_eq!(store.blocks().len(), 2);
    for name in &series {
        assert_eq!(store.read(name), Store::samples(0..60), "{name}");
    }
}

#[test]
fn a_full_disk_leaves_no_half_block_and_is_tried_again() {
    let mut store = Store::new(stores::small());
    for minute in 0..50 {
        store.write("a", minute..minute + 1);
    }
    store.db.sync().unwrap();
    store.disk.limit(Some(store.disk.used()));
    store.write("a", 50..60);
    let done = store.db.maintain();
    assert!(!done.failures.is_empty());
    assert_eq!(store.read("a"), Store::samples(0..60));
    assert!(store.blocks().is_empty());
    let names = store.disk.list(Path::new("data")).unwrap();
    assert!(!names.iter().any(|entry| entry.name.contains("tmp")), "{names:?}");
    store.disk.limit(None);
    let done = store.db.maintain();
    assert_eq!((done.failures, done.cut.len()), (vec![], 2));
    assert_eq!(store.read("a"), Store::samples(0..60));
    store.db.sync().unwrap();
    assert_eq!(store.db.health(), Ok(()));
    store.crash(9);
    assert_eq!(store.read("a"), Store::samples(0..60));
}

#[test]
fn that_memory_is_full_because_the_disk_is_is_told() {
    let settings = Settings {
        unwritten_memory_bytes: 1,
        ..stores::small()
    };
    let store = Store::new(settings);
    store.write("a", 0..5);
    store.db.sync().unwrap();
    store.disk.limit(Some(store.disk.used()));
    store.write("a", 5..6);
    store.db.flush().unwrap_err();
    assert!(matches!(store.try_write("a", 6), Err(AppendError::Unwritable(_))));
    let why = store.db.health().unwrap_err();
    assert!(
        why.contains("no storage space") && why.contains("limit of 1 bytes, samples are refused"),
        "{why}"
    );
    store.disk.limit(None);
    store.db.flush().unwrap();
    assert_eq!(store.db.health(), Ok(()));
    store.write("a", 6..8);
    assert_eq!(store.read("a"), Store::samples(0..8));
}

#[test]
fn the_same_seed_ends_in_the_same_bytes() {
    let run = || {
        let mut store = Store::new(stores::small());
        for minute in 0..150 {
            for name in ["a", "b", "c"] {
                store.write(name, minute..minute + 1);
            }
            store.db.flush().unwrap();
            store.db.maintain();
        }
        store.restart();
        store.files()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_closed_store_takes_nothing_and_still_answers() {
    let store = Store::new(Settings::default());
    store.write("a", 0..3);
    store.db.close().unwrap();
    assert!(store.try_write("a", 3).is_err());
    assert_eq!(store.read("a"), Store::samples(0..3));
    assert!(store.db.delete_series(&[], 0, 1).is_err());
    assert!(store.db.close().is_ok());
}

#[test]
fn labels_stay_with_their_series_across_blocks() {
    let store = Store::new(stores::small());
    let labels: Vec<Labels> = (0..5)
        .map(|i| Labels::from_pairs([("__name__", "m".to_owned()), ("i", i.to_string())]))
        .collect();
    for minute in 0..70 {
        for labels in &labels {
            store.write_labels(labels, minute, minute as f64);
        }
        store.db.maintain();
    }
    let set = store
        .db
        .select(&[Matcher::equal("__name__", "m")], 0, 70 * MINUTE, true)
        .unwrap();
    let found: Vec<Labels> = (0..set.len()).map(|i| set.labels(i)).collect();
    assert_eq!(found, labels);
}

#[test]
fn samples_out_of_order_become_blocks_that_are_merged() {
    let settings = Settings {
        out_of_order_window_ms: 3 * RANGE,
        ..stores::small()
    };
    let mut store = Store::new(settings);
    store.write("a", 0..3);
    for minute in 60..140 {
        store.write("a", minute..minute + 1);
        if minute < 100 {
            store.write("a", minute - 50..minute - 49);
        }
        store.db.maintain();
        if minute == 80 {
            store.db.sync().unwrap();
            store.crash(11);
        }
        let late = Store::samples(10..(minute - 49).min(50));
        let expected = [Store::samples(0..3), late, Store::samples(60..minute + 1)].concat();
        assert_eq!(store.read("a"), expected, "at minute {minute}");
    }
    let stats = store.db.stats();
    assert!(stats.out_of_order_compactions > 0 && stats.compactions > 0, "{stats:?}");
    for _ in 0..20 {
        store.db.maintain();
    }
    let blocks = store.blocks();
    assert!(blocks.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{blocks:?}");
    store.restart();
    let all = [Store::samples(0..3), Store::samples(10..50), Store::samples(60..140)].concat();
    assert_eq!(store.read("a"), all);
    let copy = store.db.snapshot(true).unwrap();
    let disk: Arc<dyn Disk> = store.disk.clone();
    let copy = Db::read_only(disk, &Path::new("data/snapshots").join(copy), store.clock.clone()).unwrap();
    assert_eq!(stores::read_all(&copy, "a"), all);
}

#[test]
fn a_window_can_be_opened_and_closed_while_the_store_runs() {
    let mut store = Store::new(stores::small());
    store.write("a", 0..10);
    let refused = |store: &Store, minute| store.try_write("a", minute).unwrap().refused;
    store.write("b", 0..1);
    store.write("b", 9..10);
    let late = |store: &Store, minute| store.try_write("b", minute).unwrap().refused;
    assert_eq!(late(&store, 5), [(0, Refusal::OutOfOrder)]);
    assert!(store.db.adjust(-1, 5).is_err());
    assert_eq!(late(&store, 5), [(0, Refusal::OutOfOrder)]);
    store.db.adjust(4 * MINUTE, 5).unwrap();
    assert_eq!(late(&store, 5), []);
    assert_eq!(
        late(&store, 4),
        [(0, Refusal::OutOfOrder)],
        "the window ends at minute 5"
    );
    store.db.adjust(0, 5).unwrap();
    assert_eq!(late(&store, 6), [(0, Refusal::OutOfOrder)]);
    assert_eq!(refused(&store, 9), [], "it is there already");
    let all = [Store::samples(0..1), Store::samples(5..6), Store::samples(9..10)].concat();
    assert_eq!(store.read("b"), all);
    // The log of late samples was not there when the store was opened, and is read without a window too.
    store.db.sync().unwrap();
    store.crash(3);
    assert_eq!(store.read("b"), all);
    store.write("b", 10..60);
    store.db.maintain();
    let stats = store.db.stats();
    assert_eq!(
        (stats.out_of_order_compactions, stats.head_cuts > 0),
        (1, true),
        "{stats:?}"
    );
    assert_eq!(store.read("b"), [all, Store::samples(10..60)].concat());
}

#[test]
fn a_query_misses_nothing_while_samples_move_from_the_head_into_blocks() {
    let settings = Settings {
        stale_after_ms: 0,
        ..stores::small()
    };
    let store = Store::new(settings);
    store.write("a", 0..5);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for minute in 5..400 {
                store.write("a", minute..minute + 1);
                store.db.maintain();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut newest = 0;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let found = store.read("a");
            assert_eq!(found, Store::samples(0..found.len() as i64));
            assert!(found.len() >= newest, "{} samples after {newest}", found.len());
            newest = found.len();
        }
    });
    assert_eq!(store.read("a"), Store::samples(0..400));
}

#[test]
fn no_block_of_late_samples_ends_in_time_that_has_not_come() {
    let mut store = Store::new(Settings {
        out_of_order_window_ms: 2 * RANGE,
        ..stores::small()
    });
    store.write("a", 0..45);
    store.write("a", 47..50);
    store.write("a", 46..47);
    assert_eq!(store.db.maintain().failures, [] as [&str; 0]);
    let ends: Vec<_> = store.blocks().iter().map(|ends| ends.1).collect();
    assert_eq!(ends.iter().max(), Some(&(46 * MINUTE + 1)), "{ends:?}");
    store.restart();
    let expected = [Store::samples(0..45), Store::samples(46..50)].concat();
    assert_eq!(store.read("a"), expected);
}
