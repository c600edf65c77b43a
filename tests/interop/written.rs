//! What a leadline wrote in an eventful life: restarts, a kill, samples out of order, deletions, two levels of compaction.

use crate::answers::Queries;
use crate::folder::{Evidence, in_order_blocks_reach_furthest, metas};
use crate::programs::{Release, assert_same_lines, leadline, leadline_on};
use crate::world::{Exporter, Leadline, config};
use rustix::process::Signal;
use std::path::Path;
use tempfile::TempDir;

/// Blocks of two seconds, so that some are merged within the trial; nothing is past the retention.
const FLAGS: [&str; 5] = [
    "--storage.tsdb.min-block-duration=2s",
    "--storage.tsdb.max-block-duration=18s",
    "--storage.tsdb.retention.time=1d",
    "--storage.tsdb.wal-fsync-interval=100ms",
    "--web.enable-admin-api",
];
/// Queries whose answers must be the same everywhere. Their windows end between two samples, so that it does not matter
/// whether the first instant of a window belongs to it (it does up to 2.x, and not from 3.0 on).
const QUERIES: [&str; 5] = [
    "requests_total[10m]",
    "late[10m]",
    "{job=\"app\"}[10m]",
    "count by (__name__) (last_over_time({job=\"app\"}[10m]))",
    "sum(last_over_time(requests_total[10m]))",
];

/// The round from which on one of the series is not exposed any more.
const GONE: u64 = 14;
/// The round from which on everything comes in order.
const IN_ORDER: u64 = 20;

/// A page whose values are those of `round`; `late` comes out of order every other time.
fn page(round: u64, now_ms: i64) -> String {
    let counters: String = (0..20)
        .map(|i| format!("requests_total{{code=\"{i}\"}} {}\n", round * (i + 1)))
        .collect();
    let back = if round % 2 == 1 && round < IN_ORDER { 650 } else { 0 };
    // It is gone before it is deleted, so that nothing of it comes later.
    let doomed = if round < GONE { "doomed{n=\"1\"} 1\n" } else { "" };
    format!(
        "# TYPE requests_total counter\n{counters}# TYPE temperature gauge\ntemperature {}\n{doomed}doomed{{n=\"2\"}} 2\n\
         late {round} {}\n",
        (round as f64 * 0.7).sin() * 1e9,
        now_ms - back
    )
}

fn now_ms() -> i64 {
    use leadline_model::Clock;
    leadline_model::clock::SystemClock.now()
}

/// Starts leadline on the directory in `folder`, whatever it holds.
async fn start(folder: TempDir, text: &str) -> Leadline {
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, text).unwrap();
    Leadline::start_with(folder, file, &FLAGS).await
}

/// Lets `rounds` scrapes pass with new values.
async fn scrape(exporter: &Exporter, leadline: &Leadline, rounds: std::ops::Range<u64>) {
    for round in rounds {
        exporter.set(&page(round, now_ms()));
        leadline.until_value("requests_total{code=\"0\"}", round as f64).await;
    }
}

/// How many blocks are as they were cut from the head, and how many were merged of others.
fn levels(data: &Path) -> (usize, usize) {
    let blocks = metas(data);
    let cut = |meta: &&serde_json::Value| meta["compaction"]["level"] == 1;
    let count = blocks.iter().filter(cut).count();
    (count, blocks.len() - count)
}

/// Whether there are blocks of both kinds, and promtool sees all that there is.
fn has_merged_blocks(data: &Path) -> bool {
    let (cut, merged) = levels(data);
    cut > 0 && merged > 0 && in_order_blocks_reach_furthest(data)
}

/// The directory that such a life leaves behind, closed in order, with the time of its last query.
async fn life() -> (TempDir, i64) {
    let exporter = Exporter::start(&page(0, now_ms())).await;
    let more = "storage: {tsdb: {out_of_order_time_window: 1m}}\n";
    let text = config(&[exporter.job("app")], more);

    let first = start(tempfile::tempdir().unwrap(), &text).await;
    scrape(&exporter, &first, 1..12).await;
    assert_eq!(first.end(Signal::TERM).await, Some(0), "{}", first.log());
    let second = start(first.into_folder(), &text).await;
    scrape(&exporter, &second, 12..20).await;
    let deleted = second
        .post("/api/v1/admin/tsdb/delete_series", &[("match[]", "doomed{n=\"1\"}")])
        .await;
    assert_eq!(deleted, (204, String::new()), "{}", second.log());
    // What was committed longer ago than the interval of the log's syncs survives a kill.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    second.end(Signal::KILL).await;

    let mut third = start(second.into_folder(), &text).await;
    let data = third.folder().join("data");
    for round in (IN_ORDER..).step_by(5) {
        assert!(round < 300, "no blocks of two levels:\n{}", third.log());
        scrape(&exporter, &third, round..round + 5).await;
        if !has_merged_blocks(&data) {
            continue;
        }
        assert_eq!(third.end(Signal::TERM).await, Some(0), "{}", third.log());
        // What had just been cut may have been merged before the end.
        if has_merged_blocks(&data) {
            break;
        }
        third = start(third.into_folder(), &text).await;
    }
    (third.into_folder(), now_ms())
}

#[tokio::test]
async fn prometheus_reads_what_leadline_wrote_and_answers_the_same() {
    let (folder, now) = life().await;
    let folder = Evidence::new(folder);
    let data = folder.join("data");
    let verified = leadline(&["verify"], &data);
    let (cut, merged) = levels(&data);
    println!("{verified}{cut} blocks were cut, {merged} merged");
    assert!(cut > 0 && merged > 0, "{:#?}", metas(&data));
    let ours = leadline(&["dump"], &data);
    assert!(!ours.contains("n=\"1\""), "what was deleted is gone");
    let late: Vec<&str> = ours.lines().filter(|line| line.contains("\"late\"")).collect();
    let out_of_order = late.iter().filter(|line| odd(line)).count();
    assert!(out_of_order > 0, "samples out of order are there: {late:#?}");
    for release in Release::all() {
        let name = release.name;
        let theirs = release.promtool(&["dump"], &data);
        assert_same_lines(&format!("dump of {name}"), &ours, &theirs);
        assert_eq!(
            leadline(&["list"], &data),
            release.promtool(&["list"], &data),
            "list of {name}"
        );
        for meta in metas(&data) {
            let block = [meta["ulid"].as_str().unwrap()];
            let args = ["analyze", "--limit=100000"];
            let theirs = release.promtool_on(&args, &data, &block);
            let theirs = match release.is_newest() {
                true => theirs,
                // 2.42 has another word for the same.
                false => theirs.replace("\nSeries: ", "\nTotal Series: "),
            };
            assert_same_lines(
                &format!("analyze {block:?} of {name}"),
                &leadline_on(&args, &data, &block),
                &theirs,
            );
        }
        println!(
            "Prometheus {name}: {} lines of the dump are the same",
            ours.lines().count()
        );
    }

    // A sample never stands on the 50th millisecond past a slot of the grid.
    let at = format!("{}.{:03}", now / 1000, now % 1000 / 200 * 200 + 50);
    let queries = Queries {
        texts: &QUERIES,
        at: &at,
    };
    let expected = queries.to_leadline(&data, &FLAGS).await;
    let doomed = |series: &&String| series.contains("\"n\":\"1\"");
    let back: Vec<_> = expected.iter().flatten().filter(doomed).collect();
    assert!(back.is_empty(), "what was deleted is back: {back:#?}");
    for release in Release::all() {
        let flags = ["--storage.tsdb.retention.time=15d"];
        queries.compare(&release, &data, &flags, &expected).await;
    }
}

/// Whether the value of a dumped sample is odd: it came out of order.
fn odd(line: &str) -> bool {
    let value = line.split(' ').rev().nth(1);
    value.and_then(|v| v.parse::<u64>().ok()).is_some_and(|v| v % 2 == 1)
}
