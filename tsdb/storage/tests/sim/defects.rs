//! Defects that are planted in the store, each of which the simulation must find.

use leadline_storage::planted::{Defect, plant};

/// Within how many seeds.
const SEEDS: u64 = 200;

/// The first seed that fails with the defect.
fn found(defect: Defect) -> Option<(u64, String)> {
    plant(Some(defect));
    let failed = (0..SEEDS).find_map(|seed| Some((seed, crate::run(seed, false).err()?)));
    plant(None);
    failed
}

#[test]
fn every_planted_defect_is_found() {
    let mut missed = Vec::new();
    for defect in Defect::ALL {
        match found(defect) {
            Some((seed, why)) => {
                let why = why.lines().rev().nth(1).unwrap_or_default();
                eprintln!("{defect:?}: {} seeds: {why}", seed + 1);
            }
            None => missed.push(defect),
        }
    }
    let found = Defect::ALL.len() - missed.len();
    eprintln!("{found} defects found within {SEEDS} seeds, each by itself");
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
