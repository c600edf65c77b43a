//! Commands that end by themselves.

use crate::world::{printed, run};

#[tokio::test]
async fn check_config_tells_good_files_from_bad_ones() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let good = write("good.yaml", "scrape_configs:\n- job_name: a\n");
    let output = run(&["check", "config", &good]).await;
    assert!(
        output.status.success() && printed(&output).contains("SUCCESS"),
        "{}",
        printed(&output)
    );

    // Text, and what the message says behind the file's name.
    for (name, text, parts) in [
        (
            "key",
            "global: {}\nscrape_config: []\n",
            vec![":2:1: ", "scrape_config"],
        ),
        ("yaml", "global: {\n", vec![":1:9: ", "bracket"]),
        (
            "interval",
            "scrape_configs:\n- job_name: a\n  scrape_interval: soon\n",
            vec![":3:20: ", "soon"],
        ),
        (
            "twice",
            "scrape_configs:\n- job_name: a\n- job_name: a\n",
            vec![":3:13: ", "\"a\""],
        ),
        (
            "later",
            "global: {}\nrule_files: [x]\n",
            vec![":2:13: ", "not supported yet: rule_files"],
        ),
        (
            "relabel",
            "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - {action: jump}\n",
            vec![":4:", "jump"],
        ),
        (
            "rule",
            "autoscaling:\n  metrics:\n  - name: m\n    describes: external\n    query: sum(\n",
            vec![":5:", "metric m: query"],
        ),
        ("scaler", "scaler: {partial: 3}\n", vec!["scaler", "partial"]),
    ] {
        let file = write(name, text);
        let output = run(&["check", "config", &good, &file]).await;
        let shown = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {shown}");
        assert!(shown.contains("SUCCESS"), "the good file beside it: {shown}");
        let place = format!("{file}{}", parts[0]);
        let placed = shown.contains(&place) || !parts[0].starts_with(':');
        assert!(
            placed && parts[1..].iter().all(|part| shown.contains(part)),
            "{name}: {parts:?} in\n{shown}"
        );
    }
    // What is allowed and doubtful is told and keeps nobody from anything.
    let rule = |kind: &str| {
        format!(
            "autoscaling:\n  metrics:\n  - name: m\n    describes: {kind}\n    query: x\n    labels: {{name: pod}}\n"
        )
    };
    for (kind, told) in [
        (
            "podz",
            Some("describes: no resource \"podz\" is known (did you mean pods?)"),
        ),
        ("extrenal", Some("(did you mean external?)")),
        ("widgets", Some("no resource \"widgets\" is known; ")),
        ("widgets.example.com", None),
        ("pods", None),
    ] {
        let file = write(kind, &rule(kind));
        let output = run(&["check", "config", &file]).await;
        let shown = printed(&output);
        assert!(output.status.success() && shown.contains("SUCCESS"), "{kind}: {shown}");
        let place = format!("WARNING: {file}:4:16: metric m: ");
        assert_eq!(shown.contains(&place), told.is_some(), "{kind}: {shown}");
        assert!(shown.contains(told.unwrap_or_default()), "{kind}: {shown}");
    }
    let missing = folder.path().join("none.yaml").display().to_string();
    let output = run(&["check", "config", &missing]).await;
    assert!(
        !output.status.success() && printed(&output).contains(&missing),
        "{}",
        printed(&output)
    );
}

#[tokio::test]
async fn version_and_help_are_told() {
    for (args, part) in [(["--version"], env!("CARGO_PKG_VERSION")), (["--help"], "serve")] {
        let output = run(&args).await;
        assert!(
            output.status.success() && printed(&output).contains(part),
            "{}",
            printed(&output)
        );
    }
}
