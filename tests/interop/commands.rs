//! The commands that promtool has too, with their flags, and who may have a directory.

use crate::folder::metas;
use crate::port::{BEGIN, SAMPLES, STEP};
use crate::programs::{Release, assert_same_lines, leadline, leadline_on, sorted};
use crate::server::Server;
use crate::world::{Leadline, printed, run};
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

/// Blocks of floats, which every release reads, made of text by leadline.
fn blocks_of_floats(folder: &Path) -> std::path::PathBuf {
    let line = |i: i64| {
        let t = BEGIN / 1000 + 61 * i;
        format!("reads_total{{disk=\"{}\",job=\"port\"}} {i} {t}\n", i % 7)
    };
    let text: String = (0..700).map(line).collect();
    let (input, output) = (folder.join("input.om"), folder.join("floats"));
    std::fs::write(&input, format!("# TYPE reads counter\n{text}# EOF\n")).unwrap();
    let mut command = Command::new(crate::world::binary());
    let command = command.args(["tsdb", "create-blocks-from", "openmetrics"]);
    let done = command.arg(&input).arg(&output).output().unwrap();
    assert!(done.status.success(), "{}", printed(&done));
    output
}

/// Holds what a command prints to what promtool prints.
fn compare(release: &Release, data: &Path, args: &[&str], more: &[&str]) {
    let what = format!("{args:?} {more:?} of {}", release.name);
    assert_same_lines(
        &what,
        &leadline_on(args, data, more),
        &release.promtool_on(args, data, more),
    );
}

#[test]
fn commands_print_what_promtool_prints_whatever_their_flags() {
    let folder = tempfile::tempdir().unwrap();
    let floats = blocks_of_floats(folder.path());
    let mixed = folder.path().join("mixed");
    crate::port::write(&mixed);
    let (early, late) = (BEGIN + 33 * STEP + 1, BEGIN + (SAMPLES - 50) * STEP);
    let (from, to) = (format!("--min-time={early}"), format!("--max-time={late}"));
    let selections: [&[&str]; 4] = [
        &["--match={job=\"port\"}"],
        &[&from, &to],
        &[
            &from,
            "--match=reads_total{disk=~\"[1-3]\"}",
            "--match={__name__=~\"plain.*|lat.*\"}",
        ],
        &[&to, "--match={job=\"port\",disk!=\"4\"}"],
    ];
    for release in Release::all() {
        compare(&release, &floats, &["list", "-r"], &[]);
        compare(&release, &floats, &["list", "--human-readable"], &[]);
        let directories: &[&Path] = match release.is_newest() {
            true => &[&floats, &mixed],
            false => &[&floats],
        };
        for data in directories {
            // 2.42 takes one selector.
            let is_selector = |flag: &&&str| flag.starts_with("--match");
            let taken = |flags: &&[&str]| release.is_newest() || flags.iter().filter(is_selector).count() < 2;
            for selection in selections.into_iter().filter(taken) {
                compare(&release, data, &[&["dump"], selection].concat(), &[]);
            }
        }
        if release.is_newest() {
            newer_flags(&release, directories, &selections);
        }
        println!("Prometheus {}: the commands print the same", release.name);
    }
}

/// Flags that 2.42 does not have, or prints other lines for.
fn newer_flags(release: &Release, directories: &[&Path], selections: &[&[&str]]) {
    for data in directories {
        for selection in selections {
            let args = [&["dump", "--format=seriesjson"], *selection].concat();
            // Objects have their keys in any order.
            let parsed = |text: String| {
                let mut lines: Vec<serde_json::Value> =
                    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                lines.sort_by_cached_key(ToString::to_string);
                lines
            };
            let ours = parsed(leadline(&args, data));
            assert_eq!(ours, parsed(release.promtool(&args, data)), "{args:?}");
            assert!(!ours.is_empty(), "{args:?}");
            compare(release, data, &[&["dump-openmetrics"], *selection].concat(), &[]);
        }
        for meta in metas(data) {
            let block = [meta["ulid"].as_str().unwrap()];
            for flags in [
                &["--extended"] as &[&str],
                &["--match={job=\"port\"}"],
                &["--match={disk=~\"[12]\"}", "--extended"],
            ] {
                compare(release, data, &[&["analyze", "--limit=1000"], flags].concat(), &block);
            }
        }
        compare(release, data, &["analyze", "--limit=1000", "--extended"], &[]);
    }
}

#[test]
fn a_benchmark_of_writes_leaves_what_it_counts() {
    let folder = tempfile::tempdir().unwrap();
    let sets = folder.path().join("sets.json");
    let lines: String = (0..20)
        .map(|n| format!("{{\"__name__\":\"m\",\"n\":\"{n}\"}}\n"))
        .collect();
    std::fs::write(&sets, lines).unwrap();
    let bench = |program: &Path, name: &str| {
        let out = folder.path().join(name);
        let mut command = Command::new(program);
        let command = command.args(["tsdb", "bench", "write", "--metrics=20", "--scrapes=200"]);
        let done = command
            .arg(format!("--out={}", out.display()))
            .arg(&sets)
            .output()
            .unwrap();
        assert!(done.status.success(), "{name}: {}", printed(&done));
        (out.join("storage"), String::from_utf8(done.stdout).unwrap())
    };
    // Its lines without what differs from one run to the next.
    let outline = |text: &str| -> Vec<String> {
        let kept = text
            .lines()
            .filter(|line| line.starts_with(" >") || line.starts_with(">>"));
        let stable = kept.map(|line| line.split(" duration=").next().unwrap_or_default());
        let stable = stable.map(|line| match line.split_once("samples/sec: ") {
            Some((before, rate)) if rate.parse::<f64>().is_ok_and(|rate| rate > 0.0) => before.to_owned(),
            _ => line.to_owned(),
        });
        stable.collect()
    };
    let (data, ours) = bench(crate::world::binary(), "ours");
    assert_eq!(leadline(&["dump"], &data).lines().count(), 20 * 200, "{ours}");
    if let Some(release) = Release::newest() {
        let (_, theirs) = bench(&release.program("promtool"), "theirs");
        assert_eq!(outline(&ours), outline(&theirs));
        let (ours, theirs) = (leadline(&["dump"], &data), release.promtool(&["dump"], &data));
        assert_eq!(sorted(&ours), sorted(&theirs));
    }
}

#[tokio::test]
async fn a_directory_that_one_of_both_has_is_refused_to_the_other() {
    for release in Release::all() {
        // Debian's takes the lock only where it is told to.
        let lock: &[&str] = match release.is_newest() {
            true => &[],
            false => &["--storage.tsdb.use-lockfile"],
        };
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let config = folder.path().join("leadline.yaml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let path = format!("--storage.tsdb.path={}", data.display());

        let server = Server::start(&release, &data, folder.path(), "global: {}\n", lock).await;
        let file = format!("--config.file={}", config.display());
        let [web, scaler] = ["web", "scaler"].map(|name| format!("--{name}.listen-address=127.0.0.1:0"));
        let serve = run(&["serve", &file, &path, &web, &scaler]).await;
        let snapshot = run(&["tsdb", "snapshot", data.to_str().unwrap()]).await;
        for refused in [serve, snapshot] {
            let text = printed(&refused);
            assert_eq!(refused.status.code(), Some(1), "{text}");
            let message = format!("{}: locked by another process", data.join("lock").display());
            assert!(text.contains(&message), "{message:?} in\n{text}");
        }
        server.end(Signal::TERM).await;

        let leadline = Leadline::start_with(folder, config, &[]).await;
        let file = leadline.folder().join("prometheus.yml");
        let mut command = tokio::process::Command::new(release.program("prometheus"));
        let command = command.arg(format!("--config.file={}", file.display())).arg(&path);
        let command = command
            .arg("--web.listen-address=127.0.0.1:0")
            .args(lock)
            .kill_on_drop(true);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(30), command.output()).await;
        let refused = ended.unwrap().unwrap();
        assert!(
            !refused.status.success() && printed(&refused).contains("lock DB directory"),
            "{}",
            printed(&refused)
        );
        assert_eq!(leadline.end(Signal::TERM).await, Some(0), "{}", leadline.log());
    }
}
