//! Directories that Prometheus wrote.

use crate::folder::{Copied, in_order_blocks_reach_furthest};
use crate::programs::{Release, absent, assert_same_lines, leadline};
use crate::server::Server;
use crate::world::{Exporter, Leadline, until};
use leadline_model::Clock;
use leadline_model::clock::SystemClock;
use rustix::process::Signal;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder with directories that 2.42 wrote and what its promtool printed about them.
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map_or(beside, PathBuf::from);
    let folder = folder.join("prom242-datadir");
    if folder.is_dir() {
        return Some(folder);
    }
    // Those that the program makes at each run stand for them; without either, nothing of 2.42 is read.
    let what = "a directory of Prometheus 2.42 that was kept";
    match Release::debian() {
        Some(_) => println!("absent: {what} (set LEADLINE_CONFORMANCE_DATA); fresh ones are read"),
        None => absent(what, "set LEADLINE_CONFORMANCE_DATA"),
    }
    None
}

fn now_ms() -> i64 {
    SystemClock.now()
}

fn unzipped(file: &Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(file).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn directories_of_debians_prometheus_hold_what_its_promtool_says() {
    let Some(data) = data() else { return };
    for kind in ["clean", "crash"] {
        let directory = data.join(kind);
        let expected = unzipped(&data.join(format!("expected-dump-{kind}.txt.gz")));
        assert_same_lines(kind, &leadline(&["dump"], &directory), &expected);
        let list = std::fs::read_to_string(data.join(format!("expected-list-{kind}.txt"))).unwrap();
        assert_eq!(leadline(&["list"], &directory), list, "{kind}");
        println!("{kind}: {} lines of the dump are the same", expected.lines().count());
    }
}

#[tokio::test]
async fn a_directory_of_debians_prometheus_is_carried_on() {
    let Some(data) = data() else { return };
    for kind in ["clean", "crash"] {
        let copy = Copied::of(&data.join(kind));
        let folder = tempfile::tempdir().unwrap();
        std::fs::rename(copy.path(), folder.path().join("data")).unwrap();
        let file = folder.path().join("leadline.yaml");
        let exporter = Exporter::start("alive 1\n").await;
        std::fs::write(&file, crate::world::config(&[exporter.job("new")], "")).unwrap();
        let leadline = Leadline::start_with(folder, file, &["--storage.tsdb.retention.time=10y"]).await;
        leadline.until_value("alive", 1.0).await;
        // The last sample of the log, and one that is in a block.
        let count = "count(count_over_time(up{job=\"self\"}[5m]))";
        let value = async || {
            let (_, answer) = leadline
                .json("/api/v1/query", &[("query", count), ("time", "1795344520")])
                .await;
            (answer["data"]["result"][0]["value"][1] == "1").then_some(())
        };
        until(count, || leadline.log(), value).await;
        assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{kind}:\n{}", leadline.log());
    }
}

/// How a server of Prometheus writes its log, and how it ends.
struct Way {
    compression: &'static str,
    flag: &'static str,
    end: Signal,
}

/// The ways of a release: each compression that it has, ended in order and killed.
fn ways(release: &Release) -> Vec<Way> {
    let way = |compression, flag, end| Way { compression, flag, end };
    match release.is_newest() {
        true => vec![
            way("snappy", "--storage.tsdb.wal-compression-type=snappy", Signal::TERM),
            way("zstd", "--storage.tsdb.wal-compression-type=zstd", Signal::KILL),
            way("none", "--no-storage.tsdb.wal-compression", Signal::TERM),
        ],
        false => vec![
            way("snappy", "--storage.tsdb.wal-compression", Signal::KILL),
            way("none", "--no-storage.tsdb.wal-compression", Signal::TERM),
        ],
    }
}

/// The value that the last scrape finds.
const LAST: i32 = 24;

/// Lets a server scrape into `data` until a part is in blocks and late samples are in a log of their own, and ends it.
async fn grow(release: &Release, folder: &Path, data: &Path, way: &Way) {
    let exporter = Exporter::start("depth{queue=\"mail\"} 7.5\nrequests_total 3\n").await;
    let config = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nscrape_configs:\n{}\
         storage: {{tsdb: {{out_of_order_time_window: 1m}}}}\n",
        exporter.job("app")
    );
    let flags = [
        way.flag,
        "--storage.tsdb.min-block-duration=1s",
        "--storage.tsdb.max-block-duration=3s",
    ];
    let server = Server::start(release, data, folder, &config, &flags).await;
    for value in 0..=LAST {
        // Between two scrapes: which of two samples at one time is kept is nobody's promise.
        let t = now_ms() - if value % 2 == 1 { 850 } else { 0 };
        let late = format!("late {value} {t}");
        exporter.set(&format!(
            "depth{{queue=\"mail\"}} 7.5\nrequests_total {value}\n{late}\n"
        ));
        let query = format!("requests_total == {value}");
        let seen = async || {
            let found = server.result("/api/v1/query", &[("query", &query)]).await;
            (!found["result"].as_array()?.is_empty()).then_some(())
        };
        until(&query, String::new, seen).await;
    }
    let covered = async || in_order_blocks_reach_furthest(data).then_some(());
    until("blocks that promtool sees all of", String::new, covered).await;
    server.end(way.end).await;
}

#[tokio::test]
async fn directories_of_each_prometheus_are_read_with_every_compression_of_the_log() {
    for release in Release::all() {
        for way in ways(&release) {
            let what = format!("Prometheus {}, {}", release.name, way.compression);
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            grow(&release, folder.path(), &data, &way).await;
            let theirs = release.promtool(&["dump"], &data);
            assert!(theirs.contains("\"late\""), "{what}: samples out of order are there");
            assert!(!crate::folder::metas(&data).is_empty(), "{what}: a part is in blocks");
            assert_same_lines(&what, &leadline(&["dump"], &data), &theirs);
            assert_eq!(leadline(&["list"], &data), release.promtool(&["list"], &data), "{what}");
            leadline(&["verify"], &data);
            if release.is_newest() {
                assert_same_openmetrics(&release, &data, &what);
            }
            is_carried_on(&data, &what).await;
            println!("{what}: {} lines of the dump are the same", theirs.lines().count());
        }
    }
}

fn assert_same_openmetrics(release: &Release, data: &Path, what: &str) {
    let openmetrics = release.promtool(&["dump-openmetrics", "--match=requests_total"], data);
    // A scrape that was too slow left a stale marker, which promtool prints and leadline leaves out.
    let samples = openmetrics.lines().filter(|line| !line.contains("} NaN "));
    let openmetrics: String = samples.map(|line| format!("{line}\n")).collect();
    let ours = leadline(&["dump-openmetrics", "--match=requests_total"], data);
    assert_same_lines(what, &ours, &openmetrics);
}

/// Starts leadline on a copy of what another server left, which is to answer from it, to scrape into it and to end in order.
async fn is_carried_on(data: &Path, what: &str) {
    let copy = Copied::of(data);
    let folder = tempfile::tempdir().unwrap();
    std::fs::rename(copy.path(), folder.path().join("data")).unwrap();
    let file = folder.path().join("leadline.yaml");
    let exporter = Exporter::start("alive 1\n").await;
    std::fs::write(&file, crate::world::config(&[exporter.job("new")], "")).unwrap();
    let leadline = Leadline::start_with(folder, file, &[]).await;
    leadline.until_value("alive", 1.0).await;
    leadline.until_value("requests_total", f64::from(LAST)).await;
    assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{what}:\n{}", leadline.log());
}

#[tokio::test]
async fn blocks_from_openmetrics_are_those_of_promtool() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.om");
    let text: String = (0..500)
        .map(|i| format!("m_total{{n=\"{}\"}} {i} {}.{:03}\n", i % 3, 1_700_000_000 + 61 * i, i))
        .collect();
    std::fs::write(&input, format!("# TYPE m counter\n{text}# EOF\n")).unwrap();
    let made = |program: &Path, name: &str, label: &[&str]| {
        let output = folder.path().join(name);
        let mut command = std::process::Command::new(program);
        command.args(["tsdb", "create-blocks-from", "openmetrics"]);
        let done = command.args(label).arg(&input).arg(&output).output().unwrap();
        assert!(done.status.success(), "{name}: {}", crate::world::printed(&done));
        (output, String::from_utf8(done.stdout).unwrap())
    };
    let (ours, listed) = made(crate::world::binary(), "ours", &[]);
    assert_eq!(
        listed.lines().count(),
        1 + crate::folder::metas(&ours).len(),
        "{listed}"
    );
    leadline(&["verify"], &ours);
    for release in Release::all() {
        let (theirs, _) = made(&release.program("promtool"), release.name, &[]);
        let spans = |of: &Path| {
            let mut spans: Vec<_> = crate::folder::metas(of)
                .iter()
                .map(|meta| {
                    (
                        meta["minTime"].as_i64(),
                        meta["maxTime"].as_i64(),
                        meta["stats"]["numSamples"].as_u64(),
                    )
                })
                .collect();
            spans.sort_unstable();
            spans
        };
        assert_eq!(spans(&ours), spans(&theirs), "{}", release.name);
        let dumped = |of: &Path| release.promtool(&["dump"], of);
        assert_same_lines(release.name, &dumped(&ours), &dumped(&theirs));
        if release.is_newest() {
            let label = ["--label=zone=a", "--label=job=b"];
            let (ours, _) = made(crate::world::binary(), "ours with labels", &label);
            let (theirs, _) = made(&release.program("promtool"), "theirs with labels", &label);
            assert_same_lines("with labels", &dumped(&ours), &dumped(&theirs));
        }
    }
}
