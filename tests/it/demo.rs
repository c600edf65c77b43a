//! `leadline demo` where no terminal is.

use crate::world::{binary, http, until};
use leadline_testkit::process::{Process, Spec};
use rustix::process::Signal;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

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
    for part in [
        "curl",
        "grpcurl",
        "kubectl",
        "0 s | hpa pods ",
        "3 s | hpa pods ",
        "keda",
    ] {
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

#[tokio::test]
async fn the_metrics_api_answers_its_certificate_alone() {
    let demo = Demo::start(&[]);
    demo.until_printed("0 s | hpa").await;
    let printed = demo.printed();
    let url = printed
        .split('\'')
        .find(|word| word.contains("custom.metrics.k8s.io"))
        .unwrap()
        .to_owned();
    let folder = demo.left().into_iter().find(|f| f.join("client.crt").exists()).unwrap();
    let read = |name: &str| std::fs::read(Path::new(&folder).join(name)).unwrap();
    let roots = || [reqwest::Certificate::from_pem(&read("ca.crt")).unwrap()];
    let identity = reqwest::Identity::from_pem(&[read("client.crt"), read("client.key")].concat()).unwrap();

    let nobody = http().tls_certs_only(roots()).build().unwrap();
    let refused = nobody.get(&url).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 403, "{:?}", refused.text().await);
    let known = http().tls_certs_only(roots()).identity(identity).build().unwrap();
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
