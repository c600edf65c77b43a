//! A proxy in the environment: what is on loopback, and the API server, are asked themselves.

use crate::world::{Exporter, Leadline, binary, config, kubeconfig, printed, run_with, until};
use leadline_testkit::process::Spec;

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1";
const PROXIED: [(&str, &str); 4] = [
    ("HTTP_PROXY", NOWHERE),
    ("http_proxy", NOWHERE),
    ("HTTPS_PROXY", NOWHERE),
    ("https_proxy", NOWHERE),
];

#[tokio::test]
async fn commands_ask_a_leadline_on_loopback_itself() {
    let exporter = Exporter::start("m 5\n").await;
    let rules = "autoscaling: {metrics: [{name: m, describes: external, query: 'sum by (namespace) (m)'}]}\n";
    let leadline = Leadline::start(&config(&[exporter.job("app")], rules)).await;
    leadline.until_value("m", 5.0).await;
    let url = format!("--url=http://{}", leadline.web);
    let metric = ["explain", "default", "external", "*", "m"];
    for args in [&metric[..], &["promql", "explain", "m"]] {
        let output = run_with(&[args, &[url.as_str()]].concat(), &PROXIED).await;
        assert!(output.status.success(), "{args:?}: {}", printed(&output));
    }
    // Anything else goes where the environment says.
    let far = "--url=http://192.0.2.1:9";
    let output = run_with(&[&metric[..], &[far]].concat(), &PROXIED).await;
    let text = printed(&output);
    assert!(!output.status.success() && text.contains("192.0.2.1"), "{text}");
}

#[tokio::test]
async fn the_api_server_is_asked_itself() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let file = write("leadline.yaml", "global: {}\n");
    let credentials = write("kubeconfig", &kubeconfig(NOWHERE));
    let credentials = format!("--kubeconfig={}", credentials.display());
    let before: Vec<_> = std::iter::once("/usr/bin/env".into())
        .chain(PROXIED.map(|(name, value)| format!("{name}={value}").into()))
        .collect();
    let flags = [credentials.as_str(), "--adapter.listen-address=127.0.0.1:0"];
    let leadline = Leadline::start_behind(&before, folder, file, &flags).await;
    leadline.until_logged(&["HTTPS_PROXY is not used"]).await;
}

#[tokio::test]
async fn the_demo_asks_itself() {
    let (logs, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let spec = PROXIED.iter().fold(
        Spec::new("demo", binary(), logs.path()).env("TMPDIR", temp.path()),
        |spec, (name, value)| spec.env(name, value),
    );
    let listen = ["web", "adapter", "scaler"].map(|name| format!("--{name}.listen-address=127.0.0.1:0"));
    let _demo = spec.args(["demo"]).args(listen).start().unwrap();
    let shown = || std::fs::read_to_string(logs.path().join("demo.log")).unwrap_or_default();
    let queue = |line: &str| {
        Some(
            line.split_once("| hpa queue ")?
                .1
                .starts_with(|c: char| c.is_ascii_digit()),
        )
    };
    until("the queue's value", shown, async || {
        shown().lines().any(|line| queue(line) == Some(true)).then_some(())
    })
    .await;
}
