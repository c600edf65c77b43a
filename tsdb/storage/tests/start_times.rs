//! When counters began, as Prometheus stored it (`fixtures/starts.txt`, which tells its origin).

use bytes::Bytes;
use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_storage::ChunkError;
use leadline_storage::block::{Block, Meta, Ulid, Writer};
use leadline_storage::cache::Cache;
use leadline_storage::chunk::{Encoding, decode_starts};
use leadline_storage::disk::Disk;
use leadline_storage::disk::memory::MemoryDisk;
use leadline_storage::source::SourceChunk;
use std::collections::BTreeMap;
use std::num::ParseIntError;
use std::path::Path;
use std::sync::Arc;

const FIXTURE: &str = include_str!("fixtures/starts.txt");

/// A chunk and (time, start), ms, of its samples.
struct Stored {
    name: &'static str,
    encoding: u8,
    chunk: Vec<u8>,
    samples: Vec<(i64, i64)>,
}

impl Stored {
    /// Those of its samples from `mint` to `maxt` (ms) whose start is known.
    fn known(&self, mint: i64, maxt: i64) -> Vec<(i64, i64)> {
        let within = self.samples.iter().copied().filter(|(t, _)| (mint..=maxt).contains(t));
        within.filter(|(_, start)| *start != 0).collect()
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, ParseIntError> {
    let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16);
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn fixture() -> Result<Vec<Stored>, ParseIntError> {
    let mut all: Vec<Stored> = Vec::new();
    for line in FIXTURE.lines() {
        match *line.split(' ').collect::<Vec<_>>() {
            ["chunk", name, encoding, hex] => all.push(Stored {
                name,
                encoding: encoding.parse()?,
                chunk: bytes(hex)?,
                samples: Vec::new(),
            }),
            ["at", t, start] => {
                let sample = (t.parse()?, start.parse()?);
                all.last_mut()
                    .into_iter()
                    .for_each(|stored| stored.samples.push(sample));
            }
            _ => assert!(line.starts_with('#'), "{line}"),
        }
    }
    Ok(all)
}

fn starts(encoding: Encoding, chunk: &[u8], (mint, maxt): (i64, i64)) -> Result<Vec<(i64, i64)>, ChunkError> {
    let mut into = Vec::new();
    decode_starts(encoding, chunk, mint, maxt, &mut into)?;
    Ok(into)
}

#[test]
fn start_times_of_prometheus_are_read_as_it_reads_them() {
    let fixture = fixture().unwrap();
    assert_eq!(fixture.len(), 24);
    for stored in &fixture {
        let encoding = Encoding::from_number(stored.encoding).unwrap();
        let (first, last) = (stored.samples[1].0, stored.samples[stored.samples.len() - 2].0);
        for (mint, maxt) in [(i64::MIN, i64::MAX), (first, last), (last, last), (0, first - 1)] {
            let got = starts(encoding, &stored.chunk, (mint, maxt)).unwrap();
            assert_eq!(
                got,
                stored.known(mint, maxt),
                "{} {encoding:?} {mint} {maxt}",
                stored.name
            );
        }
    }
}

#[test]
fn a_chunk_that_ends_too_early_is_refused() {
    for stored in fixture().unwrap().iter().filter(|stored| stored.samples.len() < 10) {
        let encoding = Encoding::from_number(stored.encoding).unwrap();
        for len in 0..stored.chunk.len() {
            // The last bits of the last byte may be filling.
            let got = starts(encoding, &stored.chunk[..len], (i64::MIN, i64::MAX));
            assert!(
                got.is_err(),
                "{} {encoding:?}: {len} of {} bytes",
                stored.name,
                stored.chunk.len()
            );
        }
    }
    // Encodings without start times have none, whatever their bytes are.
    assert_eq!(starts(Encoding::Xor, &[1], (0, 1)).unwrap(), []);
}

#[test]
fn a_block_hands_on_the_start_times_of_its_chunks() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let dir = Path::new("data");
    disk.create_dir_all(dir).unwrap();
    let ulid = Ulid::new(1_700_000_000_000, &SeededEntropy::new(1));
    let fixture = fixture().unwrap();
    let series: BTreeMap<String, &Stored> = fixture
        .iter()
        .map(|stored| (format!("{}-{}", stored.name, stored.encoding), stored))
        .collect();
    let mut symbols = vec!["__name__".to_owned()];
    symbols.extend(series.keys().cloned());
    symbols.sort();
    let symbols = Box::new(symbols.into_iter().map(Ok));
    let mut writer = Writer::with_segments(Arc::clone(&disk), dir, ulid, symbols, 1 << 20).unwrap();
    for (name, stored) in &series {
        let chunk = SourceChunk {
            mint: stored.samples[0].0,
            maxt: stored.samples[stored.samples.len() - 1].0,
            encoding: Encoding::from_number(stored.encoding).unwrap(),
            data: Bytes::copy_from_slice(&stored.chunk),
        };
        writer
            .series(&Labels::from_pairs([("__name__", name.as_str())]), &[chunk])
            .unwrap();
    }
    let meta = Meta::new(ulid, 1_700_000_000_000, 1_700_010_000_000);
    let meta = writer.finish(meta).unwrap().unwrap();
    let block = Block::open(Arc::clone(&disk), &dir.join(meta.ulid.to_string()), Cache::new(0)).unwrap();
    let (mint, maxt) = (1_700_000_000_000, 1_700_000_060_000);
    let set = block.select(&[], mint, maxt, true).unwrap();
    assert_eq!(set.len(), series.len());
    let mut got = Vec::new();
    for i in 0..set.len() {
        let stored = series[set.labels(i).name()];
        set.start_times(i, mint, maxt, &mut got).unwrap();
        assert_eq!(got, stored.known(mint, maxt), "{}", set.labels(i));
    }
}
