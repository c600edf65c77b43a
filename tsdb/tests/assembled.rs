//! The rooms put together: a configuration is scraped, stored and answered, and a reload changes what has to change.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]
mod support;

use leadline_model::clock::{Clock, SystemClock};
use leadline_model::discovery::{Discovery, GroupJob};
use leadline_model::entropy::SystemEntropy;
use leadline_model::port::Plan;
use leadline_model::target::Health;
use leadline_storage::disk::RealDisk;
use leadline_tsdb::config::{Global, parse_yaml};
use leadline_tsdb::{Parts, PodSource, Settings, StorageState, Tsdb};
use std::sync::Arc;
use std::time::Duration;
use support::{exporter, jobs};
use tokio_util::sync::CancellationToken;

/// The values of `expression` now, with their label `job`, sorted.
async fn values(tsdb: &Tsdb, expression: &str) -> Vec<(String, f64)> {
    let evaluate = tsdb.evaluate();
    let plan = evaluate.prepare(expression, &[]).unwrap();
    let found = evaluate.evaluate(&plan, SystemClock.now()).await.unwrap();
    let mut values: Vec<(String, f64)> = found
        .values
        .iter()
        .map(|v| (v.labels.get("job").unwrap_or("").to_owned(), v.value))
        .collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values
}

async fn until(tsdb: &Tsdb, expression: &str, expected: &[(&str, f64)]) {
    // Nothing can be said of the time before the start while the log is read.
    let mut storage = tsdb.storage_state();
    storage
        .wait_for(|state| *state != StorageState::Replaying)
        .await
        .unwrap();
    let wanted: Vec<(String, f64)> = expected
        .iter()
        .map(|(job, value)| ((*job).to_owned(), *value))
        .collect();
    let reached = async {
        while values(tsdb, expression).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), reached).await.is_err() {
        panic!(
            "{expression}: {:?}, expected {wanted:?}; {:?}",
            values(tsdb, expression).await,
            tsdb.status()
        );
    }
}

/// The rooms, with the store's directory in `dir`.
fn build(dir: &std::path::Path) -> Arc<Tsdb> {
    Tsdb::build(Parts {
        settings: Settings::default(),
        disk: Arc::new(RealDisk),
        path: dir.join("data"),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::default()),
        pods: PodSource::None,
    })
    .unwrap()
}

/// How many steps an hour of a subquery without a step has.
async fn steps_of_an_hour(tsdb: &Tsdb, plan: &Arc<Plan>) -> f64 {
    let found = tsdb.evaluate().evaluate(plan, 7_200_000).await.unwrap();
    found.values[0].value
}

#[tokio::test]
async fn subqueries_without_a_step_take_the_evaluation_interval_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let tsdb = build(dir.path());
    let plan = tsdb.evaluate().prepare("count_over_time(vector(1)[1h:])", &[]).unwrap();
    for (global, steps) in [
        ("evaluation_interval: 20s", 180.0),
        ("evaluation_interval: 30m", 2.0),
        ("scrape_interval: 20s", 60.0),
        ("evaluation_interval: 0s", 60.0),
    ] {
        let global: Global = parse_yaml(global, "leadline.yml").unwrap();
        tsdb.apply(global.evaluation_interval(), Vec::new()).unwrap();
        // A plan that was made before, as rules and standing expressions have them.
        assert_eq!(steps_of_an_hour(&tsdb, &plan).await, steps, "{global:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_configured_is_scraped_stored_and_answered_and_a_reload_changes_it() {
    let (one, two) = (exporter(1).await, exporter(2).await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("leadline.yml").display().to_string();
    std::fs::write(
        dir.path().join("targets.json"),
        format!(r#"[{{"targets": ["{two}"]}}]"#),
    )
    .unwrap();
    let tsdb = build(dir.path());
    let cancel = CancellationToken::new();
    let running = tokio::spawn({
        let (tsdb, cancel) = (Arc::clone(&tsdb), cancel.clone());
        async move { tsdb.run(cancel).await }
    });
    assert!(!tsdb.board().synced(), "nothing is configured yet");

    let fixed = format!("- job_name: fixed\n  static_configs: [{{targets: ['{one}']}}]\n");
    let filed = "- job_name: filed\n  file_sd_configs: [{files: [targets.json]}]\n";
    let minute = leadline_model::duration::Duration::from_secs(60);
    tsdb.apply(minute, jobs(&format!("{fixed}{filed}"), &file)).unwrap();
    until(&tsdb, "depth", &[("filed", 2.0), ("fixed", 1.0)]).await;
    until(&tsdb, "up", &[("filed", 1.0), ("fixed", 1.0)]).await;
    assert!(tsdb.status().synced);
    let before = tsdb.board().all().into_iter().find(|t| &*t.job == "fixed").unwrap();
    assert_eq!(before.health, Health::Up);

    // A file that moves its target, and a job that goes: the other keeps its target and with it its series.
    std::fs::write(
        dir.path().join("targets.json"),
        format!(r#"[{{"targets": ["{one}"]}}]"#),
    )
    .unwrap();
    until(&tsdb, "depth{job='filed'} == 1", &[("filed", 1.0)]).await;
    tsdb.apply(minute, jobs(&fixed, &file)).unwrap();
    let only = async {
        while tsdb.board().all().len() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), only).await.unwrap();
    assert_eq!(tsdb.board().all()[0].owner, before.owner);

    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(30), running)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        values(&tsdb, "depth{job='fixed'}").await,
        [("fixed".to_owned(), 1.0)],
        "it can still be read"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_is_told_of_its_job_alone_with_what_is_wrong_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("leadline.yml").display().to_string();
    let targets = dir.path().join("targets.yml");
    std::fs::write(&targets, "- targets: ['127.0.0.1:1'\n").unwrap();
    let tsdb = build(dir.path());
    let cancel = CancellationToken::new();
    let running = tokio::spawn({
        let (tsdb, cancel) = (Arc::clone(&tsdb), cancel.clone());
        async move { tsdb.run(cancel).await }
    });
    let config = "- job_name: fixed\n  static_configs: [{targets: ['127.0.0.1:1']}]\n  honor_labels: true\n\
                  - job_name: filed\n  file_sd_configs: [{files: [targets.yml]}]\n";
    let minute = leadline_model::duration::Duration::from_secs(60);
    tsdb.apply(minute, jobs(config, &file)).unwrap();
    let told = |wanted: fn(&Discovery) -> bool| {
        let board = tsdb.board();
        let reached = async move {
            while !wanted(&board.discovery()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            board.discovery()
        };
        tokio::time::timeout(Duration::from_secs(30), reached)
    };
    let broken = told(|d| {
        d.jobs
            .iter()
            .any(|job| job.missing.as_ref().is_some_and(|m| m.why.is_some()))
    });
    let broken = broken.await.unwrap();
    let [filed, fixed] = &broken.jobs[..] else {
        panic!("{broken:?}")
    };
    assert!(!fixed.named && fixed.missing.is_none(), "{fixed:?}");
    let missing = filed.missing.as_ref().unwrap();
    let why = missing.why.as_ref().unwrap();
    assert!(
        filed.named && missing.says == GroupJob::Unseen && why.contains("targets.yml: ") && why.contains("line"),
        "{filed:?}"
    );
    assert!(!tsdb.status().synced);
    std::fs::write(&targets, "- targets: ['127.0.0.1:1']\n").unwrap();
    told(Discovery::synced).await.unwrap();
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(30), running)
        .await
        .unwrap()
        .unwrap();
}
