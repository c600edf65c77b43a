//! Blocks that no longer fit.

use crate::world::{Leadline, printed, run, until};
use leadline_model::clock::{Clock, SystemClock};
use std::fmt::Write;
use std::path::Path;

/// Time of a block, s.
const BLOCK: i64 = 7_200;
/// How many there are.
const BLOCKS: i64 = 5;

/// A sample of five series every 30 s over five blocks that have ended, as OpenMetrics; values do not compress, so that all
/// blocks have about the same size. Returns when they begin, s.
fn write_past(file: &Path) -> i64 {
    let begin = (SystemClock.now() / 1000 / BLOCK - BLOCKS) * BLOCK;
    let mut text = String::new();
    for i in 0..BLOCKS * BLOCK / 30 {
        let v = (i * 7_919_777_777) % 1_000_003;
        for n in 0..5 {
            writeln!(text, "past{{n=\"{n}\"}} {} {}", v + n, begin + i * 30).unwrap();
        }
    }
    std::fs::write(file, text + "# EOF\n").unwrap();
    begin
}

/// When each block of a directory begins (s), and the bytes of its files; in the order of time.
fn blocks(data: &Path) -> Vec<(i64, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(data).unwrap().flatten() {
        let Ok(meta) = std::fs::read(entry.path().join("meta.json")) else {
            continue;
        };
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        let files = std::fs::read_dir(entry.path()).unwrap().flatten();
        let chunks = std::fs::read_dir(entry.path().join("chunks")).unwrap().flatten();
        let files = files.chain(chunks).filter(|file| file.path().is_file());
        let bytes = files.map(|file| file.metadata().unwrap().len()).sum();
        found.push((meta["minTime"].as_i64().unwrap() / 1000, bytes));
    }
    found.sort_unstable();
    found
}

#[tokio::test]
async fn the_oldest_blocks_go_when_all_is_too_large_and_no_more_than_that() {
    let folder = tempfile::tempdir().unwrap();
    let (input, data) = (folder.path().join("past.om"), folder.path().join("data"));
    let begin = write_past(&input);
    let (from, to) = (input.display().to_string(), data.display().to_string());
    let made = run(&["tsdb", "create-blocks-from", "openmetrics", &from, &to]).await;
    assert!(made.status.success(), "{}", printed(&made));
    let before = blocks(&data);
    assert_eq!(before.len() as i64, BLOCKS, "{before:?}");
    let newest = before[3].1 + before[4].1;
    let room = before[2].1 / 2;

    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, "global: {}\n").unwrap();
    // Room for two blocks and a log that has nothing; of the default retention, none is too old or short enough to be merged.
    let limit = format!("--storage.tsdb.retention.size={}B", newest + room);
    let leadline = Leadline::start_with(folder, file, &[&limit]).await;
    let removed = async || {
        let removed = leadline.own("prometheus_tsdb_size_retentions_total").await?;
        (removed > 0.0).then_some(removed)
    };
    let removed = until("blocks to be removed", || leadline.log(), removed).await;
    assert_eq!(removed, 3.0, "{}", leadline.log());
    assert_eq!(blocks(&data), before[3..]);
    for (block, there) in [(0, false), (2, false), (3, true), (4, true)] {
        let at = (begin + block * BLOCK + BLOCK / 2).to_string();
        let (status, answer) = leadline
            .json("/api/v1/query", &[("query", "count(past)"), ("time", &at)])
            .await;
        assert_eq!(status, 200, "{answer}");
        let found = answer["data"]["result"].as_array().unwrap();
        assert_eq!(!found.is_empty(), there, "block {block}: {answer}");
    }
}
