//! Native histograms, XOR2 floats and records of histograms: equal to what Prometheus made of the same samples
//! (`fixtures/chunks.txt`, which tells its origin), lossless, and safe on any bytes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may stop it")]

use leadline_model::histogram::{AnyHistogram, FloatHistogram, Histogram, HistogramSample, ResetHint, Span};
use leadline_model::sample::{STALE_NAN, Samples};
use leadline_storage::ChunkError;
use leadline_storage::chunk::{Appender, Counts, Encoding, SealedChunk, decode, decode_histograms, sample_count};
use leadline_storage::codec::Cursor;
use leadline_storage::wal::histogram::{float_histogram, histogram, put_histogram};
use leadline_storage::wal::record::{HistogramIter, HistogramsEncoder, Record};
use proptest::prelude::*;
use std::sync::Arc;

const FIXTURE: &str = include_str!("fixtures/chunks.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn parse(float: bool, hex: &str) -> AnyHistogram {
    let bytes = bytes(hex);
    let mut cursor = Cursor::new(&bytes);
    let h = if float {
        AnyHistogram::Float(Arc::new(float_histogram(&mut cursor).unwrap()))
    } else {
        AnyHistogram::Int(Arc::new(histogram(&mut cursor).unwrap()))
    };
    assert!(cursor.is_empty());
    assert_eq!(payload(&h), bytes, "a record's payload is written as it was read");
    h
}

fn payload(h: &AnyHistogram) -> Vec<u8> {
    let mut out = Vec::new();
    put_histogram(&mut out, h);
    out
}

/// A chunk's bytes and what is in it.
type Chunk = (Vec<u8>, Vec<(i64, AnyHistogram)>);

/// Samples that went in with whether a chunk was to be closed first, and the chunks with what is in each.
#[derive(Default)]
struct Sequence {
    name: String,
    encoding: u8,
    input: Vec<(i64, bool, AnyHistogram)>,
    chunks: Vec<Chunk>,
}

fn sequences() -> Vec<Sequence> {
    let mut all: Vec<Sequence> = Vec::new();
    for line in FIXTURE.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let float = all.last().is_some_and(|s| s.encoding % 3 == 0);
        match words[..] {
            ["sequence", name, encoding] => all.push(Sequence {
                name: name.to_owned(),
                encoding: encoding.parse().unwrap(),
                ..Sequence::default()
            }),
            ["floats", ..] => break,
            ["in", t, close, h] => {
                let sample = (t.parse().unwrap(), close == "1", parse(float, h));
                all.last_mut().unwrap().input.push(sample);
            }
            ["chunk", hex] => all.last_mut().unwrap().chunks.push((bytes(hex), Vec::new())),
            ["out", t, h] => {
                let sample = (t.parse().unwrap(), parse(float, h));
                all.last_mut().unwrap().chunks.last_mut().unwrap().1.push(sample);
            }
            _ => assert!(line.starts_with('#'), "{line}"),
        }
    }
    all
}

fn encode<K: Counts>(samples: impl Iterator<Item = (i64, bool, K)>) -> Vec<SealedChunk> {
    let mut open = Appender::<K>::default();
    let mut chunks = Vec::new();
    for (t, close, h) in samples {
        chunks.extend(open.append(t, &h, close));
        let mut copy = Vec::new();
        assert_eq!(open.copy_to(&mut copy), copy.len());
        assert_eq!(
            open.len(),
            copy.len(),
            "the length of an open chunk is that of its copy"
        );
    }
    chunks.extend(open.seal());
    assert_eq!((open.samples(), open.len(), open.ends()), (0, 0, None));
    chunks
}

fn encode_any(samples: &[(i64, bool, AnyHistogram)]) -> Vec<SealedChunk> {
    let int = samples.iter().filter_map(|(t, close, h)| match h {
        AnyHistogram::Int(h) => Some((*t, *close, Histogram::clone(h))),
        AnyHistogram::Float(_) => None,
    });
    let float = samples.iter().filter_map(|(t, close, h)| match h {
        AnyHistogram::Float(h) => Some((*t, *close, FloatHistogram::clone(h))),
        AnyHistogram::Int(_) => None,
    });
    let mut chunks = encode(int);
    chunks.extend(encode(float));
    chunks
}

fn decoded(encoding: Encoding, chunk: &[u8], mint: i64, maxt: i64) -> Result<Vec<HistogramSample>, ChunkError> {
    let mut into = Vec::new();
    decode_histograms(encoding, chunk, mint, maxt, &mut into)?;
    Ok(into)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn histograms_become_the_chunks_of_prometheus() {
    let mut compared = 0;
    for sequence in sequences().iter().filter(|s| s.encoding < 4) {
        let ours = encode_any(&sequence.input);
        let ours: Vec<String> = ours.iter().map(|c| hex(&c.data)).collect();
        let theirs: Vec<String> = sequence.chunks.iter().map(|c| hex(&c.0)).collect();
        assert_eq!(ours, theirs, "{} encoding {}", sequence.name, sequence.encoding);
        compared += ours.len();
    }
    println!("{compared} chunks compared");
    assert!(compared > 150);
}

#[test]
fn chunks_of_prometheus_are_read_as_it_reads_them() {
    let mut compared = 0;
    for sequence in sequences() {
        let encoding = Encoding::from_number(sequence.encoding).unwrap();
        for (chunk, want) in &sequence.chunks {
            let got = decoded(encoding, chunk, i64::MIN, i64::MAX).unwrap();
            assert_eq!(got.len(), usize::from(sample_count(encoding, chunk)));
            let text = |t: i64, h: &AnyHistogram| (t, hex(&payload(h)));
            let got: Vec<_> = got.iter().map(|s| text(s.t, &s.h)).collect();
            let want: Vec<_> = want.iter().map(|s| text(s.0, &s.1)).collect();
            assert_eq!(got, want, "{} {encoding:?}", sequence.name);
            for from in 0..want.len() {
                let (mint, maxt) = (want[from].0, want[(from + 2).min(want.len() - 1)].0);
                let got = decoded(encoding, chunk, mint, maxt).unwrap();
                assert_eq!(got.len(), (want.len() - from).min(3));
            }
            compared += want.len();
        }
    }
    println!("{compared} histograms compared");
    assert!(compared > 700);
}

#[test]
fn float_chunks_of_prometheus_are_read_as_it_reads_them() {
    let mut compared = 0;
    let mut lines = FIXTURE
        .lines()
        .skip_while(|line| !line.starts_with("floats"))
        .peekable();
    while let Some(line) = lines.next_if(|line| line.starts_with("floats")) {
        let encoding = Encoding::from_number(line.rsplit(' ').next().unwrap().parse().unwrap()).unwrap();
        let chunk = bytes(lines.next().unwrap().strip_prefix("chunk ").unwrap());
        let mut got = Samples::default();
        decode(encoding, &chunk, i64::MIN, i64::MAX, &mut got).unwrap();
        assert_eq!(got.len(), usize::from(sample_count(encoding, &chunk)));
        for (t, v) in got.t.iter().zip(&got.v) {
            assert_eq!(
                lines.next(),
                Some(format!("at {t} {:016x}", v.to_bits()).as_str()),
                "{line}"
            );
            compared += 1;
        }
        let (mint, maxt) = (got.t[2], got.t[4]);
        let mut window = Samples::default();
        decode(encoding, &chunk, mint, maxt, &mut window).unwrap();
        assert_eq!(window.t, got.t[2..5]);
    }
    println!("{compared} floats compared");
    assert!(compared > 300);
}

#[test]
fn histograms_are_checked_printed_and_reshaped_as_prometheus_does() {
    let mut compared = 0;
    for line in FIXTURE.lines() {
        let words: Vec<&str> = line.splitn(8, ' ').collect();
        match words[..] {
            ["histogram", kind, h, valid, compact0, compact3, reduced, text] => {
                let h = parse(kind == "f", h);
                assert_eq!(h.validate().is_ok(), valid == "1", "{line}");
                assert_eq!(h.to_string(), text);
                assert_eq!(hex(&payload(&compact(&h, 0))), compact0, "{line}");
                assert_eq!(hex(&payload(&compact(&h, 3))), compact3, "{line}");
                let schema = match &h {
                    AnyHistogram::Int(h) => h.schema,
                    AnyHistogram::Float(h) => h.schema,
                };
                let ours = h
                    .reduce_resolution(schema - 1)
                    .map_or("-".to_owned(), |h| hex(&payload(&h)));
                assert_eq!(ours, reduced, "{line}");
                compared += 1;
            }
            ["valid", kind, h, valid] => {
                let h = parse(kind == "f", h);
                assert_eq!(h.validate().is_ok(), valid == "1", "{h:?}: {:?}", h.validate());
                compared += 1;
            }
            _ => {}
        }
    }
    println!("{compared} histograms compared");
    assert!(compared > 100);
}

fn compact(h: &AnyHistogram, max_empty: usize) -> AnyHistogram {
    match h {
        AnyHistogram::Int(h) => {
            let mut h = Histogram::clone(h);
            h.compact(max_empty);
            AnyHistogram::Int(Arc::new(h))
        }
        AnyHistogram::Float(h) => {
            let mut h = FloatHistogram::clone(h);
            h.compact(max_empty);
            AnyHistogram::Float(Arc::new(h))
        }
    }
}

fn entries(record: &[u8]) -> HistogramIter<'_> {
    match Record::parse(record).unwrap() {
        Record::Histograms(entries) => entries,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_of_prometheus_are_read_and_written() {
    let (mut records, mut held) = (0, 0);
    let mut lines = FIXTURE.lines().skip_while(|l| !l.starts_with("record")).peekable();
    while let Some(line) = lines.next() {
        let record = bytes(line.strip_prefix("record ").unwrap());
        let got: Vec<_> = entries(&record).map(Result::unwrap).collect();
        let mut encoder = HistogramsEncoder::default();
        for got in &got {
            encoder.push(got.series, got.t, &got.h);
            let want = lines.next_if(|l| l.starts_with("holds")).unwrap();
            let ours = format!("holds {} {} {}", got.series, got.t, hex(&payload(&got.h)));
            assert_eq!(ours, want);
            held += 1;
        }
        if record[0] <= 10 {
            let ours: Vec<_> = encoder.records().map(hex).collect();
            assert_eq!(ours, [hex(&record)]);
        }
        assert!(lines.peek().is_none_or(|l| l.starts_with("record")), "all were read");
        for cut in 1..record.len() {
            let read: Result<Vec<_>, _> = entries(&record[..cut]).collect();
            assert!(read.is_err() || read.unwrap().len() < got.len());
        }
        records += 1;
    }
    println!("{records} records with {held} histograms compared");
    assert_eq!(records, 6);
}

#[test]
fn damage_is_named() {
    let h = |count: u64| Histogram {
        count,
        sum: 1.5,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![count as i64],
        ..Histogram::default()
    };
    let chunks = encode([(1_000, false, h(1)), (2_000, false, h(2))].into_iter());
    let whole = &chunks[0].data;
    let read = |chunk: &[u8]| decoded(Encoding::Histogram, chunk, i64::MIN, i64::MAX);
    assert_eq!(read(whole).unwrap().len(), 2);
    assert_eq!(read(&whole[..2]), Err(ChunkError::NoHeader { len: 2, expected: 3 }));
    let cut = ChunkError::Truncated {
        len: whole.len() - 1,
        sample: 1,
        samples: 2,
    };
    assert_eq!(read(&whole[..whole.len() - 1]), Err(cut));
    // Schema 13 bits of '1110' + 9: 100, which nobody has defined.
    assert_eq!(
        read(&[0, 1, 0, 0, 0b1110_0011, 0b0010_0000, 0, 0, 0]),
        Err(ChunkError::Schema { schema: 100 })
    );
    let kind = ChunkError::Kind {
        encoding: 1,
        expected: "histograms",
    };
    assert_eq!(decoded(Encoding::Xor, whole, 0, 0), Err(kind));
    let kind = ChunkError::Kind {
        encoding: 2,
        expected: "floats",
    };
    assert_eq!(
        decode(Encoding::Histogram, whole, 0, 0, &mut Samples::default()),
        Err(kind)
    );
}

/// Spans and buckets above and below zero, hint, schema.
type Parts = (Vec<Span>, Vec<Span>, Vec<i64>, Vec<i64>, u8, i32);

/// Spans of any kind.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    let offset = prop_oneof![-2i32..4, any::<i32>()];
    let length = prop_oneof![0u32..4, any::<u32>()];
    prop::collection::vec(
        (offset, length).prop_map(|(offset, length)| Span { offset, length }),
        0..4,
    )
}

/// A random walk of histograms: some buckets grow, come and go, counters begin again, series end.
fn walk() -> impl Strategy<Value = Vec<(i64, bool, AnyHistogram)>> {
    let step = (
        prop::collection::btree_map(-6i32..20, 0i64..1 << 33, 0..8),
        prop::collection::btree_map(-3i32..5, 0i64..9, 0..3),
        (0u64..5, any::<u64>(), 0u8..4, -2i32..9),
        prop_oneof![Just(15_000i64), 1i64..1 << 40],
        prop::bool::weighted(0.1),
        0u8..12,
    );
    (
        prop::collection::vec(step, 1..30),
        any::<bool>(),
        -(1i64 << 40)..1 << 40,
    )
        .prop_map(|(steps, float, start)| {
            let (mut t, mut positive, mut negative) = (start, std::collections::BTreeMap::new(), Default::default());
            let mut schema = 0;
            let mut all = Vec::new();
            for (grow, negatives, (zero_count, sum, hint, other), dt, close, event) in steps {
                t += dt;
                match event {
                    0 => positive.clear(),
                    1 => schema = other,
                    2 => negative = negatives,
                    _ => {}
                }
                for (index, count) in grow {
                    *positive.entry(index).or_insert(0i64) += count;
                }
                let reset = if event < 5 {
                    ResetHint::from_number(hint).unwrap()
                } else {
                    ResetHint::Unknown
                };
                let sum = if event == 3 { STALE_NAN } else { f64::from_bits(sum) };
                let h = build(reset, schema, zero_count, sum, &positive, &negative);
                let h = if float {
                    AnyHistogram::Float(Arc::new(h.to_float()))
                } else {
                    AnyHistogram::Int(Arc::new(h))
                };
                all.push((t, close, h));
            }
            all
        })
}

fn build(
    reset: ResetHint,
    schema: i32,
    zero_count: u64,
    sum: f64,
    positive: &std::collections::BTreeMap<i32, i64>,
    negative: &std::collections::BTreeMap<i32, i64>,
) -> Histogram {
    let side = |counts: &std::collections::BTreeMap<i32, i64>| {
        let (mut spans, mut deltas, mut next, mut last): (Vec<Span>, Vec<i64>, i32, i64) = Default::default();
        for (&index, &count) in counts {
            match spans.last_mut() {
                Some(span) if index == next => span.length += 1,
                _ => spans.push(Span {
                    offset: index - next,
                    length: 1,
                }),
            }
            deltas.push(count - last);
            (next, last) = (index + 1, count);
        }
        (spans, deltas)
    };
    let total = positive.values().chain(negative.values()).sum::<i64>() as u64 + zero_count;
    let ((positive_spans, positive_buckets), (negative_spans, negative_buckets)) = (side(positive), side(negative));
    Histogram {
        reset,
        schema,
        zero_threshold: 0.001,
        zero_count,
        count: total,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values: Arc::default(),
    }
}

/// What has to come back: the buckets that are not empty, and everything else bit for bit.
fn content(h: &AnyHistogram) -> (String, u64) {
    let h = h.to_float();
    if h.is_stale() {
        return (String::new(), STALE_NAN.to_bits());
    }
    let mut bare = FloatHistogram::clone(&h);
    bare.compact(0);
    bare.reset = ResetHint::Unknown;
    bare.sum = 0.0;
    (format!("{bare:?}"), h.sum.to_bits())
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(samples in walk()) {
        let float = matches!(samples[0].2, AnyHistogram::Float(_));
        let encoding = if float { Encoding::FloatHistogram } else { Encoding::Histogram };
        let mut got = Vec::new();
        for chunk in encode_any(&samples) {
            let before = got.len();
            decode_histograms(encoding, &chunk.data, i64::MIN, i64::MAX, &mut got).unwrap();
            prop_assert_eq!((got[before].t, got[got.len() - 1].t), (chunk.mint, chunk.maxt));
        }
        let want: Vec<_> = samples.iter().map(|(t, _, h)| (*t, content(h))).collect();
        let got: Vec<_> = got.iter().map(|s| (s.t, content(&s.h))).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn what_is_logged_is_replayed(samples in walk(), series in prop::collection::vec(any::<u64>(), 30)) {
        let mut encoder = HistogramsEncoder::default();
        for ((t, _, h), &series) in samples.iter().zip(&series) {
            encoder.push(series, *t, h);
        }
        let mut got = Vec::new();
        for record in encoder.records() {
            for read in entries(record) {
                let read = read.unwrap();
                got.push((read.series, read.t, hex(&payload(&read.h))));
            }
        }
        let want: Vec<_> =
            samples.iter().zip(series).map(|((t, _, h), series)| (series, *t, hex(&payload(h)))).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn damaged_chunks_are_refused_or_read_without_panic(
        samples in walk(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in 0usize..40,
        number in 1u8..7,
    ) {
        for chunk in encode_any(&samples) {
            let mut bytes = chunk.data.to_vec();
            for (at, flip) in &flips {
                *at.get_mut(&mut bytes) ^= flip;
            }
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let encoding = Encoding::from_number(number).unwrap();
            if let Ok(read) = decoded(encoding, &bytes, i64::MIN, i64::MAX) {
                use_all(&read);
            }
            let _ = decode(encoding, &bytes, i64::MIN, i64::MAX, &mut Samples::default());
        }
    }

    #[test]
    fn invalid_histograms_do_no_harm(
        all in prop::collection::vec(
            (spans(), spans(), prop::collection::vec(any::<i64>(), 0..5), prop::collection::vec(-3i64..9, 0..5), 0u8..4, -53i32..60),
            1..8,
        ),
    ) {
        let of = |(i, (positive, negative, above, below, reset, schema)): (usize, Parts)| {
            let h = Histogram {
                reset: ResetHint::from_number(reset).unwrap_or_default(),
                schema: if schema < 0 { -53 } else { schema / 8 },
                count: i as u64,
                positive_spans: positive,
                negative_spans: negative,
                positive_buckets: above,
                negative_buckets: below,
                ..Histogram::default()
            };
            HistogramSample { t: i as i64, h: AnyHistogram::Int(Arc::new(h)) }
        };
        let samples: Vec<_> = all.into_iter().enumerate().map(of).collect();
        use_all(&samples);
        for sample in &samples {
            let mut bytes = Vec::new();
            put_histogram(&mut bytes, &sample.h);
            let read = AnyHistogram::Int(Arc::new(histogram(&mut Cursor::new(&bytes)).unwrap()));
            prop_assert!(read.same(&sample.h));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_panic_and_without_more_memory_than_they_are_worth(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        number in 1u8..7,
        kind in 7u8..14,
    ) {
        let encoding = Encoding::from_number(number).unwrap();
        let _ = decode(encoding, &bytes, i64::MIN, i64::MAX, &mut Samples::default());
        let mut into = Vec::new();
        let _ = decode_histograms(encoding, &bytes, i64::MIN, i64::MAX, &mut into);
        let words: usize = into.iter().map(|s| size(&s.h)).sum();
        prop_assert!(words <= bytes.len() * 8 * 64, "{} words of {} bytes", words, bytes.len());
        use_all(&into);
        let mut record = vec![kind];
        record.extend(&bytes);
        if let Ok(Record::Histograms(read)) = Record::parse(&record) {
            let _ = read.count();
        }
    }
}

/// Does with histograms what a store may do with any that it reads, valid or not.
fn use_all(samples: &[HistogramSample]) {
    let (mut ints, mut floats) = (Appender::<Histogram>::default(), Appender::<FloatHistogram>::default());
    for sample in samples {
        let _ = (
            sample.h.to_string(),
            sample.h.validate(),
            compact(&sample.h, 2),
            sample.h.same(&sample.h),
        );
        let t = sample.t;
        match &sample.h {
            AnyHistogram::Int(h) => {
                ints.append(t, h, false);
                floats.append(t, &h.to_float(), false);
            }
            AnyHistogram::Float(h) => drop(floats.append(t, h, false)),
        }
    }
}

/// Spans and buckets.
fn size(h: &AnyHistogram) -> usize {
    match h {
        AnyHistogram::Int(h) => {
            h.positive_spans.len() + h.negative_spans.len() + h.positive_buckets.len() + h.negative_buckets.len()
        }
        AnyHistogram::Float(h) => {
            h.positive_spans.len() + h.negative_spans.len() + h.positive_buckets.len() + h.negative_buckets.len()
        }
    }
}
