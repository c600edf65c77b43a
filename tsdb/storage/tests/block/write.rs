//! What is written is read, also after deletions.

use super::select::large;
use super::support::{
    ALL, DIR, Data, SEGMENT, content, disk, files, float_chunk, naive, open, points, read, rewrite, select, small,
    ulid, write, writer,
};
use leadline_model::histogram::{AnyHistogram, Histogram, HistogramSample, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::sample::Samples;
use leadline_storage::StorageError;
use leadline_storage::block::{Meta, Writer};
use leadline_storage::chunk::{Encoding, HistogramAppender};
use leadline_storage::source::{Source as _, SourceChunk};
use std::path::Path;
use std::sync::Arc;

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
    let (mut floats, mut at_once) = (Samples::default(), Vec::new());
    set.read_all(0, 1_000, 10_010, &mut floats, &mut at_once).unwrap();
    assert_eq!((floats.t, at_once), (vec![10_000, 10_010], found));
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
