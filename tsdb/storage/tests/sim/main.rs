//! Seeded simulations of the store: a disk that crashes, fills up and fails, a clock that stands still, one thread, and a
//! plain model that says what must be there.
//!
//! * `LEADLINE_SIM_SEEDS=n` runs n seeds instead of a few, and `LEADLINE_SIM_FROM=m` those from m on.
//! * `LEADLINE_SIM_SEED=n` runs that one, and tells every step.
#![expect(clippy::print_stderr, reason = "a test tells what it saw")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may stop it")]

mod autopsy;
mod change;
mod damage;
#[cfg(feature = "planted")]
mod defects;
mod deletion;
mod dice;
mod extras;
mod kill;
mod log;
mod model;
mod sound;
mod step;
mod value;
mod world;
mod write;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::{Counts, World};

/// Seeds of a plain `cargo test`; the stage `sim` of `tests/run` has its own number.
const FEW: u64 = 10;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What came of a seed.
struct Ran {
    counts: Counts,
    disk: BTreeMap<String, Vec<u8>>,
}

/// Runs a seed; the error holds its last steps.
fn run(seed: u64, aloud: bool) -> Result<Ran, String> {
    let world = Mutex::new(None);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut slot = world.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let world = slot.insert(World::new(seed, aloud)?);
        for _ in 0..world.dice.between(40, 140) {
            world.step()?;
        }
        world.finish()?;
        Ok(Ran {
            counts: world.counts,
            disk: step::contents_of_all(&world.memory)?,
        })
    }));
    let failed = match ran {
        Ok(Ok(ran)) => return Ok(ran),
        Ok(Err(why)) => why,
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            format!("panic: {}", words.unwrap_or_default())
        }
    };
    let world = world.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let story = world.map(|world| world.story() + &world.autopsy()).unwrap_or_default();
    Err(format!(
        "{story}seed {seed}: {failed}\nagain: LEADLINE_SIM_SEED={seed} cargo test -p leadline-storage --test sim one_seed"
    ))
}

/// Runs seeds on all processors: the sum of their counts, or the story of the lowest that failed and the last words of
/// all the others.
fn run_all(seeds: Range<u64>) -> Result<Counts, String> {
    let (next, sum, failed) = (
        AtomicU64::new(seeds.start),
        Mutex::new(Counts::default()),
        Mutex::new(BTreeMap::new()),
    );
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            match run(seed, false) {
                Ok(ran) => sum.lock().unwrap().add(&ran.counts),
                Err(why) => note(&mut failed.lock().unwrap(), seed, why),
            }
        }
    };
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(work))));
    let mut failed = failed.into_inner().unwrap();
    let Some((_, story)) = failed.pop_first() else {
        return Ok(sum.into_inner().unwrap());
    };
    let others: String = failed.values().map(|why| format!("also {why}\n")).collect();
    Err(format!("{story}\n{others}"))
}

/// Notes that a seed failed; of all but the lowest the last words alone, for all may fail.
fn note(failed: &mut BTreeMap<u64, String>, seed: u64, why: String) {
    failed.insert(seed, why);
    for why in failed.values_mut().skip(1).filter(|why| why.contains('\n')) {
        *why = why.lines().rev().nth(1).unwrap_or_default().to_owned();
    }
}

#[test]
fn nothing_that_was_synced_is_lost_and_nothing_is_made_up() {
    let seeds = number("LEADLINE_SIM_SEEDS").unwrap_or(FEW);
    let from = number("LEADLINE_SIM_FROM").unwrap_or(0);
    match run_all(from..from + seeds) {
        Ok(counts) => {
            eprintln!("{seeds} seeds: {counts:?}");
            let reached = [
                counts.rebuilds,
                counts.verified,
                counts.first_cuts,
                counts.evictions,
                counts.exemplars,
                counts.metadata,
                counts.outgrown,
                counts.adjusted,
            ];
            assert!(
                seeds < 100 || !reached.contains(&0),
                "a part of the store was not reached"
            );
        }
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn one_seed_by_number() {
    let seed = number("LEADLINE_SIM_SEED");
    if let Err(why) = run(seed.unwrap_or(1), seed.is_some()) {
        panic!("{why}");
    }
}

#[test]
fn the_same_seed_ends_in_the_same_bytes() {
    for seed in 0..number("LEADLINE_SIM_SEEDS").unwrap_or(FEW) / 20 + 1 {
        let [one, two] = [(); 2].map(|()| run(seed, false).map(|ran| ran.disk));
        match (one, two) {
            (Ok(one), Ok(two)) => {
                assert_eq!(
                    one.keys().collect::<Vec<_>>(),
                    two.keys().collect::<Vec<_>>(),
                    "seed {seed}"
                );
                for (path, bytes) in one {
                    assert!(two[&path] == bytes, "seed {seed}: {path} differs");
                }
            }
            (Err(why), _) | (_, Err(why)) => panic!("{why}"),
        }
    }
}
