//! Reading the chunks that one query asks for: those that it is going to ask for next are read together, in the order in which
//! they lie in the files.
//!
//! A query goes from series to series, often in the order of their labels, and chunks lie target by target: one after the
//! other may be anywhere. But the series of one metric and target, which many queries read all of, lie side by side.

use super::{Files, GUESS, format};
use crate::error::StorageError;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// So many chunks are read one by one first: a query of few series reads no more than it needs.
const ALONE: usize = 8;
/// How many are read together then, and how many at most where they are asked for indeed: 2 MiB of gauges, 4.5 at
/// most.
const FIRST: usize = 512;
const MOST: usize = 2_048;
/// So many windows of that size are kept: two readers may be on both sides of where one ends.
const WINDOWS: usize = 2;
/// Chunks that begin so close to each other, bytes, are read in one go with what lies between them.
const CLOSE: u64 = 2 * GUESS as u64;

/// What one query has read of the files. Two threads that are a few series apart may ask: who is behind finds what was read
/// before, and nothing is checked or decoded under a lock.
#[derive(Debug, Default)]
pub(in crate::head) struct Near {
    kept: Mutex<Kept>,
    /// Held while chunks are read together, so that who else needs them waits and does not read them too.
    reading: Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    asked: usize,
    /// How many chunks were to be read together last.
    together: usize,
    /// What was read last or is still asked for, [`WINDOWS`] at most: that which was asked for last first.
    windows: Vec<Opened>,
}

/// A window and how it is used.
#[derive(Debug)]
struct Opened {
    window: Arc<Window>,
    /// How many chunks it was to hold, and how many were asked for and told by it.
    wanted: usize,
    used: usize,
}

/// Chunks that were read together.
#[derive(Debug, Default)]
struct Window {
    /// Their places in order.
    told: Vec<u64>,
    /// In the order of their places.
    runs: Vec<Run>,
    bytes: Vec<u8>,
}

/// Bytes of a file that were read in one go.
#[derive(Debug)]
struct Run {
    /// Of the first.
    place: u64,
    /// Where they are in [`Window::bytes`].
    bytes: Range<usize>,
}

impl Near {
    /// Lets `take` have the bytes of the chunk at `place` in `files`, checked. `next` tells the places of so many chunks at
    /// most as are likely to be asked for next, this one the first.
    pub(in crate::head) fn with<T>(
        &self,
        files: &Files,
        place: u64,
        next: impl FnOnce(usize) -> Vec<u64>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, StorageError> {
        let window = self.window(files, place, next);
        if let Some(record) = window.as_ref().and_then(|window| window.find(place)) {
            let chunk = files.parse(place, record)?;
            return Ok(take(record.get(chunk).unwrap_or_default()));
        }
        // One of the first, longer than what was read of it, or it could not be read.
        files.read(place).map(|bytes| take(&bytes))
    }

    /// The window that tells `place`, which is read if there is none; none of the first that are asked for.
    fn window(&self, files: &Files, place: u64, next: impl FnOnce(usize) -> Vec<u64>) -> Option<Arc<Window>> {
        {
            let mut kept = self.kept.lock();
            kept.asked += 1;
            if kept.asked <= ALONE {
                return None;
            }
            if let Some(window) = kept.told(place) {
                return Some(window);
            }
        }
        let _reading = self.reading.lock();
        let (wanted, mut window) = {
            let mut kept = self.kept.lock();
            // Who was reading may have read it.
            if let Some(window) = kept.told(place) {
                return Some(window);
            }
            kept.begin()
        };
        let mut told = next(wanted);
        self.kept.lock().cut(&mut told);
        window.read(files, told);
        let window = Arc::new(window);
        self.kept.lock().open(Arc::clone(&window), wanted);
        Some(window)
    }
}

impl Kept {
    /// The window that tells a place, of which that counts as asked for.
    fn told(&mut self, place: u64) -> Option<Arc<Window>> {
        let at = self.windows.iter().position(|opened| opened.window.tells(place))?;
        self.windows.swap(0, at);
        let opened = self.windows.first_mut()?;
        opened.used += 1;
        Some(Arc::clone(&opened.window))
    }

    /// How many chunks are to be read together now, and the memory for them: that of the window which was asked for longest
    /// ago, where there are as many as are kept. Who asks for something else than was told is told less.
    fn begin(&mut self) -> (usize, Window) {
        // One of them may have been read just now: who is behind in the other goes on in order for that.
        let in_order = self.windows.iter().any(|opened| opened.used * 2 > opened.wanted);
        self.together = match self.together {
            0 => FIRST,
            told if in_order => (told * 2).min(MOST),
            told => (told / 8).max(1),
        };
        let old = (self.windows.len() == WINDOWS).then(|| self.windows.pop()).flatten();
        let memory = old.and_then(|old| Arc::into_inner(old.window)).unwrap_or_default();
        (self.together, memory)
    }

    /// Leaves out what a window tells already, and what follows it: who goes on in order finds it there.
    fn cut(&self, told: &mut Vec<u64>) {
        let known = |place: &u64| self.windows.iter().any(|opened| opened.window.tells(*place));
        if let Some(end) = told.iter().position(known) {
            told.truncate(end);
        }
    }

    /// Keeps a window that was read, as the one asked for last.
    fn open(&mut self, window: Arc<Window>, wanted: usize) {
        let used = 1;
        self.windows.insert(0, Opened { window, wanted, used });
    }
}

impl Window {
    fn tells(&self, place: u64) -> bool {
        self.told.binary_search(&place).is_ok()
    }

    /// The bytes from a place on, if a whole chunk of them was read.
    fn find(&self, place: u64) -> Option<&[u8]> {
        let after = self.runs.partition_point(|run| run.place <= place);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let skipped = usize::try_from(place - run.place).ok()?;
        let record = self.bytes.get(run.bytes.clone())?.get(skipped..)?;
        format::record_len(record)
            .is_some_and(|len| len <= record.len())
            .then_some(record)
    }

    /// Replaces what it holds by the chunks at the places of `told`.
    fn read(&mut self, files: &Files, mut told: Vec<u64>) {
        told.sort_unstable();
        self.runs.clear();
        self.bytes.clear();
        let mut rest = told.as_slice();
        while let Some(&first) = rest.first() {
            let close = rest.windows(2).take_while(|pair| pair[1] - pair[0] <= CLOSE).count();
            let last = rest.get(close).copied().unwrap_or(first);
            rest = rest.get(close + 1..).unwrap_or_default();
            self.read_run(files, first, (last - first) as usize + GUESS);
        }
        self.told = told;
    }

    /// Reads so many bytes at a place, or fewer at the end of the file. What cannot be read is left out: that is told to
    /// whoever needs it.
    fn read_run(&mut self, files: &Files, place: u64, len: usize) {
        let Some((file, offset)) = files.at(place) else { return };
        // Behind the last complete chunk something else may be written later.
        let len = (len as u64).min(file.len.saturating_sub(offset)) as usize;
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        let into = self.bytes.get_mut(start..).unwrap_or_default();
        let read = file.reader.read_at(into, offset).unwrap_or(0);
        self.bytes.truncate(start + read);
        let bytes = start..self.bytes.len();
        self.runs.push(Run { place, bytes });
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
    use std::cell::Cell;
    use std::path::PathBuf;

    fn outgoing(series: u64) -> Outgoing {
        // Some are longer than what is read of the last of a run.
        let len = if series.is_multiple_of(97) {
            5_000
        } else {
            20 + series * 37 % 400
        };
        Outgoing {
            series: SeriesRef(series),
            chunk: Closed::in_memory(0, 1, Encoding::Xor, vec![series as u8; len as usize].into()),
            out_of_order: false,
        }
    }

    fn written(chunks: u64) -> (Arc<Files>, Vec<u64>) {
        let head = ChunksHead::new(
            Arc::new(MemoryDisk::new()),
            PathBuf::from("/chunks_head"),
            Cache::new(0),
        );
        let sent: Vec<Outgoing> = (0..chunks).map(outgoing).collect();
        let places = head.write(&sent).unwrap();
        (head.files(), places)
    }

    /// Asks for the chunks of `asked`, says that they come in the order of `told`, and returns how often it had to say so.
    fn ask(files: &Files, asked: &[u64], told: &[u64]) -> usize {
        let (near, said) = (Near::default(), Cell::new(0));
        for &place in asked {
            let next = |most: usize| {
                said.set(said.get() + 1);
                let from = told.iter().position(|p| *p == place).unwrap();
                told[from..].iter().take(most).copied().collect()
            };
            let got = near.with(files, place, next, <[u8]>::to_vec).unwrap();
            assert_eq!(got, files.read(place).unwrap(), "{place}");
        }
        said.get()
    }

    #[test]
    fn chunks_are_read_together_as_one_by_one_whatever_their_order_is() {
        let (files, places) = written(6_000);
        let jumping: Vec<u64> = (0..places.len()).map(|i| places[i * 997 % places.len()]).collect();
        for order in [&places, &jumping] {
            // After the first 8: 512, 1,024, 2,048, 2,048, and the rest.
            assert_eq!(ask(&files, order, order), 5);
        }
    }

    #[test]
    fn who_asks_for_something_else_than_was_told_soon_reads_alone() {
        let (files, places) = written(2_000);
        let backwards: Vec<u64> = places.iter().rev().copied().collect();
        let (near, mut read) = (Near::default(), 0);
        for (i, &place) in backwards.iter().enumerate() {
            let asked = Cell::new(false);
            let next = |most: usize| {
                asked.set(true);
                places[places.len() - 1 - i..].iter().take(most).copied().collect()
            };
            near.with(&files, place, next, |_| ()).unwrap();
            if asked.get() {
                read += near.kept.lock().windows[0].window.told.len();
            }
        }
        assert!(read < 2 * places.len(), "{read}");
    }

    #[test]
    fn two_who_are_a_few_series_apart_find_what_either_has_read() {
        let (files, places) = written(6_000);
        for apart in [1, 64, 600] {
            let (near, said) = (Near::default(), Cell::new(0));
            let ask = |at: usize| {
                let next = |most: usize| {
                    said.set(said.get() + 1);
                    places[at..].iter().take(most).copied().collect()
                };
                let got = near.with(&files, places[at], next, <[u8]>::to_vec).unwrap();
                assert_eq!(got, files.read(places[at]).unwrap(), "{at}");
            };
            for at in 0..places.len() + apart {
                if at < places.len() {
                    ask(at);
                }
                if let Some(behind) = at.checked_sub(apart) {
                    ask(behind);
                }
            }
            // One of them would need 5. Who is behind asks first for what the other read alone; the rest is where both are on
            // either side of an end.
            assert!(said.get() <= 8, "{apart}: {}", said.get());
        }
    }

    #[test]
    fn chunks_are_the_same_for_several_who_read_at_once() {
        let (files, places) = written(4_000);
        let near = Near::default();
        std::thread::scope(|scope| {
            for first in [0, 100, 700] {
                let (near, files, places) = (&near, &files, &places);
                scope.spawn(move || {
                    for at in first..places.len() {
                        let next = |most: usize| places[at..].iter().take(most).copied().collect();
                        let got = near.with(files, places[at], next, <[u8]>::to_vec).unwrap();
                        assert_eq!(got, files.read(places[at]).unwrap(), "{at}");
                    }
                });
            }
        });
    }

    #[test]
    fn a_place_without_a_chunk_is_an_error_and_costs_no_other() {
        let (files, places) = written(20);
        let near = Near::default();
        for i in 0..3 * ALONE {
            let next = |_: usize| vec![places[3], places[3] + 1, places[5] + 100_000, 9 << 32];
            let place = [places[3], places[3] + 1, 9 << 32][i % 3];
            let got = near.with(&files, place, next, <[u8]>::len);
            assert_eq!(got.is_ok(), place == places[3], "{place}");
        }
    }
}
