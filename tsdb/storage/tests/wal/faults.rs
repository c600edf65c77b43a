//! Disks that fail while a log is written: what was acknowledged as durable is there, and nothing else shadows it.

use crate::support::{dir, get, log, read, record};
use leadline_model::entropy::SeededEntropy;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use leadline_storage::disk::{Disk, MemoryDisk};
use leadline_storage::wal::{PAGE_BYTES, Wal, repair, segment_path};
use std::sync::Arc;

/// A disk that fails on purpose over one in memory.
fn faulty(seed: u64) -> (MemoryDisk, FaultyDisk) {
    let memory = MemoryDisk::new();
    let disk = FaultyDisk::new(Arc::new(memory.clone()), Arc::new(SeededEntropy::new(seed)));
    (memory, disk)
}

fn batches() -> Vec<Vec<Vec<u8>>> {
    (0..30)
        .map(|i| {
            let len = if i % 9 == 5 { 40_000 } else { 900 };
            vec![record(2 * i, len, false), record(2 * i + 1, 700, true)]
        })
        .collect()
}

/// Repeats what fails, as the store does; gives up after three times.
fn insist(mut act: impl FnMut() -> Result<(), leadline_storage::StorageError>) {
    for _ in 0..2 {
        if act().is_ok() {
            return;
        }
    }
    act().unwrap();
}

/// Writes the batches with a fault at its `nth` opportunity, and reads what a crash at the end leaves.
fn survives(fault: Fault, nth: u64, seed: u64) -> bool {
    let (memory, disk) = faulty(seed);
    let mut wal = Wal::open(Arc::new(disk.clone()), dir(), 3 * PAGE_BYTES).unwrap();
    disk.arm(fault, nth);
    let mut written = Vec::new();
    for batch in batches() {
        insist(|| {
            let logged = log(&mut wal, &batch);
            if !disk.fired().is_empty() {
                disk.lift();
            }
            logged
        });
        insist(|| wal.sync());
        written.extend(batch);
    }
    let crashed: Arc<dyn Disk> = Arc::new(memory.crash(&SeededEntropy::new(seed)));
    let found = read(&crashed);
    assert!(
        found.error.is_none() && !found.torn,
        "{fault:?} {nth}: {:?}",
        found.error
    );
    // A batch that failed half-way, at the end of a segment, was given again.
    let mut records = found.records;
    records.dedup();
    let mut expected = written;
    expected.dedup();
    let mut rest = records.iter();
    for record in &expected {
        assert!(
            rest.any(|r| r == record),
            "{fault:?} {nth}: a durable record is not there"
        );
    }
    !disk.fired().is_empty()
}

#[test]
fn a_fault_at_any_operation_loses_nothing_that_was_synced() {
    for fault in [
        Fault::TornWrite,
        Fault::Full,
        Fault::Failure,
        Fault::FailedSync,
        Fault::BadSpot,
    ] {
        let mut nth = 0;
        while survives(fault, nth, 1000 + nth) {
            nth += 1;
        }
        assert!(nth > 5, "{fault:?} was met {nth} times");
    }
}

#[test]
fn a_failed_sync_that_lost_pages_is_made_good_by_the_next_one() {
    for sound in 0..12 {
        let memory = MemoryDisk::new();
        let mut wal = Wal::open(Arc::new(memory.clone()), dir(), 2 * PAGE_BYTES).unwrap();
        memory.fail_sync(sound);
        let mut written = Vec::new();
        for batch in batches() {
            insist(|| log(&mut wal, &batch));
            insist(|| wal.sync());
            written.extend(batch);
        }
        let crashed: Arc<dyn Disk> = Arc::new(memory.crash(&SeededEntropy::new(sound)));
        assert_eq!(read(&crashed).records, written, "{sound}");
    }
}

#[test]
fn what_a_failed_write_left_does_not_shadow_later_records() {
    let (memory, disk) = faulty(3);
    let mut wal = Wal::open(Arc::new(disk.clone()), dir(), 8 * PAGE_BYTES).unwrap();
    log(&mut wal, &[record(1, 500, false)]).unwrap();
    let before = get(&(Arc::new(memory.clone()) as Arc<dyn Disk>), &segment_path(dir(), 0));
    disk.arm(Fault::TornWrite, 0);
    let error = log(&mut wal, &[record(2, 60_000, false)]).unwrap_err().to_string();
    assert!(error.starts_with("/wal/00000000: cannot write"), "{error}");
    let inner: Arc<dyn Disk> = Arc::new(memory);
    assert_eq!(get(&inner, &segment_path(dir(), 0)), before, "the part was cut off");
    log(&mut wal, &[record(3, 500, false)]).unwrap();
    assert_eq!(read(&inner).records, [record(1, 500, false), record(3, 500, false)]);
}

#[test]
fn a_segment_goes_on_when_the_next_one_cannot_be_begun_and_a_log_after_it_was_closed() {
    let (memory, disk) = faulty(5);
    let mut wal = Wal::open(Arc::new(disk.clone()), dir(), 8 * PAGE_BYTES).unwrap();
    let mut written = Vec::new();
    for nth in 0..3 {
        let batch = [record(nth, 500, false)];
        log(&mut wal, &batch).unwrap();
        written.extend(batch);
        // Sync, creation, sync of the names.
        disk.arm(Fault::Failure, nth);
        wal.cut().unwrap_err();
        wal.sync().unwrap();
    }
    assert_eq!(wal.segment(), 0);
    for i in 10..12 {
        wal.close().unwrap();
        let batch = [record(i, 500, false)];
        log(&mut wal, &batch).unwrap();
        written.extend(batch);
    }
    wal.sync().unwrap();
    let crashed: Arc<dyn Disk> = Arc::new(memory.crash(&SeededEntropy::new(5)));
    let found = read(&crashed);
    assert_eq!(found.records, written);
    assert!(found.error.is_none() && !found.torn, "{found:?}");
    assert_eq!(found.position.offset, 5 * 507, "no zeros between them");
}

#[test]
fn a_full_disk_is_told_as_such_and_writing_goes_on_when_there_is_room() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let mut wal = Wal::open(disk.clone(), dir(), 2 * PAGE_BYTES).unwrap();
    memory.limit(Some(50_000));
    let mut written = Vec::new();
    let mut refused = 0;
    for i in 0..60 {
        let batch = [record(i, 3000, false)];
        match log(&mut wal, &batch) {
            Ok(()) => written.extend(batch),
            Err(e) => {
                assert!(e.is_full(), "{e}");
                refused += 1;
            }
        }
        if i == 40 {
            memory.limit(None);
        }
    }
    assert!(refused > 10 && written.len() > 25, "{refused} {}", written.len());
    assert_eq!(read(&disk).records, written);
}

#[test]
fn a_crash_at_any_moment_leaves_what_was_synced_and_a_log_to_go_on_with() {
    let mut crashes = 0;
    for changes in 0.. {
        let memory = MemoryDisk::new();
        let mut wal = Wal::open(Arc::new(memory.clone()), dir(), 3 * PAGE_BYTES).unwrap();
        memory.crash_after(changes, Arc::new(SeededEntropy::new(changes)));
        let (mut written, mut durable) = (Vec::new(), 0);
        for (i, batch) in batches().into_iter().enumerate() {
            if !memory.is_crashed() {
                log(&mut wal, &batch).unwrap();
                written.extend(batch);
            }
            if i % 3 == 2 && !memory.is_crashed() {
                wal.sync().unwrap();
                if !memory.is_crashed() {
                    durable = written.len();
                }
            }
        }
        let Some(crashed) = memory.crashed() else {
            break;
        };
        crashes += 1;
        let crashed: Arc<dyn Disk> = Arc::new(crashed);
        let found = read(&crashed);
        let n = found.records.len();
        assert!(n >= durable, "{changes}: {n} of {durable}");
        assert_eq!(found.records, written[..n], "{changes}");
        repair(&*crashed, dir(), found.position.segment, found.position.offset).unwrap();
        let mut wal = Wal::open(crashed.clone(), dir(), 3 * PAGE_BYTES).unwrap();
        let more = [record(999, 80, true)];
        log(&mut wal, &more).unwrap();
        let again = read(&crashed);
        assert!(again.error.is_none() && !again.torn, "{changes}: {:?}", again.error);
        assert_eq!(
            (again.records.len(), again.records.last()),
            (n + 1, more.last()),
            "{changes}"
        );
    }
    assert!(crashes > 40, "{crashes}");
}
