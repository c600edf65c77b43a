//! A disk that fails while a head writes to it, and a log of which a part is gone or there twice.

#[path = "../mapped/mod.rs"]
mod mapped;

use crate::{HOUR, MINUTE, NOW, World, open_on, samples, settings};
use leadline_model::clock::Clock;
use leadline_model::entropy::SeededEntropy;
use leadline_model::exemplar::Exemplar;
use leadline_model::histogram::{AnyHistogram, FloatHistogram, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::metadata::Metadata;
use leadline_model::port::{
    AppendError, Appender, Attempt, Batch, Commits, ExemplarEntry, Extras, MetadataEntry, Queryable, Slot,
};
use leadline_model::sample::{STALE_NAN, Timestamp};
use leadline_storage::disk::faulty::Fault;
use leadline_storage::disk::{Disk, FaultyDisk};
use leadline_storage::wal::Reader;
use leadline_storage::wal::record::Record;
use leadline_storage::{Settings, StorageError};
use std::path::Path;
use std::sync::Arc;

/// A world whose disk fails when told to.
fn failing(seed: u64) -> (World, FaultyDisk) {
    let mut w = World::new(settings());
    let faulty = FaultyDisk::new(Arc::new(w.disk.clone()), Arc::new(SeededEntropy::new(seed)));
    w.head = open_on(Arc::new(faulty.clone()), &w.clock, &w.settings);
    w.head.replay(&()).unwrap();
    (w, faulty)
}

/// 20 minutes of one series.
fn go_on(w: &World) {
    let owner = w.head.new_owner();
    for i in 0..40 {
        w.put(owner, &[("__name__=m", w.clock.advance(30_000), f64::from(i))]);
    }
}

#[test]
fn a_file_on_a_bad_spot_keeps_nothing_from_becoming_durable_for_long() {
    let mut fired = 0;
    for sound in 0.. {
        let (mut w, faulty) = failing(sound);
        faulty.arm(Fault::BadSpot, sound);
        let tried = |act: &dyn Fn() -> Result<(), StorageError>| (0..3).any(|_| act().is_ok());
        for _ in 0..4 {
            go_on(&w);
            assert!(tried(&|| w.head.map_chunks().map(drop)), "{sound}: chunks");
            assert!(tried(&|| w.head.sync()), "{sound}: the log");
            let oldest = w.clock.now() - 30 * MINUTE;
            assert!(tried(&|| w.head.truncate(oldest).map(drop)), "{sound}: the rest");
        }
        // What is older comes back where no block says that it need not.
        let (m, oldest) = ([Matcher::equal("__name__", "m")], w.clock.now() - 30 * MINUTE);
        let before = w.get(&m, oldest, i64::MAX);
        w.restart_on(w.disk.crash(&SeededEntropy::new(sound)));
        assert_eq!(w.get(&m, oldest, i64::MAX), before, "{sound}");
        if faulty.fired().is_empty() {
            break;
        }
        fired += 1;
    }
    assert!(fired > 5, "{fired}");
}

#[test]
fn chunks_can_be_mapped_when_making_a_removal_durable_failed() {
    let mut fired = 0;
    for sound in 0.. {
        let (w, faulty) = failing(sound);
        go_on(&w);
        w.head.map_chunks().unwrap();
        faulty.arm(Fault::FailedSync, sound);
        let truncated = w.head.truncate(w.clock.advance(HOUR));
        faulty.lift();
        go_on(&w);
        w.head.map_chunks().unwrap();
        if truncated.is_ok() {
            break;
        }
        fired += 1;
    }
    assert!(fired > 3, "{fired}");
}

#[test]
fn a_part_of_the_log_that_is_there_twice_does_not_bring_back_a_series_that_left_early() {
    let mut w = World::new(settings());
    let owner = w.head.new_owner();
    w.put(owner, &[("__name__=stays", NOW, 1.0), ("__name__=goes", NOW, 1.0)]);
    w.put(owner, &[("__name__=goes", NOW + 1000, STALE_NAN)]);
    let stale = w.head.stale(w.clock.advance(MINUTE));
    assert_eq!(w.head.evict(&stale).unwrap(), 1);
    let before = w.all();
    assert_eq!(samples(&before), 1);
    w.restart();
    w.head.close();
    w.head.shut().unwrap();
    let wal = Path::new("data/wal");
    let first = w.disk.open(&wal.join("00000000")).unwrap();
    let mut bytes = vec![0; first.len().unwrap() as usize];
    first.read_exact_at(&mut bytes, 0).unwrap();
    w.disk.create(&wal.join("00000002")).unwrap().write_all(&bytes).unwrap();
    w.restart_on(w.disk.clone());
    assert_eq!(w.all(), before);
}

#[test]
fn a_log_without_any_segment_is_told() {
    for log in ["wal", "wbl"] {
        let mut w = World::new(Settings {
            out_of_order_window_ms: HOUR,
            ..settings()
        });
        w.fill(3);
        w.head.close();
        w.head.shut().unwrap();
        let dir = Path::new("data").join(log);
        for entry in w.disk.list(&dir).unwrap() {
            w.disk.remove_file(&dir.join(entry.name)).unwrap();
        }
        let replayed = w.restart_on(w.disk.clone());
        assert_eq!(replayed.lost, [format!("data/{log}: all segments are missing")]);
        assert_eq!(w.restart().lost, [] as [&str; 0]);
    }
}

#[test]
fn that_nothing_becomes_durable_is_told_until_something_does_though_writing_goes_well() {
    let (w, faulty) = failing(1);
    go_on(&w);
    w.head.sync().unwrap();
    for _ in 0..100 {
        faulty.arm(Fault::FailedSync, 0);
    }
    go_on(&w);
    w.head.flush().unwrap();
    assert_eq!(w.head.log_health().failed, None, "nobody has asked for a sync");
    let since = w.clock.now();
    for _ in 0..3 {
        w.head.sync().unwrap_err();
        go_on(&w);
        w.head.flush().unwrap();
        let failed = w.head.log_health().failed.unwrap();
        assert_eq!(failed.0, since, "{failed:?}");
        assert!(failed.1.contains("cannot sync"), "{failed:?}");
    }
    faulty.arm(Fault::Full, 0);
    go_on(&w);
    w.head.flush().unwrap_err();
    faulty.lift();
    w.head.flush().unwrap();
    assert!(w.head.log_health().failed.is_some(), "that can be written says little");
    w.head.sync().unwrap();
    assert_eq!(w.head.log_health().failed, None);
}

#[test]
fn a_full_disk_stops_no_commit_and_the_log_recovers_by_itself() {
    let mut w = World::new(settings());
    w.fill(20);
    w.disk.limit(Some(w.disk.used()));
    let owner = w.head.new_owner();
    for i in 0..200 {
        let text = format!("__name__=full,n={}", i % 7);
        w.put(owner, &[(&text, w.clock.advance(1_000), f64::from(i))]);
        let _ = (w.head.flush(), w.head.map_chunks());
    }
    assert!(w.head.sync().is_err());
    let (since, _) = w.head.log_health().failed.unwrap();
    assert!(since > NOW + 20 * MINUTE);
    let before = w.all();
    assert_eq!(samples(&before), 6 * 40 + 200);
    w.disk.limit(None);
    w.head.sync().unwrap();
    assert_eq!(w.head.log_health().failed, None);
    let crashed = w.disk.crash(&SeededEntropy::new(9));
    w.restart_on(crashed);
    assert_eq!(w.all(), before);
}

/// More series than may wait to be written.
fn push_noise(w: &World) {
    let noise = "x".repeat(1024 * 1024);
    for i in 0..33 {
        let text = format!("__name__=filler,n={i},noise={noise}");
        w.put(w.head.new_owner(), &[(&text, w.clock.now(), 1.0)]);
    }
}

/// Makes the log drop records because the disk is full for a moment.
fn drop_records(w: &World) {
    w.disk.limit(Some(w.disk.used()));
    push_noise(w);
    w.head.flush().unwrap_err();
    w.disk.limit(None);
    let health = w.head.log_health();
    assert!(health.dropped_bytes > 0 && health.rebuilds == 0, "{health:?}");
}

#[test]
fn a_log_that_fails_keeps_the_other_from_nothing() {
    let m = [Matcher::equal("__name__", "m")];
    for (fails, ends) in [("wal", false), ("wal", true), ("wbl", false), ("wbl", true)] {
        for fault in [Fault::Full, Fault::FailedSync] {
            let (w, faulty) = failing(1);
            w.head.adjust(HOUR, 0).unwrap();
            go_on(&w);
            w.head.sync().unwrap();
            let before = samples(&w.all());
            faulty.confine(&Path::new("data").join(fails));
            (0..20).for_each(|_| faulty.arm(fault, 0));
            let owner = w.head.new_owner();
            let now = w.clock.now();
            w.put(owner, &[("__name__=m", now + 1_000, 1.0)]);
            w.put(owner, &[("__name__=m", now - 1_000, 2.0)]);
            let outcome = if ends {
                w.head.close();
                w.head.shut()
            } else {
                w.head.sync()
            };
            let what = format!("{fails} {fault:?} {ends}");
            assert!(outcome.is_err_and(|error| error.to_string().contains(fails)), "{what}");
            // What the sound one was given.
            let kept = if fails == "wal" { now - 1_000 } else { now + 1_000 };
            for seed in 0..4 {
                let mut other = World::new(Settings {
                    out_of_order_window_ms: HOUR,
                    ..settings()
                });
                other.restart_on(w.disk.crash(&SeededEntropy::new(seed)));
                let found = other.get(&m, i64::MIN, i64::MAX);
                assert!(samples(&found) > before, "{what}: seed {seed}");
                assert!(found[0].1.iter().any(|sample| sample.0 == kept), "{what}: seed {seed}");
            }
        }
    }
}

/// More late histograms than may wait to be written.
fn late_noise(w: &World) {
    let buckets = 20_000;
    let noise: Vec<f64> = (0..buckets).map(|i| f64::from(i) * 0.1).collect();
    let h = FloatHistogram {
        count: noise.iter().sum(),
        positive_spans: vec![Span {
            offset: 0,
            length: buckets as u32,
        }],
        positive_buckets: noise,
        ..FloatHistogram::default()
    };
    let now = w.clock.now();
    crate::early::put_histograms(w, vec![(now, AnyHistogram::Float(Arc::new(FloatHistogram::default())))]);
    for i in 1..230 {
        crate::early::put_histograms(w, vec![(now - 1_000 * i, AnyHistogram::Float(Arc::new(h.clone())))]);
    }
}

#[test]
fn a_log_that_had_to_drop_records_and_cannot_be_begun_anew_keeps_the_other_from_nothing() {
    let m = [Matcher::equal("__name__", "m")];
    for fails in ["wal", "wbl"] {
        let (w, faulty) = failing(1);
        w.head.adjust(HOUR, 0).unwrap();
        go_on(&w);
        w.head.sync().unwrap();
        faulty.confine(&Path::new("data").join(fails));
        faulty.arm(Fault::Full, 0);
        match fails {
            "wal" => push_noise(&w),
            _ => late_noise(&w),
        }
        w.head.flush().unwrap_err();
        assert!(w.head.log_health().dropped_bytes > 0, "{fails}");
        let (owner, now) = (w.head.new_owner(), w.clock.now());
        for i in 1..4 {
            w.put(owner, &[("__name__=m", now + 1_000 * i, 1.0)]);
            w.put(owner, &[("__name__=m", now - 1_000 * i, 2.0)]);
            assert!(w.head.sync().is_err_and(|error| error.to_string().contains(fails)));
        }
        let mut other = World::new(w.settings.clone());
        other.settings.out_of_order_window_ms = HOUR;
        other.restart_on(w.disk.crash(&SeededEntropy::new(1)));
        let found = other.get(&m, i64::MIN, i64::MAX);
        // What the sound one was given.
        let sign = if fails == "wal" { -1_000 } else { 1_000 };
        for i in 1..4 {
            assert!(
                found[0].1.iter().any(|sample| sample.0 == now + sign * i),
                "{fails}: {i}"
            );
        }
        faulty.lift();
        w.head.sync().unwrap();
        let before = w.get(&m, i64::MIN, i64::MAX);
        other.restart_on(w.disk.crash(&SeededEntropy::new(2)));
        assert_eq!(other.get(&m, i64::MIN, i64::MAX), before, "{fails}");
    }
}

/// The segments of the log and their lengths, but for an empty last one.
fn segments(w: &World) -> Vec<(String, u64)> {
    let entries = w.disk.list(Path::new("data/wal")).unwrap().into_iter();
    let mut all: Vec<_> = entries.map(|entry| (entry.name, entry.len)).collect();
    all.sort();
    all.pop_if(|(_, len)| *len == 0);
    all
}

#[test]
fn a_log_that_cannot_be_written_anew_leaves_nothing_on_the_full_disk() {
    let mut w = World::new(settings());
    w.fill(20);
    drop_records(&w);
    let before = (w.all(), segments(&w));
    for room in [10_000, 200_000, 800_000] {
        w.disk.limit(Some(w.disk.used() + room));
        w.head.sync().unwrap_err();
        assert_eq!(segments(&w), before.1, "{room} bytes");
    }
    // A start now finds no damage.
    let crashed = w.disk.crash(&SeededEntropy::new(4));
    let head = std::mem::replace(&mut w.head, open_on(Arc::new(crashed), &w.clock, &w.settings));
    assert_eq!(w.head.replay(&()).unwrap().lost, [] as [&str; 0]);
    w.head = head;
    w.disk.limit(None);
    w.head.sync().unwrap();
    assert_eq!(w.head.log_health().rebuilds, 1);
    w.restart_on(w.disk.crash(&SeededEntropy::new(9)));
    assert_eq!(w.all(), before.0);
}

/// Ends a head that has mapped chunks and appends one to them, behind all that it has, whose data is `data`. Returns the
/// time (ms) at which that chunk begins.
fn end_with_chunk(w: &World, data: &[u8]) -> Timestamp {
    assert!(w.head.map_chunks().unwrap() > 0);
    w.head.close();
    w.head.shut().unwrap();
    let behind = w.clock.advance(MINUTE);
    let path = Path::new("data/chunks_head/000001");
    mapped::append(&w.disk, path, (behind, behind + 5), data);
    w.clock.advance(MINUTE);
    behind
}

#[test]
fn a_newest_sample_in_a_mapped_chunk_that_cannot_be_decoded_is_an_error_and_no_value() {
    // Five samples are promised and the bits end before; none is promised.
    for data in [&[0, 5, 0xff][..], &[0, 0][..]] {
        let mut w = World::new(settings());
        go_on(&w);
        let behind = end_with_chunk(&w, data);
        w.restart_on(w.disk.clone());
        let set = w
            .head
            .select(&[Matcher::equal("__name__", "m")], i64::MIN, i64::MAX, true)
            .unwrap();
        let newest = set.newest(0, behind, i64::MAX);
        match data.len() {
            2 => assert_eq!(newest.unwrap().map(|sample| sample.t), None),
            _ => assert!(
                newest.unwrap_err().to_string().contains("ends inside sample"),
                "{data:?}"
            ),
        }
    }
}

#[test]
fn a_mapped_chunk_over_the_bound_that_cannot_be_decoded_is_told_and_stops_no_start() {
    let mut w = World::new(settings());
    go_on(&w);
    let behind = end_with_chunk(&w, &[0, 5, 0xff]);
    w.head = crate::open(&w.disk, &w.clock, &w.settings);
    w.head.seal(behind + 1);
    let lost = w.head.replay(&()).unwrap().lost;
    assert!(lost.len() == 1 && lost[0].contains("ends inside sample"), "{lost:?}");
}

#[test]
fn what_an_attempt_to_read_the_log_cut_off_is_told_by_the_one_that_succeeds() {
    let (mut w, _) = failing(1);
    w.settings.out_of_order_window_ms = HOUR;
    w.restart();
    go_on(&w);
    w.head.close();
    w.head.shut().unwrap();
    let path = Path::new("data/wal").join(segments(&w).pop().unwrap().0);
    let path = path.as_path();
    let mut bytes = vec![0; w.disk.open(path).unwrap().len().unwrap() as usize];
    w.disk.open(path).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    bytes[500] ^= 1;
    w.disk.create(path).unwrap().write_all(&bytes).unwrap();
    let faulty = FaultyDisk::new(Arc::new(w.disk.clone()), Arc::new(SeededEntropy::new(2)));
    faulty.confine(Path::new("data/wbl"));
    faulty.arm(Fault::Failure, 0);
    w.head = open_on(Arc::new(faulty.clone()), &w.clock, &w.settings);
    w.head.replay(&()).unwrap_err();
    let lost = w.head.replay(&()).unwrap().lost;
    assert!(lost.len() == 1 && lost[0].contains("data/wal/"), "{lost:?}");
}

/// How many samples up to a time (ms) the log has.
fn logged(w: &World, until: Timestamp) -> usize {
    let mut reader = Reader::open(Arc::new(w.disk.clone()), Path::new("data/wal"), ..).unwrap();
    let mut found = 0;
    while let Some(record) = reader.next().unwrap() {
        if let Record::Samples(samples) = Record::parse(record).unwrap() {
            found += samples
                .filter(|sample| sample.as_ref().is_ok_and(|sample| sample.t <= until))
                .count();
        }
    }
    found
}

#[test]
fn a_log_that_is_written_anew_has_what_was_mapped_when_it_had_dropped_records() {
    let mut w = World::new(Settings {
        out_of_order_window_ms: HOUR,
        ..settings()
    });
    go_on(&w);
    // The second call finds that the log has what the first one mapped.
    assert_eq!((w.head.map_chunks().unwrap(), w.head.map_chunks().unwrap()), (3, 0));
    let mapped_until = w.clock.now();
    w.clock.advance(1);
    drop_records(&w);
    go_on(&w);
    assert_eq!(w.head.map_chunks().unwrap(), 4);
    go_on(&w);
    let (owner, now) = (w.head.new_owner(), w.clock.now());
    for i in 0..70 {
        w.put(owner, &[("__name__=m", now - 20_000 * i - 1, i as f64)]);
    }
    assert!(w.head.map_chunks().unwrap() > 4);
    w.head.sync().unwrap();
    assert_eq!(w.head.log_health().rebuilds, 1);
    let m = [Matcher::equal("__name__", "m")];
    let before = w.get(&m, i64::MIN, i64::MAX);
    assert_eq!(samples(&before), 120 + 70);
    // The chunk that was open is there twice, the three that were mapped in time are not.
    assert_eq!(logged(&w, mapped_until), 50);
    let chunks = Path::new("data/chunks_head");
    for entry in w.disk.list(chunks).unwrap() {
        w.disk.remove_file(&chunks.join(entry.name)).unwrap();
    }
    w.restart();
    assert_eq!(w.get(&m, i64::MIN, i64::MAX), before);
}

#[test]
fn a_series_that_came_back_keeps_what_was_mapped_when_the_log_had_dropped_records() {
    let mut w = World::new(settings());
    go_on(&w);
    assert_eq!(w.head.truncate(w.clock.advance(MINUTE)).unwrap(), 1);
    drop_records(&w);
    // The log knows the series by the reference that it had before.
    go_on(&w);
    assert_eq!(w.head.map_chunks().unwrap(), 3);
    w.head.sync().unwrap();
    let m = [Matcher::equal("__name__", "m")];
    let before = w.get(&m, i64::MIN, i64::MAX);
    assert_eq!(samples(&before), 40);
    w.restart();
    assert_eq!(w.get(&m, before[0].1[0].0, i64::MAX), before);
}

/// Whether a sample of `name` is refused for the limit on memory, or taken.
fn refused(w: &World, name: &str) -> bool {
    let text = format!("__name__={name}");
    let mut commits = w.head.subscribe();
    let outcome = w.try_put(w.head.new_owner(), &[(&text, w.clock.advance(1_000), 1.0)]);
    let attempt = commits.try_recv().unwrap().attempt;
    let Err(error) = outcome else {
        assert_eq!(attempt, Attempt::Good);
        return false;
    };
    assert!(matches!(error, AppendError::Unwritable(_)), "{error}");
    // To others it is a scrape that failed: no value may be taken for complete without this target.
    assert_eq!(attempt, Attempt::Failed);
    true
}

#[test]
fn memory_has_a_limit_while_the_disk_is_full_and_samples_are_taken_again_once_there_is_room() {
    let mut w = World::new(settings());
    w.fill(20);
    let begin = w.head.stats().bytes;
    w.settings.unwritten_memory_bytes = begin + 200_000;
    w.restart();
    w.disk.limit(Some(w.disk.used()));
    let mut new = 0;
    while !refused(&w, &format!("full{new}")) {
        let _ = (w.head.flush(), w.head.map_chunks());
        new += 1;
        assert!(new < 10_000, "nothing is refused");
    }
    let held = w.head.stats().bytes;
    assert!(
        new > 50 && held < begin + 250_000,
        "{new} series, {held} bytes after {begin}"
    );
    for known in ["full0", "m0,job=j,instance=i0"] {
        assert!(refused(&w, known), "a known series gets no more than a new one");
    }
    let stats = w.head.stats();
    assert_eq!((stats.refused.memory_limit, stats.series), (3, 6 + new));
    let before = w.all();
    assert_eq!(samples(&before) as u64, 6 * 40 + new);
    w.disk.limit(None);
    w.head.sync().unwrap();
    assert!(!refused(&w, "full0") && !refused(&w, "new"));
    w.head.sync().unwrap();
    let before = w.all();
    w.restart_on(w.disk.crash(&SeededEntropy::new(9)));
    assert_eq!(w.all(), before);
}

#[test]
fn chunks_that_cannot_be_written_are_under_the_limit_on_memory_though_the_log_is_written() {
    let (mut w, faulty) = failing(1);
    w.settings.unwritten_memory_bytes = 1;
    w.head.close();
    w.head.shut().unwrap();
    w.head = open_on(Arc::new(faulty.clone()), &w.clock, &w.settings);
    w.head.replay(&()).unwrap();
    go_on(&w);
    w.head.sync().unwrap();
    assert!(!refused(&w, "m"), "a disk that takes everything sets no limit");
    w.head.flush().unwrap();
    faulty.arm(Fault::TornWrite, 0);
    w.head.map_chunks().unwrap_err();
    w.head.flush().unwrap();
    assert_eq!((refused(&w, "m"), w.head.log_health().failed), (true, None));
    w.head.map_chunks().unwrap();
    assert!(!refused(&w, "m"));
}

#[test]
fn memory_has_a_limit_before_the_log_is_read_too() {
    let mut w = World::new(settings());
    w.fill(20);
    w.head.close();
    w.head.shut().unwrap();
    w.settings.unwritten_memory_bytes = 100_000;
    w.head = open_on(Arc::new(w.disk.clone()), &w.clock, &w.settings);
    let mut new = 0;
    while !refused(&w, &format!("early{new}")) {
        w.head.flush().unwrap();
        new += 1;
        assert!(new < 10_000, "nothing is refused");
    }
    assert!(new > 10 && w.head.stats().bytes < 150_000, "{new} series");
    w.head.replay(&()).unwrap();
    w.head.sync().unwrap();
    assert!(!refused(&w, "early0"));
    w.head.sync().unwrap();
    let before = w.all();
    assert_eq!(samples(&before), 6 * 40 + new + 1);
    w.restart_on(w.disk.crash(&SeededEntropy::new(9)));
    assert_eq!(w.all(), before);
}

#[test]
fn a_mapped_chunk_that_cannot_be_decoded_keeps_the_log_from_nothing() {
    let mut w = World::new(settings());
    let m = [Matcher::equal("__name__", "m")];
    for _ in 0..4 {
        go_on(&w);
        w.head.truncate(NOW).unwrap();
    }
    let behind = end_with_chunk(&w, &[0, 5, 0xff]);
    w.restart_on(w.disk.clone());
    let before = w.get(&m, i64::MIN, behind - 1);
    assert!(samples(&before) > 100, "{before:?}");
    // A log that cannot be read is written anew from memory.
    go_on(&w);
    let segments = segments(&w);
    assert!(segments.len() > 2, "{segments:?}");
    let path = Path::new("data/wal").join(&segments[0].0);
    let mut byte = [0];
    w.disk.open(&path).unwrap().read_exact_at(&mut byte, 60).unwrap();
    w.disk.append(&path).unwrap().write_at(&[byte[0] ^ 1], 60).unwrap();
    w.head.truncate(NOW).unwrap();
    assert_eq!(w.head.log_health().rebuilds, 1);
    w.head.sync().unwrap();
    w.restart_on(w.disk.crash(&SeededEntropy::new(3)));
    assert_eq!(w.get(&m, i64::MIN, behind - 1), before);
}

#[test]
fn mending_gives_up_nothing_of_a_head_that_is_being_closed_and_maps_what_it_made() {
    for closed in [true, false] {
        let mut w = World::new(settings());
        go_on(&w);
        w.head.sync().unwrap();
        assert!(w.head.map_chunks().unwrap() > 0);
        let before = w.all();
        let path = Path::new("data/chunks_head/000001");
        let mut byte = [0];
        w.disk.open(path).unwrap().read_exact_at(&mut byte, 20).unwrap();
        w.disk.append(path).unwrap().write_at(&[!byte[0]], 20).unwrap();
        if closed {
            w.head.close();
            let refused = w.head.mend_mapped(false).unwrap_err();
            assert!(refused.to_string().contains("being closed"), "{refused}");
        } else {
            assert_eq!(w.head.mend_mapped(true).unwrap().chunks, 1);
            assert_eq!((w.head.map_chunks().unwrap(), w.all() == before), (0, true));
        }
        let stats = w.head.stats();
        assert_eq!((stats.mapped_damaged, stats.samples_lost), (u64::from(!closed), 0));
        assert_eq!(w.head.take_lost(), [] as [&str; 0]);
        w.head.close();
        w.head.shut().unwrap();
        w.restart_on(w.disk.clone());
        assert_eq!(w.all(), before);
    }
}

#[test]
fn no_record_of_a_log_that_is_written_anew_has_all_extras_of_many_series() {
    let w = World::new(settings());
    drop_records(&w);
    let (t, long) = (w.clock.advance(1_000), "h".repeat(100_000));
    let mut extras = Extras::default();
    for i in 0..12u32 {
        let series = Slot::New(i);
        let metadata = Metadata {
            help: format!("{i}{long}").into(),
            ..Metadata::default()
        };
        extras.metadata.push(MetadataEntry { series, metadata });
        for n in 0..1_000 {
            let exemplar = Exemplar {
                labels: Labels::from_pairs([("trace_id", format!("{n:0100}"))]),
                t: t + n,
                v: 1.0,
            };
            extras.exemplars.push(ExemplarEntry { series, exemplar });
        }
    }
    let batch = Batch {
        owner: w.head.new_owner(),
        slot: t,
        attempt: Attempt::Good,
        created: (0..12)
            .map(|i| Labels::from_pairs([("__name__", format!("m{i}"))]))
            .collect(),
        entries: Vec::new(),
        extras,
    };
    assert_eq!(w.head.commit(&batch).unwrap().refused_exemplars, []);
    w.head.sync().unwrap();
    assert_eq!(w.head.log_health().rebuilds, 1);
    let mut reader = Reader::open(Arc::new(w.disk.clone()), Path::new("data/wal"), ..).unwrap();
    let (mut exemplars, mut told) = (0, 0);
    while let Some(record) = reader.next().unwrap() {
        let of = match Record::parse(record).unwrap() {
            Record::Exemplars(all) => (all.count(), 0),
            Record::Metadata(all) => (0, all.count()),
            _ => continue,
        };
        assert!(
            record.len() < 512 * 1024,
            "{of:?} in a record of {} bytes",
            record.len()
        );
        (exemplars, told) = (exemplars + of.0, told + of.1);
    }
    assert_eq!((exemplars, told), (12_000, 12));
}
