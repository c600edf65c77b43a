//! Real processes on a real disk that are killed at random moments.
//!
//! The child is this test binary again: it commits numbered samples and prints the last number after each sync that
//! completed. The parent kills it, opens the directory itself, and looks.

use crate::dice::Dice;
use crate::model::read;
use crate::world::{everything, told};
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SystemEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_model::sample::Timestamp;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use leadline_storage::disk::RealDisk;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Kills of a plain `cargo test`; the stage `sim` of `tests/run` has its own number.
const FEW: u64 = 3;
/// After this many kills the directory is a new one.
const KILLS_PER_DIRECTORY: u64 = 10;
/// The number that the time begins at; one number is a second.
const BEGIN_MS: Timestamp = 1_700_000_000_000;
const SERIES: u64 = 7;
/// The longest that a child runs, ms.
const LONGEST_MS: u64 = 250;

fn time(number: u64) -> Timestamp {
    BEGIN_MS + number as i64 * 1_000
}

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Result<Arc<Db>, String> {
    let parts = Parts {
        disk: Arc::new(RealDisk),
        path: dir.to_owned(),
        settings: Settings {
            block_range_ms: 120_000,
            retention_ms: 30 * 24 * 3_600_000,
            max_block_range_ms: 9 * 120_000,
            wal_segment_bytes: 64 * 1024,
            chunk_samples: 30,
            ..Settings::default()
        },
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy::default()),
    };
    let db = told("open", Db::open(parts))?;
    told("replay", db.replay())?;
    Ok(db)
}

fn batch(db: &Db, owner: leadline_model::target::OwnerId, number: u64) -> Result<(), String> {
    let label = |series: u64| Labels::from_pairs([("__name__", "numbered".to_owned()), ("series", series.to_string())]);
    let entry = |series: u64| Entry {
        series: Slot::New(series as u32),
        t: time(number),
        v: number as f64,
    };
    let batch = Batch {
        owner,
        slot: time(number),
        attempt: Attempt::Good,
        created: (0..SERIES).map(label).collect(),
        entries: (0..SERIES).map(entry).collect(),
        extras: Extras::default(),
    };
    let outcome = told("commit", db.commit(&batch))?;
    if outcome.refused.is_empty() {
        Ok(())
    } else {
        Err(format!("{number}: refused {:?}", outcome.refused))
    }
}

/// What the killed process does: nothing when it was not started by the test below.
#[test]
fn child() {
    let var = |name: &str| std::env::var(name).ok();
    let (Some(dir), Some(from)) = (var("LEADLINE_KILL_DIR"), var("LEADLINE_KILL_FROM")) else {
        return;
    };
    let mut number: u64 = from.parse().unwrap();
    let dice = Dice::new(number);
    let clock = Arc::new(ManualClock::at(time(number)));
    let db = open(Path::new(&dir), &clock).unwrap();
    let owner = db.new_owner();
    let mut out = std::io::stdout().lock();
    loop {
        clock.set(time(number));
        batch(&db, owner, number).unwrap();
        match dice.below(12) {
            0..4 => db.flush().unwrap(),
            4..7 => {
                db.sync().unwrap();
                writeln!(out, "synced {number}").unwrap();
                out.flush().unwrap();
            }
            7 => assert_eq!(db.maintain().failures, Vec::<String>::new()),
            _ => {}
        }
        number += 1;
    }
}

/// Starts a child, kills it at a random moment, and gives the last number it said to be synced.
fn kill_one(dir: &Path, from: u64, dice: &Dice) -> Result<Option<u64>, String> {
    let mut child = told(
        "start",
        Command::new(told("own name", std::env::current_exe())?)
            .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
            .env("LEADLINE_KILL_DIR", dir)
            .env("LEADLINE_KILL_FROM", from.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn(),
    )?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let (lines, synced) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let number = line.rsplit_once("synced ").and_then(|(_, n)| n.parse::<u64>().ok());
            let _ = number.map(|number| lines.send(number));
        }
    });
    let deadline = Instant::now() + Duration::from_micros(dice.below(LONGEST_MS * 1000));
    let mut last = None;
    let ended = loop {
        match synced.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(number) => last = Some(number),
            Err(RecvTimeoutError::Timeout) => break false,
            Err(RecvTimeoutError::Disconnected) => break true,
        }
    };
    told("kill", child.kill())?;
    let output = told("wait", child.wait_with_output())?;
    if ended {
        return Err(format!(
            "the child ended by itself: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    // What was printed before the kill is in the pipe.
    told("reader", reader.join().map_err(|_| "panicked"))?;
    Ok(synced.try_iter().last().or(last))
}

/// The last number that is there, after a check of all before it.
fn look(dir: &Path, synced: Option<u64>) -> Result<Option<u64>, String> {
    let clock = Arc::new(ManualClock::at(time(synced.unwrap_or(0))));
    let db = open(dir, &clock)?;
    let dump = told("select", read(&*db, &everything(), Timestamp::MIN, Timestamp::MAX))??;
    let mut last = None;
    for (labels, samples) in &dump {
        for (number, (t, value)) in samples.iter().enumerate() {
            let want = crate::value::Value::Float((number as f64).to_bits());
            if *t != time(number as u64) || *value != want {
                return Err(format!(
                    "{labels}: {value:?} at {t} is where {number} should be at {}",
                    time(number as u64)
                ));
            }
        }
        let newest = (samples.len() as u64).checked_sub(1);
        if last.is_some_and(|other| other != newest) {
            return Err(format!("{labels}: ends at {newest:?}, another series at {last:?}"));
        }
        last = Some(newest);
    }
    let last = last.flatten();
    if synced > last {
        return Err(format!("{synced:?} was synced, and {last:?} is the last that is there"));
    }
    told("health", db.health())?;
    told("close", db.close())?;
    Ok(last)
}

#[test]
fn what_a_process_synced_before_it_was_killed_is_there() {
    let kills = crate::number("LEADLINE_SIM_KILLS").unwrap_or(FEW);
    let dice = Dice::new(crate::number("LEADLINE_SIM_SEED").unwrap_or(4));
    let (mut dir, mut from, mut numbers, mut unsynced) = (tempfile::tempdir().unwrap(), 0, 0, 0);
    for kill in 0..kills {
        if kill % KILLS_PER_DIRECTORY == 0 {
            numbers += from;
            (dir, from) = (tempfile::tempdir().unwrap(), 0);
        }
        let last = kill_one(dir.path(), from, &dice).and_then(|synced| Ok((synced, look(dir.path(), synced)?)));
        let (synced, last) = last.unwrap_or_else(|why| panic!("kill {kill} in {}: {why}", dir.path().display()));
        unsynced += last.map_or(0, |last| {
            last + 1 - synced.map_or(from, |synced| synced + 1).min(last + 1)
        });
        from = last.map_or(0, |last| last + 1);
    }
    numbers += from;
    eprintln!("{kills} kills: {numbers} commits found again, {unsynced} of them written and not synced");
}
