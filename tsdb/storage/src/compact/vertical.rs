//! Chunks of one series from several sources as one sequence that does not overlap.
//!
//! A chunk that overlaps no other and of which nothing was deleted goes through as it is. Others are decoded, merged and
//! encoded anew. Of samples at one time the one from the first source stays (`storage/merge.go` keeps one, too).

use crate::interval::Intervals;
use crate::points::{self, Point, encode};
use crate::source::{SourceChunk, SourceSeries};
use leadline_model::sample::Timestamp;
use std::fmt::Display;
use std::sync::Arc;

/// The number of a source, and that of a chunk of the series in it: the lower counts.
type Rank = (usize, usize);

/// A chunk, and what was deleted of its source.
struct Piece {
    chunk: SourceChunk,
    deleted: Arc<Intervals>,
    rank: Rank,
}

impl Piece {
    /// Whether a part of it was deleted.
    fn is_cut(&self) -> bool {
        self.deleted.overlap(self.chunk.mint, self.chunk.maxt)
    }

    /// Whether the other is the same, byte for byte, and both are whole.
    fn repeats(&self, other: &Self) -> bool {
        self.chunk == other.chunk && !self.is_cut() && !other.is_cut()
    }
}

/// A chunk that is not what it must be.
#[derive(Debug)]
pub(super) struct Unsound {
    /// The number of its source.
    pub(super) source: usize,
    /// The time (ms) at which it says that it begins.
    pub(super) mint: Timestamp,
    /// What it should be.
    pub(super) expected: String,
    /// What it is.
    pub(super) got: String,
}

impl Unsound {
    /// That it cannot be decoded.
    pub(super) fn undecodable(source: usize, mint: Timestamp, why: &dyn Display) -> Self {
        Self {
            source,
            mint,
            expected: "a chunk that can be decoded".to_owned(),
            got: why.to_string(),
        }
    }
}

/// Joins what the sources, given by number, have of one series.
pub(super) fn join(parts: Vec<(usize, SourceSeries)>) -> Result<Vec<SourceChunk>, Unsound> {
    let mut pieces = pieces(parts);
    pieces.sort_by_key(|piece| (piece.chunk.mint, piece.chunk.maxt, piece.rank));
    pieces.dedup_by(|later, earlier| later.repeats(earlier));
    let mut joined = Vec::with_capacity(pieces.len());
    let mut rest = pieces.as_slice();
    while let Some(first) = rest.first() {
        let (group, behind) = rest.split_at(overlapping(rest));
        match group {
            [one] if !one.is_cut() => joined.push(first.chunk.clone()),
            _ => joined.extend(encode(&merge(group)?)),
        }
        rest = behind;
    }
    Ok(joined)
}

/// The chunks of which something is left.
fn pieces(parts: Vec<(usize, SourceSeries)>) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(parts.iter().map(|(_, part)| part.chunks.len()).sum());
    for (source, part) in parts {
        let deleted = Arc::new(part.deleted);
        let left = part
            .chunks
            .into_iter()
            .enumerate()
            .filter(|(_, chunk)| !deleted.covers(chunk.mint, chunk.maxt));
        pieces.extend(left.map(|(i, chunk)| Piece {
            chunk,
            deleted: Arc::clone(&deleted),
            rank: (source, i),
        }));
    }
    pieces
}

/// How many pieces from the first on overlap, each one of those before it.
fn overlapping(pieces: &[Piece]) -> usize {
    let mut end = Timestamp::MIN;
    let within = pieces.iter().enumerate().take_while(|(i, piece)| {
        let meets = *i == 0 || piece.chunk.mint <= end;
        end = end.max(piece.chunk.maxt);
        meets
    });
    within.count()
}

/// The samples of all pieces that were not deleted, in order of time.
fn merge(pieces: &[Piece]) -> Result<Vec<Point>, Unsound> {
    let mut points: Vec<(Point, Rank)> = Vec::new();
    let mut decoded = Vec::new();
    for piece in pieces {
        let SourceChunk {
            encoding,
            data,
            mint,
            maxt,
        } = &piece.chunk;
        points::decode(*encoding, data, *mint, *maxt, &mut decoded)
            .map_err(|error| Unsound::undecodable(piece.rank.0, *mint, &error))?;
        let mut whole = true;
        for mut point in decoded.drain(..) {
            if piece.deleted.contains(point.t) {
                whole = false;
                continue;
            }
            // What a histogram says about the one before it is void when that one is gone.
            if !std::mem::replace(&mut whole, true) {
                point.forget_reset();
            }
            points.push((point, piece.rank));
        }
    }
    if pieces.len() > 1 {
        points::join(&mut points);
    }
    Ok(points.into_iter().map(|(point, _)| point).collect())
}
