//! Blocks: what is written is read, by any matchers, after deletions, crashes and with any byte damaged.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod blocks;

use blocks::{Data, content, files, float_chunk, open, read, rewrite, select, ulid, write, writer};
use leadline_model::entropy::SeededEntropy;
use leadline_model::histogram::{AnyHistogram, Histogram, HistogramSample, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher, all_match};
use leadline_model::sample::STALE_NAN_BITS;
use leadline_storage::StorageError;
use leadline_storage::block::{Block, Cache, Meta, Writer};
use leadline_storage::chunk::{Encoding, HistogramAppender};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::source::{Source, SourceChunk};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

const DIR: &str = "data";
const ALL: (i64, i64) = (i64::MIN, i64::MAX);
const SEGMENT: u64 = 512 << 20;

fn disk() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::new())
}

fn points(count: i64, start: i64, step: i64) -> Vec<(i64, u64)> {
    (0..count)
        .map(|i| (start + i * step, (i as f64 * 1.5).to_bits()))
        .collect()
}

/// Few series with everything: several chunks, values of one and many series, a stale marker.
fn small() -> Data {
    let mut data = Data::new();
    for (i, (name, job)) in [("up", "a"), ("up", "b"), ("down", "a")].into_iter().enumerate() {
        let labels = Labels::from_pairs([("__name__", name), ("job", job), ("one", &format!("v{i}"))]);
        let mut points = points(7, 1_000 + i as i64, 15_000);
        points.push((200_000, STALE_NAN_BITS));
        data.insert(labels, points);
    }
    data
}

/// Thousands of series, so that lists of postings differ in length and values fill several pages.
fn large() -> &'static (Data, Arc<Block>) {
    static LARGE: OnceLock<(Data, Arc<Block>)> = OnceLock::new();
    LARGE.get_or_init(|| {
        let mut data = Data::new();
        for i in 0..1_200_i64 {
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{}", i % 7)),
                ("pod", format!("pod-{i:04}")),
                ("zone", ["a", "b", "c", ""][(i % 4) as usize].to_owned()),
                ("rare", if i % 1000 == 0 { format!("r{i}") } else { String::new() }),
                ("shard", format!("{:02}", i % 70)),
            ]);
            data.insert(labels, points(3, i * 10, 10));
        }
        let disk = disk();
        let dir = write(&disk, Path::new(DIR), &data, 2, SEGMENT);
        let block = open(&disk, &dir, 1 << 20).unwrap();
        (data, block)
    })
}

fn naive(data: &Data, matchers: &[Matcher], mint: i64, maxt: i64) -> Data {
    data.iter()
        .filter(|(labels, _)| all_match(matchers, labels))
        .map(|(labels, points)| {
            let within = points.iter().filter(|p| mint <= p.0 && p.0 <= maxt).copied();
            (labels.clone(), within.collect::<Vec<_>>())
        })
        .filter(|(_, points)| !points.is_empty())
        .collect()
}

/// Series without a sample in the window may be selected where a chunk reaches over it.
fn with_samples(mut data: Data) -> Data {
    data.retain(|_, points| !points.is_empty());
    data
}

fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let names = prop::sample::select(vec!["__name__", "pod", "zone", "rare", "shard", "absent"]);
    let values = prop::sample::select(vec![
        "", "a", "b", "metric_1", "pod-0042", "pod-1000", "r0", "r1000", "05", "nothing",
    ]);
    let patterns = prop::sample::select(vec![
        "",
        ".*",
        ".+",
        "a|b",
        "a|",
        "metric_(1|2)",
        "pod-00.*",
        "pod-.*7",
        ".*1.*",
        "r.+",
        "0[0-5]",
        "x?",
        "pod-0042|pod-9999",
    ]);
    let equal = (names.clone(), values, any::<bool>()).prop_map(|(name, value, not)| {
        if not {
            Matcher::not_equal(name, value)
        } else {
            Matcher::equal(name, value)
        }
    });
    let regex = (names, patterns, any::<bool>()).prop_map(|(name, pattern, not)| {
        Matcher::new(name, if not { MatchOp::NotRegex } else { MatchOp::Regex }, pattern).unwrap()
    });
    prop::collection::vec(prop_oneof![equal, regex], 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matchers_select_what_asking_every_series_selects(matchers in matchers(), mint in -10i64..12_100, len in 0i64..12_000) {
        let (data, block) = large();
        let maxt = mint + len;
        let found = select(block, &matchers, mint, maxt).unwrap();
        let expected = naive(data, &matchers, mint, maxt);
        prop_assert_eq!(with_samples(found.clone()), expected.clone(), "{:?}", matchers);

        let set = block.select(&matchers, mint, maxt, true).unwrap();
        let labels: Vec<Labels> = (0..set.len()).map(|i| set.labels(i)).collect();
        prop_assert!(labels.is_sorted());
        for i in 0..set.len() {
            let last = found[&labels[i]].last().copied();
            let newest = set.newest(i, mint, maxt).unwrap();
            prop_assert_eq!(newest.map(|s| (s.t, s.v.to_bits())), last);
        }
        if !matchers.is_empty() {
            let names: BTreeSet<&str> = found.keys().flatten().map(|(n, _)| n).collect();
            prop_assert_eq!(block.label_names(&matchers, mint, maxt).unwrap(), Vec::from_iter(names));
            let pods: BTreeSet<&str> = found.keys().filter_map(|l| l.get("pod")).collect();
            prop_assert_eq!(block.label_values("pod", &matchers, mint, maxt).unwrap(), Vec::from_iter(pods));
        }
    }
}

/// One for each way in which a matcher is applied.
#[test]
fn every_kind_of_matcher_selects_what_asking_every_series_selects() {
    let (data, block) = large();
    let regex = |name: &str, op, pattern: &str| Matcher::new(name, op, pattern).unwrap();
    let (is, not) = (MatchOp::Regex, MatchOp::NotRegex);
    for matchers in [
        // One series is found, and asked the rest.
        vec![
            Matcher::equal("pod", "pod-0042"),
            Matcher::equal("__name__", "metric_0"),
        ],
        vec![
            Matcher::equal("pod", "pod-0042"),
            Matcher::equal("__name__", "metric_1"),
        ],
        // Few are found, and asked; each value once.
        vec![Matcher::equal("shard", "05"), regex("pod", is, "pod-.*7.*")],
        vec![Matcher::equal("shard", "05"), regex("pod", not, "pod-.*7.*")],
        vec![Matcher::equal("shard", "05"), regex("zone", is, "a?")],
        vec![Matcher::equal("shard", "05"), regex("zone", is, "[ab]")],
        // Many are found: values are judged, and lists joined or looked up.
        vec![regex("pod", is, "pod-0.*7")],
        vec![regex("zone", is, "a|c|nothing")],
        vec![regex("zone", is, ".+"), regex("shard", is, "0.|1[0-5]")],
        vec![regex("zone", is, "a?"), regex("shard", not, "0.|1[0-5]")],
        vec![regex("zone", not, "a|b"), regex("zone", not, "c")],
        vec![
            Matcher::not_equal("zone", ""),
            Matcher::not_equal("zone", "a"),
            Matcher::equal("rare", ""),
        ],
        vec![Matcher::not_equal("zone", "nothing"), regex("rare", is, "")],
        vec![
            Matcher::equal("zone", ""),
            regex("absent", is, ".*"),
            regex("absent", is, "x?"),
        ],
        vec![Matcher::equal("zone", "a"), Matcher::equal("absent", "x")],
        vec![Matcher::equal("zone", "nothing")],
    ] {
        let found = select(block, &matchers, ALL.0, ALL.1).unwrap();
        assert_eq!(found, naive(data, &matchers, ALL.0, ALL.1), "{matchers:?}");
    }
}

#[test]
fn names_and_values_without_matchers_are_those_of_the_index() {
    let (data, block) = large();
    assert_eq!(
        block.label_names(&[], ALL.0, ALL.1).unwrap(),
        ["__name__", "pod", "rare", "shard", "zone"]
    );
    for name in ["pod", "zone", "rare", "shard", "absent"] {
        let expected: BTreeSet<&str> = data.keys().filter_map(|l| l.get(name)).collect();
        assert_eq!(
            block.label_values(name, &[], ALL.0, ALL.1).unwrap(),
            Vec::from_iter(expected),
            "{name}"
        );
    }
    assert_eq!(block.label_pairs(), 7 + 1_200 + 2 + 70 + 3);
}

#[test]
fn the_cache_stays_within_its_bytes_and_is_hit() {
    let (_, block) = large();
    let disk = disk();
    let dir = rewrite(block, &disk, Path::new(DIR)).unwrap();
    let cache = Cache::new(64 << 10);
    let block = Block::open(Arc::clone(&disk), &dir, Arc::clone(&cache)).unwrap();
    for _ in 0..2 {
        assert_eq!(
            select(&block, &[Matcher::equal("zone", "a")], ALL.0, ALL.1)
                .unwrap()
                .len(),
            300
        );
    }
    let stats = cache.stats();
    assert!(stats.bytes <= stats.capacity, "{stats:?}");
    assert!(stats.entries > 0 && stats.misses > 300, "{stats:?}");
    let few = [Matcher::equal("pod", "pod-0042")];
    select(&block, &few, ALL.0, ALL.1).unwrap();
    let before = cache.stats();
    select(&block, &few, ALL.0, ALL.1).unwrap();
    let after = cache.stats();
    assert!(after.hits > before.hits);
    assert_eq!(after.misses, before.misses);
}

#[test]
fn writing_what_a_source_gives_makes_the_same_bytes() {
    let (_, block) = large();
    let first = disk();
    let once = rewrite(block, &first, Path::new(DIR)).unwrap();
    let again = open(&first, &once, 0).unwrap();
    let second = disk();
    let twice = rewrite(&again, &second, Path::new(DIR)).unwrap();
    for file in files(&*first, &once) {
        let (a, b) = (
            content(&*first, &once.join(&file)),
            content(&*second, &twice.join(&file)),
        );
        assert!(a == b, "{}", file.display());
    }
}

/// From which limit (bytes) on Prometheus' writer (`tsdb/chunks`, 3.16, `WithSegmentSize`) makes segments of which lengths
/// of [`small`] with two samples a chunk; up to 420.
const SEGMENTS: &[(u64, &[u64])] = &[
    (40, &[31, 32, 31, 40, 31, 32, 31, 40, 31, 32, 31, 40]),
    (63, &[55, 31, 40, 55, 31, 40, 55, 31, 40]),
    (67, &[55, 31, 63, 55, 63, 55, 40]),
    (71, &[55, 63, 55, 63, 55, 63]),
    (90, &[78, 63, 55, 63, 55, 40]),
    (95, &[78, 87, 86, 55, 40]),
    (99, &[78, 87, 86, 87]),
    (118, &[78, 87, 110, 63]),
    (122, &[78, 110, 110, 40]),
    (126, &[110, 110, 110]),
    (137, &[133, 110, 87]),
    (142, &[133, 134, 63]),
    (165, &[157, 133, 40]),
    (181, &[157, 165]),
    (192, &[180, 142]),
    (228, &[212, 110]),
    (239, &[235, 87]),
    (267, &[259, 63]),
    (294, &[282, 40]),
    (330, &[314]),
];

#[test]
fn segments_end_where_those_of_prometheus_do() {
    let data = small();
    for limit in 40..=420 {
        let disk = disk();
        let dir = write(&disk, Path::new(DIR), &data, 2, limit);
        let lens: Vec<u64> = disk.list(&dir.join("chunks")).unwrap().iter().map(|e| e.len).collect();
        let expected = SEGMENTS.iter().rev().find(|(from, _)| *from <= limit).unwrap().1;
        assert_eq!(lens, expected, "{limit}");
        if limit % 20 == 0 {
            let block = open(&disk, &dir, 0).unwrap();
            assert_eq!(select(&block, &[], ALL.0, ALL.1).unwrap(), data);
            block.verify(&mut |damage| panic!("{damage}")).unwrap();
        }
    }
}

#[test]
fn what_was_deleted_is_gone_and_stays_gone() {
    let disk = disk();
    let mut data = small();
    let dir = write(&disk, Path::new(DIR), &data, 2, SEGMENT);
    let block = open(&disk, &dir, 1 << 20).unwrap();
    let up = [Matcher::equal("__name__", "up")];
    let before = block.select(&up, ALL.0, ALL.1, true).unwrap();
    assert_eq!(block.delete(&up, 16_000, 61_000).unwrap(), 2);
    assert_eq!(
        block
            .delete(&[Matcher::equal("job", "a"), up[0].clone()], 0, 1_000)
            .unwrap(),
        1
    );
    assert_eq!(block.delete(&[Matcher::equal("job", "none")], ALL.0, ALL.1).unwrap(), 0);
    assert_eq!(block.delete(&up, 300_000, 400_000).unwrap(), 0);
    assert_eq!(block.meta().stats.num_tombstones, 3);
    let frozen = read(&*before, ALL.0, ALL.1).unwrap();
    assert_eq!(frozen, naive(&data, &up, ALL.0, ALL.1), "a selection does not change");
    for (labels, points) in &mut data {
        if labels.name() == "up" {
            points.retain(|p| !(16_000..=61_000).contains(&p.0));
            if labels.get("job") == Some("a") {
                points.retain(|p| p.0 > 1_000);
            }
        }
    }
    for block in [&block, &open(&disk, &dir, 0).unwrap()] {
        assert_eq!(select(block, &[], ALL.0, ALL.1).unwrap(), data);
        assert_eq!(
            select(block, &up, 17_000, 60_000).unwrap(),
            Data::new(),
            "all chunks are deleted there"
        );
        assert_eq!(
            block.label_values("job", &up, 17_000, 60_000).unwrap(),
            Vec::<String>::new()
        );
        assert_eq!(block.tombstones().total(), 3);
        assert_eq!(block.meta().stats.num_tombstones, 3);
        block.verify(&mut |damage| panic!("{damage}")).unwrap();
        let deleted: usize = block
            .series()
            .unwrap()
            .map(|s| s.unwrap().deleted.as_slice().len())
            .sum();
        assert_eq!(deleted, 3);
    }
    block.delete(&[], ALL.0, ALL.1).unwrap();
    assert!(block.select(&[], ALL.0, ALL.1, true).unwrap().is_empty());
}

#[test]
fn histograms_are_read_beside_floats() {
    let disk = disk();
    let histogram = |count: u64| Histogram {
        count,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count as i64],
        ..Histogram::default()
    };
    let mut open_chunk = HistogramAppender::default();
    for i in 0..5 {
        assert!(open_chunk.append(1_000 * i, &histogram(i as u64 + 1), false).is_none());
    }
    let sealed = open_chunk.seal().unwrap();
    let chunk = SourceChunk {
        mint: sealed.mint,
        maxt: sealed.maxt,
        encoding: Encoding::Histogram,
        data: bytes::Bytes::copy_from_slice(&sealed.data),
    };
    let labels = Labels::from_pairs([("__name__", "h")]);
    let symbols = ["__name__", "h"].map(|s| Ok(s.to_owned()));
    disk.create_dir_all(Path::new(DIR)).unwrap();
    let mut writer = Writer::create(
        Arc::clone(&disk),
        Path::new(DIR),
        ulid(1),
        Box::new(symbols.into_iter()),
    )
    .unwrap();
    writer
        .series(&labels, &[chunk, float_chunk(&points(3, 10_000, 10))])
        .unwrap();
    let meta = writer.finish(Meta::new(ulid(1), 0, 20_000)).unwrap().unwrap();
    assert_eq!(
        (
            meta.stats.num_samples,
            meta.stats.num_histogram_samples,
            meta.stats.num_float_samples
        ),
        (8, 5, 3)
    );
    let block = open(&disk, &Path::new(DIR).join(meta.ulid.to_string()), 1 << 20).unwrap();
    block.verify(&mut |damage| panic!("{damage}")).unwrap();
    block.delete(&[], 2_000, 2_000).unwrap();
    let set = block.select(&[], 1_000, 10_010, true).unwrap();
    let mut found: Vec<HistogramSample> = Vec::new();
    set.read_histograms(0, 1_000, 10_010, &mut found).unwrap();
    let counts = found.iter().map(|s| match &s.h {
        AnyHistogram::Int(h) => (s.t, h.count),
        AnyHistogram::Float(_) => panic!("a float histogram"),
    });
    assert_eq!(counts.collect::<Vec<_>>(), [(1_000, 2), (3_000, 4), (4_000, 5)]);
    assert_eq!(read(&*set, 1_000, 10_010).unwrap()[&labels].len(), 2);
}

#[test]
fn nothing_is_left_of_a_block_without_samples_or_without_an_end() {
    let disk = disk();
    let dir = Path::new(DIR);
    disk.create_dir_all(dir).unwrap();
    let data = small();
    let mut empty = writer(&disk, dir, &data, SEGMENT).unwrap();
    for labels in data.keys() {
        empty.series(labels, &[]).unwrap();
    }
    assert_eq!(empty.finish(Meta::new(ulid(1), 0, 1)).unwrap(), None);
    assert!(disk.list(dir).unwrap().is_empty());
    let dropped = writer(&disk, dir, &data, SEGMENT).unwrap();
    assert_eq!(disk.list(dir).unwrap().len(), 1);
    drop(dropped);
    assert!(disk.list(dir).unwrap().is_empty());
}

#[test]
fn what_is_out_of_order_is_refused() {
    let disk = disk();
    let dir = Path::new(DIR);
    disk.create_dir_all(dir).unwrap();
    let data = small();
    let series: Vec<_> = data.keys().collect();
    let chunk = |start| float_chunk(&points(2, start, 10));
    let mut writer = writer(&disk, dir, &data, SEGMENT).unwrap();
    writer.series(series[1], &[chunk(0)]).unwrap();
    for (labels, chunks) in [
        (series[0], vec![chunk(0)]),
        (series[1], vec![chunk(0)]),
        (series[2], vec![chunk(5), chunk(0)]),
        (series[2], vec![chunk(0), chunk(10)]),
        (&Labels::from_pairs([("z", "unknown")]), vec![chunk(0)]),
    ] {
        let refused = writer.series(labels, &chunks);
        assert!(matches!(refused, Err(StorageError::Refused(_))), "{refused:?}");
    }
    let unsorted = ["b", "a"].map(|s| Ok(s.to_owned()));
    let refused = Writer::create(Arc::clone(&disk), dir, ulid(2), Box::new(unsorted.into_iter()));
    assert!(matches!(refused, Err(StorageError::Refused(_))), "{refused:?}");
}

#[test]
fn a_crash_leaves_the_whole_block_or_none() {
    let memory = MemoryDisk::new();
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let data = small();
    let dir = write(&disk, Path::new(DIR), &data, 2, 100);
    disk.sync_dir(Path::new("")).ok();
    for seed in 0..50 {
        let after: Arc<dyn Disk> = Arc::new(memory.crash(&SeededEntropy::new(seed)));
        if after.exists(&dir).unwrap() {
            let block = open(&after, &dir, 0).unwrap();
            assert_eq!(select(&block, &[], ALL.0, ALL.1).unwrap(), data, "seed {seed}");
            block.verify(&mut |damage| panic!("{damage}")).unwrap();
        } else {
            // Only the data directory itself, which nobody here made durable, may be lost.
            assert!(!after.exists(Path::new(DIR)).unwrap(), "seed {seed}");
        }
    }
}

#[test]
fn keys_of_others_stay_in_the_description() {
    let disk = disk();
    let dir = write(&disk, Path::new(DIR), &small(), 2, SEGMENT);
    let path = dir.join("meta.json");
    let mut meta: serde_json::Value = serde_json::from_slice(&content(&*disk, &path)).unwrap();
    meta["thanos"] = serde_json::json!({"labels": {"cluster": "a"}, "downsample": {"resolution": 0}});
    meta["stats"]["numOther"] = 7.into();
    meta["compaction"]["sources"] = serde_json::Value::Null;
    let mut file = disk.create(&path).unwrap();
    file.write_all(&serde_json::to_vec(&meta).unwrap()).unwrap();
    let block = open(&disk, &dir, 0).unwrap();
    block.update_meta(|m| m.compaction.failed = true).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&content(&*disk, &path)).unwrap();
    meta["compaction"]["failed"] = true.into();
    meta["compaction"].as_object_mut().unwrap().remove("sources");
    assert_eq!(written, meta);
    assert_eq!(
        block.size(),
        files(&*disk, &dir)
            .iter()
            .map(|f| content(&*disk, &dir.join(f)).len() as u64)
            .sum::<u64>()
    );
}

/// A disk with the block on which one file has other bytes.
fn changed(memory: &MemoryDisk, path: &Path, content: &[u8]) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(memory.duplicate());
    disk.create(path).unwrap().write_all(content).unwrap();
    disk
}

/// Opens and reads in every way; what is read must be right.
fn right_or_refused(disk: &Arc<dyn Disk>, dir: &Path, data: &Data, what: &str) -> bool {
    match open(disk, dir, 1 << 20) {
        Ok(block) => reads_right(&block, data, what),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fn reads_right(block: &Arc<Block>, data: &Data, what: &str) -> bool {
    let mut whole = true;
    let regex = |pattern| vec![Matcher::new("one", MatchOp::Regex, pattern).unwrap()];
    for matchers in [
        vec![],
        vec![Matcher::equal("job", "a")],
        regex("v[01]"),
        regex("v0|v2"),
        vec![Matcher::not_equal("job", "a")],
    ] {
        match select(block, &matchers, ALL.0, ALL.1) {
            Ok(found) => assert_eq!(found, naive(data, &matchers, ALL.0, ALL.1), "{what}: {matchers:?}"),
            Err(_) => whole = false,
        }
    }
    let jobs: BTreeSet<&str> = data.keys().filter_map(|l| l.get("job")).collect();
    match block.label_values("job", &[], ALL.0, ALL.1) {
        Ok(values) => assert_eq!(values, Vec::from_iter(jobs), "{what}"),
        Err(_) => whole = false,
    }
    let source = block.series().and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match source {
        Ok(series) => assert_eq!(series.len(), data.len(), "{what}"),
        Err(_) => whole = false,
    }
    whole & block.symbols().and_then(Iterator::collect::<Result<Vec<_>, _>>).is_ok()
}

#[test]
fn no_flipped_byte_changes_what_is_read() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    open(&disk, &dir, 0)
        .unwrap()
        .delete(&[Matcher::equal("job", "b")], 5_000, 20_000)
        .unwrap();
    let left = select(&open(&disk, &dir, 0).unwrap(), &[], ALL.0, ALL.1).unwrap();
    for file in files(&*disk, &dir) {
        let path = dir.join(&file);
        let original = content(&*disk, &path);
        let mut unseen = 0;
        for (at, bit) in (0..original.len()).flat_map(|at| [0u8, 3, 7].map(|bit| (at, bit))) {
            let mut flipped = original.clone();
            flipped[at] ^= 1 << bit;
            let what = format!("{} byte {at} bit {bit}", file.display());
            unseen += usize::from(right_or_refused(&changed(&memory, &path, &flipped), &dir, &left, &what));
        }
        // Padding and the version of the tombstones have no checksum; neither has anything in the description.
        if file != Path::new("meta.json") {
            assert!(
                unseen * 5 < 3 * original.len(),
                "{}: {unseen} of {} flips unseen",
                file.display(),
                3 * original.len()
            );
        }
    }
}

#[test]
fn no_cut_file_is_taken_for_whole() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    for file in files(&*disk, &dir) {
        let path = dir.join(&file);
        let original = content(&*disk, &path);
        for len in 0..original.len() {
            let what = format!("{} of {len} bytes", file.display());
            let cut = changed(&memory, &path, &original[..len]);
            assert!(!right_or_refused(&cut, &dir, &data, &what), "{what}");
        }
        let missing: Arc<dyn Disk> = Arc::new(memory.duplicate());
        missing.remove_file(&path).unwrap();
        let opened = right_or_refused(&missing, &dir, &data, &file.display().to_string());
        assert_eq!(opened, file == Path::new("tombstones"), "{} missing", file.display());
    }
}

#[test]
fn bytes_that_change_under_an_open_block_are_noticed() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    for file in ["index", "chunks/000001"] {
        let len = content(&*disk, &dir.join(file)).len();
        for at in 0..len {
            let copy: Arc<dyn Disk> = Arc::new(memory.duplicate());
            let block = open(&copy, &dir, 0).unwrap();
            let path = dir.join(file);
            let byte = content(&*copy, &path)[at];
            copy.append(&path).unwrap().write_at(&[byte ^ 0x21], at as u64).unwrap();
            reads_right(&block, &data, &format!("{file} byte {at}"));
        }
    }
}

#[test]
fn a_newer_index_is_refused_and_version_3_is_read() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    let path = dir.join("index");
    let mut index = content(&*disk, &path);
    index[4] = 3;
    assert!(right_or_refused(
        &changed(&memory, &path, &index),
        &dir,
        &data,
        "version 3"
    ));
    index[4] = 4;
    let refused = open(&changed(&memory, &path, &index), &dir, 0).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("index version 4 is not known, expected 1, 2 or 3"),
        "{refused}"
    );
}

/// Every run of bytes of an index that a checksum behind it covers.
fn frames(index: &[u8]) -> Vec<std::ops::Range<usize>> {
    let u32_at = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    let toc = index.len() - 52;
    let offset = |i: usize| u64::from_be_bytes(index[toc + 8 * i..toc + 8 * i + 8].try_into().unwrap()) as usize;
    let (symbols, series, series_end, table) = (offset(0), offset(1), offset(2), offset(5));
    let mut frames = vec![
        symbols + 4..symbols + 4 + u32_at(symbols),
        toc..toc + 48,
        table + 4..table + 4 + u32_at(table),
    ];
    let mut at = series.next_multiple_of(16);
    while at < series_end {
        // These series are shorter than 128 bytes.
        let len = usize::from(index[at]);
        frames.push(at + 1..at + 1 + len);
        at = (at + 1 + len + 4).next_multiple_of(16);
    }
    at = series_end.next_multiple_of(4);
    while at < table {
        frames.push(at + 4..at + 4 + u32_at(at));
        at += 8 + u32_at(at);
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Wrong content under right checksums may be read as something else, but stops nothing and takes no more memory
    /// than the files are long.
    #[test]
    fn crafted_indexes_stop_nothing(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        static BLOCK: OnceLock<(MemoryDisk, std::path::PathBuf, Vec<u8>)> = OnceLock::new();
        let (memory, dir, original) = BLOCK.get_or_init(|| {
            let memory = MemoryDisk::new();
            let disk: Arc<dyn Disk> = Arc::new(memory.clone());
            let dir = write(&disk, Path::new(DIR), &small(), 4, SEGMENT);
            let index = content(&*disk, &dir.join("index"));
            (memory, dir, index)
        });
        let frames = frames(original);
        let mut index = original.clone();
        for (frame, at, value) in changes {
            let frame = &frames[frame.index(frames.len())];
            index[frame.start + at.index(frame.len())] = value;
            let crc = crc32c::crc32c(&index[frame.clone()]);
            index[frame.end..frame.end + 4].copy_from_slice(&crc.to_be_bytes());
        }
        let disk = changed(memory, &dir.join("index"), &index);
        if let Ok(block) = open(&disk, dir, 1 << 20) {
            for matchers in [vec![], vec![Matcher::equal("job", "a")], vec![Matcher::not_equal("job", "a")]] {
                if let Ok(set) = block.select(&matchers, ALL.0, ALL.1, true) {
                    let mut samples = leadline_model::sample::Samples::default();
                    for i in 0..set.len() {
                        let _ = set.read(i, ALL.0, ALL.1, &mut samples);
                        let _ = set.newest(i, 0, 20_000);
                    }
                }
                let _ = block.label_values("job", &matchers, ALL.0, ALL.1);
            }
            let _ = block.series().map(|series| series.for_each(drop));
            let _ = block.symbols().map(|symbols| symbols.for_each(drop));
            let _ = block.verify(&mut drop);
            let _ = block.delete(&[Matcher::equal("job", "b")], 0, 20_000);
        }
    }
}

#[test]
fn verification_names_what_is_wrong() {
    let (memory, data) = (MemoryDisk::new(), small());
    let disk: Arc<dyn Disk> = Arc::new(memory.clone());
    let dir = write(&disk, Path::new(DIR), &data, 4, SEGMENT);
    let clean = open(&disk, &dir, 0)
        .unwrap()
        .verify(&mut |damage| panic!("{damage}"))
        .unwrap();
    assert_eq!((clean.series, clean.chunks, clean.samples), (3, 6, 24));
    let path = dir.join("chunks/000001");
    let original = content(&*disk, &path);
    // Behind the header every byte is under a checksum.
    for at in 8..original.len() {
        let mut flipped = original.clone();
        flipped[at] ^= 4;
        let block = open(&changed(&memory, &path, &flipped), &dir, 0).unwrap();
        let mut found = Vec::new();
        block.verify(&mut |damage| found.push(damage)).unwrap();
        assert!(
            found.iter().any(|d| d.path == path && d.offset <= at as u64),
            "byte {at}: {found:?}"
        );
    }
    let longer = changed(&memory, &path, &[original.clone(), vec![0]].concat());
    let mut found = Vec::new();
    open(&longer, &dir, 0)
        .unwrap()
        .verify(&mut |damage| found.push(damage))
        .unwrap();
    assert!(
        found.iter().any(|d| d.expected == "the end of the segment"),
        "{found:?}"
    );
    let meta = dir.join("meta.json");
    let text = String::from_utf8(content(&*disk, &meta)).unwrap();
    for (from, to, key) in [
        ("\"numSamples\": 24", "\"numSamples\": 25", "numSamples"),
        ("\"minTime\": 1000", "\"minTime\": 1001", "times"),
    ] {
        let wrong = changed(&memory, &meta, text.replace(from, to).as_bytes());
        let mut found = Vec::new();
        open(&wrong, &dir, 0)
            .unwrap()
            .verify(&mut |damage| found.push(damage))
            .unwrap();
        assert!(found.iter().any(|d| d.expected.contains(key)), "{key}: {found:?}");
    }
}
