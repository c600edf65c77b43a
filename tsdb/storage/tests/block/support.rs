//! Blocks for tests: made from samples, and read back whole.

use bytes::Bytes;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_model::matcher::{Matcher, all_match};
use leadline_model::port::SeriesSet;
use leadline_model::sample::{STALE_NAN_BITS, Samples};
use leadline_storage::StorageError;
use leadline_storage::block::{Block, Meta, Ulid, Writer};
use leadline_storage::cache::Cache;
use leadline_storage::chunk::{Encoding, XorAppender};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::source::{Source, SourceChunk};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const DIR: &str = "data";
pub(crate) const ALL: (i64, i64) = (i64::MIN, i64::MAX);
pub(crate) const SEGMENT: u64 = 512 << 20;

/// (time, bits of the value).
pub(crate) type Points = Vec<(i64, u64)>;

/// Samples by series.
pub(crate) type Data = BTreeMap<Labels, Points>;

pub(crate) fn float_chunk(points: &[(i64, u64)]) -> SourceChunk {
    let mut open = XorAppender::default();
    for &(t, v) in points {
        open.append(t, f64::from_bits(v));
    }
    SourceChunk {
        mint: points[0].0,
        maxt: points[points.len() - 1].0,
        encoding: Encoding::Xor,
        data: Bytes::copy_from_slice(&open.seal(&mut Vec::new())),
    }
}

pub(crate) fn symbols<'a>(series: impl Iterator<Item = &'a Labels>) -> BTreeSet<String> {
    series
        .flatten()
        .flat_map(|(n, v)| [n.to_owned(), v.to_owned()])
        .collect()
}

pub(crate) fn ulid(seed: u64) -> Ulid {
    Ulid::new(1_700_000_000_000, &SeededEntropy::new(seed))
}

pub(crate) fn writer(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    data: &Data,
    segment_bytes: u64,
) -> Result<Writer, StorageError> {
    let symbols = Box::new(symbols(data.keys()).into_iter().map(Ok));
    Writer::with_segments(Arc::clone(disk), dir, ulid(1), symbols, segment_bytes)
}

/// Writes a block with chunks of at most `per_chunk` samples, and returns its folder.
pub(crate) fn write(disk: &Arc<dyn Disk>, dir: &Path, data: &Data, per_chunk: usize, segment_bytes: u64) -> PathBuf {
    disk.create_dir_all(dir).unwrap();
    let mut writer = writer(disk, dir, data, segment_bytes).unwrap();
    for (labels, points) in data {
        let chunks: Vec<_> = points.chunks(per_chunk).map(float_chunk).collect();
        writer.series(labels, &chunks).unwrap();
    }
    let times = || data.values().flatten().map(|p| p.0);
    let meta = Meta::new(ulid(1), times().min().unwrap_or(0), times().max().unwrap_or(0) + 1);
    let meta = writer.finish(meta).unwrap().unwrap();
    dir.join(meta.ulid.to_string())
}

pub(crate) fn open(disk: &Arc<dyn Disk>, dir: &Path, cache: u64) -> Result<Arc<Block>, StorageError> {
    Block::open(Arc::clone(disk), dir, Cache::new(cache))
}

/// Everything that a set gives between two times.
pub(crate) fn read(set: &dyn SeriesSet, mint: i64, maxt: i64) -> Result<Data, leadline_model::port::QueryError> {
    let mut all = Data::new();
    let mut samples = Samples::default();
    for i in 0..set.len() {
        set.read(i, mint, maxt, &mut samples)?;
        let points = samples
            .t
            .iter()
            .copied()
            .zip(samples.v.iter().map(|v| v.to_bits()))
            .collect();
        assert!(all.insert(set.labels(i), points).is_none(), "{} twice", set.labels(i));
    }
    Ok(all)
}

/// Everything of a block that matchers select between two times.
pub(crate) fn select(
    block: &Arc<Block>,
    matchers: &[Matcher],
    mint: i64,
    maxt: i64,
) -> Result<Data, leadline_model::port::QueryError> {
    read(&*block.select(matchers, mint, maxt, true)?, mint, maxt)
}

/// Writes the block once more from what its source gives. Returns its folder.
pub(crate) fn rewrite(block: &Block, disk: &Arc<dyn Disk>, dir: &Path) -> Result<PathBuf, StorageError> {
    let mut writer = Writer::create(Arc::clone(disk), dir, block.ulid(), block.symbols()?)?;
    for series in block.series()? {
        let series = series?;
        writer.series(&series.labels, &series.chunks)?;
    }
    let meta = writer.finish((*block.meta()).clone())?.unwrap();
    Ok(dir.join(meta.ulid.to_string()))
}

pub(crate) fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut content = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut content, 0).unwrap();
    content
}

/// The files of a block, below its folder.
pub(crate) fn files(disk: &dyn Disk, dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["index", "meta.json", "tombstones"].iter().map(PathBuf::from).collect();
    let chunks = disk.list(&dir.join("chunks")).unwrap();
    found.extend(chunks.iter().map(|e| Path::new("chunks").join(&e.name)));
    found
}

/// Folder of files that other systems wrote, where this machine has it.
pub(crate) fn foreign(what: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map_or(beside, PathBuf::from);
    let folder = folder.join(what);
    if !folder.is_dir() {
        note(&format!(
            "absent: no {what} of Prometheus (set LEADLINE_CONFORMANCE_DATA)"
        ));
        return None;
    }
    Some(folder)
}

/// Prometheus' promtool 3.16, where it was built.
pub(crate) fn promtool() -> Option<PathBuf> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs/build");
    let asked = std::process::Command::new(build)
        .args(["--where", "prometheus"])
        .output();
    let folder = asked.ok().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let tool = folder
        .map(|folder| Path::new(&folder).join("promtool"))
        .filter(|tool| tool.is_file());
    if tool.is_none() {
        note("SKIPPED in part: promtool is not built (run tests/programs/build prometheus)");
    }
    tool
}

/// One visible line, past the test harness, which would swallow it.
fn note(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub(crate) fn disk() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::new())
}

pub(crate) fn points(count: i64, start: i64, step: i64) -> Vec<(i64, u64)> {
    (0..count)
        .map(|i| (start + i * step, (i as f64 * 1.5).to_bits()))
        .collect()
}

/// Few series with everything: several chunks, values of one and many series, a stale marker.
pub(crate) fn small() -> Data {
    let mut data = Data::new();
    for (i, (name, job)) in [("up", "a"), ("up", "b"), ("down", "a")].into_iter().enumerate() {
        let labels = Labels::from_pairs([("__name__", name), ("job", job), ("one", &format!("v{i}"))]);
        let mut points = points(7, 1_000 + i as i64, 15_000);
        points.push((200_000, STALE_NAN_BITS));
        data.insert(labels, points);
    }
    data
}

pub(crate) fn naive(data: &Data, matchers: &[Matcher], mint: i64, maxt: i64) -> Data {
    data.iter()
        .filter(|(labels, _)| all_match(matchers, labels))
        .map(|(labels, points)| {
            let within = points.iter().filter(|p| mint <= p.0 && p.0 <= maxt).copied();
            (labels.clone(), within.collect::<Vec<_>>())
        })
        .filter(|(_, points)| !points.is_empty())
        .collect()
}
