//! The closed chunks of a series. Nearly all of them are on the disk, and a series that is scraped often has dozens before a
//! block takes them: they take 16 bytes each.

use super::series::{Closed, Data};
use crate::chunk::Encoding;
use leadline_model::sample::Timestamp;

/// Bits of the fields of a [`Packed`] chunk. Two words are full.
const MINT: u32 = 44;
const FILE: u32 = 20;
const OFFSET: u32 = 28;
const SPAN: u32 = 28;
const SAMPLES: u32 = 8;

/// Bytes of memory that a chunk on the disk takes, but for unusual ones.
pub(super) const ENTRY: u64 = size_of::<Packed>() as u64;

/// A chunk of floats that is on the disk: time of its first sample (ms, to the year 2527) and number of its file, then its
/// place there, its span (ms, up to three days) and how many samples it has.
#[derive(Debug, Clone, Copy)]
struct Packed(u64, u64);

impl Packed {
    /// `None` for a chunk that something is unusual about.
    fn new(chunk: &Closed) -> Option<Self> {
        let Data::Disk(place) = chunk.data else { return None };
        if chunk.encoding != Encoding::Xor {
            return None;
        }
        let field = |value: u64, bits: u32| (value >> bits == 0).then_some(value);
        let mint = field(u64::try_from(chunk.mint).ok()?, MINT)?;
        let file = field(place >> 32, FILE)?;
        let offset = field(place & u64::from(u32::MAX), OFFSET)?;
        let span = field(u64::from(chunk.span), SPAN)?;
        let samples = field(u64::from(chunk.samples), SAMPLES)?;
        Some(Self(
            mint << FILE | file,
            offset << (SPAN + SAMPLES) | span << SAMPLES | samples,
        ))
    }

    fn get(self) -> Closed {
        let low = |word: u64, bits: u32| word & ((1 << bits) - 1);
        let file = low(self.0, FILE);
        let offset = self.1 >> (SPAN + SAMPLES);
        Closed {
            mint: (self.0 >> FILE) as Timestamp,
            span: low(self.1 >> SAMPLES, SPAN) as u32,
            samples: low(self.1, SAMPLES) as u16,
            encoding: Encoding::Xor,
            data: Data::Disk(file << 32 | offset),
        }
    }
}

/// Closed chunks, oldest first.
#[derive(Debug, Default)]
pub(super) struct ClosedChunks {
    packed: Box<[Packed]>,
    /// What comes behind them: what is in memory, what is unusual, and what is newer than one that is.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest(Vec<Closed>);

impl ClosedChunks {
    fn rest(&self) -> &[Closed] {
        self.rest.as_ref().map_or(&[], |rest| &rest.0)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.packed.len() + self.rest().len()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Closed> {
        let packed = self.packed.iter().map(|chunk| chunk.get());
        packed.chain(self.rest().iter().cloned())
    }

    /// Those that may have samples with `mint <= t <= maxt` (ms).
    pub(super) fn overlapping(&self, mint: Timestamp, maxt: Timestamp) -> impl Iterator<Item = Closed> {
        let packed = self.packed.iter().map(|chunk| chunk.get());
        let rest = self.rest().iter().filter(move |chunk| chunk.overlaps(mint, maxt));
        packed
            .filter(move |chunk| chunk.overlaps(mint, maxt))
            .chain(rest.cloned())
    }

    /// The oldest.
    pub(super) fn first(&self) -> Option<Closed> {
        let first = self.packed.first().map(|chunk| chunk.get());
        first.or_else(|| self.rest().first().cloned())
    }

    /// The newest.
    pub(super) fn last(&self) -> Option<Closed> {
        let last = self.rest().last().cloned();
        last.or_else(|| self.packed.last().map(|chunk| chunk.get()))
    }

    /// Adds one that is newer than all.
    pub(super) fn push(&mut self, chunk: Closed) {
        match (&mut self.rest, Packed::new(&chunk)) {
            (None, Some(packed)) => self.push_packed(packed),
            (rest, _) => {
                let rest = &mut rest.get_or_insert_default().0;
                rest.reserve_exact(1);
                rest.push(chunk);
            }
        }
    }

    fn push_packed(&mut self, chunk: Packed) {
        self.packed = self.packed.iter().copied().chain([chunk]).collect();
    }

    /// Takes the oldest `n` out.
    pub(super) fn take_oldest(&mut self, n: usize) -> Vec<Closed> {
        if n == 0 {
            return Vec::new();
        }
        let packed = n.min(self.packed.len());
        let mut taken: Vec<Closed> = self.packed.iter().take(packed).map(|chunk| chunk.get()).collect();
        self.packed = self.packed.iter().skip(packed).copied().collect();
        if let Some(rest) = &mut self.rest {
            taken.extend(rest.0.drain(..(n - packed).min(rest.0.len())));
        }
        self.pack();
        taken
    }

    /// Those in memory.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = &Closed> {
        self.rest().iter().filter(|chunk| chunk.place().is_none())
    }

    /// The chunk that begins at `mint` (ms) is on the disk now. Returns how many bytes of memory that gave back.
    pub(super) fn landed(&mut self, mint: Timestamp, place: u64) -> u64 {
        let Some(rest) = &mut self.rest else { return 0 };
        let Some(chunk) = rest.0.iter_mut().find(|chunk| chunk.mint == mint) else {
            return 0;
        };
        let freed = chunk.memory();
        chunk.data = Data::Disk(place);
        self.pack();
        freed
    }

    /// Packs what can be packed.
    fn pack(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        let fitting: Vec<Packed> = rest.0.iter().map_while(Packed::new).collect();
        if !fitting.is_empty() {
            rest.0.drain(..fitting.len());
            self.packed = self.packed.iter().copied().chain(fitting).collect();
        }
        if rest.0.is_empty() {
            self.rest = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn on_disk(mint: Timestamp, span: i64, samples: u16, place: u64) -> Closed {
        Closed::on_disk(mint, mint + span, Encoding::Xor, samples, place)
    }

    /// A chunk as text: what it is in all.
    fn told(chunk: &Closed) -> String {
        format!("{chunk:?}")
    }

    #[test]
    fn chunks_that_fit_two_words_are_packed_and_all_come_back_as_they_were() {
        let most = on_disk((1 << 44) - 1, (1 << 28) - 1, 255, 0x000f_ffff_0fff_ffff);
        let fitting = [
            on_disk(0, 0, 1, 8),
            on_disk(1_700_000_000_000, 1_785_000, 120, 3 << 32 | 9),
            most,
        ];
        let unusual = [
            on_disk(-1, 0, 1, 8),
            on_disk(1 << 44, 0, 1, 8),
            on_disk(0, 1 << 28, 1, 8),
            on_disk(0, i64::from(u32::MAX), 1, 8),
            on_disk(0, 0, 256, 8),
            on_disk(0, 0, 1, 1 << 28),
            on_disk(0, 0, 1, 1 << 52),
            Closed::on_disk(0, 0, Encoding::Histogram, 1, 8),
            Closed::in_memory(0, 0, Encoding::Xor, Arc::from([0, 1, 2].as_slice())),
        ];
        let packs = |chunk: &Closed| Packed::new(chunk).map(|packed| told(&packed.get()));
        for chunk in &fitting {
            assert_eq!(packs(chunk), Some(told(chunk)));
        }
        for chunk in &unusual {
            assert_eq!(packs(chunk), None);
            let mut all = ClosedChunks::default();
            all.push(chunk.clone());
            assert_eq!(all.first().as_ref().map(told), Some(told(chunk)));
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Take(usize),
        Land(usize),
    }

    proptest! {
        /// Whatever is packed of them, the list is one of all chunks in their order.
        #[test]
        fn the_list_is_what_a_plain_one_would_be(
            steps in proptest::collection::vec(prop_oneof![
                4 => (0u8..3).prop_map(Step::Push),
                1 => (0usize..4).prop_map(Step::Take),
                4 => (0usize..6).prop_map(Step::Land),
            ], 1..60),
            (from, to) in (0i64..400, 0i64..400),
        ) {
            let (mut all, mut plain) = (ClosedChunks::default(), Vec::<Closed>::new());
            for (i, step) in steps.iter().enumerate() {
                match *step {
                    Step::Push(kind) => {
                        let mint = i as i64 * 10;
                        let chunk = match kind {
                            0 => on_disk(mint, 5, 3, mint as u64 + 8),
                            1 => Closed::on_disk(mint, mint + 5, Encoding::Histogram, 3, mint as u64 + 8),
                            _ => Closed::in_memory(mint, mint + 5, Encoding::Xor, Arc::from([0, 3, 9].as_slice())),
                        };
                        all.push(chunk.clone());
                        plain.push(chunk);
                    }
                    Step::Take(n) => {
                        let taken: Vec<Closed> = plain.drain(..n.min(plain.len())).collect();
                        let got: Vec<String> = all.take_oldest(n).iter().map(told).collect();
                        prop_assert_eq!(got, taken.iter().map(told).collect::<Vec<_>>());
                    }
                    Step::Land(n) => {
                        let mut waiting = plain.iter_mut().filter(|chunk| chunk.place().is_none());
                        let Some(chunk) = waiting.nth(n) else { continue };
                        chunk.data = Data::Disk(chunk.mint as u64 + 8);
                        prop_assert_eq!(all.landed(chunk.mint, chunk.mint as u64 + 8), 3);
                    }
                }
                let list = |chunks: Vec<Closed>| chunks.iter().map(told).collect::<Vec<_>>();
                prop_assert_eq!(list(all.iter().collect()), list(plain.clone()));
                prop_assert_eq!(all.len(), plain.len());
                prop_assert_eq!(all.first().as_ref().map(told), plain.first().map(told));
                prop_assert_eq!(all.last().as_ref().map(told), plain.last().map(told));
                let some = plain.iter().filter(|c| c.overlaps(from, to)).cloned().collect();
                prop_assert_eq!(list(all.overlapping(from, to).collect()), list(some));
                prop_assert_eq!(all.in_memory().count(), plain.iter().filter(|c| c.place().is_none()).count());
                let unpacked = plain.iter().skip_while(|chunk| Packed::new(chunk).is_some()).count();
                prop_assert_eq!(all.rest().len(), unpacked);
            }
        }
    }
}
