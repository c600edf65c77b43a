//! Blocks of other programs that are not what they must be, beside blocks of the store's own.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[expect(dead_code, reason = "other tests need the rest")]
mod stores;

use leadline_model::entropy::SeededEntropy;
use leadline_model::labels::Labels;
use leadline_storage::Settings;
use leadline_storage::block::{Meta, Ulid, Writer};
use leadline_storage::chunk::{Encoding, XorAppender};
use leadline_storage::disk::Disk;
use leadline_storage::source::SourceChunk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stores::{MINUTE, RANGE, Store, small};

/// A chunk of a sample for each minute, of which the index says that it is `said` (ms).
fn chunk(minutes: std::ops::Range<i64>, said: (i64, i64)) -> SourceChunk {
    let mut open = XorAppender::default();
    minutes.for_each(|minute| open.append(minute * MINUTE, 1.0));
    SourceChunk {
        mint: said.0,
        maxt: said.1,
        encoding: Encoding::Xor,
        data: open.seal(&mut Vec::new()).to_vec().into(),
    }
}

/// A store of 190 minutes whose blocks are not merged, and a block beside the second of them with a series of these chunks.
fn with_foreign(chunks: &[SourceChunk]) -> (Store, Ulid, PathBuf) {
    let mut store = Store::new(Settings {
        max_block_range_ms: RANGE,
        ..small()
    });
    for minute in 0..190 {
        store.write("a", minute..minute + 1);
        store.db.maintain();
    }
    let ulid = Ulid::new(1, &SeededEntropy::new(77));
    let disk: Arc<dyn Disk> = store.disk.clone();
    let symbols = ["__name__", "theirs", "whole"].map(|text| Ok(text.to_owned()));
    let mut writer = Writer::create(disk, Path::new("data"), ulid, Box::new(symbols.into_iter())).unwrap();
    let whole = [chunk(20..30, (20 * MINUTE, 29 * MINUTE))];
    for (name, chunks) in [("theirs", chunks), ("whole", &whole)] {
        writer
            .series(&Labels::from_pairs([("__name__", name)]), chunks)
            .unwrap();
    }
    writer.finish(Meta::new(ulid, RANGE, 2 * RANGE)).unwrap();
    store.settings.max_block_range_ms = 3 * RANGE;
    (store, ulid, Path::new("data").join(ulid.to_string()))
}

/// Maintains until nothing is left to do: the failures, which blame the foreign block alone and keep no other from being
/// merged.
fn blamed_alone(mut store: Store, foreign: Ulid) -> Vec<String> {
    store.restart();
    let failures: Vec<String> = (0..8).flat_map(|_| store.db.maintain().failures).collect();
    let blocks = store.db.blocks();
    let failed = blocks.iter().filter(|block| block.meta().compaction.failed);
    assert_eq!(
        failed.map(|block| block.ulid()).collect::<Vec<_>>(),
        [foreign],
        "{failures:?}"
    );
    let whole = |&(mint, maxt): &(i64, i64)| maxt - mint == 3 * RANGE;
    assert!(store.blocks().iter().any(whole), "{:?}", store.blocks());
    assert_eq!(store.read("a"), Store::samples(0..190));
    failures
}

#[test]
fn a_block_whose_chunks_overlap_more_than_its_index_says_is_blamed_alone() {
    let (first, second) = ((20 * MINUTE, 29 * MINUTE), (30 * MINUTE, 39 * MINUTE));
    let (store, foreign, dir) = with_foreign(&[chunk(20..30, first), chunk(25..35, second)]);
    let failures = blamed_alone(store, foreign);
    let place = format!("{}: damaged at offset ", dir.join("chunks/000001").display());
    let expected = "expected samples from 1800000 to 2340000, got 10 from 1500000 to 2040000";
    assert!(
        failures.len() == 1 && failures[0].contains(&place) && failures[0].contains(expected),
        "{failures:?}"
    );
}

#[test]
fn a_block_whose_chunks_overlap_by_its_index_is_blamed_alone() {
    let (first, second) = ((20 * MINUTE, 29 * MINUTE), (30 * MINUTE, 39 * MINUTE));
    let (store, foreign, dir) = with_foreign(&[chunk(20..30, first), chunk(25..35, second)]);
    let path = dir.join("index");
    let file = store.disk.open(&path).unwrap();
    let mut index = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut index, 0).unwrap();
    let toc = &index[index.len() - 52..];
    let at = u64::from_be_bytes(*toc[8..16].first_chunk().unwrap()).next_multiple_of(16) as usize;
    let content = index[at + 1..at + 1 + usize::from(index[at])].to_vec();
    // How long the second chunk begins behind the end of the first: a minute, in three bytes. Its room is followed by zeros.
    let distance = [0xe0, 0xd4, 0x03];
    let found = content.windows(3).position(|bytes| bytes == distance).unwrap();
    let mut before = ((25 - 29) * MINUTE) as u64;
    let mut crafted = vec![0];
    crafted.extend(&content[..found]);
    while before >= 0x80 {
        crafted.push(before as u8 | 0x80);
        before >>= 7;
    }
    crafted.push(before as u8);
    crafted.extend(&content[found + 3..]);
    crafted[0] = (crafted.len() - 1) as u8;
    crafted.extend(crc32c::crc32c(&crafted[1..]).to_be_bytes());
    assert!(content.len() + 5 <= crafted.len() && crafted.len() <= (content.len() + 5).next_multiple_of(16));
    store.disk.append(&path).unwrap().write_at(&crafted, at as u64).unwrap();
    let failures = blamed_alone(store, foreign);
    let place = format!("{}: damaged at offset ", path.display());
    assert!(
        failures.len() == 1 && failures[0].contains(&place) && failures[0].contains("a chunk behind the one before"),
        "{failures:?}"
    );
}

#[test]
fn a_block_with_a_chunk_that_promises_more_than_it_holds_is_blamed_alone() {
    let mut promising = chunk(20..30, (20 * MINUTE, 29 * MINUTE));
    let mut data = promising.data.to_vec();
    data[1] += 1;
    promising.data = data.into();
    let (store, foreign, dir) = with_foreign(&[promising]);
    let failures = blamed_alone(store, foreign);
    let place = format!("{}: damaged at offset 8: ", dir.join("chunks/000001").display());
    assert!(failures.len() == 1 && failures[0].contains(&place), "{failures:?}");
}
