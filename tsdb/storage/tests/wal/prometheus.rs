//! Logs that Prometheus wrote, and Prometheus' reading of ours.

use crate::support::log;
use leadline_model::labels::Labels;
use leadline_model::metadata::Metadata;
use leadline_storage::disk::{Disk, RealDisk};
use leadline_storage::wal::record::{
    ExemplarsEncoder, Record, RecordType, SamplesEncoder, encode_metadata, encode_min_valid_time, encode_mmap_markers,
    encode_series, encode_tombstones,
};
use leadline_storage::wal::{PAGE_BYTES, Reader, SEGMENT_BYTES, Wal, checkpoint, segment_path, segments};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A directory of data that Prometheus 2.42 wrote, where this machine has it.
fn written_by_prometheus(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map_or(beside, PathBuf::from);
    let folder = folder.join("prom242-datadir").join(name);
    if !folder.is_dir() {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "absent: no {} (set LEADLINE_CONFORMANCE_DATA)",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// The record's entries decoded and encoded again.
fn encoded_again(record: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match Record::parse(record).unwrap() {
        Record::Series(entries) => {
            let all: Vec<(u64, Labels)> = entries
                .map(|e| e.map(|e| (e.series, e.labels.to_labels())).unwrap())
                .collect();
            encode_series(&mut out, all.iter().map(|(s, l)| (*s, l)));
        }
        Record::Samples(entries) => {
            let mut encoder = SamplesEncoder::default();
            for e in entries {
                let e = e.unwrap();
                encoder.push(&mut out, e.series, e.t, e.v);
            }
        }
        Record::Tombstones(entries) => {
            encode_tombstones(&mut out, entries.map(|e| e.unwrap()).map(|e| (e.series, e.interval)));
        }
        Record::Exemplars(entries) => {
            let mut encoder = ExemplarsEncoder::default();
            for e in entries {
                let e = e.unwrap();
                encoder.push(&mut out, e.series, &e.to_exemplar());
            }
        }
        Record::MmapMarkers(entries) => {
            encode_mmap_markers(&mut out, entries.map(|e| e.unwrap()).map(|e| (e.series, e.chunk)));
        }
        Record::Metadata(entries) => {
            let all: Vec<(u64, Metadata)> = entries
                .map(|e| e.map(|e| (e.series, e.to_metadata())).unwrap())
                .collect();
            encode_metadata(&mut out, all.iter().map(|(s, m)| (*s, m)));
        }
        Record::MinValidTime(mint) => encode_min_valid_time(&mut out, mint),
        Record::Histograms(_) | Record::Unknown(_) => return None,
    }
    // Of no entries an encoder makes no record.
    if out.is_empty() {
        out.extend(record.first());
    }
    Some(out)
}

#[test]
fn every_record_of_prometheus_is_read_and_written_again_with_equal_bytes() {
    for name in ["clean", "crash"] {
        let Some(folder) = written_by_prometheus(name) else {
            return;
        };
        let wal = folder.join("wal");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let found = checkpoint::latest(&*disk, &wal).unwrap().unwrap();
        assert_eq!(found.number, 5);
        let logs = [
            Reader::open(disk.clone(), &found.path, ..).unwrap().whole(),
            Reader::open(disk.clone(), &wal, found.number + 1..).unwrap(),
            Reader::open(disk.clone(), &folder.join("wbl"), ..).unwrap(),
        ];
        let mut records: BTreeMap<Option<RecordType>, usize> = BTreeMap::new();
        for mut reader in logs {
            while let Some(record) = reader.next().unwrap() {
                *records.entry(RecordType::from_number(record[0])).or_default() += 1;
                if let Some(again) = encoded_again(record) {
                    assert_eq!(again, record, "{name}");
                }
            }
            assert!(reader.torn().is_none(), "{name}: {:?}", reader.torn());
        }
        println!("{name}: {records:?}");
        for kind in [
            RecordType::Series,
            RecordType::Samples,
            RecordType::Tombstones,
            RecordType::Metadata,
        ] {
            println!("{name}: {kind:?}: {}", records.get(&Some(kind)).unwrap_or(&0));
        }
        assert!(!records.contains_key(&None), "{name}: {records:?}");
        assert!(records.contains_key(&Some(RecordType::Samples)), "{name}: {records:?}");
    }
}

#[test]
fn segments_of_prometheus_are_written_again_with_equal_bytes() {
    let Some(folder) = written_by_prometheus("crash") else {
        return;
    };
    let source = folder.join("wal");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    for segment in segments(&*disk, &source).unwrap() {
        let copy = tempfile::tempdir().unwrap();
        let mut reader = Reader::open(disk.clone(), &source, segment.number..=segment.number).unwrap();
        let mut wal = Wal::open(disk.clone(), copy.path(), SEGMENT_BYTES).unwrap();
        while let Some(record) = reader.next().unwrap() {
            wal.log(&[record]).unwrap();
        }
        let mut written = std::fs::read(segment_path(copy.path(), 0)).unwrap();
        let original = std::fs::read(segment_path(&source, segment.number)).unwrap();
        assert!(written.len() <= original.len() && original.len() - written.len() < PAGE_BYTES as usize);
        // A segment that was ended is filled to its page's end.
        written.resize(original.len(), 0);
        assert!(written == original, "segment {}", segment.number);
    }
}

/// promtool 3.16, where it was built.
fn promtool() -> Option<PathBuf> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs/build");
    let output = Command::new(&build).args(["--where", "prometheus"]).output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    let program = folder.join("promtool");
    if !program.is_file() {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED in part: no promtool; `tests/programs/build prometheus` builds it"
        );
        return None;
    }
    Some(program)
}

/// Two series over some segments of a log, and the lines that a dump of them must have.
fn write_log(wal_dir: &Path, segment_bytes: u64) -> Vec<String> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut wal = Wal::open(disk, wal_dir, segment_bytes).unwrap();
    let labels: Vec<Labels> = ["a", "b", "long"]
        .into_iter()
        .map(|l| {
            Labels::from_pairs([
                ("__name__", "up"),
                ("job", &l.repeat(if l == "long" { 9_000 } else { 1 })),
            ])
        })
        .collect();
    let mut series = Vec::new();
    encode_series(&mut series, labels.iter().enumerate().map(|(i, l)| (i as u64 + 1, l)));
    log(&mut wal, &[series]).unwrap();
    let mut lines = Vec::new();
    for scrape in 0..3000i64 {
        let t = 1_700_000_000_000 + scrape * 15_000;
        let mut samples = Vec::new();
        let mut encoder = SamplesEncoder::default();
        for (i, labels) in labels.iter().enumerate() {
            let v = ((scrape * (i as i64 + 1)).wrapping_mul(0x9e37_79b9) % 1_000_003) as f64 / 8.0;
            encoder.push(&mut samples, i as u64 + 1, t, v);
            let job = labels.get("job").unwrap();
            lines.push(format!("{{__name__=\"up\", job=\"{job}\"}} {v} {t}"));
        }
        log(&mut wal, &[samples]).unwrap();
    }
    wal.close().unwrap();
    lines.sort();
    lines
}

fn dumped(promtool: &Path, data: &Path) -> Vec<String> {
    let output = Command::new(promtool)
        .args(["tsdb", "dump"])
        .arg(data)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn promtool_reads_what_we_write() {
    let Some(promtool) = promtool() else { return };
    let data = tempfile::tempdir().unwrap();
    let lines = write_log(&data.path().join("wal"), PAGE_BYTES);
    assert!(dumped(&promtool, data.path()) == lines);
}

#[test]
fn promtool_reads_our_checkpoint() {
    let Some(promtool) = promtool() else { return };
    let data = tempfile::tempdir().unwrap();
    let wal = data.path().join("wal");
    let mut lines = write_log(&wal, PAGE_BYTES);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let found = segments(&*disk, &wal).unwrap();
    let last = found[found.len() - 2].number;
    let mint = 1_700_000_000_000 + 100 * 15_000;
    let kept = checkpoint::write(&disk, &wal, found[0].number..=last, &|_| true, &|series| series, mint).unwrap();
    assert_eq!((kept.series, kept.samples_dropped), (3, 300));
    leadline_storage::wal::remove_before(&*disk, &wal, last + 1).unwrap();
    lines.retain(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap() >= mint);
    assert!(dumped(&promtool, data.path()) == lines);
}
