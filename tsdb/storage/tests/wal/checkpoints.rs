//! Checkpoints: what they keep, and that they are whole or not there.

use crate::support::{dir, log, memory, record};
use leadline_model::entropy::SeededEntropy;
use leadline_model::exemplar::Exemplar;
use leadline_model::histogram::{AnyHistogram, CUSTOM_BUCKETS, FloatHistogram};
use leadline_model::labels::Labels;
use leadline_model::metadata::{Metadata, MetricKind};
use leadline_storage::StorageError;
use leadline_storage::codec::put_varint;
use leadline_storage::disk::{Disk, MemoryDisk};
use leadline_storage::interval::Interval;
use leadline_storage::wal::checkpoint::{self, Kept};
use leadline_storage::wal::histogram::put_histogram;
use leadline_storage::wal::record::{
    ExemplarsEncoder, HistogramsEncoder, Record, SamplesEncoder, encode_metadata, encode_series, encode_tombstones,
};
use leadline_storage::wal::{PAGE_BYTES, Reader, Segment, Wal, remove_before, repair, segment_path};
use std::path::Path;
use std::sync::Arc;

/// A series has one name.
fn held(series: u64) -> u64 {
    series
}

/// A segment of two series with two samples each from `t` on, ten apart, and all that can be said of them.
fn segment(t: i64, metadata: &str) -> Vec<Vec<u8>> {
    let mut records = vec![Vec::new(); 5];
    let labels: Vec<Labels> = (0..2).map(|i| Labels::from_pairs([("i", i.to_string())])).collect();
    encode_series(&mut records[0], labels.iter().enumerate().map(|(i, l)| (i as u64, l)));
    let (mut samples, mut exemplars) = (SamplesEncoder::default(), ExemplarsEncoder::default());
    for series in 0..2u64 {
        for t in [t, t + 10] {
            samples.push(&mut records[1], series, t, t as f64);
            let labels = Labels::from_pairs([("trace_id", "abc")]);
            exemplars.push(&mut records[2], series, &Exemplar { labels, t, v: 0.5 });
        }
    }
    encode_tombstones(
        &mut records[3],
        (0..2).map(|series| (series, Interval { mint: 0, maxt: t })),
    );
    let said = Metadata {
        kind: MetricKind::Gauge,
        unit: "bytes".into(),
        help: metadata.into(),
    };
    encode_metadata(&mut records[4], (0..2).map(|series| (series, &said)));
    records
}

fn write_segments(disk: &Arc<dyn Disk>, times: &[i64]) {
    for &t in times {
        let mut wal = Wal::open(disk.clone(), dir(), PAGE_BYTES).unwrap();
        log(&mut wal, &segment(t, &format!("said at {t}"))).unwrap();
        wal.close().unwrap();
    }
}

/// Every entry of a log as a line.
fn lines(disk: &Arc<dyn Disk>, dir: &Path, from: u32) -> Vec<String> {
    let mut reader = Reader::open(disk.clone(), dir, from..).unwrap().whole();
    let mut lines = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        match Record::parse(record).unwrap() {
            Record::Series(all) => {
                lines.extend(
                    all.map(|e| e.unwrap())
                        .map(|e| format!("series {} {}", e.series, e.labels.to_labels())),
                );
            }
            Record::Samples(all) => lines.extend(
                all.map(|e| e.unwrap())
                    .map(|e| format!("sample {} {} {}", e.series, e.t, e.v)),
            ),
            Record::Exemplars(all) => lines.extend(
                all.map(|e| e.unwrap())
                    .map(|e| format!("exemplar {} {} {} {}", e.series, e.t, e.v, e.labels.to_labels())),
            ),
            Record::Tombstones(all) => {
                lines.extend(
                    all.map(|e| e.unwrap())
                        .map(|e| format!("deleted {} {}", e.series, e.interval.maxt)),
                );
            }
            Record::Metadata(all) => lines.extend(
                all.map(|e| e.unwrap())
                    .map(|e| format!("metadata {} {} {}", e.series, e.unit, e.help)),
            ),
            Record::MinValidTime(mint) => lines.push(format!("from {mint}")),
            other => panic!("{other:?}"),
        }
    }
    lines
}

#[test]
fn what_was_told_last_of_a_series_is_kept_whatever_name_it_had_then() {
    let disk = memory();
    let labels = Labels::from_pairs([("i", "0")]);
    for (series, told) in [(3, "first"), (5, "second"), (3, "third"), (7, "of another")] {
        let said = Metadata {
            help: told.into(),
            ..Metadata::default()
        };
        let mut records = vec![Vec::new(); 2];
        encode_series(&mut records[0], [(series, &labels)]);
        encode_metadata(&mut records[1], [(series, &said)]);
        crate::support::write(&disk, PAGE_BYTES, &records);
    }
    let held = |series: u64| if series == 5 { 3 } else { series };
    checkpoint::write(&disk, dir(), 0..=3, &|series| series == 3, &held, 0).unwrap();
    let found = checkpoint::latest(&*disk, dir()).unwrap().unwrap();
    let mut told = lines(&disk, &found.path, 0);
    told.retain(|line| line.starts_with("metadata"));
    assert_eq!(told, ["metadata 3  third"]);
}

#[test]
fn a_checkpoint_keeps_what_is_still_needed() {
    let disk = memory();
    write_segments(&disk, &[100, 200, 300, 400]);
    let kept = checkpoint::write(&disk, dir(), 0..=1, &|series| series == 1, &held, 205).unwrap();
    let found = checkpoint::latest(&*disk, dir()).unwrap().unwrap();
    assert_eq!(
        (found.number, found.path.as_path()),
        (1, dir().join("checkpoint.00000001").as_path())
    );
    assert_eq!(
        lines(&disk, &found.path, 0),
        [
            "from 205",
            "series 1 {i=\"1\"}",
            "series 1 {i=\"1\"}",
            "sample 0 210 210",
            "sample 1 210 210",
            "exemplar 0 210 0.5 {trace_id=\"abc\"}",
            "exemplar 1 210 0.5 {trace_id=\"abc\"}",
            "metadata 1 bytes said at 200",
        ]
    );
    let expected = Kept {
        series: 2,
        series_dropped: 2,
        samples: 2,
        samples_dropped: 6,
        exemplars: 2,
        exemplars_dropped: 6,
        tombstones: 0,
        tombstones_dropped: 4,
        metadata: 1,
        ..Kept::default()
    };
    assert_eq!(kept, expected);
}

#[test]
fn a_checkpoint_takes_the_one_before_in_and_its_time_never_falls() {
    let disk = memory();
    write_segments(&disk, &[100, 200, 300, 400]);
    checkpoint::write(&disk, dir(), 0..=1, &|_| true, &held, 205).unwrap();
    remove_before(&*disk, dir(), 2).unwrap();
    checkpoint::write(&disk, dir(), 0..=2, &|_| true, &held, 150).unwrap();
    checkpoint::remove_before(&*disk, dir(), 2).unwrap();
    assert!(!disk.exists(&dir().join("checkpoint.00000001")).unwrap());
    assert_eq!(checkpoint::min_valid_time(&disk, dir()).unwrap(), Some(205));
    let found = checkpoint::latest(&*disk, dir()).unwrap().unwrap();
    let lines = lines(&disk, &found.path, 0);
    for line in [
        "from 205",
        "sample 0 210 210",
        "sample 1 300 300",
        "deleted 1 300",
        "metadata 0 bytes said at 300",
    ] {
        assert_eq!(lines.iter().filter(|l| *l == line).count(), 1, "{line} in {lines:#?}");
    }
    let again = checkpoint::write(&disk, dir(), 0..=2, &|_| true, &held, 205).unwrap_err();
    assert_eq!(
        again.to_string(),
        "a checkpoint up to segment 00000002 is there already"
    );
}

#[test]
fn damage_in_a_segment_is_told_and_leaves_no_checkpoint() {
    let disk = memory();
    write_segments(&disk, &[100, 200, 300]);
    let path = segment_path(dir(), 1);
    let mut bytes = crate::support::get(&disk, &path);
    bytes[20] ^= 1;
    crate::support::put(&disk, &path, &bytes);
    let error = checkpoint::write(&disk, dir(), 0..=1, &|_| true, &held, 0)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("/wal/00000001: damaged at offset 0: "), "{error}");
    assert_eq!(checkpoint::latest(&*disk, dir()).unwrap(), None);
    checkpoint::remove_temporary(&*disk, dir()).unwrap();
    let names: Vec<String> = disk.list(dir()).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["00000000", "00000001", "00000002"]);
}

#[test]
fn a_record_of_the_future_keeps_a_checkpoint_from_being_written() {
    let disk = memory();
    let mut wal = Wal::open(disk.clone(), dir(), PAGE_BYTES).unwrap();
    log(&mut wal, &[segment(5, "")[0].clone(), vec![99, 1, 2, 3]]).unwrap();
    wal.cut().unwrap();
    let error = checkpoint::write(&disk, dir(), 0..=0, &|_| true, &held, 0).unwrap_err();
    assert!(matches!(error, StorageError::Unknown { .. }), "{error:?}");
    assert!(error.to_string().contains("record type 99 is not known"), "{error}");
    assert_eq!(checkpoint::latest(&*disk, dir()).unwrap(), None);
}

#[test]
fn histograms_of_mixed_schemas_become_records_of_their_own() {
    let exponential = Arc::new(FloatHistogram {
        count: 1.0,
        zero_count: 1.0,
        ..FloatHistogram::default()
    });
    let custom = Arc::new(FloatHistogram {
        schema: CUSTOM_BUCKETS,
        custom_values: [1.0].into(),
        ..FloatHistogram::default()
    });
    // Before type 10 was, all were in type 8.
    let mut encoder = HistogramsEncoder::default();
    encoder.push(1, 5, &AnyHistogram::Float(exponential.clone()));
    encoder.push(1, 20, &AnyHistogram::Float(exponential.clone()));
    let mut mixed = encoder.records().next().unwrap().to_vec();
    put_varint(&mut mixed, 1);
    put_varint(&mut mixed, 15);
    put_histogram(&mut mixed, &AnyHistogram::Float(custom.clone()));

    let disk = memory();
    let mut wal = Wal::open(disk.clone(), dir(), PAGE_BYTES).unwrap();
    log(&mut wal, &[mixed]).unwrap();
    wal.cut().unwrap();
    let kept = checkpoint::write(&disk, dir(), 0..=0, &|_| true, &held, 20).unwrap();
    assert_eq!((kept.histograms, kept.histograms_dropped), (2, 1));
    let mut reader = Reader::open(disk.clone(), &dir().join("checkpoint.00000000"), ..).unwrap();
    let mut found = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        if let Record::Histograms(all) = Record::parse(record).unwrap() {
            found.extend(all.map(|e| e.unwrap()).map(|e| (record[0], e.series, e.t, e.h)));
        }
    }
    assert_eq!(
        found,
        [
            (8, 1, 20, AnyHistogram::Float(exponential)),
            (10, 2, 20, AnyHistogram::Float(custom))
        ]
    );
}

#[test]
fn what_a_checkpoint_is_made_of_must_be_there() {
    let disk = memory();
    write_segments(&disk, &[100, 200, 300, 400, 500]);
    checkpoint::write(&disk, dir(), 0..=1, &|_| true, &held, 0).unwrap();
    remove_before(&*disk, dir(), 2).unwrap();
    let error = |span| {
        checkpoint::write(&disk, dir(), span, &|_| true, &held, 0)
            .unwrap_err()
            .to_string()
    };
    disk.remove_file(&segment_path(dir(), 3)).unwrap();
    assert_eq!(
        error(2..=3),
        "/wal/00000003: damaged at offset 0: expected this segment, got none, and none behind it"
    );
    disk.remove_file(&segment_path(dir(), 2)).unwrap();
    assert_eq!(
        error(2..=3),
        "/wal/00000002: damaged at offset 0: expected this segment, got none, and none behind it"
    );
    disk.remove_file(&dir().join("checkpoint.00000001/00000000")).unwrap();
    assert_eq!(
        error(2..=4),
        "/wal/checkpoint.00000001/00000000: damaged at offset 0: expected this segment, got none, and none behind it"
    );
}

#[test]
fn a_checkpoint_that_lost_its_records_is_told_and_mended() {
    for emptied in [None, Some(vec![]), Some(vec![0; PAGE_BYTES as usize])] {
        let disk = memory();
        write_segments(&disk, &[100, 200, 300, 400, 500]);
        checkpoint::write(&disk, dir(), 0..=1, &|_| true, &held, 0).unwrap();
        let found = checkpoint::latest(&*disk, dir()).unwrap().unwrap();
        let path = segment_path(&found.path, 0);
        match emptied {
            Some(content) => crate::support::put(&disk, &path, &content),
            None => disk.remove_file(&path).unwrap(),
        }
        let mut reader = Reader::open(disk.clone(), &found.path, ..).unwrap().whole();
        let error = reader.next().unwrap_err().to_string();
        assert!(
            error.starts_with("/wal/checkpoint.00000001/00000000: damaged at offset 0: "),
            "{error}"
        );
        let position = reader.position();
        repair(&*disk, &found.path, position.segment, position.offset).unwrap();
        checkpoint::write(&disk, dir(), 2..=3, &|_| true, &held, 0).unwrap_err();
        checkpoint::mend(&disk, &found).unwrap();
        checkpoint::write(&disk, dir(), 2..=3, &|_| true, &held, 7).unwrap();
        assert_eq!(checkpoint::min_valid_time(&disk, dir()).unwrap(), Some(7));
    }
}

#[test]
fn a_log_whose_segments_are_gone_goes_on_behind_its_checkpoint() {
    for left in [None, Some(1)] {
        let disk = memory();
        write_segments(&disk, &[100, 200, 300]);
        checkpoint::write(&disk, dir(), 0..=1, &|_| true, &held, 0).unwrap();
        for number in 0..3 {
            disk.remove_file(&segment_path(dir(), number)).unwrap();
        }
        if let Some(number) = left {
            crate::support::put(&disk, &segment_path(dir(), number), &[]);
        }
        let wal = Wal::open(disk.clone(), dir(), PAGE_BYTES).unwrap();
        assert_eq!(wal.segment(), 2);
    }
}

#[test]
fn a_malformed_record_is_told_with_its_place() {
    let disk = memory();
    let mut wal = Wal::open(disk.clone(), dir(), PAGE_BYTES).unwrap();
    log(&mut wal, &[record(1, 30, false), vec![2, 0, 0, 0]]).unwrap();
    wal.cut().unwrap();
    let mut reader = Reader::open(disk.clone(), dir(), ..).unwrap();
    reader.next().unwrap();
    let e = Record::parse(reader.next().unwrap().unwrap()).unwrap_err();
    assert_eq!(
        reader.malformed(e).to_string(),
        "/wal/00000000: damaged at offset 37: expected 8 bytes at byte 1 of the record, got 3 bytes before the end"
    );
}

#[test]
fn the_span_is_two_thirds_without_the_segment_that_is_written() {
    let of = |numbers: std::ops::Range<u32>| numbers.map(|number| Segment { number, len: 1 }).collect::<Vec<_>>();
    for (numbers, span) in [
        (0..0, None),
        (0..1, None),
        (0..2, None),
        (0..3, None),
        (0..4, Some(0..=1)),
        (4..8, Some(4..=5)),
        (4..14, Some(4..=9)),
    ] {
        assert_eq!(checkpoint::span(&of(numbers.clone())), span, "{numbers:?}");
    }
}

#[test]
fn a_crash_at_any_moment_leaves_the_old_checkpoint_or_the_new_one() {
    let (mut crashes, mut new) = (0, 0);
    for changes in 0.. {
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        write_segments(&disk, &[100, 200, 300, 400]);
        checkpoint::write(&disk, dir(), 0..=1, &|_| true, &held, 150).unwrap();
        remove_before(&*disk, dir(), 2).unwrap();
        let all = |disk: &Arc<dyn Disk>| {
            let found = checkpoint::latest(&**disk, dir()).unwrap().unwrap();
            let mut all = lines(disk, &found.path, 0);
            all.extend(lines(disk, dir(), found.number + 1));
            all.retain(|line| line.starts_with("sample"));
            (found.number, all)
        };
        let (_, before) = all(&disk);
        memory.crash_after(changes, Arc::new(SeededEntropy::new(changes)));
        checkpoint::write(&disk, dir(), 2..=2, &|_| true, &held, 0).unwrap();
        remove_before(&*disk, dir(), 3).unwrap();
        checkpoint::remove_before(&*disk, dir(), 2).unwrap();
        let Some(crashed) = memory.crashed() else {
            break;
        };
        crashes += 1;
        let crashed: Arc<dyn Disk> = Arc::new(crashed);
        checkpoint::remove_temporary(&*crashed, dir()).unwrap();
        let (number, found) = all(&crashed);
        assert_eq!(found, before, "{changes}: checkpoint {number}");
        new += u32::from(number == 2);
    }
    assert!(crashes > 8 && new > 0 && new < crashes, "{crashes} {new}");
}
