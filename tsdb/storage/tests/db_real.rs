//! The store as a whole, on a real disk.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

use leadline_model::clock::ManualClock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Queryable, Slot};
use leadline_model::sample::Samples;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::{Disk, RealDisk};
use leadline_storage::{Settings, StorageError};
use std::path::Path;
use std::sync::Arc;

const SECOND: i64 = 1_000;
const SERIES: usize = 20;

fn parts(path: &Path, clock: &Arc<ManualClock>) -> Parts {
    Parts {
        disk: Arc::new(RealDisk),
        path: path.to_owned(),
        settings: Settings {
            block_range_ms: 60 * SECOND,
            max_block_range_ms: 180 * SECOND,
            retention_ms: 3_600 * SECOND,
            wal_segment_bytes: 64 * 1024,
            ..Settings::default()
        },
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(1)),
    }
}

/// One sample of every series.
fn write(db: &Db, clock: &ManualClock, t: i64) {
    clock.set(t);
    let labels = |i: usize| Labels::from_pairs([("__name__", "m".to_owned()), ("i", format!("{i:02}"))]);
    let entry = |i: usize| Entry {
        series: Slot::New(i as u32),
        t,
        v: (t + i as i64) as f64,
    };
    let outcome = db.commit(&Batch {
        owner: db.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        created: (0..SERIES).map(labels).collect(),
        entries: (0..SERIES).map(entry).collect(),
        extras: Extras::default(),
    });
    assert_eq!(outcome.unwrap().appended, SERIES);
}

/// Every series has exactly the samples of these times.
#[track_caller]
fn check(from: &dyn Queryable, times: &[i64]) {
    let set = from.select(&[], i64::MIN, i64::MAX, true).unwrap();
    assert_eq!(set.len(), SERIES);
    for i in 0..SERIES {
        let mut samples = Samples::default();
        set.read(i, i64::MIN, i64::MAX, &mut samples).unwrap();
        assert_eq!(samples.t, times, "{}", set.labels(i));
        assert!(samples.v.iter().zip(times).all(|(&v, &t)| v == (t + i as i64) as f64));
    }
}

#[test]
fn a_store_on_a_real_disk_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/data");
    let clock = Arc::new(ManualClock::at(0));
    let db = Db::open(parts(&path, &clock)).unwrap();
    db.replay().unwrap();
    let times: Vec<i64> = (0..120).map(|i| i * 5 * SECOND).collect();
    for &t in &times {
        write(&db, &clock, t);
        assert_eq!(db.maintain().failures, [] as [&str; 0]);
    }
    assert!(db.blocks().len() >= 3, "{:?}", db.blocks());
    assert!(db.stats().compactions >= 1);
    check(db.as_ref(), &times);

    let again = Db::open(parts(&path, &clock));
    assert!(matches!(again, Err(StorageError::Locked { .. })), "{again:?}");
    let copy = path.join("snapshots").join(db.snapshot(true).unwrap());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    check(&Db::read_only(disk.clone(), &copy, clock.clone()).unwrap(), &times);

    db.close().unwrap();
    drop(db);
    check(&Db::read_only(disk, &path, clock.clone()).unwrap(), &times);
    let db = Db::open(parts(&path, &clock)).unwrap();
    db.replay().unwrap();
    check(db.as_ref(), &times);
}
