//! Blocks that Prometheus wrote are read, and written again they have the same bytes; Prometheus' tool reads ours.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod blocks;

use blocks::{Data, files, foreign, open, promtool, rewrite, select, write};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_storage::StorageError;
use leadline_storage::block::{Block, Ulid};
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::disk::{Disk, RealDisk};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn block_dirs(data_dir: &Path) -> Vec<PathBuf> {
    let entries = RealDisk.list(data_dir).unwrap().into_iter();
    entries
        .filter(|e| e.name.parse::<Ulid>().is_ok())
        .map(|e| data_dir.join(e.name))
        .collect()
}

/// The samples of a dump by the text of their series: time and value as printed.
fn dump(text: &str) -> BTreeMap<&str, Vec<(i64, &str)>> {
    let mut all: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
    for line in text.lines() {
        let (rest, t) = line.rsplit_once(' ').unwrap();
        let (series, value) = rest.rsplit_once(' ').unwrap();
        all.entry(series).or_default().push((t.parse().unwrap(), value));
    }
    for points in all.values_mut() {
        points.sort_unstable();
    }
    all
}

/// A series as the dump prints it.
fn printed(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.into_iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A value as Go prints it with the fewest digits; values are compared as numbers so that notation does not matter.
fn same(value: f64, text: &str) -> bool {
    text.parse::<f64>()
        .is_ok_and(|t| t == value || t.is_nan() && value.is_nan())
}

#[test]
fn blocks_of_2_42_hold_what_its_dump_says() {
    let Some(folder) = foreign("prom242-datadir") else {
        return;
    };
    let mut text = String::new();
    let packed = std::fs::File::open(folder.join("expected-dump-clean.txt.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let expected = dump(&text);
    let (mut samples, mut latest) = (0, 0);
    for dir in block_dirs(&folder.join("clean")) {
        let block = open(&real(), &dir, 1 << 20).unwrap();
        let meta = block.meta();
        let found = select(&block, &[], ALL.0, ALL.1).unwrap();
        let window = |t: i64| (meta.min_time..meta.max_time).contains(&t);
        let lines = expected.values().flatten().filter(|(t, _)| window(*t)).count();
        let mut here = 0;
        for (labels, points) in &found {
            let lines = &expected[&*printed(labels)];
            for &(t, v) in points {
                let at = lines.partition_point(|l| l.0 < t);
                let line = lines.get(at).filter(|l| l.0 == t && same(f64::from_bits(v), l.1));
                assert!(
                    line.is_some(),
                    "{labels} has {} at {t}, the dump has {:?}",
                    f64::from_bits(v),
                    lines.get(at)
                );
            }
            here += points.len();
        }
        assert_eq!(here, lines, "{}", dir.display());
        assert_eq!(
            found.len() as u64,
            meta.stats.num_series - fully_deleted(&block, &found)
        );
        block.verify(&mut |damage| panic!("{damage}")).unwrap();
        samples += here;
        latest = latest.max(meta.max_time);
    }
    // What the log and the head add is behind the newest block.
    assert_eq!(samples, expected.values().flatten().filter(|l| l.0 < latest).count());
    assert!(samples > 50_000, "{samples}");
}

/// Series of the index that no longer have a sample.
fn fully_deleted(block: &Arc<Block>, found: &Data) -> u64 {
    use leadline_storage::source::Source as _;
    let all = block.series().unwrap().map(|s| s.unwrap().labels);
    all.filter(|labels| !found.contains_key(labels)).count() as u64
}

#[test]
fn sizes_are_those_that_2_42_lists() {
    let Some(folder) = foreign("prom242-datadir") else {
        return;
    };
    let listed = std::fs::read_to_string(folder.join("expected-list-clean.txt")).unwrap();
    for line in listed.lines().skip(1) {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let block = open(&real(), &folder.join("clean").join(columns[0]), 0).unwrap();
        let stats = &block.meta().stats;
        let ours = [stats.num_samples, stats.num_chunks, stats.num_series, block.size()].map(|n| n.to_string());
        assert_eq!(ours, columns[4..8], "{line}");
    }
}

/// Everything of an index before its first postings list but for the label indices, which only old versions wrote.
fn series_section(index: &[u8]) -> &[u8] {
    let toc = &index[index.len() - 52..];
    let label_indices = u64::from_be_bytes(toc[16..24].try_into().unwrap()) as usize;
    &index[..label_indices]
}

#[test]
fn blocks_of_2_42_written_again_have_the_same_chunks_symbols_and_series() {
    let Some(folder) = foreign("prom242-datadir") else {
        return;
    };
    for dir in block_dirs(&folder.join("clean")) {
        let block = open(&real(), &dir, 0).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let ours = rewrite(&block, &disk, Path::new("data")).unwrap();
        let theirs = |file: &str| std::fs::read(dir.join(file)).unwrap();
        assert!(
            blocks::content(&*disk, &ours.join("chunks/000001")) == theirs("chunks/000001"),
            "{}",
            dir.display()
        );
        let (index, old) = (blocks::content(&*disk, &ours.join("index")), theirs("index"));
        assert!(series_section(&index) == series_section(&old), "{}", dir.display());
        let again = open(&disk, &ours, 0).unwrap();
        again.verify(&mut |damage| panic!("{damage}")).unwrap();
        for name in block.label_names(&[], ALL.0, ALL.1).unwrap() {
            let values = |b: &Block| b.label_values(&name, &[], ALL.0, ALL.1).unwrap();
            assert_eq!(values(&again), values(&block));
        }
    }
}

#[test]
fn version_1_is_read() {
    let Some(folder) = foreign("tsdb") else {
        return;
    };
    let block = open(&real(), &folder.join("index_format_v1"), 1 << 20).unwrap();
    assert_eq!(block.index_version(), 1);
    let all = select(&block, &[], ALL.0, ALL.1).unwrap();
    assert_eq!(all.len(), 102);
    assert!(all.values().all(|points| points.len() == 1));
    block.verify(&mut |damage| panic!("{damage}")).unwrap();
    for name in block.label_names(&[], ALL.0, ALL.1).unwrap() {
        let values = block.label_values(&name, &[], ALL.0, ALL.1).unwrap();
        assert!(values.is_sorted());
        for value in values {
            let some = select(&block, &[Matcher::equal(&*name, &*value)], ALL.0, ALL.1).unwrap();
            let expected = all.keys().filter(|l| l.get(&name) == Some(&value));
            assert!(some.keys().eq(expected), "{name}={value}");
        }
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    let Some(folder) = foreign("tsdb") else {
        return;
    };
    let dir = block_dirs(&folder.join("repair_index_version")).remove(0);
    let refused = open(&real(), &dir, 0).unwrap_err();
    assert!(
        matches!(
            refused,
            StorageError::Unknown {
                what: "meta.json version",
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused
            .to_string()
            .contains("meta.json version 2 is not known, expected 1"),
        "{refused}"
    );
}

/// Series with label values of many shapes, over three hours so that there are several chunks.
fn open_metrics() -> String {
    let mut text = String::from("# TYPE a counter\n");
    for i in 0..150 {
        for minute in 0..(if i < 10 { 170 } else { 3 }) {
            let value = f64::from(minute * i) * 1.25;
            let t = 1_700_000_000 + minute * 60;
            text += &format!(
                "a_total{{pod=\"pod-{i}\",zone=\"{}\",path=\"/ü\\\"{}\"}} {value} {t}.{:03}\n",
                i % 3,
                i % 40,
                i % 7
            );
        }
    }
    text + "# EOF\n"
}

fn create_blocks(tool: &Path, dir: &Path) -> Vec<PathBuf> {
    let input = dir.join("input.txt");
    std::fs::write(&input, open_metrics()).unwrap();
    let out = dir.join("data");
    let run = Command::new(tool)
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&input, &out])
        .output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    block_dirs(&out)
}

#[test]
fn blocks_of_3_16_written_again_have_the_same_bytes() {
    let Some(tool) = promtool() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let theirs = create_blocks(&tool, dir.path());
    assert!(!theirs.is_empty());
    for dir in theirs {
        let block = open(&real(), &dir, 0).unwrap();
        block.verify(&mut |damage| panic!("{damage}")).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let ours = rewrite(&block, &disk, Path::new("data")).unwrap();
        for file in files(&*disk, &ours) {
            let equal = blocks::content(&*disk, &ours.join(&file)) == std::fs::read(dir.join(&file)).unwrap();
            assert!(equal, "{} of {}", file.display(), dir.display());
        }
    }
}

fn ask(tool: &Path, args: &[&str], dir: &Path) -> String {
    let run = Command::new(tool).arg("tsdb").args(args).arg(dir).output().unwrap();
    assert!(
        run.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn promtool_reads_what_we_write() {
    let Some(tool) = promtool() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut data = Data::new();
    for i in 0..200_i64 {
        let labels = Labels::from_pairs([
            ("__name__", "up".to_owned()),
            ("pod", format!("p{i}")),
            ("zone", format!("z{}", i % 3)),
        ]);
        let points = (0..40)
            .map(|s| (1_700_000_000_000 + s * 15_000, (s * i) as f64))
            .map(|(t, v)| (t, v.to_bits()));
        data.insert(labels, points.collect());
    }
    let block_dir = write(&real(), dir.path(), &data, 10, 4096);
    let block = open(&real(), &block_dir, 0).unwrap();
    let deleted = 1_700_000_000_000 + 15_000 * 20;
    block.delete(&[Matcher::equal("zone", "z1")], deleted, ALL.1).unwrap();
    for (labels, points) in &mut data {
        if labels.get("zone") == Some("z1") {
            points.retain(|p| p.0 < deleted);
        }
    }
    let list = ask(&tool, &["list"], dir.path());
    let columns: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    let size = block.size().to_string();
    assert_eq!(columns[4..8], ["8000", "800", "200", &*size], "{list}");
    let analyzed = ask(&tool, &["analyze"], dir.path());
    for line in [
        "Total Series: 200",
        "Label names: 3",
        "Postings (unique label pairs): 204",
    ] {
        assert!(analyzed.contains(line), "{line} not in {analyzed}");
    }
    std::fs::create_dir(dir.path().join("wal")).unwrap();
    let dumped = ask(&tool, &["dump"], dir.path());
    let dumped = dump(&dumped);
    assert_eq!(dumped.len(), data.len());
    for (labels, points) in &data {
        let lines = &dumped[&*printed(labels)];
        assert_eq!(lines.len(), points.len());
        assert!(
            points
                .iter()
                .zip(lines)
                .all(|(p, l)| p.0 == l.0 && same(f64::from_bits(p.1), l.1)),
            "{labels}"
        );
    }
}
