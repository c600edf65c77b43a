//! Every parser under mutated input, on the stable toolchain: the kept corpora first, then mutations of them for
//! `LEADLINE_FUZZ_SECONDS` (default 2, `tests/run` says 15) per target, three targets at a time.
//!
//! Built with `--features planted`, each parser holds a panic that one trial per target must find: a fuzzer that finds
//! nothing proves nothing.

mod mutate;
mod targets;

use libtest_mimic::{Arguments, Failed, Trial};
use mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The time of a run is counted on three threads, whatever the machine says of itself. More than it has cores: targets
    // that have seen all of their code by then leave the others their share.
    arguments
        .test_threads
        .get_or_insert(std::thread::available_parallelism().map_or(3, |n| n.get().max(3)));
    let mut trials = Vec::new();
    for &target in TARGETS {
        trials.push(Trial::test(
            format!("{}_answers_or_refuses_any_bytes", target.0),
            move || search(target),
        ));
        #[cfg(feature = "planted")]
        trials.push(Trial::test(format!("{}_planted_panic_is_found", target.0), move || {
            planted(target)
        }));
    }
    // Findings are caught and reported with their input; the hook would only print each of them on the way.
    std::panic::set_hook(Box::new(|_| {}));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn seconds() -> Duration {
    let given = std::env::var("LEADLINE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(given.unwrap_or(2))
}

/// The kept inputs of a target, in order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|f| f.path())
        .collect();
    files.sort();
    files.iter().filter_map(|f| std::fs::read(f).ok()).collect()
}

/// An input that takes longer is a finding, however busy the machine: what does not grow with the square of the input takes
/// a thousandth of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a target on bytes; what it panicked with, if it did, or that it took too long.
fn run(target: Target, bytes: &[u8]) -> Option<String> {
    let began = Instant::now();
    let ran = catch_unwind(AssertUnwindSafe(|| targets::run(target.0, bytes)));
    let took = began.elapsed();
    if ran.is_ok() && took > PATIENCE {
        return Some(format!("{took:?} for {} bytes", bytes.len()));
    }
    let panic = ran.err()?;
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    Some(text.unwrap_or_else(|| "a panic without text".to_owned()))
}

/// Kept inputs, then mutations until the time is over; the first finding ends it.
fn find(target: Target, limit: Duration) -> Result<u64, Failed> {
    let kept = corpus(target.0);
    if kept.is_empty() {
        return Err(format!("tests/fuzz/corpus/{} is empty", target.0).into());
    }
    let mut mutator = Mutator::new(target.0, &kept);
    let began = Instant::now();
    let mut runs = 0;
    for input in &kept {
        report(target, input)?;
        runs += 1;
    }
    while began.elapsed() < limit {
        for _ in 0..64 {
            let input = mutator.next();
            report(target, input)?;
            runs += 1;
        }
    }
    Ok(runs)
}

/// Characters of an input that are told.
const SHOWN: usize = 5_000;

fn report(target: Target, input: &[u8]) -> Result<(), Failed> {
    match run(target, input) {
        None => Ok(()),
        Some(finding) => {
            let shown: String = String::from_utf8_lossy(input).chars().take(SHOWN).collect();
            Err(format!("{}: {finding}, on {} bytes: {shown:?}", target.0, input.len()).into())
        }
    }
}

fn search(target: Target) -> Result<(), Failed> {
    let runs = find(target, seconds())?;
    // At least the corpus was run; how much more depends on the machine.
    if runs == 0 {
        Err("nothing was run".into())
    } else {
        Ok(())
    }
}

/// How long a planted panic is looked for: long enough for a busy machine, as the finding ends it.
#[cfg(feature = "planted")]
const HUNT: Duration = Duration::from_secs(90);

#[cfg(feature = "planted")]
fn planted(target: Target) -> Result<(), Failed> {
    leadline_model::planted::arm();
    let found = find(target, HUNT);
    leadline_model::planted::disarm();
    match found {
        Err(finding) if format!("{:?}", finding.message()).contains(leadline_model::planted::WORDS) => Ok(()),
        Err(other) => Err(other),
        Ok(runs) => Err(format!("{runs} inputs, and the planted panic was not found").into()),
    }
}
