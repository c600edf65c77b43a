//! Chunks that are closed early, so that little of a series is in memory alone, and joined again in a block.

use super::*;
use leadline_storage::chunk::XorAppender;

const STEP: i64 = 15_000;
const NAMES: [&str; 3] = ["__name__=hard", "__name__=counter", "__name__=constant"];

fn long_chunks() -> Settings {
    Settings {
        chunk_samples: 120,
        ..settings()
    }
}

/// The values of sample number `i`: one with a whole mantissa of noise, which takes eight bytes; two that take few.
fn values(i: u32) -> [f64; 3] {
    [(f64::from(i) * 0.7).sin(), f64::from(i * (i % 3)), 1.0]
}

/// Appends samples of numbers `which`, by the clock, and maps chunks once a minute.
fn fill(w: &World, which: std::ops::Range<u32>, into: &mut [Vec<(Timestamp, f64)>; 3]) {
    let owner = w.head.new_owner();
    for i in which {
        let now = w.clock.advance(STEP);
        let samples: Vec<_> = NAMES.iter().zip(values(i)).map(|(name, v)| (*name, now, v)).collect();
        w.put(owner, &samples);
        for (series, sample) in into.iter_mut().zip(&samples) {
            series.push((sample.1, sample.2));
        }
        if i % 4 == 3 {
            w.head.flush().unwrap();
            w.head.map_chunks().unwrap();
        }
    }
    w.head.sync().unwrap();
}

/// The chunks of a block of these samples: as long as they may be.
fn chunks_of(samples: &[(Timestamp, f64)]) -> Vec<Vec<u8>> {
    let (mut open, mut scratch, mut chunks) = (XorAppender::default(), Vec::new(), Vec::new());
    for &(t, v) in samples {
        if open.is_full(120) {
            chunks.push(open.seal(&mut scratch).to_vec());
        }
        open.append(t, v);
    }
    if open.samples() > 0 {
        chunks.push(open.seal(&mut scratch).to_vec());
    }
    chunks
}

/// Asserts that the head gives a block of two hours from `begin` (ms) the chunks of these samples.
fn assert_block(w: &World, begin: Timestamp, samples: &[Vec<(Timestamp, f64)>; 3]) {
    let end = begin + 2 * HOUR;
    let source = w.head.range(begin, end - 1);
    let mut met = 0;
    for series in source.series().unwrap() {
        let series = series.unwrap();
        let at = NAMES
            .iter()
            .position(|name| series.labels.get("__name__") == name.strip_prefix("__name__="));
        let within: Vec<_> = samples[at.unwrap()]
            .iter()
            .copied()
            .filter(|s| s.0 >= begin && s.0 < end)
            .collect();
        let found: Vec<Vec<u8>> = series.chunks.iter().map(|chunk| chunk.data.to_vec()).collect();
        assert_eq!(found, chunks_of(&within), "{}", series.labels);
        let ends = (series.chunks[0].mint, series.chunks.last().unwrap().maxt);
        assert_eq!(ends, (within[0].0, within.last().unwrap().0));
        met += 1;
    }
    assert_eq!(met, NAMES.len());
}

#[test]
fn what_was_closed_early_is_in_a_block_as_if_it_had_not_been() {
    let mut w = World::new(long_chunks());
    let mut samples = [const { Vec::new() }; 3];
    // Two and a half hours: a chunk that the end of a block cuts, and the next block.
    fill(&w, 0..350, &mut samples);
    assert_block(&w, NOW, &samples);
    w.restart();
    fill(&w, 350..600, &mut samples);
    for begin in [NOW, NOW + 2 * HOUR] {
        assert_block(&w, begin, &samples);
    }
    let crashed = w.disk.crash(&SeededEntropy::new(1));
    w.restart_on(crashed);
    for begin in [NOW, NOW + 2 * HOUR] {
        assert_block(&w, begin, &samples);
    }
}

#[test]
fn of_a_series_that_is_hard_to_compress_little_is_in_memory() {
    let w = World::new(long_chunks());
    let mut samples = [const { Vec::new() }; 3];
    let mut most = 0;
    for n in 0..100 {
        fill(&w, n * 4..n * 4 + 4, &mut samples);
        most = most.max(w.head.stats().chunk_bytes);
    }
    // Of the three, the hard one has 320 bytes and its mark in a buffer of 384, the counter as much, the constant 128.
    assert!(most <= 384 + 384 + 128, "{most}");
    // The hard one is read from as many chunks as were closed of it.
    let all = w.all();
    let bits: Vec<_> = samples[0].iter().map(|s| (s.0, s.1.to_bits())).collect();
    assert!(all.iter().any(|(_, found)| *found == bits));
    assert!(w.head.stats().chunks > 3 + 400 * 8 / 320, "{}", w.head.stats().chunks);
}
