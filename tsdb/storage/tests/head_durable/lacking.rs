//! A directory in which mapped chunks are gone, while later ones are there.

use crate::early::{histogram, histograms, put_histograms};
use crate::{HOUR, MINUTE, NOW, Series, World, matcher, open, settings};
use leadline_model::clock::Clock;
use leadline_model::histogram::HistogramSample;
use leadline_model::matcher::MatchOp;
use leadline_model::port::Appender;
use leadline_storage::cache::Cache;
use leadline_storage::disk::Disk;
use leadline_storage::wal::record::{Record, SamplesEncoder};
use leadline_storage::wal::{Reader, Wal};
use leadline_storage::{Head, HeadParts, Replayed, Settings, verify_mapped};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Some time of floats and histograms, in order and late, and a file of mapped chunks.
fn grow(w: &World) {
    w.fill(15);
    let (owner, now) = (w.head.new_owner(), w.clock.now());
    for i in 0..40 {
        w.put(
            owner,
            &[("__name__=m1,job=j,instance=i0", now - 20_000 * i - 1, i as f64)],
        );
    }
    let steps = (0..15).map(|i| (w.clock.advance(1_000), histogram(10 + i, i > 7, &[])));
    put_histograms(w, steps.collect());
    let late = (0..40).map(|i| (now - 15_000 * i - 2, histogram(5, false, &[])));
    put_histograms(w, late.collect());
    assert!(w.head.map_chunks().unwrap() > 0);
}

/// A world with several files of mapped chunks.
fn grown() -> World {
    let mut w = World::new(Settings {
        out_of_order_window_ms: HOUR,
        ..settings()
    });
    for _ in 0..3 {
        grow(&w);
        w.restart();
    }
    w
}

fn held(w: &World) -> (Series, Vec<HistogramSample>) {
    (w.all(), histograms(w))
}

fn files(w: &World, dir: &str) -> Vec<PathBuf> {
    let dir = Path::new("data").join(dir);
    let entries = w.disk.list(&dir).unwrap().into_iter().filter(|entry| !entry.is_dir);
    let mut all: Vec<_> = entries.map(|entry| dir.join(entry.name)).collect();
    all.sort();
    all
}

/// The files whose chunks the log of what came out of order names.
fn named(w: &World) -> BTreeSet<PathBuf> {
    let mut reader = Reader::open(Arc::new(w.disk.clone()), Path::new("data/wbl"), ..).unwrap();
    let mut named = BTreeSet::new();
    while let Some(record) = reader.next().unwrap() {
        if let Record::MmapMarkers(markers) = Record::parse(record).unwrap() {
            let files = markers.map(|marker| marker.unwrap().chunk >> 32);
            named.extend(files.map(|file| Path::new("data/chunks_head").join(format!("{file:06}"))));
        }
    }
    named
}

fn content(w: &World, path: &Path) -> Vec<u8> {
    let file = w.disk.open(path).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Where a file of mapped chunks may be cut off so that it looks whole: behind its header, and behind each chunk but the
/// last (`FORMAT.md`).
fn seams(bytes: &[u8]) -> Vec<usize> {
    let (mut seams, mut at) = (Vec::new(), 8);
    while at < bytes.len() {
        seams.push(at);
        // Series, both times, encoding; then the length.
        at += 25;
        let digits = bytes[at..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let len = (0..digits).fold(0, |len, i| len | usize::from(bytes[at + i] & 0x7f) << (7 * i));
        at += digits + len + 4;
    }
    assert_eq!(at, bytes.len());
    seams
}

/// Starts again without some files.
fn without(w: &mut World, gone: &[&Path]) -> Replayed {
    w.head.close();
    w.head.shut().unwrap();
    gone.iter().for_each(|path| w.disk.remove_file(path).unwrap());
    w.restart_on(w.disk.clone())
}

#[test]
fn what_was_in_the_oldest_mapped_file_comes_from_the_log_however_often_that_is_lost() {
    let mut w = grown();
    for round in 0..4 {
        let (before, mapped) = (held(&w), files(&w, "chunks_head"));
        assert!(mapped.len() > 1, "round {round}: {mapped:?}");
        let replayed = without(&mut w, &[&mapped[0]]);
        assert_eq!(replayed.lost, [] as [&str; 0], "round {round}");
        assert!(replayed.given_up > 0, "round {round}: {replayed:?}");
        assert_eq!(held(&w), before, "round {round}");
        let left = files(&w, "chunks_head");
        assert!(
            mapped.iter().all(|gone| !left.contains(gone)),
            "round {round}: {left:?}"
        );
        assert!(
            named(&w).iter().all(|name| left.contains(name)),
            "round {round}: {left:?}, and the log names {:?}",
            named(&w)
        );
        grow(&w);
        let before = held(&w);
        assert_eq!(
            w.restart().given_up,
            0,
            "round {round}: the next start has no reason to"
        );
        assert_eq!(held(&w), before, "round {round}, the next start");
        grow(&w);
    }
}

#[test]
fn who_only_reads_sees_what_was_in_the_oldest_mapped_file_and_leaves_the_others() {
    let mut w = grown();
    let (before, mapped) = (held(&w), files(&w, "chunks_head"));
    w.head.close();
    w.head.shut().unwrap();
    w.disk.remove_file(&mapped[0]).unwrap();
    w.head = Head::durable(HeadParts {
        settings: w.settings.clone(),
        clock: w.clock.clone(),
        disk: Arc::new(w.disk.clone()),
        dir: "data".into(),
        read_only: true,
        cache: Cache::new(1 << 20),
    })
    .unwrap();
    assert!(w.head.replay(&()).unwrap().given_up > 0);
    assert_eq!(held(&w), before);
    assert_eq!(files(&w, "chunks_head"), mapped[1..]);
}

#[test]
fn mapped_chunks_that_the_log_lacks_stay_though_older_ones_are_missing_and_that_is_told() {
    let mut w = grown();
    let (before, mapped, log) = (w.all(), files(&w, "chunks_head"), files(&w, "wal"));
    // Of a log that ends early nobody can say that it does.
    let replayed = without(&mut w, &[&mapped[0], log.last().unwrap(), &log[log.len() - 2]]);
    assert!(
        replayed
            .lost
            .iter()
            .any(|text| text.contains("mapped chunks before file 000002 are missing")),
        "{replayed:?}"
    );
    assert_eq!(replayed.given_up, 0);
    let after = w.all();
    assert!(crate::samples(&after) < crate::samples(&before));
    assert_eq!(files(&w, "chunks_head"), mapped[1..]);
}

#[test]
fn a_file_of_mapped_chunks_that_ends_between_two_chunks_costs_no_sample() {
    let w = grown();
    let before = held(&w);
    w.head.close();
    w.head.shut().unwrap();
    let mapped = files(&w, "chunks_head");
    let (mut cuts, mut noticed) = (0, 0);
    for path in &mapped {
        let bytes = content(&w, path);
        for seam in seams(&bytes) {
            let mut cut = World {
                head: Arc::clone(&w.head),
                clock: Arc::clone(&w.clock),
                disk: w.disk.duplicate(),
                settings: w.settings.clone(),
            };
            cut.disk.create(path).unwrap().write_all(&bytes[..seam]).unwrap();
            let replayed = cut.restart_on(cut.disk.clone());
            let what = format!("{} of {} bytes of {}", seam, bytes.len(), path.display());
            assert_eq!(replayed.lost, [] as [&str; 0], "{what}");
            assert!(held(&cut) == before, "{what}: {replayed:?}");
            (cuts, noticed) = (cuts + 1, noticed + u64::from(replayed.given_up > 0));
            assert_eq!(cut.restart().given_up, 0, "{what}: the next start has no reason to");
            assert!(held(&cut) == before, "{what}, the next start");
        }
    }
    assert!(noticed > 20 && noticed < cuts, "{noticed} of {cuts}");
}

#[test]
fn a_last_mapped_file_whose_end_never_reached_the_disk_is_told_and_costs_no_sample() {
    for torn in [7, usize::MAX] {
        let mut w = grown();
        let before = held(&w);
        w.head.close();
        w.head.shut().unwrap();
        let last = files(&w, "chunks_head").pop().unwrap();
        let mut bytes = content(&w, &last);
        let seam = *seams(&bytes).last().unwrap();
        // As long as it was, or not; what is there was never written.
        bytes[seam..].fill(0);
        bytes.truncate(seam.saturating_add(torn));
        w.disk.create(&last).unwrap().write_all(&bytes).unwrap();
        let found = || {
            let mut told = Vec::new();
            let dir = Path::new("data/chunks_head");
            verify_mapped(Arc::new(w.disk.clone()), dir, &mut |damage| told.push(damage)).unwrap();
            told
        };
        let place = format!("{}: damaged at offset {seam}", last.display());
        assert!(found().len() == 1 && found()[0].starts_with(&place), "{:?}", found());
        assert_eq!(w.restart_on(w.disk.clone()).lost, [] as [&str; 0]);
        assert_eq!(held(&w), before);
        assert_eq!(content(&w, &last).len(), seam);
        grow(&w);
        let (before, mapped) = (held(&w), files(&w, "chunks_head"));
        assert!(mapped.len() > 3, "{mapped:?}");
        w.restart();
        assert_eq!(held(&w), before);
        assert!(
            files(&w, "chunks_head").starts_with(&mapped),
            "what is behind it is not given up"
        );
    }
}

#[test]
fn chunks_that_are_missing_between_others_and_that_the_log_cannot_give_back_are_told() {
    let mut w = grown();
    let (before, mapped, log) = (w.all(), files(&w, "chunks_head"), files(&w, "wal"));
    w.head.close();
    w.head.shut().unwrap();
    let bytes = content(&w, &mapped[1]);
    w.disk
        .create(&mapped[1])
        .unwrap()
        .write_all(&bytes[..seams(&bytes)[0]])
        .unwrap();
    log[log.len() - 2..]
        .iter()
        .for_each(|path| w.disk.remove_file(path).unwrap());
    let replayed = w.restart_on(w.disk.clone());
    let told = |text: &String| text.contains("mapped chunks before file 000003 are missing");
    assert!(replayed.lost.iter().any(told), "{replayed:?}");
    assert_eq!(replayed.given_up, 0);
    let after = w.all();
    assert!(crate::samples(&after) < crate::samples(&before));
    assert_eq!(files(&w, "chunks_head"), mapped);
}

#[test]
fn mapped_chunks_stay_where_the_log_has_a_hole_before_its_end() {
    let mut w = grown();
    w.head.close();
    w.head.shut().unwrap();
    // A start cuts the log off where it is damaged: what was behind that is in mapped chunks alone.
    let log = files(&w, "wal");
    let segment = &log[log.len() - 2];
    let mut bytes = content(&w, segment);
    // All records are at the beginning of the first page.
    bytes[500] ^= 1;
    w.disk.create(segment).unwrap().write_all(&bytes).unwrap();
    assert_eq!(w.restart_on(w.disk.clone()).lost.len(), 1);
    // Later sessions bring all series further than that, and are long enough for chunks to be mapped while they are read.
    w.fill(120);
    grow(&w);
    w.restart();
    let mapped = files(&w, "chunks_head");
    let replayed = without(&mut w, &[&mapped[0]]);
    assert_eq!(replayed.given_up, 0, "{replayed:?}");
    assert!(
        replayed
            .lost
            .iter()
            .any(|text| text.contains("the log lacks what later ones have")),
        "{replayed:?}"
    );
    assert_eq!(files(&w, "chunks_head"), mapped[1..]);
}

#[test]
fn late_samples_of_mapped_chunks_stay_where_their_log_lacks_them_though_older_chunks_are_missing() {
    for gone in [0, 1] {
        let mut w = World::new(Settings {
            out_of_order_window_ms: HOUR,
            ..settings()
        });
        grow(&w);
        // Late are 40 samples: 32 become a chunk, and the others one with those that come late in the next session. So its
        // marker is in another segment than they are.
        let late: Vec<i64> = w.get(&[late_series()], i64::MIN, i64::MAX)[0]
            .1
            .iter()
            .map(|s| s.0)
            .collect();
        let late: Vec<i64> = late.into_iter().filter(|t| t % 1_000 == 999).take(8).collect();
        for _ in 0..2 {
            w.restart();
            grow(&w);
        }
        w.restart();
        let (mapped, log) = (files(&w, "chunks_head"), files(&w, "wbl"));
        let replayed = without(&mut w, &[&mapped[0], &log[gone]]);
        assert_eq!(replayed.given_up, 0, "{gone}: {replayed:?}");
        let told = |text: &&String| text.contains("mapped chunks before file 000002 are missing");
        assert!(replayed.lost.iter().any(|text| told(&text)), "{gone}: {replayed:?}");
        assert_eq!(files(&w, "chunks_head"), mapped[1..], "{gone}");
        let kept = &w.get(&[late_series()], i64::MIN, i64::MAX)[0].1;
        let kept = late.iter().all(|t| kept.iter().any(|s| s.0 == *t));
        assert!(kept || gone > 0, "{late:?}");
    }
}

/// The one that [`grow`] brings late samples for.
fn late_series() -> leadline_model::matcher::Matcher {
    matcher("__name__", MatchOp::Equal, "m1")
}

/// A world whose first file of mapped chunks, of the first five minutes, is not needed any more.
fn shortened(delete: bool) -> (World, i64) {
    let mut w = World::new(settings());
    w.fill(10);
    w.restart();
    w.fill(10);
    let bound = NOW + 5 * MINUTE + 1;
    for t in (1..=10).map(|i| NOW + i * MINUTE / 2).filter(|_| delete) {
        assert_eq!(w.head.delete(&[], t, t).unwrap(), 6);
    }
    let before = files(&w, "chunks_head");
    w.head.truncate(bound).unwrap();
    assert_eq!(files(&w, "chunks_head"), before[1..]);
    (w, bound)
}

#[test]
fn what_was_deleted_piece_by_piece_is_not_taken_for_missing() {
    let (mut w, _) = shortened(true);
    let before = w.all();
    let replayed = w.restart();
    assert_eq!((replayed.given_up, replayed.lost), (0, vec![]));
    assert_eq!(w.all(), before);
}

/// Adds a sample to a log that nobody writes.
fn add_to_log(w: &World, dir: &str, t: i64) {
    let dir = Path::new("data").join(dir);
    let mut reader = Reader::open(Arc::new(w.disk.clone()), Path::new("data/wal"), ..).unwrap();
    let mut series = None;
    while let Some(record) = reader.next().unwrap() {
        if let Record::Series(all) = Record::parse(record).unwrap() {
            series = series.or(all.map(|entry| entry.unwrap().series).next());
        }
    }
    let mut record = Vec::new();
    SamplesEncoder::default().push(&mut record, series.unwrap(), t, 1.0);
    let mut log = Wal::open(Arc::new(w.disk.clone()), &dir, 64 * 1024).unwrap();
    log.log(&[&record]).unwrap();
    log.close().unwrap();
}

#[test]
fn what_prometheus_logged_of_late_samples_is_not_looked_for_in_mapped_chunks() {
    let (mut w, bound) = shortened(false);
    w.head.close();
    w.head.shut().unwrap();
    add_to_log(&w, "wal", bound + 10_000);
    // First it is behind all that is mapped, then before the end of that.
    for _ in 0..2 {
        w.head = open(&w.disk, &w.clock, &w.settings);
        w.head.seal(bound);
        let replayed = w.head.replay(&()).unwrap();
        assert_eq!((replayed.given_up, replayed.lost), (0, vec![]));
        w.fill(10);
        w.head.close();
        w.head.shut().unwrap();
    }
}
