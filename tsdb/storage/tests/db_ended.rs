//! Series that ended leave the head before it is cut, so that memory follows live pods through rollouts.

#[expect(dead_code, reason = "other tests need the rest")]
mod stores;

use leadline_model::port::Refusal;
use leadline_model::sample::STALE_NAN;
use leadline_storage::Settings;
use leadline_storage::block::STALE_SERIES;
use stores::{MINUTE, RANGE, Store};

#[test]
fn series_that_ended_leave_the_head_for_a_block_of_their_own() {
    let settings = Settings {
        stale_after_ms: 5 * MINUTE,
        stale_min_series: 2,
        ..stores::small()
    };
    let mut store = Store::new(settings);
    store.write("a", 0..3);
    store.write("b", 0..4);
    store.write_value("a", 3, STALE_NAN);
    store.write_value("b", 4, STALE_NAN);
    store.write("lives", 0..12);
    let done = store.db.maintain();
    assert_eq!((done.series_evicted, done.cut.len(), done.failures), (2, 1, vec![]));
    assert_eq!(store.db.stats().head.series, 1);
    assert!(store.db.blocks()[0].meta().has_hint(STALE_SERIES));
    let check = |store: &Store| {
        assert_eq!(store.read("a")[..3], Store::samples(0..3));
        assert_eq!(store.read("a").len(), 4);
        assert_eq!(store.read("lives"), Store::samples(0..12));
    };
    check(&store);
    store.db.sync().unwrap();
    store.crash(3);
    check(&store);
    assert_eq!(store.db.stats().head.series, 1, "the log says that they left");
    store.write("a", 12..14);
    assert_eq!(store.read("a").len(), 6);
}

/// Writes so many series in the first minute and again in the third, and ends those of `ended` in the fourth.
fn with_ended(cap: u32, series: i64, ended: std::ops::Range<i64>) -> Store {
    let store = Store::new(Settings {
        max_series: cap,
        ..stores::small()
    });
    for minute in [1, 3] {
        (0..series).for_each(|n| store.write(&format!("old{n}"), minute..minute + 1));
    }
    ended.for_each(|n| store.write_value(&format!("old{n}"), 4, STALE_NAN));
    store
}

#[test]
fn series_that_ended_make_room_within_two_minutes_where_others_were_refused() {
    // Half of what may be, and one more than there is room for beside them.
    let store = with_ended(400, 200, 0..1);
    (0..200).for_each(|n| store.write(&format!("new{n}"), 4..5));
    assert_eq!(store.try_write("more", 4).unwrap().refused, [(0, Refusal::SeriesLimit)]);
    store.clock.advance(MINUTE);
    assert_eq!(store.db.maintain().series_evicted, 0, "it may come back");
    assert_eq!(store.try_write("more", 5).unwrap().refused, [(0, Refusal::SeriesLimit)]);
    store.clock.advance(MINUTE);
    let done = store.db.maintain();
    assert_eq!((done.series_evicted, done.failures), (1, vec![]));
    assert_eq!(store.try_write("more", 6).unwrap().refused, []);
    assert_eq!(store.read("old0").len(), 3);
}

#[test]
fn series_that_ended_leave_sooner_the_closer_the_cap_is() {
    // Of so many series that may be, so many exist and so many of them ended: how many leave within two minutes.
    let cases = [
        (400, 360, 4, 4),
        (400, 360, 3, 0),
        (400, 359, 300, 0),
        (400, 400, 400, 400),
    ];
    for (cap, series, ended, leave) in cases {
        let store = with_ended(cap, series, 0..ended);
        store.clock.advance(MINUTE + 1);
        let done = store.db.maintain();
        assert_eq!(
            (done.series_evicted, done.failures),
            (leave, vec![]),
            "{series}, {ended}"
        );
        assert_eq!(store.db.head().stats().series, (series as u64) - leave as u64);
    }
}

#[test]
fn what_was_deleted_stays_so_when_series_that_ended_are_a_retention_newer_than_the_last_cut() {
    let mut store = Store::new(Settings {
        retention_ms: 4 * RANGE,
        stale_after_ms: MINUTE,
        stale_min_series: 1,
        ..stores::small()
    });
    store.write("a", 0..20);
    store.db.maintain();
    store.clock.advance(RANGE / 2);
    assert_eq!(store.db.maintain().cut.len(), 1);
    store.db.delete_series(&[], i64::MIN, i64::MAX).unwrap();
    store.write("b", 300..301);
    store.write_value("b", 301, STALE_NAN);
    store.write("c", 301..309);
    let done = store.db.maintain();
    assert_eq!((done.series_evicted, done.failures), (1, vec![]));
    assert_eq!(store.read("a"), []);
    store.db.sync().unwrap();
    store.crash(2);
    assert_eq!(store.read("a"), []);
    assert_eq!(store.read("c"), Store::samples(301..309));
}
