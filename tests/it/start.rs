//! What keeps `serve` from starting.

use crate::world::{Leadline, printed, run};
use leadline_testkit::pki::{Authority, Usage};

#[tokio::test]
async fn what_cannot_be_used_is_named_and_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let config = format!("--config.file={}", write("good.yaml", "global: {}\n"));
    let data = format!("--storage.tsdb.path={}", folder.path().join("data").display());
    let broken = write("broken.yaml", "global:\n  scrape_intervall: 1s\n");
    let garbage = write("garbage.pem", "no certificate\n");
    let kubeconfig = write("kubeconfig", "apiVersion: v1\nclusters: 7\n");
    let pair = Authority::new("test")
        .unwrap()
        .issue("scaler", &[], &["127.0.0.1"], Usage::Both)
        .unwrap();
    let (cert, key) = (write("s.crt", &pair.certificate), write("s.key", &pair.key));
    let occupant = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = occupant.local_addr().unwrap().to_string();
    let missing = folder.path().join("none").display().to_string();
    let flag = |name: &str, value: &str| format!("--{name}={value}");

    // Flags, exit code, what the message names. A wrong command line ends with 2, everything else with 1.
    let cases: Vec<(Vec<String>, i32, Vec<&str>)> = vec![
        (vec![flag("config.file", &missing)], 1, vec![&missing]),
        (
            vec![flag("config.file", &broken)],
            1,
            vec!["broken.yaml:2:3: ", "scrape_intervall"],
        ),
        (vec!["--no-such-flag".into()], 2, vec!["--no-such-flag"]),
        (
            vec![flag("storage.tsdb.retention.time", "long")],
            2,
            vec!["--storage.tsdb.retention.time", "long", "1h30m"],
        ),
        (
            vec![flag("web.listen-address", "here")],
            2,
            vec!["--web.listen-address", "here"],
        ),
        (
            vec![flag("query.lookback-delta", "0s")],
            2,
            vec!["--query.lookback-delta", "0s", "greater than 0"],
        ),
        (
            vec![flag("query.timeout", "soon")],
            2,
            vec!["--query.timeout", "soon", "1h30m"],
        ),
        (
            vec![flag("query.max-concurrency", "0")],
            2,
            vec!["--query.max-concurrency", "1..=4000"],
        ),
        (
            vec![flag("query.max-samples", "1e6")],
            2,
            vec!["--query.max-samples", "1e6"],
        ),
        (vec![flag("log.level", "loud")], 2, vec!["--log.level", "loud", "debug"]),
        (vec![config.clone(), flag("kubeconfig", &missing)], 1, vec![&missing]),
        (
            vec![config.clone(), flag("kubeconfig", &kubeconfig)],
            1,
            vec![&kubeconfig],
        ),
        (
            vec![config.clone(), flag("scaler.tls-cert-file", &cert)],
            2,
            vec!["--scaler.tls-private-key-file"],
        ),
        (
            vec![
                config.clone(),
                flag("scaler.tls-cert-file", &missing),
                flag("scaler.tls-private-key-file", &key),
            ],
            1,
            vec![&missing],
        ),
        (
            vec![
                config.clone(),
                flag("scaler.tls-cert-file", &garbage),
                flag("scaler.tls-private-key-file", &key),
            ],
            1,
            vec![&garbage],
        ),
        (
            vec![
                config.clone(),
                flag("scaler.tls-cert-file", &cert),
                flag("scaler.tls-private-key-file", &key),
                flag("scaler.tls-client-ca-file", &garbage),
            ],
            1,
            vec![&garbage],
        ),
        (
            vec![config.clone(), flag("scaler.listen-address", "0.0.0.0:0")],
            1,
            vec![
                "--scaler.listen-address",
                "0.0.0.0:0",
                "--scaler.tls-cert-file",
                "--scaler.insecure",
            ],
        ),
        (
            vec![config.clone(), flag("scaler.client-secret-namespace", "keda")],
            1,
            vec![
                "--scaler.client-secret-namespace",
                "LEADLINE_SCALER_CLIENT_NAMESPACE",
                "keda",
                "no pod",
                "--scaler.tls-client-ca-file",
            ],
        ),
        (
            vec![config.clone(), flag("scaler.client-secret-namespace", "")],
            2,
            vec!["--scaler.client-secret-namespace"],
        ),
        (
            vec![
                config.clone(),
                flag("scaler.client-secret-namespace", "keda"),
                "--scaler.insecure".into(),
            ],
            2,
            vec!["--scaler.client-secret-namespace", "--scaler.insecure"],
        ),
        (
            vec![
                config.clone(),
                flag("scaler.client-secret-namespace", "keda"),
                flag("scaler.tls-cert-file", &cert),
                flag("scaler.tls-private-key-file", &key),
            ],
            2,
            vec!["--scaler.client-secret-namespace", "--scaler.tls-cert-file"],
        ),
        (
            vec![config.clone(), flag("web.listen-address", &taken)],
            1,
            vec!["--web.listen-address", &taken],
        ),
        (
            vec![config.clone(), flag("scaler.listen-address", &taken)],
            1,
            vec!["--scaler.listen-address", &taken],
        ),
    ];
    let mut wrong = Vec::new();
    for (flags, code, parts) in &cases {
        let mut args = vec!["serve", data.as_str()];
        // Whatever is not the point of a case must not be in its way.
        for (name, default) in [
            ("web", "--web.listen-address=127.0.0.1:0"),
            ("scaler", "--scaler.listen-address=127.0.0.1:0"),
        ] {
            if !flags.iter().any(|f| f.starts_with(&format!("--{name}.listen-address"))) {
                args.push(default);
            }
        }
        args.extend(flags.iter().map(String::as_str));
        let output = run(&args).await;
        let shown = printed(&output);
        if output.status.code() != Some(*code) || !parts.iter().all(|part| shown.contains(part)) {
            wrong.push(format!(
                "{flags:?}: {:?}, expected {code} and {parts:?}:\n{shown}",
                output.status.code()
            ));
        }
    }
    drop(occupant);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn log_lines_are_json_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, "global: {}\n").unwrap();
    let leadline = Leadline::start_with(folder, file, &["--storage.tsdb.retention.time=1h", "--log.level=debug"]).await;
    assert!(leadline.folder().join("leadline.yaml").exists());
    leadline.end(rustix::process::Signal::INT).await;
    assert!(
        leadline.log().lines().all(|line| !line.contains('\u{1b}')),
        "no colours in a file"
    );
    let data = format!("--storage.tsdb.path={}", leadline.folder().join("data").display());
    let folder = leadline.folder().join("leadline.yaml").display().to_string();
    let output = run(&[
        "serve",
        "--config.file",
        &folder,
        &data,
        "--log.format=json",
        "--web.listen-address=127.0.0.1:0",
        "--scaler.listen-address=127.0.0.1:0",
        "--scaler.tls-cert-file=/none",
        "--scaler.tls-private-key-file=/none",
    ])
    .await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    assert!(!lines.is_empty(), "{text}");
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}
