//! Snapshots that a running leadline makes of itself, as Prometheus finds them.

use crate::answers::Queries;
use crate::folder::{Evidence, metas};
use crate::programs::{Release, assert_same_lines, leadline};
use crate::world::{Exporter, Leadline, config};
use leadline_model::Clock;
use leadline_model::clock::SystemClock;
use rustix::process::Signal;

/// Blocks of two seconds, so that there are some soon.
const FLAGS: [&str; 4] = [
    "--storage.tsdb.min-block-duration=2s",
    "--storage.tsdb.max-block-duration=18s",
    "--storage.tsdb.retention.time=1d",
    "--web.enable-admin-api",
];
/// Queries of all that there is.
const QUERIES: [&str; 3] = ["steps[10m]", "up[10m]", "sum(last_over_time(steps[10m]))"];

fn page(round: u32) -> String {
    (0..20)
        .map(|n| format!("steps{{n=\"{n}\"}} {}\n", round * (n + 1)))
        .collect()
}

#[tokio::test]
async fn prometheus_opens_a_snapshot_of_a_running_leadline_and_answers_the_same() {
    let exporter = Exporter::start(&page(0)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, config(&[exporter.job("app")], "")).unwrap();
    let running = Leadline::start_with(folder, file, &FLAGS).await;
    let data = running.folder().join("data");
    let mut last = 0;
    // Until a part of it is in blocks.
    while metas(&data).len() < 2 {
        last += 1;
        assert!(last < 200, "no blocks:\n{}", running.log());
        exporter.set(&page(last));
        running.until_value("steps{n=\"0\"}", f64::from(last)).await;
    }
    let (status, body) = running.post("/api/v1/admin/tsdb/snapshot", &[]).await;
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let name = answer["data"]["name"].as_str().unwrap().to_owned();
    assert_eq!(running.end(Signal::TERM).await, Some(0), "{}", running.log());
    let now = SystemClock.now();
    let folder = Evidence::new(running.into_folder());
    let copy = folder.join("data").join("snapshots").join(name);

    let ours = leadline(&["dump"], &copy);
    assert!(metas(&copy).len() >= 2, "{:#?}", metas(&copy));
    for release in Release::all() {
        let what = format!("dump of {} of a snapshot", release.name);
        assert_same_lines(&what, &ours, &release.promtool(&["dump"], &copy));
    }
    // Behind all that was scraped, wherever in an interval the target's slot is.
    let at = now + 100;
    let at = format!("{}.{:03}", at / 1000, at % 1000);
    let queries = Queries {
        texts: &QUERIES,
        at: &at,
    };
    let expected = queries.to_leadline(&copy, &FLAGS).await;
    // What was answered last before the copy is in it: it has the head too.
    let value = format!("\"{last}\"");
    assert!(
        expected[0].iter().any(|series| series.contains(&value)),
        "{value}: {expected:#?}"
    );
    for release in Release::all() {
        let flags = ["--storage.tsdb.retention.time=15d"];
        queries.compare(&release, &copy, &flags, &expected).await;
        println!(
            "Prometheus {}: {} lines of a snapshot's dump are the same",
            release.name,
            ours.lines().count()
        );
    }
}
