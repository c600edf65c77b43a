//! What a chunk's samples say of themselves, to be held against what is stored beside it.

use super::{Encoding, decode, histogram};
use crate::error::ChunkError;
use leadline_model::sample::{Samples, Timestamp};

/// Why the samples of a chunk cannot be what was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsound {
    /// One cannot be decoded.
    #[error(transparent)]
    Undecodable(#[from] ChunkError),
    /// One is not behind the one before it.
    #[error("times out of order")]
    Order,
}

/// How many samples a chunk holds, each of them decoded, and the first and last time (ms). A chunk that promises more than
/// it holds is one that cannot be decoded, or its padding reads as samples behind the last time that an index knows.
pub(crate) fn ends(encoding: Encoding, data: &[u8]) -> Result<(u64, Option<(Timestamp, Timestamp)>), Unsound> {
    let times = if encoding.is_float() {
        let mut samples = Samples::default();
        decode(encoding, data, Timestamp::MIN, Timestamp::MAX, &mut samples)?;
        samples.t
    } else {
        histogram::times(encoding, data)?
    };
    if !times.is_sorted_by(|a, b| a < b) {
        return Err(Unsound::Order);
    }
    Ok((times.len() as u64, times.first().copied().zip(times.last().copied())))
}
