//! Series that are decoded ahead on a second core while the evaluation works on those before them.
//!
//! The series of a set are cut into blocks. A companion decodes one block after the other; the evaluation takes them in order, and
//! decodes itself what the companion has not begun: it works on, never waits, and does all itself where the companion does not
//! come to run. What is counted, held and refused stays with the evaluation, in the order of the series, so that answers, limits and
//! errors are what they are without a companion: also that a series cannot be read is told when that series is asked for.

use leadline_model::histogram::HistogramSample;
use leadline_model::port::{QueryError, SeriesSet};
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Sample, Timestamp};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::mem::{swap, take};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::thread::available_parallelism;
use tokio::runtime::Handle;

/// The most series of a block: some ten microseconds of work.
const BLOCK_SERIES: usize = 64;
/// About so many samples are in a block where they are as far apart as usual.
const BLOCK_SAMPLES: u64 = 1 << 13;
/// Blocks that are decoded ahead at most.
const BLOCKS_AHEAD: usize = 8;
/// Nothing more is begun while so many samples, 4 MiB, are decoded and not taken.
const SAMPLES_AHEAD: usize = 1 << 18;
/// For how many samples a histogram counts there.
const HISTOGRAM: usize = 64;
/// Work, in samples to decode, below which a companion takes more of the processor than it saves time: a millisecond.
const LEAST_WORK: u64 = 1 << 19;
/// For how many samples it counts to begin with a series.
const PER_SERIES: u64 = 64;
/// How far apart samples usually are, ms.
const USUAL_GAP_MS: u64 = 15_000;

/// The companions of all queries: one for each core that is left beside one evaluation.
static SEATS: LazyLock<Arc<Seats>> =
    LazyLock::new(|| Seats::new(available_parallelism().map_or(0, |cores| cores.get() - 1)));

/// The series of `set`, of which all samples within `bounds` (ms, both included) are going to be read in order: decoded ahead where
/// that pays and a core is free.
pub(super) fn ahead(set: Box<dyn SeriesSet>, bounds: (Timestamp, Timestamp)) -> Box<dyn SeriesSet> {
    accompanied(set, bounds, &SEATS)
}

fn accompanied(set: Box<dyn SeriesSet>, bounds: (Timestamp, Timestamp), seats: &Arc<Seats>) -> Box<dyn SeriesSet> {
    let samples = expected_samples(bounds);
    let work = (set.len() as u64).saturating_mul(samples.saturating_add(PER_SERIES));
    if work < LEAST_WORK {
        return set;
    }
    let Ok(runtime) = Handle::try_current() else {
        return set;
    };
    let Some(seat) = seats.take() else {
        return set;
    };
    let shared = Arc::new(Shared::new(set, bounds, samples));
    let companion = Arc::downgrade(&shared);
    // Nobody waits for it: where it fails, the evaluation decodes what it left.
    drop(runtime.spawn_blocking(move || accompany(&companion, seat)));
    Box::new(Ahead {
        shared,
        current: Mutex::default(),
    })
}

/// How many samples a series has within times (ms) as a rule.
fn expected_samples((mint, maxt): (Timestamp, Timestamp)) -> u64 {
    maxt.abs_diff(mint) / USUAL_GAP_MS + 1
}

/// The work of a companion. Until it begins it keeps nothing of the query.
fn accompany(shared: &Weak<Shared>, _seat: Seat) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    while let Some((number, mut block)) = shared.next() {
        shared.decode(number, &mut block);
        shared.finish(number, block);
    }
}

/// How many companions there may be at a time.
#[derive(Debug)]
struct Seats {
    taken: AtomicUsize,
    most: usize,
}

impl Seats {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            most,
        })
    }

    /// A seat, if one is free now.
    fn take(self: &Arc<Self>) -> Option<Seat> {
        let more = |taken: usize| (taken < self.most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Seat(Arc::clone(self)))
    }
}

/// The seat of one companion.
#[derive(Debug)]
struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One series of a block.
#[derive(Debug, Default)]
struct Decoded {
    samples: Samples,
    histograms: Vec<HistogramSample>,
    /// Whether it could be read; none where it was not, or was taken.
    read: Option<Result<(), QueryError>>,
}

impl Decoded {
    fn weight(&self) -> usize {
        self.samples.len() + self.histograms.len() * HISTOGRAM
    }
}

/// Series that follow each other.
type Block = Vec<Decoded>;

/// What the evaluation and its companion share.
struct Shared {
    set: Box<dyn SeriesSet>,
    bounds: (Timestamp, Timestamp),
    /// Series of a block.
    size: usize,
    blocks: usize,
    /// Whether nobody reads any more.
    ended: AtomicBool,
    desk: Mutex<Desk>,
    /// Told when there is room again.
    room: Condvar,
}

/// Who has which block.
#[derive(Default)]
struct Desk {
    /// The first that nobody has begun.
    next: usize,
    /// The one that the evaluation is at.
    at: usize,
    /// Decoded and not taken, with their numbers and weights.
    ready: VecDeque<(usize, usize, Block)>,
    /// The weight of all of them.
    weight: usize,
    /// Memory of blocks that were taken.
    spare: Vec<Block>,
    /// Whether the companion waits for room.
    waits: bool,
}

impl Desk {
    /// Begins the next block, where there is one and room for it.
    fn begin(&mut self, blocks: usize) -> Option<(usize, Block)> {
        let room = self.next <= self.at.saturating_add(BLOCKS_AHEAD) && self.weight < SAMPLES_AHEAD;
        if self.next >= blocks || !room {
            return None;
        }
        self.next += 1;
        Some((self.next - 1, self.spare.pop().unwrap_or_default()))
    }

    /// Takes a block that is ready, and forgets those before it.
    fn take(&mut self, number: usize) -> Option<Block> {
        while let Some(place) = self.ready.iter().position(|(n, ..)| *n <= number) {
            let (n, weight, block) = self.ready.swap_remove_back(place)?;
            self.weight -= weight;
            if n == number {
                return Some(block);
            }
        }
        None
    }

    /// Whether it is worth waking who waits for room.
    fn has_room(&self) -> bool {
        self.next <= self.at.saturating_add(BLOCKS_AHEAD / 2) && self.weight < SAMPLES_AHEAD / 2
    }
}

impl Shared {
    /// `samples`: how many a series has, as far as can be told.
    fn new(set: Box<dyn SeriesSet>, bounds: (Timestamp, Timestamp), samples: u64) -> Self {
        let size = usize::try_from(BLOCK_SAMPLES / samples.max(1)).unwrap_or(BLOCK_SERIES);
        let size = size.clamp(1, BLOCK_SERIES);
        Self {
            blocks: set.len().div_ceil(size),
            set,
            bounds,
            size,
            ended: AtomicBool::new(false),
            desk: Mutex::default(),
            room: Condvar::new(),
        }
    }

    fn series_of(&self, number: usize) -> Range<usize> {
        let first = number.saturating_mul(self.size);
        first..first.saturating_add(self.size).min(self.set.len())
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The companion's next block; none when all are begun or nobody reads any more. Waits while there is no room.
    fn next(&self) -> Option<(usize, Block)> {
        let mut desk = self.desk.lock();
        loop {
            if self.has_ended() || desk.next >= self.blocks {
                return None;
            }
            if let Some(begun) = desk.begin(self.blocks) {
                return Some(begun);
            }
            desk.waits = true;
            self.room.wait(&mut desk);
            desk.waits = false;
        }
    }

    /// Decodes a block, or as much of it as somebody wants.
    fn decode(&self, number: usize, block: &mut Block) {
        let series = self.series_of(number);
        block.resize_with(series.len(), Decoded::default);
        let (mint, maxt) = self.bounds;
        for (i, decoded) in series.zip(block) {
            decoded.read = None;
            if !self.has_ended() {
                let (samples, histograms) = (&mut decoded.samples, &mut decoded.histograms);
                decoded.read = Some(self.set.read_all(i, mint, maxt, samples, histograms));
            }
        }
    }

    /// Lays a decoded block down, unless the evaluation is behind it already.
    fn finish(&self, number: usize, block: Block) {
        let weight = block.iter().map(Decoded::weight).sum();
        let mut desk = self.desk.lock();
        if number >= desk.at {
            desk.weight += weight;
            desk.ready.push_back((number, weight, block));
        }
    }

    /// Moves the evaluation on to a block: decoded, or none where it is to read the series itself. `read`: the memory of the last.
    fn enter(&self, number: usize, read: Block) -> Option<Block> {
        let mut desk = self.desk.lock();
        if number < desk.at {
            return None;
        }
        desk.at = number;
        if !read.is_empty() {
            desk.spare.push(read);
        }
        loop {
            let block = desk.take(number);
            if block.is_some() || desk.next <= number {
                desk.next = desk.next.max(number + 1);
                if desk.waits && desk.has_room() {
                    self.room.notify_one();
                }
                return block;
            }
            // The companion is at it: meanwhile one behind it.
            let (other, mut block) = desk.begin(self.blocks)?;
            drop(desk);
            self.decode(other, &mut block);
            self.finish(other, block);
            desk = self.desk.lock();
        }
    }

    /// Lets the companion end.
    fn end(&self) {
        // Under the lock: it would not hear of it between its look and its sleep.
        let _desk = self.desk.lock();
        self.ended.store(true, Ordering::Relaxed);
        self.room.notify_one();
    }
}

/// A set whose series are decoded ahead.
struct Ahead {
    shared: Arc<Shared>,
    current: Mutex<Current>,
}

/// Where the evaluation is.
#[derive(Default)]
struct Current {
    number: Option<usize>,
    /// Empty where it reads the series itself.
    block: Block,
}

impl Ahead {
    /// Gives out what was decoded of series i; none where it was not.
    fn decoded(
        &self,
        i: usize,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Option<Result<(), QueryError>> {
        let mut current = self.current.lock();
        let number = i / self.shared.size;
        if current.number != Some(number) {
            let read = take(&mut current.block);
            current.block = self.shared.enter(number, read).unwrap_or_default();
            current.number = Some(number);
        }
        let decoded = current.block.get_mut(i % self.shared.size)?;
        let read = decoded.read.take()?;
        // The memory that the last series was in is for one that is decoded later.
        swap(floats, &mut decoded.samples);
        swap(histograms, &mut decoded.histograms);
        Some(read)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl SeriesSet for Ahead {
    fn len(&self) -> usize {
        self.shared.set.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.shared.set.labels(i)
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        self.shared.set.owner(i)
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        self.shared.set.read(i, mint, maxt, into)
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        self.shared.set.read_histograms(i, mint, maxt, into)
    }

    fn read_all(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        floats: &mut Samples,
        histograms: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        if (mint, maxt) == self.shared.bounds
            && let Some(read) = self.decoded(i, floats, histograms)
        {
            return read;
        }
        self.shared.set.read_all(i, mint, maxt, floats, histograms)
    }

    fn start_times(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<(Timestamp, Timestamp)>,
    ) -> Result<(), QueryError> {
        self.shared.set.start_times(i, mint, maxt, into)
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        self.shared.set.newest(i, mint, maxt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread::{JoinHandle, ThreadId, current, spawn, yield_now};
    use tokio::runtime::{Builder, Runtime};

    /// Times (ms) in which a series has so many samples that a block is of its usual size.
    const BOUNDS: (Timestamp, Timestamp) = (0, 120 * USUAL_GAP_MS as i64);
    const SERIES: usize = 3_000;

    /// What a set does to who reads it.
    type Trap = Box<dyn Fn(&Told, usize) + Send + Sync>;

    /// A set of series with three samples each, and what is told of its readers.
    struct Set {
        told: Arc<Told>,
        trap: Trap,
    }

    struct Told {
        /// The thread of the evaluation, and the series that it is at.
        evaluation: ThreadId,
        at: AtomicUsize,
        /// How many series a companion was ahead at most, and how many it read.
        ahead: AtomicUsize,
        by_companion: AtomicU64,
        companion_read: Condvar,
        desk: Mutex<()>,
    }

    impl Told {
        fn is_evaluation(&self) -> bool {
            current().id() == self.evaluation
        }

        /// Lets the evaluation wait until a companion has read.
        fn wait_for_companion(&self) {
            let mut desk = self.desk.lock();
            while self.by_companion.load(Ordering::Relaxed) == 0 {
                self.companion_read.wait(&mut desk);
            }
        }
    }

    fn sample(i: usize) -> f64 {
        i as f64 * 0.5
    }

    impl SeriesSet for Set {
        fn len(&self) -> usize {
            SERIES
        }

        fn labels(&self, _: usize) -> Labels {
            Labels::from_pairs([("__name__", "m")])
        }

        fn owner(&self, _: usize) -> Option<OwnerId> {
            None
        }

        fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
            if !self.told.is_evaluation() {
                let _desk = self.told.desk.lock();
                self.told.by_companion.fetch_add(1, Ordering::Relaxed);
                self.told.companion_read.notify_all();
                let ahead = i.saturating_sub(self.told.at.load(Ordering::Relaxed));
                self.told.ahead.fetch_max(ahead, Ordering::Relaxed);
            }
            (self.trap)(&self.told, i);
            if i % 100 == 99 {
                return Err(QueryError::Corrupt(format!("series {i}")));
            }
            into.clear();
            for t in mint..=maxt.min(2) {
                into.push(t, sample(i));
            }
            Ok(())
        }
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn set(trap: impl Fn(&Told, usize) + Send + Sync + 'static) -> (Box<dyn SeriesSet>, Arc<Told>) {
        let told = Arc::new(Told {
            evaluation: current().id(),
            at: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            by_companion: AtomicU64::new(0),
            companion_read: Condvar::new(),
            desk: Mutex::new(()),
        });
        let set = Set {
            told: Arc::clone(&told),
            trap: Box::new(trap),
        };
        (Box::new(set), told)
    }

    /// Reads series and checks that each is what it is, be it a failure.
    fn check(set: &dyn SeriesSet, told: &Told, series: impl IntoIterator<Item = usize>) {
        let (mut floats, mut histograms) = (Samples::default(), Vec::new());
        for i in series {
            told.at.store(i, Ordering::Relaxed);
            let read = set.read_all(i, BOUNDS.0, BOUNDS.1, &mut floats, &mut histograms);
            match read {
                Err(error) => assert_eq!((i % 100, error.to_string().contains(&i.to_string())), (99, true)),
                Ok(()) => assert_eq!((i % 100 < 99, &floats.v[..]), (true, &[sample(i); 3][..])),
            }
        }
    }

    /// Does `work` with a set that has a companion, and waits until that has ended.
    fn with_companion(trap: impl Fn(&Told, usize) + Send + Sync + 'static, work: impl FnOnce(&dyn SeriesSet, &Told)) {
        let (runtime, seats) = (runtime(), Seats::new(1));
        let (set, told) = set(trap);
        {
            let _entered = runtime.enter();
            let set = accompanied(set, BOUNDS, &seats);
            assert_eq!(seats.taken.load(Ordering::Relaxed), 1);
            work(&*set, &told);
        }
        // Waits for the companion: one that did not end would hang here.
        drop(runtime);
        assert_eq!(seats.taken.load(Ordering::Relaxed), 0, "its seat is free again");
    }

    #[test]
    fn each_series_is_what_it_is_in_any_order_and_again() {
        for first in [0, SERIES / 2, SERIES - 1] {
            with_companion(
                |_, _| (),
                |set, told| {
                    told.wait_for_companion();
                    check(set, told, (first..SERIES).flat_map(|i| [i, i]));
                    check(set, told, 0..SERIES);
                    check(set, told, (0..SERIES).rev());
                },
            );
        }
    }

    /// A set of which nothing was asked for yet, and whose companion has gone as far ahead as it goes.
    fn gone_ahead() -> (Ahead, Arc<Told>, JoinHandle<()>) {
        let (set, told) = set(|_, _| ());
        let shared = Arc::new(Shared::new(set, BOUNDS, expected_samples(BOUNDS)));
        assert_eq!(shared.size, BLOCK_SERIES);
        let companion = Arc::downgrade(&shared);
        let companion = spawn(move || accompany(&companion, Seat(Seats::new(1))));
        let goes_on = || {
            let desk = shared.desk.lock();
            !desk.waits && desk.next < shared.blocks
        };
        while goes_on() {
            yield_now();
        }
        let current = Mutex::default();
        (Ahead { shared, current }, told, companion)
    }

    #[test]
    fn a_companion_goes_a_few_blocks_ahead_and_no_further() {
        let (set, told, companion) = gone_ahead();
        let ahead = told.ahead.load(Ordering::Relaxed);
        assert!((BLOCKS_AHEAD / 2 * BLOCK_SERIES..(BLOCKS_AHEAD + 1) * BLOCK_SERIES).contains(&ahead));
        drop(set);
        companion.join().unwrap();
    }

    #[test]
    fn what_is_asked_for_within_other_times_is_not_what_was_decoded() {
        let (set, told, companion) = gone_ahead();
        check(&set, &told, 0..1);
        let (mut floats, mut histograms) = (Samples::default(), Vec::new());
        set.read_all(1, 0, 1, &mut floats, &mut histograms).unwrap();
        assert_eq!(floats.t, [0, 1]);
        drop(set);
        companion.join().unwrap();
    }

    #[test]
    fn what_is_left_by_a_companion_that_fails_is_read_by_the_evaluation() {
        for at in [0, 64, 300] {
            with_companion(
                move |told, i| assert!(told.is_evaluation() || i < at, "planted"),
                |set, told| {
                    told.wait_for_companion();
                    check(set, told, 0..SERIES);
                },
            );
        }
    }

    #[test]
    fn a_companion_ends_when_nobody_reads_any_more() {
        with_companion(
            |_, _| (),
            |set, told| {
                told.wait_for_companion();
                check(set, told, 0..3);
            },
        );
    }

    #[test]
    fn what_costs_less_than_a_companion_has_none_nor_what_finds_no_seat() {
        let runtime = runtime();
        let is_alone = |bounds, seats: &Arc<Seats>| {
            let before = seats.taken.load(Ordering::Relaxed);
            let (set, told) = set(|_, _| ());
            let set = accompanied(set, bounds, seats);
            check(&*set, &told, 0..10);
            seats.taken.load(Ordering::Relaxed) == before
        };
        let _entered = runtime.enter();
        let one_step = (0, 0);
        assert!(!is_alone(BOUNDS, &Seats::new(1)));
        assert!(is_alone(one_step, &Seats::new(1)));
        assert!(is_alone(BOUNDS, &Seats::new(0)));
        let seats = Seats::new(2);
        let taken = (seats.take(), seats.take());
        assert!(is_alone(BOUNDS, &seats));
        drop(taken);
        assert!(!is_alone(BOUNDS, &seats));
    }
}
