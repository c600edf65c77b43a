//! Samples as chunks (`storage/series.go`, `seriesToChunkEncoder`).

use super::{Point, Value};
use crate::chunk::{Encoding, FloatHistogramAppender, HistogramAppender, SealedChunk, XorAppender};
use crate::source::SourceChunk;
use bytes::Bytes;
use leadline_model::histogram::AnyHistogram;
use leadline_model::sample::Timestamp;

/// Samples after which a chunk is closed (`seriesToChunkEncoderSplit`).
const CHUNK_SAMPLES: u16 = 120;

/// Encodes samples in order of time. A chunk ends after 120 of them, where their kind changes, and where a histogram does
/// not go on with the one before.
pub(crate) fn encode(points: &[Point]) -> Vec<SourceChunk> {
    let mut open = Open::Nothing;
    let mut closed = Vec::with_capacity(points.len() / usize::from(CHUNK_SAMPLES) + 1);
    for point in points {
        if !open.takes(point) {
            closed.extend(open.close());
            open = Open::of(point);
        }
        closed.extend(open.append(point));
    }
    closed.extend(open.close());
    closed
}

/// The chunk that is being filled.
enum Open {
    Nothing,
    Float { xor: XorAppender, mint: Timestamp },
    Histogram(HistogramAppender),
    FloatHistogram(FloatHistogramAppender),
}

impl Open {
    /// For samples of the kind that `point` has.
    fn of(point: &Point) -> Self {
        match point.v {
            Value::Float(_) => Self::Float {
                xor: XorAppender::default(),
                mint: point.t,
            },
            Value::Histogram(AnyHistogram::Int(_)) => Self::Histogram(HistogramAppender::default()),
            Value::Histogram(AnyHistogram::Float(_)) => Self::FloatHistogram(FloatHistogramAppender::default()),
        }
    }

    /// Whether the sample is of its kind, and a chunk of floats has room for it.
    fn takes(&self, point: &Point) -> bool {
        match (self, &point.v) {
            (Self::Float { xor, .. }, Value::Float(_)) => !xor.is_full(CHUNK_SAMPLES),
            (Self::Histogram(_), Value::Histogram(AnyHistogram::Int(_)))
            | (Self::FloatHistogram(_), Value::Histogram(AnyHistogram::Float(_))) => true,
            _ => false,
        }
    }

    /// Adds a sample that it takes. Returns the chunk that was closed for it.
    fn append(&mut self, point: &Point) -> Option<SourceChunk> {
        match (self, &point.v) {
            (Self::Float { xor, .. }, Value::Float(v)) => {
                xor.append(point.t, *v);
                None
            }
            (Self::Histogram(open), Value::Histogram(AnyHistogram::Int(h))) => {
                let full = open.samples() >= CHUNK_SAMPLES;
                let sealed = open.append(point.t, h, full);
                sealed.map(|chunk| histogram(Encoding::Histogram, &chunk))
            }
            (Self::FloatHistogram(open), Value::Histogram(AnyHistogram::Float(h))) => {
                let full = open.samples() >= CHUNK_SAMPLES;
                let sealed = open.append(point.t, h, full);
                sealed.map(|chunk| histogram(Encoding::FloatHistogram, &chunk))
            }
            _ => None,
        }
    }

    fn close(&mut self) -> Option<SourceChunk> {
        match self {
            Self::Nothing => None,
            Self::Float { xor, mint } => {
                let maxt = xor.last_t();
                let mut data = Vec::with_capacity(xor.capacity());
                xor.copy_to(&mut data);
                Some(SourceChunk {
                    mint: *mint,
                    maxt,
                    encoding: Encoding::Xor,
                    data: Bytes::from(data),
                })
            }
            Self::Histogram(open) => open.seal().map(|chunk| histogram(Encoding::Histogram, &chunk)),
            Self::FloatHistogram(open) => open.seal().map(|chunk| histogram(Encoding::FloatHistogram, &chunk)),
        }
    }
}

fn histogram(encoding: Encoding, chunk: &SealedChunk) -> SourceChunk {
    SourceChunk {
        mint: chunk.mint,
        maxt: chunk.maxt,
        encoding,
        data: Bytes::copy_from_slice(&chunk.data),
    }
}
