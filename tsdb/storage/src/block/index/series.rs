//! A series: its labels as symbols, and the ends and places of its chunks.

use crate::codec::{self, Cursor, Got, Malformed};
use leadline_model::labels::Labels;
use leadline_model::sample::Timestamp;

/// A chunk of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::block) struct ChunkMeta {
    /// Segment (from 0) in the upper half, offset in it in the lower.
    pub(in crate::block) reference: u64,
    /// Time (ms) of its first sample.
    pub(in crate::block) mint: Timestamp,
    /// Time (ms) of its last sample.
    pub(in crate::block) maxt: Timestamp,
}

/// A series of the index, its symbols resolved.
#[derive(Debug)]
pub(crate) struct SeriesEntry {
    pub(in crate::block) labels: Labels,
    pub(in crate::block) chunks: Box<[ChunkMeta]>,
}

impl SeriesEntry {
    /// What it takes, bytes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + 16 + self.labels.as_bytes().len() + size_of_val(&*self.chunks)
    }

    /// The chunks that overlap `mint` to `maxt` (ms, both included).
    pub(in crate::block) fn chunks_in(&self, mint: Timestamp, maxt: Timestamp) -> &[ChunkMeta] {
        let from = self.chunks.partition_point(|c| c.maxt < mint);
        let to = self.chunks.partition_point(|c| c.mint <= maxt);
        self.chunks.get(from..to).unwrap_or_default()
    }
}

/// Appends a series' content: symbols of names and values, and chunks.
pub(super) fn encode(symbols: &[(u32, u32)], chunks: &[ChunkMeta], out: &mut Vec<u8>) {
    codec::put_uvarint(out, symbols.len() as u64);
    for &(name, value) in symbols {
        codec::put_uvarint(out, u64::from(name));
        codec::put_uvarint(out, u64::from(value));
    }
    codec::put_uvarint(out, chunks.len() as u64);
    let Some(first) = chunks.first() else {
        return;
    };
    codec::put_varint(out, first.mint);
    codec::put_uvarint(out, first.maxt.wrapping_sub(first.mint) as u64);
    codec::put_uvarint(out, first.reference);
    for (before, chunk) in chunks.iter().zip(chunks.iter().skip(1)) {
        codec::put_uvarint(out, chunk.mint.wrapping_sub(before.maxt) as u64);
        codec::put_uvarint(out, chunk.maxt.wrapping_sub(chunk.mint) as u64);
        codec::put_varint(out, chunk.reference.wrapping_sub(before.reference) as i64);
    }
}

/// The symbols of a series' content.
pub(super) fn decode_symbols(cursor: &mut Cursor<'_>, symbols: &mut Vec<(u32, u32)>) -> Result<(), Malformed> {
    symbols.clear();
    let count = cursor.uvarint()?;
    for _ in 0..count {
        symbols.push((symbol(cursor)?, symbol(cursor)?));
    }
    Ok(())
}

fn symbol(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
    let before = cursor.clone();
    let number = cursor.uvarint()?;
    u32::try_from(number).map_err(|_| before.malformed("a symbol of 32 bits", Got::Number(number)))
}

/// The chunks of a series' content, behind its symbols. They must not overlap.
pub(super) fn decode_chunks(cursor: &mut Cursor<'_>, chunks: &mut Vec<ChunkMeta>) -> Result<(), Malformed> {
    chunks.clear();
    let count = cursor.uvarint()?;
    let mut last: Option<ChunkMeta> = None;
    for _ in 0..count {
        let here = cursor.clone();
        let (mint, span) = match last {
            None => (cursor.varint()?, cursor.uvarint()?),
            Some(last) => (last.maxt.wrapping_add(cursor.uvarint()? as i64), cursor.uvarint()?),
        };
        let maxt = mint.wrapping_add(span as i64);
        let reference = match last {
            None => cursor.uvarint()?,
            Some(last) => last.reference.wrapping_add(cursor.varint()? as u64),
        };
        if maxt < mint || last.is_some_and(|last| mint <= last.maxt) {
            return Err(here.malformed("a chunk behind the one before", Got::Number(mint as u64)));
        }
        let chunk = ChunkMeta { reference, mint, maxt };
        last = Some(chunk);
        chunks.push(chunk);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            symbols in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..5),
            spans in proptest::collection::vec((1i64..1 << 40, 0i64..1 << 40, any::<u64>()), 0..5),
            start in -(1i64 << 50)..1 << 50,
        ) {
            let mut chunks = Vec::new();
            let mut t = start;
            for (gap, span, reference) in spans {
                chunks.push(ChunkMeta { reference, mint: t + gap, maxt: t + gap + span });
                t += gap + span;
            }
            let mut bytes = Vec::new();
            encode(&symbols, &chunks, &mut bytes);
            let (mut cursor, mut s, mut c) = (Cursor::new(&bytes), Vec::new(), Vec::new());
            decode_symbols(&mut cursor, &mut s).unwrap();
            decode_chunks(&mut cursor, &mut c).unwrap();
            prop_assert!(cursor.is_empty());
            prop_assert_eq!((s, c), (symbols, chunks));
        }
    }
}
