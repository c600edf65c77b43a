//! Merging sources into a block.
#![expect(clippy::unwrap_used, reason = "helpers of a test may stop it")]

use bytes::Bytes;
use leadline_model::entropy::SeededEntropy;
use leadline_model::histogram::{AnyHistogram, Histogram, HistogramSample, ResetHint, Span};
use leadline_model::labels::Labels;
use leadline_model::matcher::{MatchOp, Matcher};
use leadline_model::sample::Samples;
use leadline_storage::StorageError;
use leadline_storage::block::{Block, Meta, Ulid};
use leadline_storage::cache::Cache;
use leadline_storage::chunk::{Encoding, HistogramAppender, XorAppender};
use leadline_storage::compact::{self, Job, Pace, Unhurried, Window};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::interval::{Interval, Intervals};
use leadline_storage::source::{SeriesIter, Source, SourceChunk, SourceSeries, SymbolIter};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A source in memory.
#[derive(Default, Clone)]
struct Held(BTreeMap<Labels, SourceSeries>);

fn named(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn floats(samples: &[(i64, f64)]) -> SourceChunk {
    let mut xor = XorAppender::default();
    samples.iter().for_each(|&(t, v)| xor.append(t, v));
    let mut data = Vec::new();
    xor.copy_to(&mut data);
    SourceChunk {
        mint: samples[0].0,
        maxt: samples[samples.len() - 1].0,
        encoding: Encoding::Xor,
        data: Bytes::from(data),
    }
}

fn histogram(n: u64) -> Histogram {
    Histogram {
        count: 2 * n,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![2 * n as i64],
        ..Histogram::default()
    }
}

fn histograms(samples: &[(i64, u64)]) -> SourceChunk {
    let mut open = HistogramAppender::default();
    for &(t, n) in samples {
        assert!(open.append(t, &histogram(n), false).is_none());
    }
    let sealed = open.seal().unwrap();
    SourceChunk {
        mint: sealed.mint,
        maxt: sealed.maxt,
        encoding: Encoding::Histogram,
        data: Bytes::copy_from_slice(&sealed.data),
    }
}

impl Held {
    fn with(mut self, name: &str, chunks: &[SourceChunk]) -> Self {
        let series = SourceSeries {
            labels: named(name),
            chunks: chunks.to_vec(),
            deleted: Intervals::default(),
        };
        self.0.insert(named(name), series);
        self
    }

    fn without(mut self, name: &str, mint: i64, maxt: i64) -> Self {
        let series = self.0.get_mut(&named(name)).unwrap();
        series.deleted.add(Interval { mint, maxt });
        self
    }
}

impl Source for Held {
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
        let pairs = self.0.keys().flat_map(|labels| labels.iter().collect::<Vec<_>>());
        let all: BTreeSet<String> = pairs.flat_map(|(n, v)| [n.to_owned(), v.to_owned()]).collect();
        Ok(Box::new(all.into_iter().map(Ok)))
    }

    fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
        Ok(Box::new(self.0.values().cloned().map(Ok)))
    }
}

fn ulid(n: u64) -> Ulid {
    Ulid::new(1, &SeededEntropy::new(n))
}

/// Merges into a block of its own disk.
fn merge(sources: &[&dyn Source]) -> Option<(Arc<Block>, Arc<dyn Disk>)> {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    disk.create_dir_all(Path::new("data")).unwrap();
    let written = compact::write(Job {
        disk: &disk,
        dir: Path::new("data"),
        sources,
        meta: Meta::new(ulid(1), 0, 100_000),
        pace: &Unhurried,
        stop: &AtomicBool::new(false),
    });
    let meta = written.unwrap()?;
    let dir = Path::new("data").join(meta.ulid.to_string());
    let block = Block::open(Arc::clone(&disk), &dir, Cache::new(1 << 20)).unwrap();
    Some((block, disk))
}

fn read(block: &Arc<Block>, name: &str) -> Vec<(i64, f64)> {
    let set = block
        .select(&[Matcher::equal("__name__", name)], 0, i64::MAX, true)
        .unwrap();
    let mut samples = Samples::default();
    if set.len() == 1 {
        set.read(0, i64::MIN, i64::MAX, &mut samples).unwrap();
    }
    samples.t.into_iter().zip(samples.v).collect()
}

fn chunks(block: &Arc<Block>, name: &str) -> Vec<SourceChunk> {
    let mut all = block.series().unwrap().map(Result::unwrap);
    all.find(|series| series.labels == named(name)).unwrap().chunks
}

#[test]
fn chunks_that_do_not_overlap_go_through_as_they_are() {
    let (a, b, c) = (
        floats(&[(1, 1.0), (5, 2.0)]),
        floats(&[(6, 3.0)]),
        floats(&[(10, 1.5), (12, 4.0)]),
    );
    let first = Held::default()
        .with("x", &[a.clone(), c.clone()])
        .with("y", std::slice::from_ref(&b));
    let second = Held::default()
        .with("x", std::slice::from_ref(&b))
        .with("z", std::slice::from_ref(&c));
    let (block, _) = merge(&[&first, &second]).unwrap();
    assert_eq!(chunks(&block, "x"), [a, b.clone(), c.clone()]);
    assert_eq!((chunks(&block, "y"), chunks(&block, "z")), (vec![b], vec![c]));
    assert_eq!(block.meta().stats.num_series, 3);
}

#[test]
fn of_two_samples_at_one_time_that_of_the_first_source_stays() {
    let first = Held::default().with("x", &[floats(&[(1, 1.0), (5, 5.0), (9, 9.0)])]);
    let second = Held::default().with("x", &[floats(&[(3, 3.5), (5, 5.5), (11, 11.5)])]);
    let (block, _) = merge(&[&first, &second]).unwrap();
    assert_eq!(read(&block, "x"), [(1, 1.0), (3, 3.5), (5, 5.0), (9, 9.0), (11, 11.5)]);
    let (block, _) = merge(&[&second, &first]).unwrap();
    assert_eq!(read(&block, "x")[2], (5, 5.5));
}

#[test]
fn a_chunk_that_two_sources_have_is_taken_once() {
    let chunk = floats(&[(1, 1.0), (5, 2.0)]);
    let one = Held::default().with("x", std::slice::from_ref(&chunk));
    let (block, _) = merge(&[&one, &one.clone()]).unwrap();
    assert_eq!(chunks(&block, "x"), [chunk]);
}

#[test]
fn what_was_deleted_is_not_written() {
    let source = Held::default()
        .with("x", &[floats(&[(1, 1.0), (5, 2.0)]), floats(&[(6, 3.0), (8, 4.0)])])
        .with("y", &[floats(&[(1, 1.0)])])
        .without("x", 5, 6)
        .without("y", 0, 10);
    let (block, _) = merge(&[&source]).unwrap();
    assert_eq!(read(&block, "x"), [(1, 1.0), (8, 4.0)]);
    assert_eq!(block.meta().stats.num_series, 1);
    assert!(block.tombstones().is_empty());
}

#[test]
fn a_block_without_samples_is_not_written() {
    let gone = Held::default().with("x", &[floats(&[(1, 1.0)])]).without("x", 1, 1);
    assert!(merge(&[&gone]).is_none());
    assert!(merge(&[]).is_none());
}

#[test]
fn a_window_cuts_what_reaches_out_of_it() {
    let source = Held::default()
        .with("x", &[floats(&[(1, 1.0), (5, 2.0)]), floats(&[(6, 3.0), (8, 4.0)])])
        .with("y", &[floats(&[(1, 1.0)])]);
    let (block, _) = merge(&[&Window::new(&source, 5, 6)]).unwrap();
    assert_eq!(read(&block, "x"), [(5, 2.0), (6, 3.0)]);
    assert_eq!(block.meta().stats.num_series, 1);
    let (block, _) = merge(&[&Window::new(&source, i64::MIN, i64::MAX)]).unwrap();
    assert_eq!(read(&block, "x").len(), 4);
}

#[test]
fn merged_chunks_have_at_most_120_samples() {
    let times = |from: i64| (0..400).map(move |i| (from + 2 * i, 0.5)).collect::<Vec<_>>();
    let (a, b) = (times(0), times(1));
    let first = Held::default().with("x", &a.chunks(200).map(floats).collect::<Vec<_>>());
    let second = Held::default().with("x", &[floats(&b)]);
    let (block, _) = merge(&[&first, &second]).unwrap();
    assert_eq!(read(&block, "x").len(), 800);
    assert_eq!(chunks(&block, "x").len(), 7);
}

#[test]
fn histograms_merge_with_histograms_and_floats() {
    let first = Held::default().with("x", &[histograms(&[(1, 1), (5, 3), (9, 9)])]);
    let second = Held::default().with("x", &[histograms(&[(3, 2), (7, 5)]), floats(&[(8, 8.0)])]);
    let (block, _) = merge(&[&first, &second]).unwrap();
    assert_eq!(read(&block, "x"), [(8, 8.0)]);
    let set = block.select(&[], 0, 100, true).unwrap();
    let mut found: Vec<HistogramSample> = Vec::new();
    set.read_histograms(0, 0, 100, &mut found).unwrap();
    let counts: Vec<(i64, u64)> = found
        .iter()
        .map(|s| match &s.h {
            AnyHistogram::Int(h) => (s.t, h.count),
            AnyHistogram::Float(_) => panic!("a float histogram"),
        })
        .collect();
    assert_eq!(counts, [(1, 2), (3, 4), (5, 6), (7, 10), (9, 18)]);
    let AnyHistogram::Int(behind_float) = &found[4].h else {
        panic!()
    };
    assert_ne!(
        behind_float.reset,
        ResetHint::NotReset,
        "nothing is known across the float"
    );
}

#[test]
fn a_source_that_fails_or_a_stop_leaves_nothing() {
    struct Broken;
    impl Source for Broken {
        fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
            Ok(Box::new(std::iter::empty()))
        }
        fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
            Ok(Box::new(std::iter::once(Err(StorageError::Refused(
                "broken".to_owned(),
            )))))
        }
    }
    let whole = Held::default().with("x", &[floats(&[(1, 1.0)])]);
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    disk.create_dir_all(Path::new("data")).unwrap();
    let run = |source: &dyn Source, stop: bool| {
        compact::write(Job {
            disk: &disk,
            dir: Path::new("data"),
            sources: &[&whole, source],
            meta: Meta::new(ulid(1), 0, 10),
            pace: &Unhurried,
            stop: &AtomicBool::new(stop),
        })
    };
    assert!(run(&Broken, false).is_err());
    assert!(run(&whole.clone(), true).is_err());
    assert_eq!(disk.list(Path::new("data")).unwrap(), []);
}

#[test]
fn a_source_whose_series_are_not_in_order_is_the_one_that_is_told() {
    struct Unsorted(Held);
    impl Source for Unsorted {
        fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
            self.0.symbols()
        }
        fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
            let mut all: Vec<_> = self.0.series()?.collect();
            all.reverse();
            Ok(Box::new(all.into_iter()))
        }
        fn damaged(&self, labels: &Labels, _: Option<i64>, expected: &str, got: String) -> StorageError {
            StorageError::damaged(Path::new("theirs"), 0, expected, format!("{got}, in {labels}"))
        }
    }
    let sound = Held::default().with("x", &[floats(&[(1, 1.0)])]);
    let unsorted = Unsorted(sound.clone().with("y", &[floats(&[(1, 1.0)])]));
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    disk.create_dir_all(Path::new("data")).unwrap();
    let error = compact::write(Job {
        disk: &disk,
        dir: Path::new("data"),
        sources: &[&sound, &unsorted],
        meta: Meta::new(ulid(1), 0, 10),
        pace: &Unhurried,
        stop: &AtomicBool::new(false),
    });
    let text = "theirs: damaged at offset 0: expected a series in order, got one behind y, in x";
    assert_eq!(error.unwrap_err().to_string(), text);
}

/// A source whose chunks lie somewhere.
struct Stored(Held);

impl Source for Stored {
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
        self.0.symbols()
    }
    fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
        self.0.series()
    }
    fn is_stored(&self) -> bool {
        true
    }
    fn damaged(&self, labels: &Labels, chunk: Option<i64>, expected: &str, got: String) -> StorageError {
        let at = chunk.unwrap_or_default() as u64;
        StorageError::damaged(Path::new("theirs"), at, expected, format!("{got}, in {labels}"))
    }
}

/// Three equal floats a second apart as Prometheus' XOR2 has them.
fn equal_xor2() -> SourceChunk {
    let mut data = vec![0, 3, 0];
    // Zigzag, and seven bits a byte.
    data.extend([0xd0, 0x0f]);
    data.extend(1f64.to_bits().to_be_bytes());
    // The distance; then one bit for the second value and one for the third sample, both as before.
    data.extend([0xe8, 0x07, 0]);
    SourceChunk {
        mint: 1000,
        maxt: 3000,
        encoding: Encoding::Xor2,
        data: Bytes::from(data),
    }
}

/// The chunk with another number of samples in its header.
fn promising(chunk: &SourceChunk, samples: u16) -> SourceChunk {
    let mut data = chunk.data.to_vec();
    data[..2].copy_from_slice(&samples.to_be_bytes());
    SourceChunk {
        data: Bytes::from(data),
        ..chunk.clone()
    }
}

#[test]
fn a_stored_chunk_that_does_not_hold_what_it_promises_is_told_and_nothing_is_written() {
    let whole = floats(&[(1000, 1.0), (2000, 1.0), (3000, 1.0)]);
    let of_histograms = histograms(&[(1000, 1), (2000, 2), (3000, 3)]);
    let neighbour = Held::default().with("x", &[floats(&[(9000, 1.0)])]);
    let overlapping = Held::default().with("x", &[floats(&[(1500, 1.0)])]);
    for (chunk, more) in [
        (&whole, 4),
        (&of_histograms, 4),
        (&equal_xor2(), 4),
        (&whole, 200),
        (&equal_xor2(), 200),
    ] {
        let merged = |samples: u16, other: &Held| {
            let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
            disk.create_dir_all(Path::new("data")).unwrap();
            let theirs = Stored(Held::default().with("x", &[promising(chunk, samples)]));
            let written = compact::write(Job {
                disk: &disk,
                dir: Path::new("data"),
                sources: &[other, &theirs],
                meta: Meta::new(ulid(1), 0, 10_000),
                pace: &Unhurried,
                stop: &AtomicBool::new(false),
            });
            (written, disk.list(Path::new("data")).unwrap().len())
        };
        let (written, _) = merged(3, &neighbour);
        assert_eq!(written.unwrap().unwrap().stats.num_samples, 4, "{:?}", chunk.encoding);
        // As it is, and decoded.
        for (other, samples) in [
            (&neighbour, more),
            (&neighbour, 2),
            (&overlapping, more),
            (&overlapping, 2),
        ] {
            let (written, left) = merged(samples, other);
            let error = written.map_err(|error| error.to_string());
            let what = format!("{:?} of 3 that promises {samples}: {error:?}", chunk.encoding);
            assert!(
                error.unwrap_err().starts_with("theirs: damaged at offset 1000: "),
                "{what}"
            );
            assert_eq!(left, 0, "{what}");
        }
    }
}

#[test]
fn a_stored_chunk_that_begins_later_than_its_index_says_is_merged_and_one_that_begins_earlier_is_told() {
    let whole = floats(&[(2000, 1.0), (3000, 2.0)]);
    for (mint, expected) in [(1000, Some(2)), (2000, Some(2)), (2500, None)] {
        let theirs = Stored(Held::default().with("x", &[SourceChunk { mint, ..whole.clone() }]));
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        disk.create_dir_all(Path::new("data")).unwrap();
        let written = compact::write(Job {
            disk: &disk,
            dir: Path::new("data"),
            sources: &[&theirs],
            meta: Meta::new(ulid(1), 0, 10_000),
            pace: &Unhurried,
            stop: &AtomicBool::new(false),
        });
        let samples = written.map(|meta| meta.unwrap().stats.num_samples);
        assert_eq!(samples.ok(), expected, "{mint}");
    }
}

#[test]
fn damage_of_a_stored_chunk_goes_with_it_where_all_of_it_was_deleted() {
    let chunk = promising(&floats(&[(1000, 1.0), (2000, 1.0)]), 3);
    let theirs = Stored(
        Held::default()
            .with("x", &[chunk, floats(&[(5000, 2.0)])])
            .without("x", 0, 2000),
    );
    let (block, _) = merge(&[&theirs]).unwrap();
    assert_eq!(read(&block, "x"), [(5000, 2.0)]);
}

/// Adds up what it is told, and sets the flag when it was told so often.
#[derive(Default)]
struct Told {
    bytes: AtomicU64,
    times: AtomicU64,
    stop_at: Option<u64>,
    stop: AtomicBool,
}

impl Pace for Told {
    fn wrote(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if Some(self.times.fetch_add(1, Ordering::Relaxed)) == self.stop_at {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Told {
    /// Writes a block of three series.
    fn write(&self, disk: &Arc<dyn Disk>) -> Result<Option<Meta>, StorageError> {
        let chunk = floats(&[(1, 1.0), (2, 2.0)]);
        let source = ["x", "y", "z"].iter().fold(Held::default(), |source, name| {
            source.with(name, std::slice::from_ref(&chunk))
        });
        disk.create_dir_all(Path::new("data")).unwrap();
        compact::write(Job {
            disk,
            dir: Path::new("data"),
            sources: &[&source],
            meta: Meta::new(ulid(1), 0, 10),
            pace: self,
            stop: &self.stop,
        })
    }
}

#[test]
fn the_pace_is_told_all_that_is_written_but_the_ends_of_files() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let told = Told::default();
    let meta = told.write(&disk).unwrap().unwrap();
    let len = |file: &str| {
        let path = Path::new("data").join(meta.ulid.to_string()).join(file);
        disk.open(&path).unwrap().len().unwrap()
    };
    // Of the index a checksum and the table of contents follow the last entry.
    let expected = len("chunks/000001") + len("index") - 4 - 52;
    assert_eq!(told.bytes.load(Ordering::Relaxed), expected);
}

#[test]
fn a_stop_is_seen_between_any_two_things_that_are_written() {
    let whole = Told::default();
    whole.write(&(Arc::new(MemoryDisk::new()) as Arc<dyn Disk>)).unwrap();
    // Of the last time nobody asks.
    let times = whole.times.load(Ordering::Relaxed) - 1;
    // Symbols; three series; they are read twice, for a list of all and for three lists; a table of four.
    assert!(times >= 1 + 3 + 3 + 3 + 3 + 3, "{times}");
    for stop_at in 0..times {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let told = Told {
            stop_at: Some(stop_at),
            ..Told::default()
        };
        assert!(told.write(&disk).is_err(), "{stop_at}");
        assert_eq!(disk.list(Path::new("data")).unwrap(), [], "{stop_at}");
    }
}

/// Samples of one series in one source, in chunks, with what was deleted.
fn part() -> impl Strategy<Value = (BTreeMap<i64, i32>, usize, Vec<(i64, i64)>)> {
    let samples = proptest::collection::btree_map(0i64..200, 0i32..1_000, 0..60);
    (
        samples,
        1usize..30,
        proptest::collection::vec((0i64..200, 0i64..30), 0..3),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_is_the_union_of_what_was_not_deleted(
        sources in proptest::collection::vec(proptest::collection::btree_map(0usize..4, part(), 0..4), 1..4)
    ) {
        let mut model: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
        let mut held: Vec<Held> = Vec::new();
        for source in &sources {
            let mut all = Held::default();
            for (name, (samples, per_chunk, deleted)) in source {
                let name = format!("s{name}");
                let samples: Vec<(i64, f64)> = samples.iter().map(|(&t, &v)| (t, f64::from(v))).collect();
                all = all.with(&name, &samples.chunks(*per_chunk).map(floats).collect::<Vec<_>>());
                for &(mint, len) in deleted {
                    all = all.without(&name, mint, mint + len);
                }
                let gone: Intervals = deleted.iter().map(|&(mint, len)| Interval { mint, maxt: mint + len }).collect();
                let kept = samples.into_iter().filter(|s| !gone.contains(s.0));
                for (t, v) in kept {
                    model.entry(name.clone()).or_default().entry(t).or_insert(v);
                }
            }
            held.push(all);
        }
        let sources: Vec<&dyn Source> = held.iter().map(|h| h as &dyn Source).collect();
        let Some((block, _)) = merge(&sources) else {
            prop_assert!(model.is_empty());
            return Ok(());
        };
        let any = Matcher::new("__name__", MatchOp::Regex, ".+").unwrap();
        prop_assert_eq!(block.label_values("__name__", &[any], 0, 1_000).unwrap(), model.keys().cloned().collect::<Vec<_>>());
        for (name, samples) in &model {
            prop_assert_eq!(read(&block, name), samples.iter().map(|(&t, &v)| (t, v)).collect::<Vec<_>>());
        }
        let mut found = Vec::new();
        block.verify(&mut |damage| found.push(damage)).unwrap();
        prop_assert_eq!(found, vec![]);
    }
}
