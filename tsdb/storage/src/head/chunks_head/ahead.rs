//! Reading many mapped chunks in the order of their series' labels: series that follow each other are mostly those of
//! several targets in turns, and the chunks of one target lie side by side. So each place of a file that is read from
//! gives more than the chunk that was asked for.

use super::super::series::Data;
use super::{Files, Mapped, format};
use crate::error::StorageError;
use bytes::Bytes;
use rapidhash::RapidHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is read at once, bytes: some thirty chunks of floats.
const PAGE: u64 = 8 * 1024;

/// Number of a file, and of a page in it.
type Place = (u32, u64);

/// Pages that were read.
#[derive(Debug)]
pub(in crate::head) struct Ahead {
    /// How many are kept, the newest ones.
    most: usize,
    pages: RapidHashMap<Place, Vec<u8>>,
    /// As they came.
    order: VecDeque<Place>,
}

impl Ahead {
    /// Keeps `most` pages. One for each target and chunk of a series would be enough.
    pub(in crate::head) fn new(most: usize) -> Self {
        Self {
            most,
            pages: RapidHashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// The bytes of a closed chunk of `files`, checked, wherever they are.
    pub(in crate::head) fn bytes(&mut self, files: &Files, data: &Data) -> Result<Bytes, StorageError> {
        match data {
            Data::Memory(bytes) => Ok(Bytes::from_owner(Arc::clone(bytes))),
            Data::Disk(place) => self.read(files, *place),
        }
    }

    /// The bytes of the chunk at `place` in `files`, checked.
    pub(super) fn read(&mut self, files: &Files, place: u64) -> Result<Bytes, StorageError> {
        let (seq, offset) = ((place >> 32) as u32, place & u64::from(u32::MAX));
        if let Some(file) = files.all.get(&seq) {
            let page = self.page(seq, offset / PAGE, file)?;
            let record = page.get((offset % PAGE) as usize..).unwrap_or_default();
            if format::record_len(record).is_some_and(|len| len <= record.len()) {
                let chunk = format::parse(record).map_err(|e| files.met(e.at(&file.path, offset)))?;
                return Ok(Bytes::copy_from_slice(record.get(chunk.data).unwrap_or_default()));
            }
        }
        // It ends in the next page.
        files.read(place)
    }

    fn page(&mut self, seq: u32, number: u64, file: &Mapped) -> Result<&[u8], StorageError> {
        let place = (seq, number);
        if !self.pages.contains_key(&place) {
            let start = number * PAGE;
            // Behind the last complete chunk something else may be written later.
            let len = file.len.saturating_sub(start).min(PAGE);
            let mut page = vec![0; len as usize];
            let read = file.reader.read_at(&mut page, start);
            let n = read.map_err(|e| StorageError::io("read", &file.path, e))?;
            page.truncate(n);
            if self.order.len() >= self.most
                && let Some(oldest) = self.order.pop_front()
            {
                self.pages.remove(&oldest);
            }
            self.order.push_back(place);
            self.pages.insert(place, page);
        }
        Ok(self.pages.get(&place).map_or(&[], Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::series::{Closed, Outgoing};
    use super::super::ChunksHead;
    use super::*;
    use crate::cache::Cache;
    use crate::chunk::Encoding;
    use crate::disk::MemoryDisk;
    use leadline_model::port::SeriesRef;
    use std::path::PathBuf;

    const PAGES: usize = 512;

    fn outgoing(series: u64) -> Outgoing {
        let data = vec![series as u8; 20 + (series * 37 % 400) as usize];
        Outgoing {
            series: SeriesRef(series),
            chunk: Closed::in_memory(0, 1, Encoding::Xor, data.into()),
            out_of_order: false,
        }
    }

    #[test]
    fn chunks_are_read_as_one_by_one_in_any_order_and_while_more_are_written() {
        let chunks = ChunksHead::new(
            Arc::new(MemoryDisk::new()),
            PathBuf::from("/chunks_head"),
            Cache::new(0),
        );
        let (mut places, mut ahead) = (Vec::new(), Ahead::new(PAGES));
        for round in 0..4 {
            // Enough of them that pages have to go.
            let sent: Vec<Outgoing> = (round * 10_000..(round + 1) * 10_000).map(outgoing).collect();
            places.extend(chunks.write(&sent).unwrap());
            let files = chunks.files();
            for step in [1, 997, 7_919] {
                for i in 0..places.len() {
                    let place = places[i * step % places.len()];
                    let got = ahead.bytes(&files, &Data::Disk(place)).unwrap();
                    assert_eq!(got, files.read(place).unwrap(), "{place}");
                }
            }
        }
        assert_eq!(ahead.pages.len(), PAGES);
    }

    #[test]
    fn a_place_without_a_chunk_is_an_error() {
        let chunks = ChunksHead::new(
            Arc::new(MemoryDisk::new()),
            PathBuf::from("/chunks_head"),
            Cache::new(0),
        );
        let places = chunks.write(&[outgoing(1)]).unwrap();
        let mut ahead = Ahead::new(PAGES);
        for place in [places[0] + 1, places[0] + 100_000, 9 << 32] {
            assert!(ahead.bytes(&chunks.files(), &Data::Disk(place)).is_err(), "{place}");
        }
    }
}
