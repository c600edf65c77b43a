//! A disk that fills up under a leadline that scrapes, and under its commands.

use crate::small_disk::SmallDisk;
use crate::world::{Exporter, Leadline, config, printed, until};
use leadline_model::clock::{Clock, SystemClock};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is written is durable soon, and an administrator may copy.
const FLAGS: [&str; 2] = ["--storage.tsdb.wal-fsync-interval=100ms", "--web.enable-admin-api"];
/// What the system says of a disk that is full.
const FULL: &str = "No space left on device";

/// A small disk at `data`, and the folder around it with a configuration.
async fn prepared(text: &str) -> Option<(SmallDisk, TempDir, PathBuf)> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(folder.path().join("leadline.yaml"), text).unwrap();
    let disk = SmallDisk::mount(&data, folder.path()).await?;
    Some((disk, folder, data))
}

async fn start(disk: &SmallDisk, folder: TempDir) -> Leadline {
    let file = folder.path().join("leadline.yaml");
    Leadline::start_behind(&disk.before(), folder, file, &FLAGS).await
}

/// Waits for readiness, or for its end; what is said then.
async fn until_ready(leadline: &Leadline, ready: bool) -> String {
    let what = if ready { "readiness" } else { "its end" };
    let status = if ready { 200 } else { 503 };
    let asked = async || {
        let (found, body) = leadline.get("/-/ready", &[]).await;
        (found == status).then_some(body)
    };
    until(what, || leadline.log(), asked).await
}

/// Exposes each of some values until it is answered.
async fn scrape(exporter: &Exporter, leadline: &Leadline, values: std::ops::Range<u32>) {
    for value in values {
        exporter.set(&format!("depth {value}\n"));
        leadline.until_value("depth", f64::from(value)).await;
    }
}

/// Values by time (ms) that a dump of the directory has of `depth`.
async fn dumped(disk: &SmallDisk, data: &Path) -> BTreeMap<i64, String> {
    let output = disk
        .run(&["tsdb", "dump", "--match=depth", data.to_str().unwrap()])
        .await;
    assert!(output.status.success(), "{}", printed(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let sample = |line: &str| {
        let mut words = line.rsplit(' ');
        let t = words.next()?.parse().ok()?;
        Some((t, words.next()?.to_owned()))
    };
    text.lines().filter_map(sample).collect()
}

/// The same of what a running one answers.
async fn answered(leadline: &Leadline) -> BTreeMap<i64, String> {
    let (_, answer) = leadline.json("/api/v1/query", &[("query", "depth[1h]")]).await;
    let values = answer["data"]["result"][0]["values"].as_array();
    let sample = |pair: &serde_json::Value| {
        let t = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
        (t, pair[1].as_str().unwrap().to_owned())
    };
    values.into_iter().flatten().map(sample).collect()
}

/// Waits until the directory has each of some values, and gives what it has.
async fn until_dumped(disk: &SmallDisk, data: &Path, values: std::ops::Range<u32>) -> BTreeMap<i64, String> {
    let all = async || {
        let there = dumped(disk, data).await;
        let mut wanted = values.clone();
        wanted
            .all(|value| there.values().any(|v| *v == value.to_string()))
            .then_some(there)
    };
    until("what was scraped on the disk", String::new, all).await
}

/// The entries of a folder, and of one that is not there none.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Fails where something of `there` is missing or other in `found`.
fn assert_kept(there: &BTreeMap<i64, String>, found: &BTreeMap<i64, String>) {
    let lost: Vec<_> = there.iter().filter(|(t, v)| found.get(t) != Some(v)).collect();
    assert!(lost.is_empty(), "lost {lost:?} of {} samples", there.len());
}

/// A leadline that is ready and has scraped, with what of that its disk has.
struct Scraping {
    exporter: Exporter,
    leadline: Leadline,
    disk: SmallDisk,
    data: PathBuf,
    before: BTreeMap<i64, String>,
}

/// Where a small disk can be had; otherwise nothing.
async fn scraping() -> Option<Scraping> {
    let exporter = Exporter::start("depth 0\n").await;
    let text = config(&[exporter.job("app")], "");
    let (disk, folder, data) = prepared(&text).await?;
    let leadline = start(&disk, folder).await;
    scrape(&exporter, &leadline, 1..4).await;
    until_ready(&leadline, true).await;
    let before = until_dumped(&disk, &data, 1..4).await;
    Some(Scraping {
        exporter,
        leadline,
        disk,
        data,
        before,
    })
}

#[tokio::test]
async fn on_a_full_disk_it_goes_on_in_memory_and_writes_that_when_there_is_room() {
    let Some(Scraping {
        exporter,
        leadline,
        disk,
        data,
        before,
    }) = scraping().await
    else {
        return;
    };

    disk.fill();
    let reason = until_ready(&leadline, false).await;
    for part in ["samples cannot be written", "wal", FULL] {
        assert!(reason.contains(part), "{part:?} in {reason}");
    }
    scrape(&exporter, &leadline, 4..8).await;
    assert_kept(&before, &answered(&leadline).await);
    let (status, body) = leadline.post("/api/v1/admin/tsdb/snapshot", &[]).await;
    assert!(
        status == 500 && body.contains(FULL) && body.contains("snapshots"),
        "{status} {body}"
    );
    assert_eq!(names(&disk.seen(&data.join("snapshots"))), [] as [&str; 0]);
    assert!(
        !dumped(&disk, &data).await.values().any(|v| v == "7"),
        "the disk was not full"
    );

    disk.make_room();
    until_ready(&leadline, true).await;
    let whole = until_dumped(&disk, &data, 1..8).await;
    leadline.end(Signal::KILL).await;
    let folder = leadline.into_folder();
    std::fs::write(folder.path().join("leadline.yaml"), "global: {}\n").unwrap();
    let leadline = start(&disk, folder).await;
    until_ready(&leadline, true).await;
    let found = answered(&leadline).await;
    assert_kept(&before, &found);
    assert_kept(&whole, &found);
    let verified = disk.run(&["tsdb", "verify", data.to_str().unwrap()]).await;
    assert!(verified.status.success(), "{}", printed(&verified));
}

#[tokio::test]
async fn killed_on_a_full_disk_it_starts_there_and_needs_no_hand_when_there_is_room() {
    let Some(Scraping {
        exporter,
        leadline,
        disk,
        data,
        before,
    }) = scraping().await
    else {
        return;
    };
    disk.fill();
    until_ready(&leadline, false).await;
    leadline.end(Signal::KILL).await;

    let leadline = start(&disk, leadline.into_folder()).await;
    scrape(&exporter, &leadline, 4..6).await;
    let reason = until_ready(&leadline, false).await;
    assert!(reason.contains(FULL), "{reason}");
    let found = async || Some(answered(&leadline).await).filter(|found| !found.is_empty());
    assert_kept(&before, &until("an answer", || leadline.log(), found).await);
    disk.make_room();
    until_ready(&leadline, true).await;
    assert_kept(&before, &until_dumped(&disk, &data, 4..6).await);
}

#[tokio::test]
async fn a_command_on_a_full_disk_names_the_file_and_leaves_nothing_behind() {
    let exporter = Exporter::start("depth 1\n").await;
    let text = config(&[exporter.job("app")], "");
    let Some((disk, folder, data)) = prepared(&text).await else {
        return;
    };
    let now = SystemClock.now();
    let mut past = String::new();
    for second in 0..20_000 {
        let t = (now - 30_000_000) / 1000 + second;
        // It does not compress, so that its chunks take pages.
        let v = (second * 7_919_777_777) % 1_000_003;
        writeln!(past, "past{{n=\"{}\"}} {v} {t}", second % 5).unwrap();
    }
    let input = folder.path().join("past.om");
    std::fs::write(&input, past + "# EOF\n").unwrap();
    let leadline = start(&disk, folder).await;
    scrape(&exporter, &leadline, 1..4).await;
    until_ready(&leadline, true).await;
    assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{}", leadline.log());
    let there = dumped(&disk, &data).await;
    let (at, input) = (data.display().to_string(), input.display().to_string());

    let commands = [
        vec!["tsdb", "snapshot", &at],
        vec!["tsdb", "create-blocks-from", "openmetrics", &input, &at],
    ];
    disk.fill();
    let all = names(&disk.seen(&data));
    for command in &commands {
        let output = disk.run(command).await;
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains(FULL) && said.contains(&at), "{command:?}: {said}");
        let left: Vec<String> = names(&disk.seen(&data))
            .into_iter()
            .filter(|name| !all.contains(name))
            .collect();
        assert!(left.is_empty() || left == ["snapshots"], "{command:?} left {left:?}");
        assert_eq!(
            names(&disk.seen(&data.join("snapshots"))),
            [] as [&str; 0],
            "{command:?}"
        );
        assert_eq!(dumped(&disk, &data).await, there, "{command:?}");
    }
    disk.make_room();
    for command in &commands {
        let output = disk.run(command).await;
        assert!(output.status.success(), "{command:?}: {}", printed(&output));
    }
    assert_eq!(dumped(&disk, &data).await, there);
    let verified = disk.run(&["tsdb", "verify", &at]).await;
    assert!(verified.status.success(), "{}", printed(&verified));
}
