//! A store that is closed before its log was read.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests use the rest")]
mod stores;

use leadline_model::clock::Clock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::metadata::Metadata;
use leadline_model::port::{Appender, Attempt, Batch, Entry, ExemplarEntry, Extras, MetadataEntry, Queryable, Slot};
use leadline_storage::Settings;
use leadline_storage::disk::Disk;
use std::path::Path;
use std::sync::Arc;
use stores::{MINUTE, RANGE, Store, small};

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
            Some(44 * MINUTE + 1),
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

/// Commits a sample of a series at a minute, an exemplar, and what it is.
fn tell(store: &Store, name: &str, minute: i64, help: &str) {
    let (t, v, series) = (minute * MINUTE, minute as f64, Slot::New(0));
    store.clock.set(t.max(store.clock.now()));
    let labels = Labels::from_pairs([("trace_id", help)]);
    let metadata = Metadata {
        help: help.into(),
        ..Metadata::default()
    };
    let batch = Batch {
        owner: store.db.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        created: vec![Labels::from_pairs([("__name__", name)])],
        entries: vec![Entry { series, t, v }],
        extras: Extras {
            exemplars: vec![ExemplarEntry {
                series,
                exemplar: Exemplar { labels, t, v },
            }],
            metadata: vec![MetadataEntry { series, metadata }],
            ..Extras::default()
        },
    };
    let outcome = store.db.commit(&batch).unwrap();
    assert_eq!((outcome.refused, outcome.refused_exemplars), (vec![], vec![]));
}

/// Of each series what is told of it, and its exemplars.
fn told(store: &Store) -> Vec<String> {
    let all = [Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()];
    let exemplars = store.db.exemplars(&all, i64::MIN, i64::MAX).unwrap();
    let mut told: Vec<String> = exemplars
        .iter()
        .flat_map(|(labels, all)| {
            let name = labels.get("__name__").unwrap_or_default().to_owned();
            all.iter().map(move |e| {
                format!(
                    "{name} {} {}",
                    e.t / MINUTE,
                    e.labels.get("trace_id").unwrap_or_default()
                )
            })
        })
        .collect();
    told.extend(
        store
            .db
            .head()
            .metadata()
            .iter()
            .map(|(name, said)| format!("{name} is {}", said.help)),
    );
    told.sort();
    told
}

/// Folders beside the log.
fn beside(disk: &dyn Disk) -> Vec<String> {
    let names = disk
        .list(Path::new("data/wal"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name);
    names.filter(|name| name.starts_with("early.")).collect()
}

/// A store that was closed twice before its log was read; what was told of it by then.
fn closed_twice() -> (Store, Vec<&'static str>) {
    let mut store = Store::new(small());
    tell(&store, "a", 1, "one");
    tell(&store, "b", 1, "one");
    store.db.close().unwrap();
    store.open_without_replay();
    tell(&store, "a", 2, "two");
    tell(&store, "c", 2, "two");
    store.db.close().unwrap();
    store.open_without_replay();
    tell(&store, "c", 3, "three");
    store.db.close().unwrap();
    assert_eq!(beside(&*store.disk), ["early.00000000", "early.00000001"]);
    let told = vec![
        "a 1 one",
        "a 2 two",
        "a is two",
        "b 1 one",
        "b is one",
        "c 2 two",
        "c 3 three",
        "c is three",
    ];
    (store, told)
}

#[test]
fn exemplars_and_metadata_that_came_before_the_store_was_closed_are_there_afterwards() {
    let (mut store, mut expected) = closed_twice();
    store.crash(1);
    assert_eq!(told(&store), expected);
    assert_eq!(beside(&*store.disk), [""; 0]);
    // The log has them, under the references that their series go on with.
    tell(&store, "a", 4, "four");
    tell(&store, "c", 4, "four");
    store.db.sync().unwrap();
    store.crash(2);
    expected.retain(|line| !["a is two", "c is three"].contains(line));
    expected.extend(["a 4 four", "a is four", "c 4 four", "c is four"]);
    expected.sort_unstable();
    assert_eq!(told(&store), expected);
}

#[test]
fn power_may_be_lost_at_any_moment_at_which_what_waits_beside_the_log_is_put_behind_it() {
    let (mut store, expected) = closed_twice();
    let (before, mut changes) = (store.disk.clone(), 0);
    loop {
        store.disk = Arc::new(before.duplicate());
        store.disk.crash_after(changes, Arc::new(SeededEntropy::new(changes)));
        store.reopen();
        assert_eq!(told(&store), expected);
        tell(&store, "a", 4, "four");
        let Some(left) = store.disk.crashed() else { break };
        store.disk = Arc::new(left);
        store.reopen();
        assert_eq!(told(&store), expected, "after {changes} changes");
        changes += 1;
    }
    assert!(changes > 8, "{changes}");
}

#[test]
fn what_waits_beside_the_log_is_kept_where_the_disk_is_full_and_goes_once_there_is_room() {
    let (mut store, expected) = closed_twice();
    store.disk.limit(Some(store.disk.used()));
    store.reopen();
    assert_eq!(told(&store), expected);
    assert!(store.db.sync().is_err());
    assert_eq!(beside(&*store.disk).len(), 2);
    store.disk.limit(None);
    store.db.sync().unwrap();
    assert_eq!(beside(&*store.disk), [""; 0]);
    store.crash(5);
    assert_eq!(told(&store), expected);
}

#[test]
fn who_only_reads_sees_what_waits_beside_the_log() {
    let (mut store, expected) = closed_twice();
    let before = store.files();
    let only = leadline_storage::db::Db::read_only(store.disk.clone(), Path::new("data"), store.clock.clone()).unwrap();
    let names: Vec<String> = only
        .head()
        .metadata()
        .into_iter()
        .map(|(name, said)| format!("{name} is {}", said.help))
        .collect();
    assert!(
        names.iter().all(|line| expected.contains(&line.as_str())) && names.len() == 3,
        "{names:?}"
    );
    assert_eq!(store.files(), before);
    // What is damaged of it is left out and told.
    let path = Path::new("data/wal/early.00000001/00000000");
    let mut byte = [0];
    store.disk.open(path).unwrap().read_exact_at(&mut byte, 12).unwrap();
    store.disk.append(path).unwrap().write_at(&[byte[0] ^ 1], 12).unwrap();
    store.open_without_replay();
    let lost = store.db.replay().unwrap().lost;
    assert!(lost.len() == 1 && lost[0].contains("early.00000001"), "{lost:?}");
    assert_eq!(told(&store).len(), expected.len() - 1);
}
