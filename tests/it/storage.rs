//! The store over restarts, and what is done to it from outside.

use crate::scaler;
use crate::world::{Exporter, Leadline, binary, config, http, printed, run, until};
use leadline_model::clock::{Clock, SystemClock};
use leadline_testkit::process::Spec;
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Every file of a directory with its content.
fn content(of: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

async fn restarted(leadline: Leadline, signal: Signal, text: &str, flags: &[&str]) -> Leadline {
    leadline.end(signal).await;
    let folder = leadline.into_folder();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, text).unwrap();
    Leadline::start_with(folder, file, flags).await
}

async fn until_ready(leadline: &Leadline) {
    until(
        "readiness",
        || leadline.log(),
        async || (leadline.get("/readyz", &[]).await.0 == 200).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn samples_survive_an_ordered_end_and_a_kill() {
    let exporter = Exporter::start("depth{queue=\"mail\"} 7.5\n").await;
    let mut leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    let mut expected = 1.0;
    for signal in [Signal::TERM, Signal::KILL, Signal::TERM] {
        leadline.until_value("depth", 7.5).await;
        // What is written is there; 10 ms pass between a commit and that.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        // Nothing is scraped any more, so what there is comes from the directory.
        leadline = restarted(leadline, signal, "global: {}\n", &[]).await;
        until_ready(&leadline).await;
        leadline.until_value("count(count_over_time(depth[10m]))", 1.0).await;
        let samples = leadline.value("sum(count_over_time(depth[10m]))").await.unwrap();
        assert!(
            samples > expected,
            "{samples} samples, more than {expected} were expected"
        );
        expected = samples;
        let (_, status) = leadline.json("/api/v1/status/walreplay", &[]).await;
        assert_eq!(status["data"]["current"], status["data"]["max"], "{status}");
        let text = config(&[exporter.job("app")], "");
        leadline = restarted(leadline, Signal::TERM, &text, &[]).await;
    }
    let (_, tsdb) = leadline.json("/api/v1/status/tsdb", &[]).await;
    assert!(tsdb["data"]["headStats"]["numSeries"].as_u64() >= Some(1), "{tsdb}");
    let bytes = leadline.own("prometheus_tsdb_wal_storage_size_bytes").await;
    assert!(bytes > Some(0.0), "{bytes:?}");
}

/// Half an hour of an exporter's counter, ten more every second and 18 000 in the end, and of its `up`, five a second, as
/// OpenMetrics.
fn half_an_hour(exporter: &Exporter) -> String {
    let now = SystemClock.now();
    let labels = format!(
        "job=\"app\",namespace=\"default\",pod=\"app-0\",instance=\"{}\"",
        exporter.address
    );
    let mut text = String::new();
    for (name, kind, step, per_ms) in [("up", "gauge", 200, None), ("jobs", "counter", 1000, Some(0.01))] {
        let series = if name == "up" { "up" } else { "jobs_total" };
        writeln!(text, "# TYPE {name} {kind}").unwrap();
        for ms in (0..=1_800_000_i64).step_by(step) {
            let value = per_ms.map_or(1.0, |rate| ms as f64 * rate);
            let seconds = (now - 1_800_000 + ms) as f64 / 1000.0;
            writeln!(text, "{series}{{{labels}}} {value} {seconds:.3}").unwrap();
        }
    }
    text + "# EOF\n"
}

#[tokio::test]
async fn what_was_observed_before_a_kill_is_warm_at_once() {
    let exporter = Exporter::start("# TYPE jobs_total counter\njobs_total 18000\n").await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let text = config(&[exporter.job("app")], "");
    std::fs::write(at("leadline.yaml"), &text).unwrap();
    std::fs::write(at("past.om"), half_an_hour(&exporter)).unwrap();
    let output = run(&["tsdb", "create-blocks-from", "openmetrics", &at("past.om"), &at("data")]).await;
    assert!(output.status.success(), "{}", printed(&output));
    let file = folder.path().join("leadline.yaml");
    let mut leadline = Leadline::start_with(folder, file, &[]).await;
    for life in 1..=2 {
        let client = scaler::client(leadline.scaler).await;
        // Observed anew, this window would be cold for twenty minutes.
        let trigger = || scaler::object(&[("query", "sum(rate(jobs_total{job=\"app\"}[20m]))")]);
        let rate = until(
            "the first value",
            || leadline.log(),
            async || match scaler::value(&client, trigger(), "prometheus").await {
                Ok(rate) => Some(rate),
                Err(status) => {
                    assert!(status.code() == tonic::Code::Unavailable, "life {life}: {status:?}");
                    None
                }
            },
        )
        .await;
        assert!((9.0..10.1).contains(&rate), "life {life}: {rate} a second");
        if life == 1 {
            leadline = restarted(leadline, Signal::KILL, &text, &[]).await;
        }
    }
}

#[tokio::test]
async fn filling_in_samples_up_to_now_takes_nothing_from_the_log() {
    let exporter = Exporter::start("depth 1\n").await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    let scraped = until(
        "five samples",
        || leadline.log(),
        async || {
            leadline
                .value("count_over_time(depth[10m])")
                .await
                .filter(|&count| count >= 5.0)
        },
    )
    .await;
    leadline.end(Signal::TERM).await;
    let folder = leadline.into_folder();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("past.om"), half_an_hour(&exporter)).unwrap();
    let output = run(&["tsdb", "create-blocks-from", "openmetrics", &at("past.om"), &at("data")]).await;
    assert!(output.status.success(), "{}", printed(&output));
    std::fs::write(at("leadline.yaml"), "global: {}\n").unwrap();
    let file = folder.path().join("leadline.yaml");
    let leadline = Leadline::start_with(folder, file, &[]).await;
    until_ready(&leadline).await;
    leadline
        .until_value("count(count_over_time(jobs_total[30m]) > 100)", 1.0)
        .await;
    let kept = leadline.value("count_over_time(depth[10m])").await;
    assert!(kept >= Some(scraped), "{kept:?} of {scraped} samples");
}

#[tokio::test]
async fn one_process_has_a_directory_and_reading_it_changes_nothing() {
    let exporter = Exporter::start("depth 1\n").await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    leadline.until_value("depth", 1.0).await;
    until_ready(&leadline).await;
    let data = leadline.folder().join("data").display().to_string();
    let file = format!("--config.file={}", leadline.file.display());
    let path = format!("--storage.tsdb.path={data}");
    let listen = [
        "--web.listen-address=127.0.0.1:0",
        "--scaler.listen-address=127.0.0.1:0",
    ];
    for args in [
        [&["serve", &file, &path][..], &listen[..]].concat(),
        vec!["tsdb", "snapshot", &data],
    ] {
        let output = run(&args).await;
        let shown = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {shown}");
        assert!(shown.contains("locked by another process"), "{args:?}: {shown}");
    }
    // Reading goes while it runs, once a group of commits is in the log, and where a kill left the log as it was.
    until(
        "the sample in the log",
        || leadline.log(),
        async || {
            let output = run(&["tsdb", "dump", "--match=depth", &data]).await;
            assert!(output.status.success(), "{}", printed(&output));
            printed(&output).contains("\"depth\"").then_some(())
        },
    )
    .await;
    leadline.end(Signal::KILL).await;
    let before = content(Path::new(&data));
    for command in ["list", "dump", "dump-openmetrics", "verify"] {
        let output = run(&["tsdb", command, &data]).await;
        assert!(output.status.success(), "{command}: {}", printed(&output));
        assert!(before == content(Path::new(&data)), "{command} changed the directory");
    }
    let output = run(&["tsdb", "snapshot", &data]).await;
    assert!(output.status.success(), "{}", printed(&output));
    let copy = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let output = run(&["tsdb", "dump", "--match=depth", &copy]).await;
    assert!(printed(&output).contains("\"depth\""), "{copy}: {}", printed(&output));
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("file"), "").unwrap();
    std::fs::create_dir_all(at("newer/wal")).unwrap();
    let block = folder.path().join("newer/01M81DX4R5G4GBZYRNFX5CX1BX");
    std::fs::create_dir_all(block.join("chunks")).unwrap();
    std::fs::write(
        block.join("meta.json"),
        r#"{"version":2,"ulid":"01M81DX4R5G4GBZYRNFX5CX1BX"}"#,
    )
    .unwrap();
    let block = folder.path().join("cut/01M81DX4R5G4GBZYRNFX5CX1BX");
    std::fs::create_dir_all(&block).unwrap();
    let meta = r#"{"version":1,"ulid":"01M81DX4R5G4GBZYRNFX5CX1BX","minTime":1,"maxTime":2}"#;
    std::fs::write(block.join("meta.json"), meta).unwrap();
    std::fs::write(at("bad.om"), "a 1 1\nb x 1\n# EOF\n").unwrap();
    let (none, file, newer, cut, bad) = (at("none"), at("file"), at("newer"), at("cut"), at("bad.om"));
    for (args, parts) in [
        (vec!["tsdb", "list", &none], vec!["none", "No such file"]),
        (vec!["tsdb", "dump", &none], vec!["none", "No such file"]),
        (vec!["tsdb", "snapshot", &none], vec!["none", "No such file"]),
        (vec!["tsdb", "verify", &file], vec!["file", "Not a directory"]),
        (vec!["tsdb", "list", &newer], vec!["meta.json", "version"]),
        (vec!["tsdb", "verify", &newer], vec!["meta.json", "version"]),
        (vec!["tsdb", "dump", &newer], vec!["meta.json", "version"]),
        (vec!["tsdb", "dump", &cut], vec!["01M81DX4R5G4GBZYRNFX5CX1BX", "index"]),
        (
            vec!["tsdb", "verify", &cut],
            vec!["01M81DX4R5G4GBZYRNFX5CX1BX", "index"],
        ),
        (vec!["tsdb", "analyze", &newer, "01X"], vec!["01X"]),
        (
            vec!["tsdb", "create-blocks-from", "openmetrics", &bad, &none],
            vec!["line 2, byte 3", "expected a number"],
        ),
        (
            vec!["tsdb", "dump", "--match=rate(a[1m])", &newer],
            vec!["--match", "selector"],
        ),
    ] {
        let output = run(&args).await;
        let shown = printed(&output);
        assert!(!output.status.success(), "{args:?}: {shown}");
        assert!(parts.iter().all(|part| shown.contains(part)), "{args:?}: {shown}");
    }
    assert!(!Path::new(&none).exists(), "nothing was created");
}

#[tokio::test]
async fn administrators_delete_and_copy_only_where_that_is_switched_on() {
    let exporter = Exporter::start("depth{n=\"1\"} 1\ndepth{n=\"2\"} 2\n").await;
    let text = config(&[exporter.job("app")], "");
    let leadline = Leadline::start(&text).await;
    leadline.until_value("sum(depth)", 3.0).await;
    for call in ["delete_series", "clean_tombstones", "snapshot"] {
        let path = format!("/api/v1/admin/tsdb/{call}");
        let (status, body) = leadline.post(&path, &[("match[]", "depth")]).await;
        assert_eq!(status, 503, "{call}: {body}");
        assert!(body.contains("admin APIs disabled"), "{call}: {body}");
        assert_eq!(leadline.get(&path, &[]).await.0, 405, "{call}");
    }
    exporter.set("depth{n=\"2\"} 2\n");
    let leadline = restarted(leadline, Signal::TERM, &text, &["--web.enable-admin-api"]).await;
    leadline.until_value("depth{n=\"2\"}", 2.0).await;
    until_ready(&leadline).await;
    let delete = "/api/v1/admin/tsdb/delete_series";
    for (form, part) in [
        (vec![], "no match[] parameter provided"),
        (vec![("match[]", "rate(")], "match[]"),
        (vec![("match[]", "depth"), ("start", "soon")], "start"),
    ] {
        let (status, body) = leadline.post(delete, &form).await;
        assert!(status == 400 && body.contains(part), "{form:?}: {status} {body}");
    }
    let gone = leadline.post(delete, &[("match[]", "depth{n=\"1\"}")]).await;
    assert_eq!(gone, (204, String::new()));
    leadline.until_value("count(count_over_time(depth[1h]))", 1.0).await;
    assert_eq!(
        leadline.post("/api/v1/admin/tsdb/clean_tombstones", &[]).await,
        (204, String::new())
    );
    let (status, body) = leadline
        .post("/api/v1/admin/tsdb/snapshot", &[("skip_head", "maybe")])
        .await;
    assert!(status == 400 && body.contains("skip_head"), "{status} {body}");
    let (status, body) = leadline.post("/api/v1/admin/tsdb/snapshot", &[]).await;
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let name = answer["data"]["name"].as_str().unwrap();
    let copy = leadline
        .folder()
        .join("data/snapshots")
        .join(name)
        .display()
        .to_string();
    let dumped = printed(&run(&["tsdb", "dump", "--match=depth", &copy]).await);
    assert!(dumped.contains("n=\"2\"") && !dumped.contains("n=\"1\""), "{dumped}");
    let (_, exemplars) = leadline.json("/api/v1/query_exemplars", &[("query", "depth")]).await;
    assert_eq!(exemplars, json!({"status": "success", "data": []}));
    let (_, metadata) = leadline.json("/api/v1/metadata", &[("limit", "5")]).await;
    assert_eq!(
        metadata,
        json!({"status": "success", "data": {}}),
        "the page has no comments"
    );
}

#[tokio::test]
async fn a_broken_log_ends_the_start_with_its_reason_or_is_repaired() {
    let exporter = Exporter::start("depth 1\n").await;
    let leadline = Leadline::start(&config(&[exporter.job("app")], "")).await;
    leadline.until_value("depth", 1.0).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    leadline.end(Signal::KILL).await;
    let folder = leadline.into_folder();
    let segment = folder.path().join("data/wal/00000000");
    let mut bytes = std::fs::read(&segment).unwrap();
    // The first record's length.
    bytes[2] ^= 0x55;
    std::fs::write(&segment, bytes).unwrap();
    let file = folder.path().join("leadline.yaml");
    let leadline = Leadline::start_with(folder, file, &[]).await;
    leadline.until_logged(&["WARN", "damaged"]).await;
    until_ready(&leadline).await;
    leadline.until_value("depth", 1.0).await;
    leadline.end(Signal::TERM).await;
}

#[tokio::test]
async fn the_default_directory_is_below_where_it_was_started() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("leadline.yaml"), "global: {}\n").unwrap();
    // A shell changes into the folder: a process has one working directory for all tests.
    let command = format!(
        "cd {} && exec {} serve --web.listen-address=127.0.0.1:0 --scaler.listen-address=127.0.0.1:0",
        folder.path().display(),
        binary().display()
    );
    let spec = Spec::new("leadline", Path::new("/bin/sh"), folder.path());
    let process = spec.args(["-c", &command]).start().unwrap();
    let wal = folder.path().join("data/wal");
    until("data/wal", || process.tail(20), async || wal.is_dir().then_some(())).await;
    process.stop(std::time::Duration::from_secs(10)).await;
}

#[tokio::test]
async fn queries_that_run_are_noted_and_named_after_a_kill() {
    let leadline = Leadline::start("global: {}\n").await;
    until_ready(&leadline).await;
    let file = leadline.folder().join("data/queries.active");
    assert_eq!(
        std::fs::metadata(&file).unwrap().len(),
        20_001,
        "there is room for twenty"
    );
    // Hours of work, which the kill ends.
    let slow = "max_over_time(vector(1)[1d:1s])";
    let url = format!("http://{}/api/v1/query_range", leadline.web);
    let form = [
        ("query", slow),
        ("start", "1700000000"),
        ("end", "1700010000"),
        ("step", "1"),
    ];
    let request = http().build().unwrap().post(url).form(&form).send();
    let asked = tokio::spawn(request);
    let noted = || String::from_utf8_lossy(&std::fs::read(&file).unwrap()).contains("max_over_time");
    until(
        "the query to be noted",
        || leadline.log(),
        async || noted().then_some(()),
    )
    .await;
    let leadline = restarted(leadline, Signal::KILL, "global: {}\n", &[]).await;
    assert!(asked.await.unwrap().is_err());
    leadline
        .until_logged(&["had not finished", "max_over_time(vector(1)[1d:1s])"])
        .await;
    let left = std::fs::read(leadline.folder().join("data/queries.active")).unwrap();
    assert!(
        left.len() == 20_001 && left[1..].iter().all(|&byte| byte == 0),
        "it begins anew"
    );
}
