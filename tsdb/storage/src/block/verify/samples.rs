//! Chunks against what the index says of them.

use super::super::chunks::{self, ChunkReader};
use super::super::index::ChunkMeta;
use super::Walk;
use crate::chunk::{ends, sample_count};
use crate::codec;
use crate::error::StorageError;

/// Reference of a block's first chunk: behind the segment's header.
pub(super) const FIRST_CHUNK: u64 = 8;

/// Reference of the first chunk of the segment behind the one of `reference`.
fn next_segment(reference: u64) -> u64 {
    (((reference >> 32) + 1) << 32) | FIRST_CHUNK
}

impl Walk<'_> {
    pub(super) fn chunk(&mut self, chunk: &ChunkMeta, reader: &mut ChunkReader<'_>) -> Result<(), StorageError> {
        self.seen.chunks += 1;
        let block = self.block;
        let (path, offset) = block.chunks().place(chunk.reference);
        if let Some(expected) = self.next_chunk.take().filter(|&expected| expected != chunk.reference) {
            if chunk.reference != next_segment(expected) {
                let got = format!("one at {:#x}", chunk.reference);
                self.find(
                    path,
                    offset,
                    format!("the chunk behind the one before, at {expected:#x}"),
                    got,
                );
            } else {
                self.segment_end(expected);
            }
        }
        let Some((encoding, data)) = self.take(reader.get(chunk.reference))? else {
            return Ok(());
        };
        let len = data.len() as u64;
        let mut field = Vec::with_capacity(10);
        codec::put_uvarint(&mut field, len);
        self.next_chunk = Some(chunk.reference + field.len() as u64 + 1 + len + 4);
        let decoded = ends(encoding, &data).map_err(|e| StorageError::damaged(path, offset, "a chunk", e.to_string()));
        let Some((count, found)) = self.take(decoded)? else {
            return Ok(());
        };
        self.seen.samples += count;
        self.seen.histograms += if encoding.is_float() { 0 } else { count };
        let promised = u64::from(sample_count(encoding, &data));
        if promised != count {
            self.find(path, offset, format!("{promised} samples"), format!("{count}"));
        }
        if found != Some((chunk.mint, chunk.maxt)) {
            let expected = format!("samples from {} to {}", chunk.mint, chunk.maxt);
            let got = found.map_or("none".to_owned(), |(mint, maxt)| format!("from {mint} to {maxt}"));
            self.find(path, offset, expected, got);
        }
        let meta = self.block.meta();
        if chunk.mint < meta.min_time || chunk.maxt >= meta.max_time {
            let expected = format!("times from {} to before {}", meta.min_time, meta.max_time);
            self.find(path, offset, expected, format!("from {} to {}", chunk.mint, chunk.maxt));
        }
        Ok(())
    }

    /// Nothing is behind the last chunk of a segment, whose end is given as a reference.
    fn segment_end(&mut self, end: u64) {
        let chunks = self.block.chunks();
        let (path, offset) = chunks.place(end);
        match chunks.segments().nth((end >> 32) as usize) {
            Some(len) if len == offset => {}
            len => self.find(
                path,
                offset,
                "the end of the segment",
                len.map_or("no segment".to_owned(), |len| format!("{len} bytes")),
            ),
        }
    }

    pub(super) fn segments_end(&mut self) {
        let Some(end) = self.next_chunk else {
            return;
        };
        self.segment_end(end);
        let (there, used) = (self.block.chunks().segments().len() as u64, (end >> 32) + 1);
        if there != used {
            let path = self.block.dir().join(chunks::DIR);
            self.find(&path, 0, format!("{used} segments"), there.to_string());
        }
    }
}
