//! Whether chunks that are going to be merged are what is said of them.
//!
//! A chunk that goes through as it is takes its damage along, under a checksum that is right again, and one that is decoded
//! between the ends that the index names loses what lies beyond. Either would make the damage that of a block which nobody
//! damaged, so it is found here, where it is known whose it is.

use super::vertical::Unsound;
use crate::chunk::ends;
use crate::source::{Source, SourceChunk, SourceSeries};

/// Decodes every chunk of stored sources, given by number, of which something is left. Where all of one was deleted, its
/// damage goes with it.
pub(super) fn check(parts: &[(usize, SourceSeries)], sources: &[&dyn Source]) -> Result<(), Unsound> {
    let stored = |source: usize| sources.get(source).is_some_and(|source| source.is_stored());
    for (source, part) in parts.iter().filter(|(source, _)| stored(*source)) {
        let left = part.chunks.iter();
        for chunk in left.filter(|chunk| !part.deleted.covers(chunk.mint, chunk.maxt)) {
            check_ends(*source, chunk)?;
        }
    }
    Ok(())
}

/// The last sample is where the index says. The first may be later: older Prometheus that cut deleted samples out of a chunk
/// (`tsdb/compact.go`, populateBlock) wrote its new end to the index and left its begin as it was.
fn check_ends(source: usize, chunk: &SourceChunk) -> Result<(), Unsound> {
    let SourceChunk { mint, maxt, .. } = *chunk;
    let (count, found) = ends(chunk.encoding, &chunk.data).map_err(|why| Unsound::undecodable(source, mint, &why))?;
    if found.is_some_and(|(first, last)| mint <= first && last == maxt) {
        return Ok(());
    }
    let found = found.map_or("none".to_owned(), |(mint, maxt)| {
        format!("{count} from {mint} to {maxt}")
    });
    Err(Unsound {
        source,
        mint,
        expected: format!("samples from {mint} to {maxt}"),
        got: found,
    })
}
