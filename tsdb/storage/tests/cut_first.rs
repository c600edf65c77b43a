//! A log that takes more memory than it may: blocks are cut of it before it is replayed, and nothing else changes.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_model::exemplar::Exemplar;
use leadline_model::histogram::{AnyHistogram, Histogram, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::port::{Appender, Attempt, Batch, Entry, ExemplarEntry, Extras, HistogramEntry, Queryable, Slot};
use leadline_model::sample::{STALE_NAN, Samples, Timestamp};
use leadline_storage::Settings;
use leadline_storage::block::{OUT_OF_ORDER, STALE_SERIES};
use leadline_storage::db::{Db, Replayed};
use leadline_storage::disk::Disk;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use leadline_storage::disk::memory::MemoryDisk;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use stores::{MINUTE, RANGE, Store};

/// Series of [`filled`] that live, besides the one of histograms.
const SERIES: i64 = 40;
/// Time of the newest sample of [`filled`], ms.
const NEWEST: i64 = 54 * MINUTE;
/// A limit that the log of [`filled`] passes, and its halves after a few halvings do not.
const LIMIT: u64 = 100_000;

fn settings() -> Settings {
    Settings {
        out_of_order_window_ms: 2 * RANGE,
        stale_after_ms: 5 * MINUTE,
        stale_min_series: 2,
        stale_percent: 1,
        chunk_samples: 7,
        max_exemplars: 10,
        ..stores::small()
    }
}

fn labels(i: i64) -> Labels {
    // Texts that series share are in memory once.
    let long = i.to_string().repeat(900);
    Labels::from_pairs([
        ("__name__", format!("m{}", i % 3)),
        ("pod", format!("p{i}")),
        ("long", long),
    ])
}

fn histogram(n: i64) -> AnyHistogram {
    AnyHistogram::Int(Arc::new(Histogram {
        count: 2 * n as u64,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n, 0],
        ..Histogram::default()
    }))
}

/// Commits floats, and a histogram where `t` is a whole minute.
fn put(store: &Store, t: Timestamp, floats: &[(i64, f64)]) {
    if t > leadline_model::Clock::now(&*store.clock) {
        store.clock.set(t);
    }
    let mut batch = Batch {
        owner: store.db.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        created: floats.iter().map(|(i, _)| labels(*i)).collect(),
        entries: Vec::new(),
        extras: Extras::default(),
    };
    for (at, (i, v)) in floats.iter().enumerate() {
        let series = Slot::New(at as u32);
        batch.entries.push(Entry { series, t, v: *v });
        batch.extras.exemplars.push(ExemplarEntry {
            series,
            exemplar: Exemplar {
                labels: Labels::from_pairs([("trace_id", format!("{i}-{t}"))]),
                t,
                v: *v,
            },
        });
    }
    if t % MINUTE == 0 {
        let series = Slot::New(batch.created.len() as u32);
        batch
            .created
            .push(Labels::from_pairs([("__name__", "h"), ("long", &"y".repeat(900))]));
        let h = histogram(1 + t / MINUTE % 9);
        batch.extras.histograms.push(HistogramEntry { series, t, h });
    }
    let outcome = store.db.commit(&batch).unwrap();
    assert_eq!(
        (outcome.refused, outcome.refused_histograms),
        (vec![], vec![]),
        "at {t}"
    );
}

/// A store whose log has all there is: blocks before it, floats and histograms, chunks that are mapped, what came late,
/// deletions, and series that ended and left.
fn filled() -> Store {
    let store = Store::new(settings());
    let all: Vec<i64> = (0..SERIES).collect();
    for minute in 0..55 {
        let mut floats: Vec<(i64, f64)> = all.iter().map(|&i| (i, (i * minute) as f64)).collect();
        if minute < 30 {
            floats.push((100, minute as f64));
            floats.push((101, minute as f64));
        } else if minute == 30 {
            floats.push((100, STALE_NAN));
            floats.push((101, STALE_NAN));
        }
        put(&store, minute * MINUTE, &floats);
        if minute > 35 && minute % 3 == 0 {
            let late: Vec<(i64, f64)> = all.iter().step_by(2).map(|&i| (i, 0.5)).collect();
            put(&store, (minute - 20) * MINUTE + 500, &late);
        }
        if minute == 50 {
            let some = [Matcher::new("pod", MatchOp::Regex, "p1.*").unwrap()];
            store.db.delete_series(&some, 41 * MINUTE, 45 * MINUTE).unwrap();
            store.db.delete_series(&some, 20 * MINUTE, 24 * MINUTE).unwrap();
        }
        store.db.maintain();
    }
    store.db.sync().unwrap();
    assert_eq!(store.blocks().len(), 3, "{:?}", store.blocks());
    store
}

type Dump = BTreeMap<String, Vec<String>>;

fn dump(from: &dyn Queryable) -> Dump {
    let all = Matcher::new("__name__", MatchOp::Regex, ".+").unwrap();
    let set = from.select(&[all], i64::MIN, i64::MAX, true).unwrap();
    let (mut samples, mut histograms, mut dump) = (Samples::default(), Vec::new(), Dump::new());
    for i in 0..set.len() {
        set.read(i, i64::MIN, i64::MAX, &mut samples).unwrap();
        set.read_histograms(i, i64::MIN, i64::MAX, &mut histograms).unwrap();
        let floats = samples
            .t
            .iter()
            .zip(&samples.v)
            .map(|(t, v)| format!("{t} {:x}", v.to_bits()));
        let lines = floats.chain(histograms.iter().map(|h| format!("{} {}", h.t, h.h)));
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            dump.insert(set.labels(i).to_string(), lines);
        }
    }
    dump
}

/// Opens what is on a disk.
fn open_on(store: &Store, disk: Arc<dyn Disk>, limit: u64) -> Arc<Db> {
    let mut parts = store.parts();
    parts.disk = disk;
    parts.settings.replay_memory_bytes = limit;
    Db::open(parts).unwrap()
}

fn start(store: &Store, disk: &MemoryDisk, limit: u64) -> (Arc<Db>, Replayed) {
    let db = open_on(store, Arc::new(disk.clone()), limit);
    let replayed = db.replay().unwrap();
    (db, replayed)
}

fn close(db: &Db) {
    db.close().unwrap();
}

/// What a start without a limit finds.
fn whole(store: &Store, disk: &MemoryDisk) -> Dump {
    let (db, replayed) = start(store, &disk.duplicate(), 0);
    assert_eq!((replayed.blocks, replayed.lost), (0, vec![]));
    dump(&*db)
}

/// Names in the data directory that are not those of blocks.
fn others(disk: &MemoryDisk) -> Vec<String> {
    let names = disk
        .list(Path::new("data"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name);
    names.filter(|name| name.len() != 26).collect()
}

#[test]
fn what_is_cut_first_is_what_a_whole_replay_finds() {
    let store = filled();
    let expected = whole(&store, &store.disk);
    assert!(expected.len() > SERIES as usize);
    for limit in [1, LIMIT] {
        let disk = store.disk.duplicate();
        let (db, replayed) = start(&store, &disk, limit);
        assert!(replayed.blocks >= 4, "{replayed:?}");
        assert_eq!(replayed.lost, Vec::<String>::new());
        assert_eq!(dump(&*db), expected, "with {limit} bytes");
        assert!(
            db.stats().head.series <= 10,
            "only those with exemplars: {}",
            db.stats().head.series
        );
        let metas: Vec<_> = db.blocks().iter().map(|block| block.meta()).collect();
        let hinted = |hint: &str| metas.iter().filter(|meta| meta.has_hint(hint)).count();
        assert!(hinted(STALE_SERIES) >= 2 && hinted(OUT_OF_ORDER) >= 2);
        assert!(
            metas
                .iter()
                .all(|meta| meta.min_time % RANGE == 0 && meta.max_time <= (meta.min_time + RANGE).min(NEWEST + 1))
        );
        assert_eq!(others(&disk), ["chunks_head", "lock", "wal", "wbl"]);
        close(&db);
        // The log is empty: the next start has nothing to cut, whatever the limit is.
        let (db, replayed) = start(&store, &disk, 70_000);
        assert_eq!((replayed.blocks, replayed.samples, replayed.lost), (0, 0, vec![]));
        assert_eq!(dump(&*db), expected);
    }
}

#[test]
fn a_log_that_fits_is_not_cut() {
    let store = filled();
    let expected = whole(&store, &store.disk);
    let disk = store.disk.duplicate();
    let (db, replayed) = start(&store, &disk, 10_000_000);
    assert_eq!((replayed.blocks, db.blocks().len()), (0, store.blocks().len()));
    assert_eq!(dump(&*db), expected);
}

#[test]
fn the_store_goes_on_after_the_log_was_cut() {
    let mut store = filled();
    store.disk = Arc::new(store.disk.duplicate());
    store.settings.replay_memory_bytes = LIMIT;
    let mut expected = whole(&store, &store.disk);
    store.open_without_replay();
    // A commit that comes before the log is read.
    put(&store, 55 * MINUTE, &[(3, 55.0), (200, 1.0)]);
    let replayed = store.db.replay().unwrap();
    assert!(replayed.blocks > 0);
    put(&store, 56 * MINUTE, &[(3, 56.0), (200, 2.0)]);
    let mut add = |labels: Labels, lines: Vec<String>| expected.entry(labels.to_string()).or_default().extend(lines);
    let line = |minute: i64, v: f64| format!("{} {:x}", minute * MINUTE, v.to_bits());
    add(labels(3), vec![line(55, 55.0), line(56, 56.0)]);
    add(labels(200), vec![line(55, 1.0), line(56, 2.0)]);
    add(
        Labels::from_pairs([("__name__", "h"), ("long", &"y".repeat(900))]),
        [55, 56]
            .map(|minute| format!("{} {}", minute * MINUTE, histogram(1 + minute % 9)))
            .to_vec(),
    );
    assert_eq!(dump(&*store.db), expected);
    store.db.sync().unwrap();
    store.crash(3);
    assert_eq!(dump(&*store.db), expected);
    for minute in 57..120 {
        put(&store, minute * MINUTE, &[(3, 1.0)]);
        let done = store.db.maintain();
        assert_eq!(done.failures, Vec::<String>::new());
    }
    let stale = store
        .db
        .blocks()
        .iter()
        .filter(|block| block.meta().has_hint(STALE_SERIES))
        .count();
    assert_eq!(stale, 2, "one for each range of time: those of the parts were merged");
    let after = dump(&*store.db);
    for (labels, lines) in &expected {
        assert_eq!(after[labels][..lines.len()], lines[..], "{labels}");
    }
    let deleted = [Matcher::equal("pod", "p3")];
    store.db.delete_series(&deleted, i64::MIN, i64::MAX).unwrap();
    store.restart();
    assert!(!dump(&*store.db).contains_key(&labels(3).to_string()));
}

#[test]
fn what_is_late_is_late_still_after_the_log_was_cut() {
    let store = filled();
    let (db, replayed) = start(&store, &store.disk.duplicate(), LIMIT);
    assert!(replayed.blocks > 0);
    assert_eq!(db.head().max_time(), store.db.head().max_time());
    let batch = |t| Batch {
        owner: db.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        created: vec![labels(1)],
        entries: vec![Entry {
            series: Slot::New(0),
            t,
            v: 1.0,
        }],
        extras: Extras::default(),
    };
    let refused = |t| db.commit(&batch(t)).unwrap().refused.len();
    assert_eq!(
        (refused(30 * MINUTE), refused(5 * MINUTE)),
        (0, 1),
        "the window is 40 minutes, the newest is at 54"
    );
}

#[test]
fn exemplars_and_their_series_stay() {
    let store = filled();
    let of = |db: &Db| {
        let all = Matcher::new("__name__", MatchOp::Regex, ".+").unwrap();
        let found = db.exemplars(&[all], i64::MIN, i64::MAX).unwrap();
        let line = |labels: &Labels, e: &Exemplar| format!("{labels} {} {} {}", e.labels, e.t, e.v);
        let mut lines: Vec<String> = found
            .iter()
            .flat_map(|(labels, all)| all.iter().map(move |e| line(labels, e)))
            .collect();
        lines.sort();
        lines
    };
    let (db, _) = start(&store, &store.disk.duplicate(), 0);
    let expected = of(&db);
    let disk = store.disk.duplicate();
    let (db, replayed) = start(&store, &disk, LIMIT);
    assert!(replayed.blocks > 0);
    assert_eq!((of(&db).len(), expected.len()), (10, 10));
    let newest = format!(" {NEWEST} ");
    assert!(of(&db).iter().all(|line| line.contains(&newest)), "{:?}", of(&db));
    let found = of(&db);
    close(&db);
    let (db, _) = start(&store, &disk, LIMIT);
    assert_eq!(of(&db), found);
}

#[test]
fn power_may_be_lost_at_any_moment_of_a_cut() {
    let store = filled();
    let expected = whole(&store, &store.disk);
    // The disk that is left when power is lost after so many changes, if there are as many.
    let left_after = |changes: u64| {
        let disk = store.disk.duplicate();
        disk.crash_after(changes, Arc::new(SeededEntropy::new(changes)));
        let mut parts = store.parts();
        parts.disk = Arc::new(disk.clone());
        parts.settings.replay_memory_bytes = LIMIT;
        // Every time the same.
        parts.entropy = Arc::new(SeededEntropy::new(9));
        let replayed = Db::open(parts).unwrap().replay().unwrap();
        assert!(replayed.blocks > 0);
        disk.crashed()
    };
    let (mut changes, mut all) = (0, 4_096);
    while changes + 1 < all {
        let middle = u64::midpoint(changes, all);
        match left_after(middle) {
            Some(_) => changes = middle,
            None => all = middle,
        }
    }
    assert!(all > 100, "{all}");
    // Now and then while blocks are written; after every change when they are put in place and the log is emptied.
    for changes in (0..all - 50).step_by(41).chain(all - 50..all) {
        let left = left_after(changes).unwrap();
        assert_eq!(whole(&store, &left), expected, "after {changes} changes");
        let (db, replayed) = start(&store, &left, LIMIT);
        assert_eq!(
            (dump(&*db), replayed.lost),
            (expected.clone(), vec![]),
            "cut after {changes} changes"
        );
        assert!(
            others(&left).iter().all(|name| !name.contains(".tmp")),
            "{:?}",
            others(&left)
        );
    }
}

#[test]
fn a_full_disk_keeps_blocks_from_being_cut_and_nothing_else() {
    let store = filled();
    let expected = whole(&store, &store.disk);
    for room in [0, 3_000, 20_000] {
        let disk = store.disk.duplicate();
        let before = store.blocks().len();
        disk.limit(Some(disk.used() + room));
        let (db, replayed) = start(&store, &disk, LIMIT);
        assert_eq!(
            (replayed.blocks, db.blocks().len()),
            (0, before),
            "{room} bytes of room"
        );
        assert_eq!(dump(&*db), expected);
        disk.limit(None);
        db.sync().unwrap();
        assert!(
            others(&disk).iter().all(|name| !name.contains(".tmp")),
            "{:?}",
            others(&disk)
        );
        close(&db);
        assert_eq!(whole(&store, &disk), expected);
    }
}

#[test]
fn a_disk_that_fails_once_loses_nothing() {
    let store = filled();
    let (expected, before) = (whole(&store, &store.disk), store.blocks().len());
    for fault in [Fault::Failure, Fault::FailedSync, Fault::TornWrite] {
        let mut sound = 0;
        loop {
            let disk = store.disk.duplicate();
            let faulty = FaultyDisk::new(Arc::new(disk.clone()), Arc::new(SeededEntropy::new(sound)));
            let db = open_on(&store, Arc::new(faulty.clone()), LIMIT);
            faulty.arm(fault, sound);
            let replayed = db.replay();
            let fired = faulty.fired().len();
            faulty.lift();
            let replayed = replayed.or_else(|_| db.replay()).unwrap();
            assert_eq!(replayed.lost, Vec::<String>::new());
            assert_eq!(dump(&*db), expected, "{fault:?} after {sound} operations");
            let cut = db.blocks().len() - before;
            assert_eq!(
                (replayed.blocks, replayed.passes > 0),
                (cut as u64, cut > 0),
                "{fault:?} after {sound} operations, of whichever attempt"
            );
            drop(db);
            let left = disk.crash(&SeededEntropy::new(sound));
            assert_eq!(
                whole(&store, &left),
                expected,
                "{fault:?} after {sound} operations, and a start"
            );
            if fired == 0 {
                break;
            }
            sound += 1 + sound / 3;
        }
        assert!(sound > 20, "{fault:?} {sound}");
    }
}

#[test]
fn damage_that_a_pass_met_and_cut_off_is_told() {
    let store = filled();
    let wal = Path::new("data/wal");
    for limit in [1, LIMIT] {
        let disk = store.disk.duplicate();
        let mut segments: Vec<String> = disk.list(wal).unwrap().into_iter().map(|entry| entry.name).collect();
        segments.retain(|name| name.bytes().all(|b| b.is_ascii_digit()));
        segments.sort();
        let path = wal.join(segments.last().unwrap());
        let file = disk.open(&path).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let at = bytes.len() * 9 / 10;
        bytes[at] ^= 1;
        let mut file = disk.create(&path).unwrap();
        file.write_all(&bytes).unwrap();
        file.sync().unwrap();
        let (db, replayed) = start(&store, &disk, limit);
        assert!(replayed.blocks > 0, "with {limit} bytes");
        assert_eq!(replayed.lost.len(), 1, "with {limit} bytes: {:?}", replayed.lost);
        close(&db);
    }
}

#[test]
fn that_a_log_was_cut_is_told_though_all_of_it_was_deleted() {
    let store = Store::new(settings());
    for minute in 0..5 {
        put(&store, minute * MINUTE, &[(1, 1.0)]);
    }
    let all = [Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()];
    store.db.delete_series(&all, i64::MIN, i64::MAX).unwrap();
    store.db.sync().unwrap();
    let (_, replayed) = start(&store, &store.disk.duplicate(), 1);
    assert_eq!((replayed.blocks, replayed.passes > 0), (0, true), "{replayed:?}");
    let (_, replayed) = start(&store, &store.disk.duplicate(), 10_000_000);
    assert_eq!(replayed.passes, 0, "{replayed:?}");
}
