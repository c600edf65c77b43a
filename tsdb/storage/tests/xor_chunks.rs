//! The XOR encoding: equal to Prometheus' bytes, lossless, and safe on any bytes.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use leadline_model::sample::{STALE_NAN_BITS, Samples};
use leadline_storage::ChunkError;
use leadline_storage::chunk::{Encoding, XorAppender, decode, sample_count};
use proptest::prelude::*;
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn encode(samples: &[(i64, u64)]) -> Vec<u8> {
    let mut open = XorAppender::default();
    for &(t, v) in samples {
        open.append(t, f64::from_bits(v));
    }
    open.seal(&mut Vec::new()).to_vec()
}

fn decoded(chunk: &[u8], mint: i64, maxt: i64) -> Result<Vec<(i64, u64)>, ChunkError> {
    let mut into = Samples::default();
    decode(Encoding::Xor, chunk, mint, maxt, &mut into)?;
    Ok(into.t.into_iter().zip(into.v.into_iter().map(f64::to_bits)).collect())
}

/// Folder of files that other systems wrote, where this machine has it.
fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("LEADLINE_CONFORMANCE_DATA").map_or(beside, PathBuf::from);
    folder.join("prom242-datadir").is_dir().then_some(folder)
}

fn chunk_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            chunk_files(&path, found);
        } else if path.parent().is_some_and(|p| p.ends_with("chunks")) {
            found.push(path);
        }
    }
}

/// (encoding, data) of each chunk of a block's segment: `len uvarint | encoding u8 | data | crc u32` after 8 bytes.
fn segment(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut rest = &bytes[8..];
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (mut len, mut shift) = (0usize, 0);
        loop {
            let byte = rest[0];
            rest = &rest[1..];
            len |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        chunks.push((rest[0], &rest[1..=len]));
        rest = &rest[len + 5..];
    }
    chunks
}

#[test]
fn chunks_of_prometheus_decode_and_encode_to_the_same_bytes() {
    let Some(folder) = data() else {
        // Past the test harness, which would swallow it.
        let _ = writeln!(
            std::io::stderr(),
            "absent: no chunks of Prometheus (set LEADLINE_CONFORMANCE_DATA)"
        );
        return;
    };
    let mut files = Vec::new();
    chunk_files(&folder.join("prom242-datadir"), &mut files);
    chunk_files(&folder.join("tsdb"), &mut files);
    let (mut chunks, mut samples, mut spares) = (0, 0, 0);
    for file in files {
        for (encoding, data) in segment(&std::fs::read(&file).unwrap()) {
            assert_eq!(encoding, 1, "{}", file.display());
            let got = decoded(data, i64::MIN, i64::MAX).unwrap();
            assert_eq!(got.len(), usize::from(sample_count(Encoding::Xor, data)));
            // Before 3.0 the writer left an unused byte behind when the last field ended a byte (prometheus#14854);
            // today's writer does not, and neither do we.
            let ours = encode(&got);
            let spare = usize::from(data.len() == ours.len() + 1 && data.ends_with(&[0]));
            assert_eq!(ours, data[..data.len() - spare], "{} chunk {chunks}", file.display());
            spares += spare;
            chunks += 1;
            samples += got.len();
        }
    }
    println!("{chunks} chunks, {samples} samples of Prometheus compared, {spares} without their spare byte");
    assert!(spares * 20 < chunks, "{spares} of {chunks} chunks had a spare byte");
    assert!(chunks > 1_000, "only {chunks} chunks found");
}

#[test]
fn every_boundary_of_the_delta_ranges_survives() {
    let edges = [
        8_191,
        8_192,
        8_193,
        65_535,
        65_536,
        65_537,
        524_287,
        524_288,
        524_289,
        1 << 40,
    ];
    for dod in edges.into_iter().flat_map(|e: i64| [e, -e]) {
        let (t0, delta) = (1_700_000_000_000, 1 << 41);
        let samples = [
            (t0, 1),
            (t0 + delta, 1),
            (t0 + delta * 2 + dod, 1),
            (t0 + delta * 3 + dod, 1),
        ];
        assert_eq!(
            decoded(&encode(&samples), i64::MIN, i64::MAX).unwrap(),
            samples,
            "{dod}"
        );
        // '10' + 14 bits and '110' + 17 bits and so on: the length tells which range was chosen.
        let bits = match dod {
            -8_191..=8_192 => 16,
            -65_535..=65_536 => 20,
            -524_287..=524_288 => 24,
            _ => 68,
        };
        let without = encode(&samples[..2]).len() * 8;
        assert_eq!(
            encode(&samples[..3]).len(),
            (without - 7 + bits + 1).div_ceil(8),
            "{dod}"
        );
    }
}

#[test]
fn damage_is_named() {
    let whole = encode(&[(1_000, 1), (2_000, 2), (3_000, 3)]);
    assert_eq!(
        decoded(&whole[..1], 0, 9_000),
        Err(ChunkError::NoHeader { len: 1, expected: 2 })
    );
    let cut = decoded(&whole[..whole.len() - 4], 0, 9_000);
    assert_eq!(
        cut,
        Err(ChunkError::Truncated {
            len: whole.len() - 4,
            sample: 2,
            samples: 3
        })
    );
    let endless = [0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(decoded(&endless, 0, 9_000), Err(ChunkError::Overflow { sample: 0 }));
    // The second value fits a window though no value has set one: that is all 64 bits.
    let mut no_window = vec![0, 2, 0];
    no_window.extend([0; 8]);
    no_window.extend([1, 0b1000_0000, 0, 0, 0, 0, 0, 0, 0b0100_0000, 0]);
    assert_eq!(decoded(&no_window, 0, 9_000), Ok(vec![(0, 0), (1, 1 << 8)]));
    // 31 leading zeros and 64 significant bits are too many.
    let mut wide = vec![0, 2, 0];
    wide.extend([0; 8]);
    wide.extend([1, 0b1111_1110, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        decoded(&wide, 0, 9_000),
        Err(ChunkError::Window {
            sample: 1,
            leading: 31,
            significant: 64
        })
    );
}

/// The format, read one bit after the other, without a thought to speed. `None` for anything damaged.
struct Slow<'a> {
    chunk: &'a [u8],
    pos: usize,
}

impl Slow<'_> {
    fn take(&mut self, n: u32) -> Option<u64> {
        let mut value = 0;
        for _ in 0..n {
            let byte = self.chunk.get(self.pos / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.pos % 8) & 1);
            self.pos += 1;
        }
        Some(value)
    }

    fn uvarint(&mut self) -> Option<u64> {
        let mut value = 0u128;
        for shift in (0..70).step_by(7) {
            let byte = self.take(8)?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u64::try_from(value).ok();
            }
        }
        None
    }

    fn dod(&mut self) -> Option<i64> {
        let mut ones = 0;
        while ones < 4 && self.take(1)? == 1 {
            ones += 1;
        }
        let bits = [0, 14, 17, 20, 64][ones];
        let raw = i128::from(self.take(bits)?);
        let half = 1i128 << bits >> 1;
        let above = if bits == 64 { raw >= half } else { raw > half };
        Some((raw - if above { 1i128 << bits } else { 0 }) as i64)
    }

    fn samples(chunk: &[u8]) -> Option<Vec<(i64, u64)>> {
        let mut bits = Slow { chunk, pos: 0 };
        let (mut t, mut v, mut delta, mut window) = (0i64, 0, 0i64, None);
        let mut samples = Vec::new();
        for i in 0..bits.take(16)? {
            match i {
                0 => {
                    let raw = bits.uvarint()?;
                    t = if raw & 1 == 0 {
                        (raw / 2) as i64
                    } else {
                        !((raw / 2) as i64)
                    };
                }
                1 => delta = bits.uvarint()? as i64,
                _ => delta = delta.wrapping_add(bits.dod()?),
            }
            t = t.wrapping_add(delta);
            if i == 0 {
                v = bits.take(64)?;
            } else if bits.take(1)? == 1 {
                if bits.take(1)? == 1 {
                    let (leading, width) = (bits.take(5)? as u32, bits.take(6)? as u32);
                    window = Some((leading, if width == 0 { 64 } else { width }));
                }
                let (leading, width) = window
                    .or(Some((0, 64)))
                    .filter(|(leading, width)| leading + width <= 64)?;
                v ^= bits.take(width)? << (64 - leading - width);
            }
            samples.push((t, v));
        }
        Some(samples)
    }
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<f64>().prop_map(f64::to_bits),
        (0u32..50).prop_map(|n| f64::from(n).to_bits()),
        prop::sample::select(vec![
            STALE_NAN_BITS,
            f64::NAN.to_bits(),
            f64::INFINITY.to_bits(),
            f64::NEG_INFINITY.to_bits(),
            0,
            1 << 63,
            1
        ]),
    ]
}

fn step() -> impl Strategy<Value = i64> {
    prop_oneof![Just(15_000i64), 14_990i64..15_010, 1i64..200_000, 1i64..1 << 45]
}

/// Steps and values, of which some are repeated.
fn steps(most: usize) -> impl Strategy<Value = Vec<(i64, u64)>> {
    let times = prop_oneof![3 => Just(1usize), 1 => 1usize..70];
    prop::collection::vec((step(), value(), times), 1..most).prop_map(|all| {
        all.into_iter()
            .flat_map(|(dt, v, times)| std::iter::repeat_n((dt, v), times))
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        start in -(1i64 << 50)..1i64 << 50,
        steps in steps(60),
        window in (0usize..1_000, 0usize..1_000),
    ) {
        let mut t = start;
        let samples: Vec<_> = steps.into_iter().map(|(dt, v)| { t += dt; (t, v) }).collect();
        let window = (window.0 % samples.len(), window.1 % samples.len());
        let chunk = encode(&samples);
        prop_assert_eq!(usize::from(sample_count(Encoding::Xor, &chunk)), samples.len());
        prop_assert_eq!(&decoded(&chunk, i64::MIN, i64::MAX).unwrap(), &samples);
        let (mint, maxt) = (samples[window.0].0, samples[window.1].0);
        let inside: Vec<_> = samples.iter().copied().filter(|s| s.0 >= mint && s.0 <= maxt).collect();
        prop_assert_eq!(decoded(&chunk, mint, maxt).unwrap(), inside);
    }

    #[test]
    fn decoding_equals_reading_bit_by_bit(
        start in any::<i64>(),
        steps in steps(130),
    ) {
        let start = start >> 12;
        let samples: Vec<_> = steps.into_iter().scan(start, |t, (dt, v)| { *t += dt; Some((*t, v)) }).collect();
        let chunk = encode(&samples);
        prop_assert_eq!(Slow::samples(&chunk).unwrap(), decoded(&chunk, i64::MIN, i64::MAX).unwrap());
    }

    #[test]
    fn damaged_chunks_are_refused_where_reading_bit_by_bit_fails_and_read_alike_elsewhere(
        steps in steps(130),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0usize..12,
        window in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let samples: Vec<_> = steps.into_iter().scan(0, |t, (dt, v)| { *t += dt; Some((*t, v)) }).collect();
        let mut chunk = encode(&samples);
        for (at, flip) in flips {
            *at.get_mut(&mut chunk) ^= flip;
        }
        chunk.truncate(chunk.len() - cut.min(chunk.len()));
        let slow = Slow::samples(&chunk);
        prop_assert_eq!(&slow, &decoded(&chunk, i64::MIN, i64::MAX).ok());
        // Times may go anywhere now. Reading begins where they first are in the window, and ends where they first are behind.
        if let Some((first, rest)) = slow.as_ref().and_then(|all| all.split_first()) {
            let (mint, maxt) = (window.0.get(&samples).0, window.1.get(&samples).0);
            let rest = rest.iter().skip_while(|s| s.0 < mint).take_while(|s| s.0 <= maxt);
            let mut inside: Vec<_> = std::iter::once(first).filter(|s| s.0 >= mint && s.0 <= maxt).copied().collect();
            inside.extend(rest.filter(|_| first.0 <= maxt));
            prop_assert_eq!(inside, decoded(&chunk, mint, maxt).unwrap());
        }
    }

    #[test]
    fn an_open_chunk_reads_like_a_closed_one(steps in prop::collection::vec((step(), value()), 1..60)) {
        let (mut t, mut open, mut samples) = (0, XorAppender::default(), Vec::new());
        for (dt, v) in steps {
            t += dt;
            open.append(t, f64::from_bits(v));
            samples.push((t, v));
            let mut copy = Vec::new();
            open.copy_to(&mut copy);
            prop_assert_eq!(&copy, &encode(&samples));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), n in 0u8..130) {
        let _ = decoded(&bytes, i64::MIN, i64::MAX);
        let mut promising = vec![0, n];
        promising.extend(bytes);
        let _ = decoded(&promising, i64::MIN, i64::MAX);
    }
}
