//! Crashes, full disks and disks that fail.

use super::damage::right_or_refused;
use super::support::{ALL, DIR, SEGMENT, float_chunk, open, select, small, ulid, write, writer};
use leadline_model::entropy::SeededEntropy;
use leadline_storage::block::Meta;
use leadline_storage::disk::Disk;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use leadline_storage::disk::memory::MemoryDisk;
use std::path::Path;
use std::sync::Arc;

#[test]
fn a_crash_leaves_the_whole_block_or_none() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let data = small();
    let dir = write(&disk, Path::new(DIR), &data, 2, 100);
    disk.sync_dir(Path::new("")).ok();
    for seed in 0..50 {
        let after: Arc<dyn Disk> = Arc::new(memory.crash(&SeededEntropy::new(seed)));
        if after.exists(&dir).unwrap() {
            let block = open(&after, &dir, 0).unwrap();
            assert_eq!(select(&block, &[], ALL.0, ALL.1).unwrap(), data, "seed {seed}");
            block.verify(&mut |damage| panic!("{damage}")).unwrap();
        } else {
            // Only the data directory itself, which nobody here made durable, may be lost.
            assert!(!after.exists(Path::new(DIR)).unwrap(), "seed {seed}");
        }
    }
}

/// Runs `step` on a copy of `memory` that fails at the first, the second … of its operations, in every way, until it no
/// longer does; `step` gets the disk that fails and the one below it.
fn at_every_fault(memory: &MemoryDisk, step: impl Fn(&Arc<dyn Disk>, &Arc<dyn Disk>, &str)) {
    let mut fired = 0;
    for fault in Fault::ALL {
        for sound in 0.. {
            let inner: Arc<dyn Disk> = Arc::new(memory.duplicate());
            let faulty = FaultyDisk::new(Arc::clone(&inner), Arc::new(SeededEntropy::new(sound)));
            faulty.arm(fault, sound);
            let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
            step(&disk, &inner, &format!("{fault:?} after {sound}"));
            if faulty.fired().is_empty() {
                break;
            }
            fired += 1;
        }
    }
    assert!(fired > 10, "{fired} faults");
}

#[test]
fn a_block_that_could_not_be_written_is_not_there() {
    let data = small();
    let memory = MemoryDisk::new();
    memory.create_dir_all(Path::new(DIR)).unwrap();
    at_every_fault(&memory, |disk, inner, what| {
        let write = || {
            let mut writer = writer(disk, Path::new(DIR), &data, 100)?;
            for (labels, points) in &data {
                let chunks: Vec<_> = points.chunks(2).map(float_chunk).collect();
                writer.series(labels, &chunks)?;
            }
            writer.finish(Meta::new(ulid(1), 0, 1_000_000))
        };
        let written = write();
        let dir = Path::new(DIR).join(ulid(1).to_string());
        let there = inner.exists(&dir).unwrap();
        assert!(there || written.is_err(), "{what}");
        if there {
            // Only the name of the folder may be in doubt.
            let block = open(inner, &dir, 0).unwrap();
            assert_eq!(select(&block, &[], ALL.0, ALL.1).unwrap(), data, "{what}: {written:?}");
            block.verify(&mut |damage| panic!("{what}: {damage}")).unwrap();
        }
    });
}

#[test]
fn a_full_disk_leaves_nothing_of_a_block() {
    let data = small();
    let mut whole = 0;
    for room in (0..4_000).step_by(50) {
        let memory = MemoryDisk::new();
        let disk: Arc<dyn Disk> = Arc::new(memory.clone());
        disk.create_dir_all(Path::new(DIR)).unwrap();
        memory.limit(Some(room));
        let written = writer(&disk, Path::new(DIR), &data, SEGMENT).and_then(|mut writer| {
            for (labels, points) in &data {
                writer.series(labels, &[float_chunk(points)])?;
            }
            writer.finish(Meta::new(ulid(1), 0, 1_000_000))
        });
        let entries = disk.list(Path::new(DIR)).unwrap();
        match written {
            Ok(meta) => {
                let block = open(&disk, &Path::new(DIR).join(meta.unwrap().ulid.to_string()), 0).unwrap();
                assert_eq!(select(&block, &[], ALL.0, ALL.1).unwrap(), data, "{room}");
                whole += 1;
            }
            Err(error) => assert!(
                error.is_full() && entries.is_empty() && whole == 0,
                "{room}: {error}, {entries:?}"
            ),
        }
    }
    assert!((1..79).contains(&whole), "{whole} of 80");
}

#[test]
fn reading_through_faults_is_right_or_refused() {
    let data = small();
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 2, 100);
    at_every_fault(&memory, |disk, _, what| {
        right_or_refused(disk, &dir, &data, what);
    });
}

#[test]
fn a_deletion_that_fails_deletes_all_or_nothing() {
    let data = small();
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 2, SEGMENT);
    let mut left = data.clone();
    left.values_mut().for_each(|points| points.retain(|p| p.0 > 61_000));
    at_every_fault(&memory, |disk, inner, what| {
        let Ok(block) = open(disk, &dir, 0) else {
            return;
        };
        let deleted = block.delete(&[], 0, 61_000);
        for block in [Some(block), open(inner, &dir, 0).ok()] {
            let block = block.unwrap_or_else(|| panic!("{what}: the block no longer opens"));
            // A fault may be left for this reading.
            if let Ok(found) = select(&block, &[], ALL.0, ALL.1) {
                let whole = found == left || deleted.is_err() && found == data;
                assert!(whole, "{what}: {deleted:?}, {found:?}");
            }
        }
    });
}
