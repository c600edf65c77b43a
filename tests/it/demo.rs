//! `leadline demo` where no terminal is.

use crate::world::{PATIENCE, binary, http, until};
use leadline_testkit::process::{Process, Spec};
use rustix::process::Signal;
use serde_json::Value;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

const LISTEN: [&str; 3] = [
    "--web.listen-address=127.0.0.1:0",
    "--adapter.listen-address=127.0.0.1:0",
    "--scaler.listen-address=127.0.0.1:0",
];

struct Demo {
    process: Process,
    logs: TempDir,
    /// Where it puts its temporary folders.
    temp: TempDir,
}

impl Demo {
    fn start(more: &[&str]) -> Self {
        let (logs, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spec = Spec::new("demo", binary(), logs.path()).env("TMPDIR", temp.path());
        let process = spec.args(["demo"]).args(LISTEN).args(more).start().unwrap();
        Self { process, logs, temp }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(self.logs.path().join("demo.log")).unwrap_or_default()
    }

    async fn until_printed(&self, part: &str) {
        until(
            part,
            || self.printed(),
            async || self.printed().contains(part).then_some(()),
        )
        .await;
    }

    /// The address of the pods' metric that it prints, the folder of its certificates, and clients with the demo's certificate
    /// and without one.
    fn metrics_api(&self) -> (String, std::path::PathBuf, [reqwest::Client; 2]) {
        let printed = self.printed();
        let mut words = printed.split('\'');
        let url = words.find(|word| word.contains("custom.metrics.k8s.io")).unwrap();
        let folder = self.left().into_iter().find(|f| f.join("client.crt").exists()).unwrap();
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let client = || http().tls_certs_only([reqwest::Certificate::from_pem(&read("ca.crt")).unwrap()]);
        let identity = reqwest::Identity::from_pem(&[read("client.crt"), read("client.key")].concat()).unwrap();
        let clients = [client().identity(identity), client()].map(|client| client.build().unwrap());
        (url.to_owned(), folder, clients)
    }

    fn left(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.temp.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .collect()
    }
}

#[tokio::test]
async fn it_prints_plain_lines_and_ends_after_its_time() {
    let demo = Demo::start(&["--for", "5s"]);
    let status = tokio::time::timeout(std::time::Duration::from_secs(60), demo.process.wait())
        .await
        .unwrap();
    let printed = demo.printed();
    assert_eq!(status.code(), Some(0), "{printed}");
    for part in ["0 s | hpa pods ", "3 s | hpa pods ", "keda"] {
        assert!(printed.contains(part), "{part} in\n{printed}");
    }
    assert!(!printed.contains('\u{1b}'), "plain lines: {printed}");
    assert_eq!(demo.left(), Vec::<std::path::PathBuf>::new(), "its folders are removed");
}

#[tokio::test]
async fn signals_end_it_well_and_remove_its_folders() {
    for signal in [Signal::INT, Signal::TERM] {
        let demo = Demo::start(&[]);
        demo.until_printed("0 s | hpa").await;
        assert!(!demo.left().is_empty(), "it has folders while it runs");
        demo.process.signal(signal);
        let status = tokio::time::timeout(std::time::Duration::from_secs(30), demo.process.wait())
            .await
            .unwrap();
        assert_eq!(status.code(), Some(0), "{signal:?}: {}", demo.printed());
        assert_eq!(demo.left(), Vec::<std::path::PathBuf>::new(), "{signal:?}");
    }
}

/// The folder of a program's binary, where it was built; otherwise it is said that what needs it is left out.
fn built(program: &str, name: &str) -> Option<std::path::PathBuf> {
    let Ok(file) = leadline_testkit::programs::binary(program, name) else {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED in part: {name} is not built (run tests/programs/build {program})"
        );
        return None;
    };
    file.parent().map(Path::to_path_buf)
}

/// The commands to try that it printed, each on a line of its own.
fn commands(printed: &str) -> Vec<&str> {
    let programs = ["curl ", "kubectl ", "grpcurl "];
    let lines = printed.lines().map(str::trim_start);
    lines
        .filter(|line| programs.iter().any(|program| line.starts_with(program)))
        .collect()
}

#[tokio::test]
async fn the_commands_to_try_answer_as_they_are_printed() {
    let demo = Demo::start(&[]);
    demo.until_printed("0 s | hpa").await;
    let printed = demo.printed();
    let folders = [built("kubernetes", "kubectl"), built("grpcurl", "grpcurl")];
    let path = std::env::join_paths(
        folders
            .iter()
            .flatten()
            .cloned()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    // What a command prints until it holds `part`: a stream does not end by itself.
    let prints = async |command: &str, part: &str| {
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).env("PATH", &path);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut running = shell.spawn().unwrap();
        let mut out = running.stdout.take().unwrap();
        let mut printed = Vec::new();
        let there = |printed: &[u8]| String::from_utf8_lossy(printed).contains(part);
        let read = async { while !there(&printed) && out.read_buf(&mut printed).await.unwrap() > 0 {} };
        tokio::time::timeout(PATIENCE, read).await.unwrap();
        there(&printed).then_some(())
    };
    // Words that only the command's line has, whether its program is here, and what its answer holds.
    let [kubectl, grpcurl] = folders.map(|folder| folder.is_some());
    let expected = [
        ("curl -sG 'http://", "/api/v1/query'", true, "\"pod\":\""),
        (
            "curl -s 'http://",
            "/explain/v1/",
            true,
            "rate(http_requests_total[15s])",
        ),
        ("--cert ", "https://", true, "\"kind\":\"Pod\""),
        (
            "# without the certificate",
            "https://",
            true,
            "\"reason\":\"Forbidden\"",
        ),
        ("kubectl --kubeconfig ", "get --raw", kubectl, "\"kind\":\"Pod\""),
        // The state at open, which is false while the queue is empty: an object without fields.
        ("grpcurl -plaintext", "StreamIsActive", grpcurl, "}"),
    ];
    let commands = commands(&printed);
    assert_eq!(commands.len(), expected.len(), "{commands:?}");
    for (first, second, here, part) in expected {
        let matching = |line: &&&str| line.contains(first) && line.contains(second);
        let command = *commands.iter().find(matching).unwrap();
        if here {
            until(
                &format!("{part:?} from {command}"),
                || demo.printed(),
                async || prints(command, part).await,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn the_metrics_api_answers_its_certificate_alone() {
    let demo = Demo::start(&[]);
    demo.until_printed("0 s | hpa").await;
    let (url, folder, [known, nobody]) = demo.metrics_api();
    let refused = nobody.get(&url).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 403, "{:?}", refused.text().await);
    let items = until(
        "the pods' values",
        || demo.printed(),
        async || {
            let answer: Value = known.get(&url).send().await.unwrap().json().await.unwrap();
            answer["items"].as_array().filter(|items| items.len() == 3).cloned()
        },
    )
    .await;
    assert!(
        items
            .iter()
            .all(|item| item["value"].is_string() && item["describedObject"]["kind"] == "Pod"),
        "{items:?}"
    );
    assert_eq!(folder.parent(), Some(demo.temp.path()));
}

#[tokio::test]
async fn silent_connections_from_many_addresses_keep_out_nobody_who_has_a_certificate() {
    let demo = Demo::start(&[]);
    demo.until_printed("0 s | hpa").await;
    let (url, _, [known, _]) = demo.metrics_api();
    let address: SocketAddr = url.split('/').nth(2).unwrap().parse().unwrap();
    let mut held = Vec::new();
    for _ in 0..150 {
        for from in 2..=5 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 0, from], 0))).unwrap();
            held.push(socket.connect(address).await.unwrap());
        }
    }
    demo.until_printed("strangers have all connections that they may have")
        .await;
    let told = demo.printed();
    assert!(told.contains("listener=\"adapter\" most=512"), "{told}");
    let answer = known.get(format!("https://{address}/apis")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{:?}", answer.text().await);
}
