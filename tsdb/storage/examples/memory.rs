//! Prints what 100,000 series of 10 labels take after 120 samples each, in memory alone and with a directory, and what
//! reading that directory anew costs. Run:
//! `cargo run --release -p leadline-storage --example memory` (add `-- disk` for a directory below the temporary one).
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that prints its result"
)]

use leadline_model::clock::ManualClock;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
use leadline_storage::disk::RealDisk;
use leadline_storage::{Head, HeadParts, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const TARGETS: u32 = 50;
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
    memory("VmRSS:")
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
    })
    .unwrap()
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
    let before = resident();
    let head = open(on_disk.is_some().then_some(&*dir), &clock);
    head.replay(&()).unwrap();
    let mut batches: Vec<Batch> = (0..TARGETS)
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
    for batch in &mut batches {
        let refs = head.commit(batch).unwrap().refs;
        batch.created = Vec::new();
        batch.entries = refs
            .iter()
            .map(|r| Entry {
                series: Slot::Known(r.unwrap()),
                t: 0,
                v: 0.0,
            })
            .collect();
    }
    // The batches are the writer's, not the store's.
    let own = batches
        .iter()
        .map(|b| b.entries.capacity() * size_of::<Entry>())
        .sum::<usize>() as u64;
    let series = f64::from(TARGETS * SERIES);
    let mut spent = std::time::Duration::ZERO;
    for step in 0..=240i64 {
        if [0, 60, 120, 180, 240].contains(&step) {
            let stats = head.stats();
            println!(
                "{step:3} samples a series: {:.0} bytes resident and {:.0} by the store's own count a series, of these {:.0} of chunks; {:.0} ns a sample",
                (resident() - before - own) as f64 / series,
                stats.bytes as f64 / series,
                stats.chunk_bytes as f64 / series,
                spent.as_nanos() as f64 / series / 60.0,
            );
            spent = std::time::Duration::ZERO;
        }
        let t = clock.advance(5_000);
        for batch in &mut batches {
            for (i, entry) in batch.entries.iter_mut().enumerate() {
                entry.t = t;
                entry.v += ((i as i64 * 7 + step * 13) % 50) as f64;
            }
            let start = Instant::now();
            head.commit(batch).unwrap();
            head.flush().unwrap();
            spent += start.elapsed();
        }
        if step % 12 == 11 {
            let start = Instant::now();
            head.map_chunks().unwrap();
            spent += start.elapsed();
        }
    }
    head.close();
    head.shut().unwrap();
    if on_disk.is_some() {
        // Another process, so that its peak is its own.
        let own = std::env::current_exe().unwrap();
        std::process::Command::new(own).arg("replay").status().unwrap();
    }
}
