//! The file of running queries.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::clock::ManualClock;
use leadline_model::port::ActiveQueries;
use leadline_storage::active_queries::{FILE, QueryFile};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "data";

fn open(disk: &dyn Disk, places: u32) -> QueryFile {
    disk.create_dir_all(Path::new(DIR)).unwrap();
    QueryFile::open(
        disk,
        Path::new(DIR),
        places,
        Arc::new(ManualClock::at(1_700_000_000_123)),
    )
    .unwrap()
}

fn content(disk: &dyn Disk) -> Vec<u8> {
    let file = disk.open(&Path::new(DIR).join(FILE)).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// What Prometheus makes of the file: zeros go, and the last comma becomes the end of the list.
fn as_prometheus_reads(bytes: &[u8]) -> String {
    let text: String = String::from_utf8(bytes.to_vec()).unwrap().replace('\0', "");
    text.strip_suffix(',').map_or(text.clone(), |list| format!("{list}]"))
}

#[test]
fn running_queries_are_in_the_file_and_finished_ones_are_not() {
    let disk = MemoryDisk::default();
    let file = open(&disk, 2);
    assert_eq!(content(&disk).len(), 2001);
    assert_eq!(as_prometheus_reads(&content(&disk)), "[");
    let up = file.begin("up").unwrap();
    let sum = file.begin("sum(\"x\")").unwrap();
    assert_eq!(file.begin("third"), None, "there are two places");
    let both = r#"[{"query":"up","timestamp_sec":1700000000},{"query":"sum(\"x\")","timestamp_sec":1700000000}]"#;
    assert_eq!(as_prometheus_reads(&content(&disk)), both);
    file.end(up);
    file.end(sum);
    assert_eq!(as_prometheus_reads(&content(&disk)), "[");
    assert!(file.begin("again").is_some());
}

#[test]
fn what_did_not_finish_is_told_at_the_next_start() {
    let disk = MemoryDisk::default();
    let file = open(&disk, 3);
    assert!(file.unfinished().is_empty());
    let first = file.begin("first").unwrap();
    file.begin("second").unwrap();
    file.end(first);
    drop(file);
    let file = open(&disk, 1);
    let told: Vec<_> = file.unfinished().iter().map(|q| q.query.as_str()).collect();
    assert_eq!(told, ["second"]);
    assert!(content(&disk)[1..].iter().all(|&byte| byte == 0));
}

#[test]
fn anything_in_the_file_can_be_read() {
    let disk = MemoryDisk::default();
    open(&disk, 1);
    for bytes in [&b""[..], b"[", b"[{\"query\":", &[0xff; 2500], &[b'['; 1001]] {
        let mut file = disk.create(&Path::new(DIR).join(FILE)).unwrap();
        file.write_all(bytes).unwrap();
        assert!(open(&disk, 1).unfinished().is_empty());
    }
}

#[test]
fn a_full_disk_is_told_when_the_file_is_opened() {
    let disk = MemoryDisk::default();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.limit(Some(1500));
    let clock = Arc::new(ManualClock::at(0));
    let error = QueryFile::open(&disk, Path::new(DIR), 2, clock.clone()).unwrap_err();
    assert!(error.is_full(), "{error}");
    disk.limit(None);
    let file = QueryFile::open(&disk, Path::new(DIR), 2, clock).unwrap();
    disk.limit(Some(0));
    assert!(file.begin("its room is there already").is_some());
}
