//! Prints what series of 10 labels take while they get 240 samples each, in memory alone and with a directory, and what
//! reading that directory anew costs. Half of them are counters, a quarter gauges that use the whole mantissa, an eighth
//! gauges of two decimals, an eighth never change: the shapes of `leadline-bench storage`. Run:
//! `cargo run --release -p leadline-storage --example memory` (add `-- disk` for a directory below the temporary one, and
//! behind that the number of targets of 2,000 series each; 50 else).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that prints its result"
)]

use leadline_model::Clock as _;
use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Queryable as _, Slot};
use leadline_model::sample::Samples;
use leadline_storage::cache::Cache;
use leadline_storage::disk::RealDisk;
use leadline_storage::source::Source as _;
use leadline_storage::{Head, HeadParts, Settings};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const TARGETS: u32 = 50;
/// When figures are printed, samples a series.
const TOLD: [i64; 13] = [1, 12, 30, 60, 72, 90, 119, 121, 140, 168, 180, 210, 240];
const SERIES: u32 = 2_000;

fn labels(target: u32, series: u32) -> Labels {
    let (metric, path) = (
        format!("app_metric_{}_total", series / 20),
        format!("/api/v1/resource/{}", series % 10),
    );
    let (pod, ip) = (
        format!("app-6d5f7c9b8-x{target:04}"),
        format!("10.1.{}.{}:8080", target / 250, target % 250),
    );
    Labels::from_pairs([
        ("__name__", metric.as_str()),
        ("instance", &ip),
        ("job", "kubernetes-pods"),
        ("namespace", "production"),
        ("pod", &pod),
        ("container", "app"),
        ("node", &format!("node-{}", target % 10)),
        ("path", &path),
        ("method", if series % 20 < 10 { "GET" } else { "POST" }),
        ("code", "200"),
    ])
}

/// A figure of this process' memory, bytes.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn resident() -> u64 {
    memory("RssAnon:")
}

/// Xorshift: the same in every run.
fn next(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^ (x << 17)
}

/// The value behind `now` of series number `n`.
fn step(n: usize, now: f64, random: u64) -> f64 {
    let walk = |scale: f64, up: u64, down: i64| {
        let moved = ((now * scale).round() as i64 + up as i64 - down) as f64;
        moved / scale
    };
    match n / 20 % 8 {
        0..=3 => now + (random % (n as u64 % 37 + 2)) as f64,
        4 | 5 => walk(1e15, random % 4_000_000_000_000, 2_000_000_000_000),
        6 => walk(1e2, random % 19, 9),
        _ => now,
    }
}

/// The first value of series number `n`.
fn first(n: usize, random: u64) -> f64 {
    match n / 20 % 8 {
        0..=3 => (10_000_000 + random % 10_000_000) as f64,
        4 | 5 => (1_000_000_000_000_000 + random % 4_000_000_000_000_000) as f64 / 1e15,
        6 => (5_000 + random % 4_000) as f64 / 1e2,
        _ => 1.0,
    }
}

fn open(dir: Option<&Path>, clock: &Arc<ManualClock>) -> Arc<Head> {
    let Some(dir) = dir else {
        return Head::new(Settings::default(), clock.clone()).unwrap();
    };
    Head::durable(HeadParts {
        settings: Settings::default(),
        clock: clock.clone(),
        disk: Arc::new(RealDisk),
        dir: dir.to_owned(),
        read_only: false,
        cache: Cache::new(1 << 20),
    })
    .unwrap()
}

/// Reads 20 gauges of the whole mantissa of each target, all that there is of them and the newest five minutes, and prints
/// how long that took.
fn read(head: &Head, clock: &ManualClock) {
    let metric = Matcher::equal("__name__", "app_metric_84_total");
    let mut samples = Samples::default();
    for span in [240 * 5_000, 300_000] {
        let (from, to) = (clock.now() - span, clock.now());
        let (start, mut count) = (Instant::now(), 0);
        for _ in 0..20 {
            let set = head.select(std::slice::from_ref(&metric), from, to, true).unwrap();
            for i in 0..set.len() {
                set.read(i, from, to, &mut samples).unwrap();
                count += samples.len();
            }
        }
        let took = start.elapsed().as_nanos() as f64 / count as f64;
        println!("the newest {} s of hard gauges: {took:.1} ns a sample", span / 1_000);
    }
}

/// Goes through the chunks of a block of all that there is, and prints how long that took and what they are.
fn cut(head: &Head, clock: &ManualClock) {
    let (start, mut bytes, mut chunks) = (Instant::now(), 0, 0);
    let mut digest = DefaultHasher::new();
    for series in head.range(clock.now() - 240 * 5_000, clock.now()).series().unwrap() {
        for chunk in series.unwrap().chunks {
            bytes += chunk.data.len();
            chunks += 1;
            (chunk.mint, chunk.maxt, &chunk.data[..]).hash(&mut digest);
        }
    }
    let took = start.elapsed().as_nanos() as f64 / head.stats().samples as f64;
    let per_sample = bytes as f64 / head.stats().samples as f64;
    println!(
        "a block: {chunks} chunks, {per_sample:.3} bytes a sample, digest {:016x}; {took:.1} ns a sample",
        digest.finish()
    );
}

/// Reads the directory and prints how long that took and what it takes.
fn replay(dir: &Path, clock: &Arc<ManualClock>) {
    let (before, start) = (resident(), Instant::now());
    let head = open(Some(dir), clock);
    let found = head.replay(&()).unwrap();
    let took = start.elapsed();
    println!(
        "replay: {} series, {} chunks, {} samples in {:.2} s: {:.1} million samples/s; {} bytes resident a series, {} at the peak",
        found.series,
        found.chunks,
        found.samples,
        took.as_secs_f64(),
        found.samples as f64 / took.as_secs_f64() / 1e6,
        (resident() - before) / found.series,
        (memory("VmHWM:") - before) / found.series,
    );
}

fn main() {
    let on_disk = std::env::args().nth(1);
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let dir = std::env::temp_dir().join("leadline-memory-example");
    match on_disk.as_deref() {
        Some("replay") => {
            clock.advance(241 * 5_000);
            return replay(&dir, &clock);
        }
        Some(_) => {
            let _ = std::fs::remove_dir_all(&dir);
            std::fs::create_dir_all(&dir).unwrap();
        }
        None => {}
    }
    let targets = std::env::args().nth(2).map_or(TARGETS, |n| n.parse().unwrap());
    let before = resident();
    let head = open(on_disk.is_some().then_some(&*dir), &clock);
    head.replay(&()).unwrap();
    let mut batches: Vec<Batch> = (0..targets)
        .map(|target| {
            let created = (0..SERIES).map(|i| labels(target, i)).collect();
            Batch {
                owner: head.new_owner(),
                slot: 0,
                attempt: Attempt::Good,
                created,
                entries: vec![],
                extras: Extras::default(),
            }
        })
        .collect();
    let mut random = 0x9e37_79b9_7f4a_7c15;
    for batch in &mut batches {
        let refs = head.commit(batch).unwrap().refs;
        batch.created = Vec::new();
        batch.entries = refs
            .iter()
            .enumerate()
            .map(|(n, r)| {
                random = next(random);
                Entry {
                    series: Slot::Known(r.unwrap()),
                    t: 0,
                    v: first(n, random),
                }
            })
            .collect();
    }
    // The batches are the writer's, not the store's.
    let own = batches
        .iter()
        .map(|b| b.entries.capacity() * size_of::<Entry>())
        .sum::<usize>() as u64;
    let series = f64::from(targets * SERIES);
    let mut spent = std::time::Duration::ZERO;
    let mut told = 0;
    for samples in 1..=240i64 {
        let t = clock.advance(5_000);
        for batch in &mut batches {
            for (n, entry) in batch.entries.iter_mut().enumerate() {
                random = next(random);
                entry.t = t;
                entry.v = step(n, entry.v, random);
            }
            let start = Instant::now();
            head.commit(batch).unwrap();
            head.flush().unwrap();
            spent += start.elapsed();
        }
        if samples % 12 == 0 {
            let start = Instant::now();
            head.map_chunks().unwrap();
            spent += start.elapsed();
        }
        if TOLD.contains(&samples) {
            let stats = head.stats();
            println!(
                "{samples:3} samples a series: {:.0} bytes resident and {:.0} by the store's own count a series, of these {:.0} of {:.1} chunks; {:.0} ns a sample",
                (resident() - before - own) as f64 / series,
                stats.bytes as f64 / series,
                stats.chunk_bytes as f64 / series,
                stats.chunks as f64 / series,
                spent.as_nanos() as f64 / series / (samples - told) as f64,
            );
            (spent, told) = (std::time::Duration::ZERO, samples);
        }
    }
    read(&head, &clock);
    cut(&head, &clock);
    head.close();
    head.shut().unwrap();
    if on_disk.is_some() {
        // Another process, so that its peak is its own.
        let own = std::env::current_exe().unwrap();
        std::process::Command::new(own).arg("replay").status().unwrap();
    }
}
