//! The store as a whole on a disk that fails.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod mapped;
#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_model::matcher::Matcher;
use leadline_model::port::{QueryError, Queryable};
use leadline_model::sample::Samples;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::FaultyDisk;
use leadline_storage::disk::faulty::Fault;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stores::{MINUTE, RANGE, Store};

/// A store whose disk fails when told to.
fn failing() -> (Store, FaultyDisk) {
    failing_with(stores::small())
}

fn failing_with(settings: Settings) -> (Store, FaultyDisk) {
    let mut store = Store::new(settings);
    store.db.close().unwrap();
    let faulty = FaultyDisk::new(store.disk.clone(), Arc::new(SeededEntropy::new(1)));
    store.db = Db::open(Parts {
        disk: Arc::new(faulty.clone()),
        ..store.parts()
    })
    .unwrap();
    store.db.replay().unwrap();
    (store, faulty)
}

#[test]
fn a_block_that_could_neither_be_finished_nor_removed_does_not_bring_back_what_is_deleted() {
    let (mut tried, mut deleted) = (0, 0);
    loop {
        let (mut store, faulty) = failing();
        store.write("a", 0..35);
        store.write("b", 34..35);
        // What cannot be made durable cannot be removed either.
        for sound in [tried, tried + 1] {
            faulty.arm(Fault::Failure, sound);
        }
        let done = store.db.maintain();
        let fired = faulty.fired().len();
        faulty.lift();
        let a = [Matcher::equal("__name__", "a")];
        store.db.delete_series(&a, i64::MIN, i64::MAX).unwrap();
        deleted += usize::from(!done.failures.is_empty());
        store.crash(tried);
        assert_eq!(store.read("a"), [], "{tried}: {done:?}, {:?}", faulty.fired());
        assert_eq!(store.read("b"), Store::samples(34..35), "{tried}");
        if fired == 0 {
            break;
        }
        tried += 1;
    }
    assert!(tried > 30 && deleted > 10, "{tried}, {deleted}");
}

#[test]
fn nothing_is_deleted_as_long_as_a_block_cannot_be_removed() {
    let mut refused = 0;
    for sound in 0..200 {
        let (store, faulty) = failing();
        store.write("a", 0..35);
        for sound in [sound, sound + 1] {
            faulty.arm(Fault::Failure, sound);
        }
        store.db.maintain();
        faulty.lift();
        faulty.arm(Fault::Failure, 0);
        let outcome = store.db.delete_series(&[], i64::MIN, i64::MAX);
        faulty.lift();
        refused += usize::from(outcome.is_err_and(|error| error.to_string().contains("given up")));
        store.db.delete_series(&[], i64::MIN, i64::MAX).unwrap();
        assert_eq!(store.read("a"), []);
    }
    assert!(refused > 0);
}

/// Changes a byte of a segment of the log, or of a file of mapped chunks.
fn damage(store: &Store, path: &Path) {
    // Of its first record.
    damage_at(store, path, 20);
}

/// Goes on for so many minutes, cutting what is due.
fn go_on(store: &Store, minutes: std::ops::Range<i64>) -> Vec<String> {
    let mut failures = Vec::new();
    for minute in minutes {
        store.write("a", minute..minute + 1);
        failures.extend(store.db.maintain().failures);
    }
    failures
}

#[test]
fn a_log_that_is_damaged_while_it_is_written_keeps_nothing_from_being_cut_and_costs_no_sample() {
    let mut store = Store::new(stores::small());
    store.write("gone", 0..3);
    assert_eq!(go_on(&store, 0..32), [] as [&str; 0]);
    let gone = [Matcher::equal("__name__", "gone")];
    store.db.delete_series(&gone, i64::MIN, i64::MAX).unwrap();
    let half = [Matcher::equal("__name__", "half")];
    store.write("half", 31..34);
    store.db.delete_series(&half, 32 * MINUTE, 32 * MINUTE).unwrap();
    store.db.sync().unwrap();
    damage(&store, Path::new("data/wal/00000000"));
    assert_eq!(go_on(&store, 34..34 + 8 * 20), [] as [&str; 0]);
    assert_eq!(store.db.head().log_health().rebuilds, 1, "the damage was met, once");
    store.db.sync().unwrap();
    let head = store.db.head().min_time().unwrap();
    assert!(head >= 8 * RANGE, "{head}");
    for seed in 0..3 {
        store.crash(seed);
        assert_eq!(
            store.read("a"),
            [Store::samples(0..32), Store::samples(34..194)].concat()
        );
        assert_eq!(store.read("half"), [(31 * MINUTE, 31.0), (33 * MINUTE, 33.0)]);
        assert_eq!(store.read("gone"), []);
    }
    assert_eq!(store.db.health(), Ok(()));
}

/// The only file of mapped chunks.
fn mapped_file(store: &Store) -> PathBuf {
    let chunks = Path::new("data/chunks_head");
    let files = store.disk.list(chunks).unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    chunks.join(&files[0].name)
}

/// Changes a byte in each thirty: no chunk is left as it was.
fn damage_all(store: &Store, path: &Path) {
    let mut bytes = vec![0; store.disk.open(path).unwrap().len().unwrap() as usize];
    store.disk.open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    let mut file = store.disk.append(path).unwrap();
    (20..bytes.len())
        .step_by(30)
        .for_each(|at| file.write_at(&[!bytes[at]], at as u64).unwrap());
}

fn settings_with_short_chunks() -> Settings {
    Settings {
        chunk_samples: 5,
        out_of_order_window_ms: 3 * RANGE,
        ..stores::small()
    }
}

#[test]
fn mapped_chunks_that_are_damaged_while_the_store_runs_keep_nothing_from_being_cut_and_cost_no_sample() {
    for seed in 0..3 {
        let mut store = Store::new(settings_with_short_chunks());
        go_on(&store, 0..24);
        // What comes out of order is mapped in chunks of 32.
        store.write("late", 24..25);
        store.write("late", -11..24);
        assert_eq!(go_on(&store, 24..26), [] as [&str; 0]);
        damage_all(&store, &mapped_file(&store));
        assert!(store.db.health().is_ok());
        assert_eq!(go_on(&store, 26..26 + 3 * 20), [] as [&str; 0], "{seed}");
        let stats = store.db.stats();
        assert!(stats.head.mapped_damaged >= 5, "{}", stats.head.mapped_damaged);
        assert_eq!(stats.head.samples_lost, 0);
        assert!(store.db.head().min_time().unwrap() >= 3 * RANGE);
        assert_eq!(store.db.health(), Ok(()));
        let late = Store::samples(-11..25);
        assert_eq!(
            (store.read("a"), store.read("late")),
            (Store::samples(0..86), late.clone())
        );
        store.db.sync().unwrap();
        store.crash(seed);
        assert_eq!((store.read("a"), store.read("late")), (Store::samples(0..86), late));
    }
}

#[test]
fn a_mapped_chunk_that_cannot_be_joined_with_its_neighbour_keeps_nothing_from_being_cut() {
    // The log has as many samples as the chunk promises, or one less.
    for (promised, lost) in [(4, 0), (5, 1)] {
        let mut store = Store::new(settings_with_short_chunks());
        go_on(&store, 0..14);
        store.db.close().unwrap();
        let times = (10 * MINUTE, (9 + i64::from(promised)) * MINUTE);
        mapped::append(&*store.disk, &mapped_file(&store), times, &[0, promised, 0xff]);
        // All chunks are such that were closed early.
        store.settings.chunk_samples = 120;
        store.reopen();
        assert_eq!(go_on(&store, 15..70), [] as [&str; 0], "{promised}");
        assert!(store.db.head().min_time().unwrap() >= 2 * RANGE);
        let stats = store.db.stats();
        assert_eq!((stats.head.mapped_damaged, stats.head.samples_lost), (1, lost));
        let kept = [Store::samples(0..14), Store::samples(15..70)].concat();
        assert_eq!((store.read("a"), store.db.health()), (kept.clone(), Ok(())));
        store.restart();
        assert_eq!(store.read("a"), kept);
    }
}

#[test]
fn a_query_that_meets_a_damaged_chunk_fails_until_the_next_maintenance_alone() {
    let store = Store::new(settings_with_short_chunks());
    go_on(&store, 0..12);
    damage_all(&store, &mapped_file(&store));
    let everything = [Matcher::equal("__name__", "a")];
    let mut samples = Samples::default();
    let read = |samples: &mut Samples| {
        let set = store.db.select(&everything, i64::MIN, i64::MAX, true).unwrap();
        set.read(0, i64::MIN, i64::MAX, samples)
    };
    assert!(matches!(read(&mut samples), Err(QueryError::Corrupt(_))));
    assert_eq!(store.db.maintain().failures, [] as [&str; 0]);
    read(&mut samples).unwrap();
    assert_eq!(samples.len(), 12);
}

#[test]
fn what_neither_a_mapped_chunk_nor_the_log_has_is_told_and_left_out_of_the_block() {
    let mut store = Store::new(settings_with_short_chunks());
    go_on(&store, 0..24);
    damage(&store, &mapped_file(&store));
    damage(&store, Path::new("data/wal/00000000"));
    let mut lost = Vec::new();
    // Until memory has taken the place of the damaged log.
    for minute in 24..76 {
        store.write("a", minute..minute + 1);
        let done = store.db.maintain();
        assert_eq!(done.failures, [] as [&str; 0]);
        lost.extend(done.lost);
    }
    let [text] = lost.as_slice() else { panic!("{lost:?}") };
    assert!(
        text.starts_with("5 samples from 0 to 240000: data/chunks_head/000001: damaged at offset ")
            && text.contains(": expected the checksum of the chunk, got "),
        "{text}"
    );
    let stats = store.db.stats();
    assert_eq!((stats.head.mapped_damaged, stats.head.samples_lost), (1, 5));
    assert_eq!(store.read("a"), Store::samples(5..76));
    assert_eq!(store.db.health(), Ok(()), "there is nothing to wait for");
    store.restart();
    assert_eq!(store.read("a"), Store::samples(5..76));
}

#[test]
fn mapped_chunks_that_the_disk_does_not_read_are_waited_for_and_then_taken_from_the_log() {
    for passes in [true, false] {
        let (mut store, faulty) = failing();
        go_on(&store, 0..29);
        faulty.confine(&mapped_file(&store));
        let (mut minute, mut failures, mut told) = (29, 0, false);
        while store.db.head().min_time().unwrap() < RANGE {
            store.write("a", minute..minute + 1);
            if !passes || failures < 2 {
                (0..100).for_each(|_| faulty.arm(Fault::Failure, 0));
            } else {
                faulty.lift();
            }
            failures += usize::from(!store.db.maintain().failures.is_empty());
            told |= store.db.health().is_err();
            minute += 1;
            assert!(minute < 60, "nothing is cut");
        }
        assert!(told && failures >= if passes { 2 } else { 3 }, "{passes}: {failures}");
        faulty.lift();
        let stats = store.db.stats();
        assert_eq!((stats.head.mapped_damaged > 0, stats.head.samples_lost), (!passes, 0));
        assert_eq!(go_on(&store, minute..minute + 30), [] as [&str; 0]);
        assert_eq!(
            (store.read("a"), store.db.health()),
            (Store::samples(0..minute + 30), Ok(()))
        );
        store.restart();
        assert_eq!(store.read("a"), Store::samples(0..minute + 30));
    }
}

#[test]
fn a_log_that_the_disk_does_not_read_for_a_moment_costs_no_sample_of_a_damaged_chunk() {
    let (store, faulty) = failing();
    go_on(&store, 0..24);
    damage(&store, &mapped_file(&store));
    let set = store.db.select(&[], i64::MIN, i64::MAX, true).unwrap();
    assert!(set.read(0, i64::MIN, i64::MAX, &mut Samples::default()).is_err());
    for minute in 24..26 {
        store.write("a", minute..minute + 1);
        faulty.confine(Path::new("data/wal"));
        (0..100).for_each(|_| faulty.arm(Fault::Failure, 0));
        assert!(!store.db.maintain().failures.is_empty());
        faulty.lift();
    }
    assert_eq!(go_on(&store, 26..60), [] as [&str; 0]);
    let stats = store.db.stats();
    assert_eq!((stats.head.mapped_damaged, stats.head.samples_lost), (1, 0));
    assert_eq!(store.read("a"), Store::samples(0..60));
    store.db.sync().unwrap();
    assert_eq!(store.db.health(), Ok(()));
}

/// Changes a byte of a file.
fn damage_at(store: &Store, path: &Path, at: u64) {
    let mut byte = [0];
    store.disk.open(path).unwrap().read_exact_at(&mut byte, at).unwrap();
    store.disk.append(path).unwrap().write_at(&[!byte[0]], at).unwrap();
}

#[test]
fn what_a_damaged_chunk_had_is_read_from_the_damaged_log_before_another_takes_its_place() {
    for lost in [0, 5] {
        let mut store = Store::new(settings_with_short_chunks());
        // The log is read for the first time when the third block is cut, at minute 70: its first two segments.
        assert_eq!(go_on(&store, 0..67), [] as [&str; 0]);
        assert_eq!(store.db.head().min_time(), Some(2 * RANGE));
        damage(&store, Path::new("data/wal/00000001"));
        if lost > 0 {
            damage(&store, Path::new("data/wal/00000002"));
        }
        // The chunk that was mapped last: minutes 60 to 64.
        let chunks = Path::new("data/chunks_head");
        let last = store
            .disk
            .list(chunks)
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .max();
        let last = chunks.join(last.unwrap());
        let end = store.disk.open(&last).unwrap().len().unwrap();
        damage_at(&store, &last, end - 1);
        let mut told = Vec::new();
        for minute in 67..71 {
            store.write("a", minute..minute + 1);
            let done = store.db.maintain();
            assert_eq!(done.failures, [] as [&str; 0]);
            told.extend(done.lost);
        }
        assert_eq!(told.len(), usize::from(lost > 0), "{told:?}");
        assert_eq!(store.db.head().log_health().rebuilds, 1);
        let stats = store.db.stats();
        assert_eq!((stats.head.mapped_damaged, stats.head.samples_lost), (1, lost));
        assert_eq!(go_on(&store, 71..120), [] as [&str; 0]);
        let behind = 60 + lost as i64;
        let kept = [Store::samples(0..60), Store::samples(behind..120)].concat();
        assert_eq!((store.read("a"), store.db.health()), (kept.clone(), Ok(())));
        store.restart();
        assert_eq!(store.read("a"), kept);
    }
}

#[test]
fn a_log_of_which_a_part_is_never_read_again_is_replaced_when_damaged_chunks_were_read_from_the_rest() {
    let (mut store, faulty) = failing_with(settings_with_short_chunks());
    // As above: the chunk that was mapped last is in the third segment, and the disk fails to read the second.
    assert_eq!(go_on(&store, 0..67), [] as [&str; 0]);
    let chunks = Path::new("data/chunks_head");
    let names = store.disk.list(chunks).unwrap().into_iter().map(|entry| entry.name);
    let last = chunks.join(names.max().unwrap());
    let end = store.disk.open(&last).unwrap().len().unwrap();
    damage_at(&store, &last, end - 1);
    let (mut minute, mut failures) = (67, 0);
    while store.db.head().log_health().rebuilds == 0 {
        faulty.lift();
        faulty.confine(Path::new("data/wal/00000001"));
        // It can be opened, and then the first read fails.
        (0..100).for_each(|n| faulty.arm(Fault::Failure, 2 * n + 1));
        store.write("a", minute..minute + 1);
        let done = store.db.maintain();
        failures += usize::from(!done.failures.is_empty());
        assert_eq!(done.lost, [] as [&str; 0]);
        minute += 1;
        assert!(minute < 90, "the log is not replaced: {done:?}");
    }
    faulty.lift();
    assert!(failures >= 3, "what fails may pass: {failures}");
    let stats = store.db.stats();
    assert_eq!((stats.head.mapped_damaged, stats.head.samples_lost), (1, 0));
    assert_eq!(go_on(&store, minute..130), [] as [&str; 0]);
    assert_eq!((store.read("a"), store.db.health()), (Store::samples(0..130), Ok(())));
    store.restart();
    assert_eq!(store.read("a"), Store::samples(0..130));
}

#[test]
fn what_is_found_to_be_lost_while_a_copy_is_made_is_told_by_the_next_maintenance() {
    let store = Store::new(settings_with_short_chunks());
    go_on(&store, 0..24);
    damage(&store, &mapped_file(&store));
    damage(&store, Path::new("data/wal/00000000"));
    store.db.snapshot(true).unwrap();
    assert_eq!(store.db.stats().head.samples_lost, 5);
    let lost = store.db.maintain().lost;
    assert!(
        lost.len() == 1 && lost[0].starts_with("5 samples from 0 to 240000: "),
        "{lost:?}"
    );
    assert_eq!(store.db.maintain().lost, [] as [&str; 0]);
}

#[test]
fn what_takes_the_place_of_a_damaged_log_has_what_was_mapped() {
    let mut store = Store::new(stores::small());
    go_on(&store, 0..32);
    damage(&store, Path::new("data/wal/00000000"));
    let mut minute = 32;
    while store.db.head().log_health().rebuilds == 0 {
        assert_eq!(go_on(&store, minute..minute + 1), [] as [&str; 0]);
        minute += 1;
    }
    store.db.map_chunks().unwrap();
    store.db.close().unwrap();
    let chunks = Path::new("data/chunks_head");
    for entry in store.disk.list(chunks).unwrap() {
        store.disk.remove_file(&chunks.join(entry.name)).unwrap();
    }
    store.reopen();
    assert_eq!(store.read("a"), Store::samples(0..minute));
}

/// What all of maintenance may do on the disk where little is to be done; with a turn for each empty range it were millions.
const FEW_OPERATIONS: u64 = 2_000;

#[test]
fn a_gap_in_time_is_not_cut_range_by_range() {
    let (mut store, faulty) = failing();
    let late = 100_000 * 20;
    store.write("a", 0..1);
    store.write("a", late..late + 5);
    faulty.arm(Fault::Failure, FEW_OPERATIONS);
    let done = store.db.maintain();
    assert_eq!((done.failures, faulty.fired()), (vec![], vec![]));
    faulty.lift();
    assert_eq!((done.cut.len(), store.db.head().min_time()), (1, Some(late * MINUTE)));
    let all = [Store::samples(0..1), Store::samples(late..late + 5)].concat();
    assert_eq!(store.read("a"), all);
    // Of another series, and older than what is left.
    store.write("b", late - 3..late - 2);
    assert_eq!(store.db.head().min_time(), Some((late - 3) * MINUTE));
    store.db.sync().unwrap();
    store.crash(1);
    assert_eq!(store.read("a"), all);
    assert_eq!(store.read("b"), Store::samples(late - 3..late - 2));
}

#[test]
fn files_that_cannot_be_removed_keep_nothing_from_being_cut_and_are_told() {
    for folder in ["data/wal", "data/chunks_head"] {
        let (mut store, faulty) = failing();
        go_on(&store, 0..32);
        faulty.confine(Path::new(folder));
        let mut told = false;
        let mut minute = 32;
        for _ in 0..4 * 20 {
            store.write("a", minute..minute + 1);
            store.db.flush().unwrap();
            // Whatever of it is done first.
            (0..100).for_each(|_| faulty.arm(Fault::FailedSync, 0));
            store.db.maintain();
            told |= store.db.health().is_err();
            minute += 1;
        }
        assert!(told, "{folder}");
        let head = store.db.head().min_time().unwrap();
        assert!(head >= 4 * RANGE, "{folder}: {head}");
        faulty.lift();
        assert_eq!(go_on(&store, minute..minute + 1), [] as [&str; 0]);
        store.db.sync().unwrap();
        assert_eq!(store.db.health(), Ok(()), "{folder}");
        store.crash(3);
        assert_eq!(store.read("a"), Store::samples(0..minute + 1), "{folder}");
    }
}

#[test]
fn a_disk_that_is_full_of_blocks_frees_itself_within_a_retention() {
    let settings = Settings {
        retention_ms: 5 * RANGE,
        max_block_range_ms: RANGE,
        ..stores::small()
    };
    let mut store = Store::new(settings);
    let live = |store: &Store, minutes| {
        for minute in minutes {
            store.write("a", minute..minute + 1);
            // A full disk is told by what follows.
            let _ = store.db.sync();
            store.db.maintain();
        }
    };
    for minute in 0..110 {
        for n in 0..20 {
            store.write(&format!("many{n}"), minute..minute + 1);
        }
        live(&store, minute..minute + 1);
    }
    assert_eq!(store.blocks().len(), 4);
    store.disk.limit(Some(store.disk.used()));
    live(&store, 110..115);
    assert!(store.db.health().is_err());
    live(&store, 115..255);
    store.db.sync().unwrap();
    assert_eq!((store.db.maintain().failures, store.db.health()), (vec![], Ok(())));
    let blocks = store.blocks();
    assert!(
        blocks[0].0 >= 5 * RANGE && blocks.last().unwrap().1 == 12 * RANGE,
        "{blocks:?}"
    );
    let kept = Store::samples(140..255);
    assert!(store.read("a").ends_with(&kept), "{blocks:?}");
    store.crash(1);
    assert!(store.read("a").ends_with(&kept));
}
