//! `leadline serve` with a limit on the bytes that it stores: the oldest blocks go, and nothing else does.

use crate::world::{Exporter, Leadline, config, until};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Blocks of two seconds, which are not merged.
const FLAGS: [&str; 3] = [
    "--storage.tsdb.min-block-duration=2s",
    "--storage.tsdb.max-block-duration=2s",
    "--storage.tsdb.retention.size=1MB",
];
const LIMIT: f64 = (1 << 20) as f64;
/// So many series make a block of two seconds about a tenth of the limit.
const SERIES: usize = 1_000;

/// From when to when the blocks in the directory are (ms), by name.
fn blocks(leadline: &Leadline) -> BTreeMap<String, (i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(leadline.folder().join("data")).unwrap() {
        let entry = entry.unwrap();
        // One that is being made or removed has none.
        let Ok(meta) = std::fs::read(entry.path().join("meta.json")) else {
            continue;
        };
        let name = entry.file_name().into_string().unwrap();
        if !name.contains('.') {
            let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
            let time = |key: &str| meta[key].as_i64().unwrap();
            found.insert(name, (time("minTime"), time("maxTime")));
        }
    }
    found
}

/// When (ms) there are samples of one series.
async fn answered(leadline: &Leadline) -> BTreeSet<i64> {
    let parameters = [("query", "padding{n=\"7\"}[1h]")];
    let (status, answer) = leadline.json("/api/v1/query", &parameters).await;
    assert_eq!(status, 200, "{answer}");
    let samples = answer["data"]["result"][0]["values"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let ms = |sample: &serde_json::Value| (sample[0].as_f64().unwrap() * 1000.0).round() as i64;
    samples.iter().map(ms).collect()
}

#[tokio::test]
async fn the_oldest_block_goes_when_there_is_no_room_for_it_and_all_newer_samples_stay() {
    let mut page = String::new();
    for n in 0..SERIES {
        writeln!(page, "padding{{n=\"{n}\"}} {n}").unwrap();
    }
    let exporter = Exporter::start(&page).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("leadline.yaml");
    std::fs::write(&file, config(&[exporter.job("app")], "")).unwrap();
    let leadline = Leadline::start_with(folder, file, &FLAGS).await;
    leadline.until_value("count(padding)", SERIES as f64).await;

    let seen = std::sync::Mutex::new((BTreeMap::new(), BTreeSet::new()));
    let removed = async || {
        let (all, samples) = (blocks(&leadline), answered(&leadline).await);
        let removed = leadline.own("prometheus_tsdb_size_retentions_total").await;
        let mut seen = seen.lock().unwrap();
        seen.0.extend(all);
        seen.1.extend(samples);
        removed.filter(|removed| *removed >= 2.0)
    };
    until("blocks that are removed", || leadline.log(), removed).await;
    let (known, before) = seen.into_inner().unwrap();

    // Another may go while this is asked: what was gone before is gone, and what is there behind it was there.
    let gone = |left: &BTreeMap<String, (i64, i64)>| {
        let gone = known.iter().filter(|(name, _)| !left.contains_key(*name));
        gone.map(|(_, (_, end))| *end).max().unwrap()
    };
    let surely = gone(&blocks(&leadline));
    let found = answered(&leadline).await;
    let left = blocks(&leadline);
    let at_most = gone(&left);
    assert!(
        left.values().all(|(start, _)| *start >= at_most),
        "{known:?}, left {left:?}"
    );
    assert!(!left.is_empty(), "{}", leadline.log());
    assert!(found.first().is_some_and(|t| *t >= surely), "{surely}: {found:?}");
    assert!(before.first().is_some_and(|t| *t < surely), "{surely}: {before:?}");
    let newer: BTreeSet<i64> = before.range(at_most..).copied().collect();
    assert!(
        !newer.is_empty() && newer.is_subset(&found),
        "{at_most}: {newer:?}, {found:?}"
    );
    let bytes = leadline.own("prometheus_tsdb_storage_blocks_bytes").await;
    assert!(bytes.is_some_and(|bytes| bytes < LIMIT), "{bytes:?}");
    let by_time = leadline.own("prometheus_tsdb_time_retentions_total").await;
    assert_eq!(by_time, Some(0.0));
}
