//! The log by itself: after any crash it holds a beginning of what was written, with all that was synced.

use crate::dice::Dice;
use crate::world::told;
use leadline_model::entropy::SeededEntropy;
use leadline_storage::StorageError;
use leadline_storage::disk::faulty::{Fault, FaultyDisk};
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::wal::{self, Reader, Wal};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/wal";
/// Two pages: records cross them, and segments end often.
const SEGMENT: u64 = 64 * 1024;

/// The n-th record; its bytes do not compress.
fn record(n: u64, dice: &Dice) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    let len = dice.weighted(&[(8, 40), (4, 400), (2, 9_000), (1, 40_000), (1, 90_000)]);
    let noise = Dice::new(n);
    bytes.extend((0..dice.below(len) / 8).flat_map(|_| noise.seed().to_be_bytes()));
    bytes
}

struct Log {
    dice: Dice,
    memory: MemoryDisk,
    faulty: FaultyDisk,
    wal: Wal,
    /// What was written, and how much of it was synced.
    written: Vec<Vec<u8>>,
    synced: usize,
    numbered: u64,
}

fn open(faulty: &FaultyDisk) -> Result<Wal, StorageError> {
    Wal::open(Arc::new(faulty.clone()), Path::new(DIR), SEGMENT)
}

impl Log {
    fn new(seed: u64) -> Result<Self, String> {
        let (dice, memory) = (Dice::new(seed), MemoryDisk::new());
        let faulty = FaultyDisk::new(Arc::new(memory.clone()), Arc::new(SeededEntropy::new(seed)));
        Ok(Self {
            wal: told("open", open(&faulty))?,
            dice,
            memory,
            faulty,
            written: Vec::new(),
            synced: 0,
            numbered: 0,
        })
    }

    fn write(&mut self) {
        let records: Vec<Vec<u8>> = (0..self.dice.between(1, 5))
            .map(|_| {
                self.numbered += 1;
                record(self.numbered, &self.dice)
            })
            .collect();
        let given: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        // After an error all are given again, and those that got through are there twice.
        for _ in 0..3 {
            let stored = self.wal.log(&given);
            self.written.extend_from_slice(&records);
            if stored.is_ok() {
                return;
            }
            self.faulty.lift();
        }
    }

    fn sync(&mut self) {
        if self.wal.sync().is_ok() {
            self.synced = self.written.len();
        }
    }

    fn step(&mut self) -> Result<(), String> {
        match self.dice.below(20) {
            0..10 => self.write(),
            10..14 => self.sync(),
            14 => {
                if self.wal.cut().is_ok() {
                    self.synced = self.written.len();
                }
            }
            15 => {
                let fault = [
                    Fault::TornWrite,
                    Fault::Full,
                    Fault::Failure,
                    Fault::FailedSync,
                    Fault::BadSpot,
                ][self.dice.index(5)];
                self.faulty.arm(fault, self.dice.below(8));
            }
            16 => self.memory.fail_sync(self.dice.below(3)),
            17 => self.faulty.lift(),
            _ => return self.crash(),
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        self.memory = self.memory.crash(&SeededEntropy::new(self.dice.seed()));
        self.faulty = FaultyDisk::new(
            Arc::new(self.memory.clone()),
            Arc::new(SeededEntropy::new(self.dice.seed())),
        );
        let (found, end) = self.read()?;
        told(
            "repair",
            wal::repair(&self.faulty, Path::new(DIR), end.segment, end.offset),
        )?;
        self.compare(&found)?;
        self.wal = told("open after a crash", open(&self.faulty))?;
        self.synced = self.written.len();
        let (again, _) = self.read()?;
        if again == found {
            Ok(())
        } else {
            Err(format!("{} records, and then {}", found.len(), again.len()))
        }
    }

    fn read(&self) -> Result<(Vec<Vec<u8>>, wal::Position), String> {
        let mut reader = told(
            "reader",
            Reader::open(Arc::new(self.memory.clone()), Path::new(DIR), ..),
        )?;
        let mut found = Vec::new();
        while let Ok(Some(record)) = reader.next() {
            found.push(record.to_vec());
        }
        Ok((found, reader.position()))
    }

    /// What was found is what was written, with nothing in between left out and all that was synced; records of a failed
    /// write may be missing or there twice.
    fn compare(&mut self, found: &[Vec<u8>]) -> Result<(), String> {
        let mut at = 0;
        for (i, record) in found.iter().enumerate() {
            let ahead = self.written[at..].iter().position(|written| written == record);
            at += 1 + ahead.ok_or_else(|| format!("record {i} was not written there: {:?}", record.get(..8)))?;
        }
        let there: std::collections::BTreeSet<&[u8]> = found.iter().map(Vec::as_slice).collect();
        if let Some(lost) = self.written[..self.synced]
            .iter()
            .position(|w| !there.contains(w.as_slice()))
        {
            return Err(format!("record {lost} of {} that were synced is lost", self.synced));
        }
        self.written = found.to_vec();
        Ok(())
    }
}

fn run(seed: u64) -> Result<(), String> {
    let mut log = Log::new(seed)?;
    (0..60).try_for_each(|_| log.step())?;
    log.crash()
}

#[test]
fn the_log_keeps_what_was_synced() {
    for seed in 0..crate::number("LEADLINE_SIM_SEEDS").unwrap_or(20) {
        assert_eq!(run(seed), Ok(()), "seed {seed}");
    }
}

#[cfg(feature = "planted")]
#[test]
fn defects_of_the_log_are_found_in_the_log_alone() {
    use leadline_storage::planted::{Defect, plant};
    for defect in [
        Defect::LogNotSynced,
        Defect::SegmentNameNotSynced,
        Defect::SwallowedShortWrite,
        Defect::PageEndNotReplayed,
    ] {
        plant(Some(defect));
        let found = (0..200).find(|&seed| run(seed).is_err());
        plant(None);
        assert!(found.is_some(), "{defect:?}");
    }
}
