//! A stripe: the series that its owners created, behind one lock.

use super::closed::ENTRY;
use super::histograms::OpenHistograms;
use super::late::Late;
use super::series::{Closed, Cold, Data, Hot, Outgoing};
use crate::chunk::{Encoding, XorAppender};
use crate::interval::Intervals;
use crate::stats::Stats;
use leadline_model::port::{Refusal, SeriesRef};
use leadline_model::sample::Timestamp;
use std::collections::BTreeMap;

/// Number of stripes; a power of two, and at most 64 so that a set of stripes is a word.
pub(super) const STRIPES: usize = 64;

/// How many references that follow each other are of one stripe. The log stores a sample's reference as its distance from
/// the record's first, in two bytes up to 8,191.
const RUN: u64 = 8_192;

/// The stripe of a series.
#[inline]
pub(super) fn stripe_of(series: SeriesRef) -> usize {
    (series.0 / RUN % STRIPES as u64) as usize
}

/// The reference of the n-th series that a stripe ever held. It stays below 2^40, which is what Prometheus' formats
/// can hold of one (`tsdb/chunks/chunks.go`, `HeadChunkRef`).
pub(super) fn make_ref(stripe: usize, number: u32) -> SeriesRef {
    let number = u64::from(number);
    SeriesRef((number / RUN * STRIPES as u64 + stripe as u64) * RUN + number % RUN)
}

/// The number of a series within its stripe; `None` for a reference that no stripe can have given.
#[inline]
pub(super) fn number_of(series: SeriesRef) -> Option<u32> {
    u32::try_from(series.0 / (RUN * STRIPES as u64) * RUN + series.0 % RUN).ok()
}

/// From here on are the numbers of series that were created before the log was read: nothing in the log has them, and they
/// become unknown when the replay ends.
pub(super) const EARLY: u32 = 1 << 31;

/// What an open chunk takes at most where it can go to the disk, bytes: about 50 samples of the hardest values, and more
/// than 120 of usual counters. A series that is scraped keeps half of it on average, and 16 bytes a chunk that is gone.
/// Where the store is tested, short chunks are closed early too.
const OPEN_BYTES: u16 = if cfg!(feature = "planted") { 32 } else { 320 };

/// When chunks are closed: after so many samples, and where a block would end, so that no chunk has to be cut in two
/// when a block is written. Where the disk takes them, also when they are long: what was closed early is joined again when
/// a block is written ([`super::rejoin`]).
#[derive(Debug, Clone, Copy)]
pub(super) struct Cuts {
    samples: u16,
    /// Length of an open chunk, bytes.
    bytes: u16,
    /// Length of a block, ms; 0 where there are none.
    range: i64,
    /// The block range that was asked for last: from here (ms) …
    from: Timestamp,
    /// … to before here (ms).
    until: Timestamp,
}

impl Cuts {
    /// Chunks of at most `samples` samples that end where blocks of `range` ms end (0: there are no blocks).
    pub(super) fn new(samples: u16, range: i64) -> Self {
        Self {
            samples,
            bytes: u16::MAX,
            range,
            from: Timestamp::MIN,
            until: if range > 0 { Timestamp::MIN } else { Timestamp::MAX },
        }
    }

    /// Closes chunks early: they can be mapped.
    pub(super) fn early(self) -> Self {
        Self {
            bytes: OPEN_BYTES,
            ..self
        }
    }

    /// Whether the next sample begins another chunk, as far as the size of the open one tells.
    #[inline]
    fn end(&self, open: &XorAppender) -> bool {
        open.is_full(self.samples) || open.words() >= self.bytes
    }

    /// Length of a block, ms; 0 where there are none.
    pub(super) fn range(&self) -> i64 {
        self.range
    }

    /// Moves on to the block range that `t` (ms) is in.
    #[inline]
    fn turn_to(&mut self, t: Timestamp) {
        if t >= self.until || t < self.from {
            self.turn(t);
        }
    }

    #[cold]
    fn turn(&mut self, t: Timestamp) {
        if self.range > 0 {
            self.from = t.div_euclid(self.range).saturating_mul(self.range);
            self.until = self.from.saturating_add(self.range);
        }
    }
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
    /// Whether what is written here goes to the log.
    pub(super) logged: bool,
    /// What was deleted of which series.
    pub(super) deleted: BTreeMap<u32, Intervals>,
    /// What came out of order, of which series.
    pub(super) late: BTreeMap<u32, Late>,
    /// The open chunks of series that hold histograms; their rows have none then.
    pub(super) histograms: BTreeMap<u32, OpenHistograms>,
    /// Series with a chunk that was closed and is not on the disk yet, in the order of closing.
    turned: Vec<u32>,
    pub(super) samples: u64,
    closed_chunks: u64,
    closed_bytes: u64,
    open_bytes: u64,
    scratch: Vec<u8>,
}

/// The number of a stripe's first series. There is no series 0: Prometheus takes that reference for none and drops its samples.
const FIRST: u32 = 1;

impl Stripe {
    /// A stripe without series.
    pub(super) fn new() -> Self {
        Self {
            next: FIRST,
            ..Self::default()
        }
    }

    /// The row of a series. `guess` is where it would be if it followed the last one that was asked for.
    #[inline]
    pub(super) fn row(&self, number: u32, guess: usize) -> Option<usize> {
        if self.numbers.get(guess) == Some(&number) {
            return Some(guess);
        }
        self.numbers.binary_search(&number).ok()
    }

    /// The oldest and the newest time (ms) of a row; the ends of time, the wrong way round, of one without samples.
    pub(super) fn ends(&self, row: usize) -> (Timestamp, Timestamp) {
        let (hot, cold) = (&self.hot[row], &self.cold[row]);
        let (mut mint, mut maxt) = (Timestamp::MAX, Timestamp::MIN);
        if hot.open.samples() > 0 || self.open_histograms(row).is_some() {
            (mint, maxt) = (cold.open_from, hot.open.last_t());
        }
        if let Some((first, last)) = cold.closed.first().zip(cold.closed.last()) {
            (mint, maxt) = (first.mint, maxt.max(last.maxt()));
        }
        if let Some(late) = self.late.get(&self.numbers[row]).and_then(Late::ends) {
            (mint, maxt) = (mint.min(late.0), maxt.max(late.1));
        }
        (mint, maxt)
    }

    /// The numbers of all series, ascending.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The number that [`Self::create`] will give next; `None` when all are used up. It is never 0: a reader of the log
    /// may take a series of reference 0 for one that has none yet (`tsdb/head.go`, `getOrCreateWithOptionalID`).
    pub(super) fn next_number(&self) -> Option<u32> {
        let next = self.next.max(1);
        (next % EARLY < EARLY - 1).then_some(next)
    }

    /// Gives out numbers from [`EARLY`] on.
    pub(super) fn begin_early(&mut self) {
        self.next = EARLY;
    }

    /// Adds a series under [`Self::next_number`].
    pub(super) fn create(&mut self, owner: u32, set: u32) {
        let number = self.next.max(1);
        self.insert(self.numbers.len(), number, Hot::new(owner, set));
        self.next = number + 1;
    }

    /// The row of a number that was given out before, which is entered if need be. The number must be below [`EARLY`].
    pub(super) fn enter(&mut self, number: u32, guess: usize, owner: u32) -> usize {
        if let Some(row) = self.row(number, guess) {
            return row;
        }
        let row = match self.numbers.last() {
            Some(&last) if last > number => self.numbers.partition_point(|&n| n < number),
            _ => self.numbers.len(),
        };
        self.insert(row, number, Hot::new(owner, 0));
        self.reserve_number(number);
        row
    }

    /// [`Self::enter`] of many numbers, which ascend: one pass instead of one for each that comes in between.
    pub(super) fn enter_all(&mut self, numbers: &[u32], owner: u32) {
        let missing: Vec<u32> = numbers.iter().copied().filter(|&n| self.row(n, 0).is_none()).collect();
        let Some((&first, &last)) = missing.first().zip(missing.last()) else {
            return;
        };
        self.reserve_number(last);
        let from = self.numbers.partition_point(|&n| n < first);
        let behind = self.numbers.split_off(from);
        let (hot, cold) = (self.hot.split_off(from), self.cold.split_off(from));
        let mut behind = behind.into_iter().zip(hot.into_iter().zip(cold)).peekable();
        for number in missing {
            while let Some((number, (hot, cold))) = behind.next_if(|row| row.0 < number) {
                self.push(number, hot, cold);
            }
            self.push(number, Hot::new(owner, 0), Cold::default());
        }
        for (number, (hot, cold)) in behind {
            self.push(number, hot, cold);
        }
    }

    /// Never gives out `number` or one below it again.
    pub(super) fn reserve_number(&mut self, number: u32) {
        self.next = self.next.max(number.saturating_add(1));
    }

    fn push(&mut self, number: u32, hot: Hot, cold: Cold) {
        self.make_room();
        self.numbers.push(number);
        self.hot.push(hot);
        self.cold.push(cold);
    }

    fn make_room(&mut self) {
        reserve(&mut self.numbers);
        reserve(&mut self.hot);
        reserve(&mut self.cold);
    }

    fn insert(&mut self, row: usize, number: u32, hot: Hot) {
        self.make_room();
        self.numbers.insert(row, number);
        self.hot.insert(row, hot);
        self.cold.insert(row, Cold::default());
    }

    /// Adds a sample to a row. `Ok(false)`: the newest sample is the same, bit for bit.
    #[inline]
    pub(super) fn append(&mut self, row: usize, t: Timestamp, v: f64, cuts: &mut Cuts) -> Result<bool, Refusal> {
        let Some(hot) = self.hot.get_mut(row) else {
            return Err(Refusal::UnknownSeries);
        };
        let last = hot.open.last_t();
        if t <= last {
            return match (t == last, v.to_bits() == hot.open.last_bits()) {
                (true, true) => Ok(false),
                (true, false) => Err(Refusal::Duplicate),
                (false, _) => Err(Refusal::OutOfOrder),
            };
        }
        cuts.turn_to(t);
        if hot.open.samples() == 0 || cuts.end(&hot.open) || last < cuts.from {
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
    pub(super) fn turn_chunk(&mut self, row: usize, t: Timestamp) {
        self.close_histograms(row);
        let hot = &mut self.hot[row];
        if hot.open.samples() > 0 {
            let maxt = hot.open.last_t();
            self.open_bytes -= hot.open.capacity() as u64;
            let data = hot.open.seal(&mut self.scratch);
            let mint = self.cold[row].open_from;
            self.push_closed(row, Closed::in_memory(mint, maxt, Encoding::Xor, data));
        }
        self.cold[row].open_from = t;
    }

    /// Adds a closed chunk behind those of a row. Its samples must have been counted when they were appended.
    pub(super) fn push_closed(&mut self, row: usize, chunk: Closed) {
        self.closed_chunks += 1;
        self.closed_bytes += chunk.memory();
        if matches!(chunk.data, Data::Memory(_)) {
            self.turned.push(self.numbers[row]);
        }
        self.cold[row].closed.push(chunk);
    }

    /// Takes over a chunk that is on the disk, newer than all that the row has, which has no open chunk. The value of the
    /// row's newest sample has to be found out ([`super::replay`]) unless a newer one follows.
    pub(super) fn adopt(&mut self, row: usize, chunk: Closed) {
        self.samples += u64::from(chunk.samples);
        self.hot[row].open = XorAppender::behind(chunk.maxt(), 0);
        self.push_closed(row, chunk);
    }

    /// Puts chunks that are in memory in the place of a row's closed one number `at`, of which they are a part.
    pub(super) fn replace_closed(&mut self, row: usize, at: usize, part: Vec<Closed>) {
        let all = self.cold[row].closed.len();
        let mut older = self.cold[row].closed.take_oldest(all);
        let newer = older.split_off(at + 1);
        if let Some(gone) = older.pop() {
            self.forget_closed(&gone);
        }
        older.into_iter().for_each(|chunk| self.cold[row].closed.push(chunk));
        for chunk in part {
            self.samples += u64::from(chunk.samples);
            self.push_closed(row, chunk);
        }
        newer.into_iter().for_each(|chunk| self.cold[row].closed.push(chunk));
    }

    /// Bytes of closed chunks that are in memory.
    pub(super) fn closed_memory(&self) -> u64 {
        self.closed_bytes
    }

    /// The chunks that were closed and are not on the disk yet; a second call does not give them again.
    pub(super) fn outgoing(&mut self, stripe: usize) -> Vec<Outgoing> {
        let mut turned = std::mem::take(&mut self.turned);
        let chunks = turned.len();
        turned.sort_unstable();
        turned.dedup();
        let mut outgoing = Vec::with_capacity(chunks);
        let mut guess = 0;
        for number in turned {
            let Some(row) = self.row(number, guess) else { continue };
            guess = row + 1;
            outgoing.extend(self.cold[row].closed.in_memory().map(|chunk| Outgoing {
                series: make_ref(stripe, number),
                chunk: chunk.clone(),
                out_of_order: false,
            }));
        }
        outgoing
    }

    /// Takes back what [`Self::outgoing`] gave and could not be written.
    pub(super) fn take_back(&mut self, outgoing: &[Outgoing]) {
        self.turned.extend(outgoing.iter().filter_map(|o| number_of(o.series)));
    }

    /// Forgets the bytes of chunks that are on the disk now, each at its place there.
    pub(super) fn landed(&mut self, outgoing: &[Outgoing], places: &[u64]) {
        let mut guess = 0;
        for (sent, &place) in outgoing.iter().zip(places) {
            let Some(row) = number_of(sent.series).and_then(|number| self.row(number, guess)) else {
                continue;
            };
            guess = row;
            self.closed_bytes -= self.cold[row].closed.landed(sent.chunk.mint, place);
        }
    }

    /// Chunks of samples that came out of order and are not on the disk yet.
    pub(super) fn late_outgoing(&self, stripe: usize) -> Vec<Outgoing> {
        let chunks = self.late.iter().flat_map(|(&number, late)| {
            let waiting = late.chunks.iter().filter(|c| c.bytes().is_some());
            waiting.map(move |chunk| Outgoing {
                series: make_ref(stripe, number),
                chunk: chunk.clone(),
                out_of_order: true,
            })
        });
        chunks.collect()
    }

    /// [`Self::landed`] for chunks of [`Self::late_outgoing`].
    pub(super) fn late_landed(&mut self, outgoing: &[Outgoing], places: &[u64]) {
        for (sent, &place) in outgoing.iter().zip(places) {
            let Some(late) = number_of(sent.series).and_then(|number| self.late.get_mut(&number)) else {
                continue;
            };
            let same = |chunk: &&mut Closed| chunk.bytes().is_some() && chunk.bytes() == sent.chunk.bytes();
            if let Some(chunk) = late.chunks.iter_mut().find(same) {
                chunk.data = Data::Disk(place);
            }
        }
    }

    /// The series whose newest sample is older than `bound` (ms), ascending; none of which anything came out of order.
    pub(super) fn ended_before(&self, bound: Timestamp) -> Vec<u32> {
        let ended = |row: &usize| self.hot[*row].open.last_t() < bound && !self.late.contains_key(&self.numbers[*row]);
        (0..self.numbers.len())
            .filter(ended)
            .map(|row| self.numbers[row])
            .collect()
    }

    /// Drops what ended before `bound` (ms): closed chunks of all series, and of those that `may_go` names (ascending)
    /// the ones whose newest sample is older, which are returned.
    pub(super) fn expire(&mut self, bound: Timestamp, may_go: &[u32]) -> Vec<u32> {
        let mut gone = Vec::new();
        for row in 0..self.numbers.len() {
            let n = self.cold[row].closed.iter().take_while(|c| c.maxt() < bound).count();
            self.drop_closed(row, n);
            let dead = self.hot[row].open.last_t() < bound && !self.late.contains_key(&self.numbers[row]);
            if dead && may_go.binary_search(&self.numbers[row]).is_ok() {
                gone.push(self.numbers[row]);
            }
        }
        self.remove(&gone);
        self.forget_deletions(bound);
        gone
    }

    /// Forgets deletions that ended before `bound` (ms) and before the first sample of their series: a chunk may reach over
    /// the bound, and what was deleted of it must not rise.
    pub(super) fn forget_deletions(&mut self, bound: Timestamp) {
        let mut all = std::mem::take(&mut self.deleted);
        all.retain(|&number, deleted| {
            let bound = self.row(number, 0).map_or(bound, |row| self.ends(row).0.min(bound));
            if deleted.as_slice().iter().any(|i| i.maxt < bound) {
                *deleted = deleted.as_slice().iter().copied().filter(|i| i.maxt >= bound).collect();
            }
            !deleted.is_empty()
        });
        self.deleted = all;
    }

    /// Drops the oldest `n` closed chunks of a row.
    fn drop_closed(&mut self, row: usize, n: usize) {
        for chunk in self.cold[row].closed.take_oldest(n) {
            self.forget_closed(&chunk);
        }
    }

    /// A closed chunk is counted no more.
    fn forget_closed(&mut self, chunk: &Closed) {
        self.closed_chunks -= 1;
        self.closed_bytes -= chunk.memory();
        self.samples -= u64::from(chunk.samples);
    }

    /// Takes series out, whose numbers must ascend, and gives memory back.
    pub(super) fn remove(&mut self, gone: &[u32]) {
        if gone.is_empty() {
            return;
        }
        let mut keep = vec![true; self.numbers.len()];
        for &number in gone {
            let Some(row) = self.row(number, 0) else { continue };
            keep[row] = false;
            self.drop_closed(row, self.cold[row].closed.len());
            self.samples -= u64::from(self.hot[row].open.samples());
            self.open_bytes -= self.hot[row].open.capacity() as u64;
            self.deleted.remove(&number);
            self.late.remove(&number);
            self.samples -= self.histograms.remove(&number).map_or(0, |open| open.samples());
        }
        let mut rows = keep.iter();
        self.cold.retain(|_| *rows.next().unwrap_or(&true));
        let mut rows = keep.iter();
        self.numbers.retain(|_| *rows.next().unwrap_or(&true));
        let mut rows = keep.iter();
        self.hot.retain(|_| *rows.next().unwrap_or(&true));
        shrink(&mut self.numbers);
        shrink(&mut self.hot);
        shrink(&mut self.cold);
    }

    /// Adds this stripe's gauges.
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.series += self.numbers.len() as u64;
        stats.samples += self.samples;
        stats.chunks += self.closed_chunks + self.hot.len() as u64;
        let histograms: u64 = self.histograms.values().map(OpenHistograms::len).sum();
        stats.chunk_bytes += self.closed_bytes + self.open_bytes + histograms;
        let rows = self.numbers.capacity() * size_of::<u32>()
            + self.hot.capacity() * size_of::<Hot>()
            + self.cold.capacity() * size_of::<Cold>();
        // One that is in memory costs its entry there and the counters of its Arc besides its bytes.
        let waiting = self.turned.len() as u64;
        let entries = self.closed_chunks * ENTRY + waiting * (size_of::<Closed>() as u64 + 16);
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
