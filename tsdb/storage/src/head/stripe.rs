//! A stripe: the series that its owners created, behind one lock.

use super::series::{Closed, Cold, Hot};
use crate::chunk::{Encoding, XorAppender, sample_count};
use crate::stats::Stats;
use leadline_model::port::{Refusal, SeriesRef};
use leadline_model::sample::Timestamp;

/// Number of stripes; a power of two, and at most 64 so that a set of stripes is a word.
pub(super) const STRIPES: usize = 64;

/// The stripe of a series.
#[inline]
pub(super) fn stripe_of(series: SeriesRef) -> usize {
    (series.0 % STRIPES as u64) as usize
}

/// The reference of the n-th series that a stripe ever held. It stays below 2^40, which is what Prometheus' formats
/// can hold of one (`tsdb/chunks/chunks.go`, `HeadChunkRef`).
pub(super) fn make_ref(stripe: usize, number: u32) -> SeriesRef {
    SeriesRef(u64::from(number) * STRIPES as u64 + stripe as u64)
}

/// The number of a series within its stripe; `None` for a reference that no stripe can have given.
#[inline]
pub(super) fn number_of(series: SeriesRef) -> Option<u32> {
    u32::try_from(series.0 / STRIPES as u64).ok()
}

/// The series of one stripe as parallel arrays, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Stripe {
    /// The number of each series; ascending, never used twice.
    numbers: Vec<u32>,
    pub(super) hot: Vec<Hot>,
    pub(super) cold: Vec<Cold>,
    /// The number that the next series gets.
    next: u32,
    samples: u64,
    closed_chunks: u64,
    closed_bytes: u64,
    open_bytes: u64,
    scratch: Vec<u8>,
}

impl Stripe {
    /// The row of a series. `guess` is where it would be if it followed the last one that was asked for.
    #[inline]
    pub(super) fn row(&self, number: u32, guess: usize) -> Option<usize> {
        if self.numbers.get(guess) == Some(&number) {
            return Some(guess);
        }
        self.numbers.binary_search(&number).ok()
    }

    /// The number that [`Self::create`] will give next; `None` when all are used up.
    pub(super) fn next_number(&self) -> Option<u32> {
        (self.next < u32::MAX).then_some(self.next)
    }

    /// Adds a series under [`Self::next_number`].
    pub(super) fn create(&mut self, owner: u32, set: u32) {
        reserve(&mut self.numbers);
        reserve(&mut self.hot);
        reserve(&mut self.cold);
        self.numbers.push(self.next);
        self.hot.push(Hot {
            open: XorAppender::default(),
            owner,
            set,
        });
        self.cold.push(Cold::default());
        self.next += 1;
    }

    /// Adds a sample to a row. `Ok(false)`: the newest sample is the same, bit for bit.
    #[inline]
    pub(super) fn append(&mut self, row: usize, t: Timestamp, v: f64, chunk_samples: u16) -> Result<bool, Refusal> {
        let Some(hot) = self.hot.get_mut(row) else {
            return Err(Refusal::UnknownSeries);
        };
        if t <= hot.open.last_t() {
            return match (t == hot.open.last_t(), v.to_bits() == hot.open.last_bits()) {
                (true, true) => Ok(false),
                (true, false) => Err(Refusal::Duplicate),
                (false, _) => Err(Refusal::OutOfOrder),
            };
        }
        if hot.open.samples() == 0 || hot.open.is_full(chunk_samples) {
            self.turn_chunk(row, t);
        }
        let hot = &mut self.hot[row];
        let before = hot.open.capacity();
        hot.open.append(t, v);
        self.open_bytes += (hot.open.capacity() - before) as u64;
        self.samples += 1;
        Ok(true)
    }

    /// Closes the open chunk, if it has samples, and begins the next at `t`.
    #[cold]
    fn turn_chunk(&mut self, row: usize, t: Timestamp) {
        let (hot, cold) = (&mut self.hot[row], &mut self.cold[row]);
        if hot.open.samples() > 0 {
            let maxt = hot.open.last_t();
            self.open_bytes -= hot.open.capacity() as u64;
            let data = hot.open.seal(&mut self.scratch);
            self.closed_chunks += 1;
            self.closed_bytes += data.len() as u64;
            cold.closed.reserve_exact(1);
            cold.closed.push(Closed {
                mint: cold.open_from,
                maxt,
                data,
            });
        }
        cold.open_from = t;
    }

    /// Drops what ended before `bound` (ms): closed chunks, and whole series, whose numbers are returned.
    pub(super) fn expire(&mut self, bound: Timestamp) -> Vec<u32> {
        let mut gone = Vec::new();
        for row in 0..self.numbers.len() {
            let (hot, cold) = (&mut self.hot[row], &mut self.cold[row]);
            let dead = hot.open.last_t() < bound;
            let n = if dead {
                cold.closed.len()
            } else {
                cold.closed.iter().take_while(|c| c.maxt < bound).count()
            };
            for chunk in cold.closed.drain(..n) {
                self.closed_chunks -= 1;
                self.closed_bytes -= chunk.data.len() as u64;
                self.samples -= u64::from(sample_count(Encoding::Xor, &chunk.data));
            }
            if dead {
                self.samples -= u64::from(hot.open.samples());
                self.open_bytes -= hot.open.capacity() as u64;
                gone.push(self.numbers[row]);
            }
        }
        if !gone.is_empty() {
            self.remove_rows(bound);
        }
        gone
    }

    /// Takes the rows out whose newest sample is older than `bound` and gives memory back.
    fn remove_rows(&mut self, bound: Timestamp) {
        let mut keep = self
            .hot
            .iter()
            .map(|h| h.open.last_t() >= bound)
            .collect::<Vec<_>>()
            .into_iter();
        self.cold.retain(|_| keep.next().unwrap_or(true));
        let mut keep = self
            .hot
            .iter()
            .map(|h| h.open.last_t() >= bound)
            .collect::<Vec<_>>()
            .into_iter();
        self.numbers.retain(|_| keep.next().unwrap_or(true));
        self.hot.retain(|h| h.open.last_t() >= bound);
        shrink(&mut self.numbers);
        shrink(&mut self.hot);
        shrink(&mut self.cold);
    }

    /// Adds this stripe's gauges.
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.series += self.numbers.len() as u64;
        stats.samples += self.samples;
        stats.chunks += self.closed_chunks + self.hot.len() as u64;
        stats.chunk_bytes += self.closed_bytes + self.open_bytes;
        let rows = self.numbers.capacity() * size_of::<u32>()
            + self.hot.capacity() * size_of::<Hot>()
            + self.cold.capacity() * size_of::<Cold>();
        // A closed chunk costs its entry and the counters of its Arc besides its bytes.
        let entries = self.closed_chunks * (size_of::<Closed>() as u64 + 16);
        stats.bytes += rows as u64 + entries + self.closed_bytes + self.open_bytes;
    }
}

/// Room for one more, growing by a quarter: half-empty arrays would be the largest part of a small series.
fn reserve<T>(rows: &mut Vec<T>) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact((rows.len() / 4).max(16));
    }
}

/// Gives memory back when less than half of it is used.
fn shrink<T>(rows: &mut Vec<T>) {
    if rows.capacity() > rows.len() * 2 {
        rows.shrink_to(rows.len() + rows.len() / 8);
    }
}
