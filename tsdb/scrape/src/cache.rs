//! What a target exposed last, without its text: series are known by a 128-bit hash of their bytes.
//!
//! Targets expose their series in the same order nearly always, so each entry remembers which one followed it: the
//! usual probe is one comparison on neighbouring memory. Only when the order changes is the hash table asked.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

/// Two hashes of the same bytes with different secrets. A wrong hit would write into a foreign series, hence 128 bits.
pub(crate) type SeriesHash = [u64; 2];

/// The secrets of both hashes.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    first: RapidSecrets,
    second: RapidSecrets,
}

impl Hasher {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            first: RapidSecrets::seed(seed),
            second: RapidSecrets::seed(!seed.rotate_left(17)),
        }
    }

    #[inline]
    fn hash(&self, bytes: &[u8]) -> SeriesHash {
        [
            rapidhash_v3_seeded(bytes, &self.first),
            rapidhash_v3_seeded(bytes, &self.second),
        ]
    }
}

/// What is known of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Its reference in the store.
    Known,
    /// It is the n-th that the running scrape creates.
    New,
    /// The rules drop it.
    Dropped,
}

/// One series as it was exposed: 32 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    hash: SeriesHash,
    /// [`State::Known`]: the reference; [`State::New`]: n.
    pub(crate) number: u64,
    /// The entry that followed it last.
    next: u32,
    /// The scrape that saw it last.
    seen: u16,
    pub(crate) state: State,
    /// Whether it gets a stale marker when it is gone; bit 0 after the last commit, bit 1 in the running scrape.
    tracked: u8,
}

const TRACKED: u8 = 1;
const TRACKED_NOW: u8 = 2;

impl Entry {
    /// Whether the last commit left it alive, so that it gets a marker when it is gone.
    pub(crate) fn is_tracked(&self) -> bool {
        self.tracked & TRACKED != 0 && self.state == State::Known
    }

    /// Notes that the running scrape shows it; `track` says whether its end will be marked.
    pub(crate) fn show(&mut self, track: bool) {
        self.tracked = self.tracked & TRACKED | if track { TRACKED_NOW } else { 0 };
    }
}

/// The answer to a probe.
pub(crate) enum Probe {
    /// The entry's index; `true` when the running scrape has seen it before.
    Hit(u32, bool),
    /// Unknown so far; pass the hash on to [`Cache::insert`].
    Miss(SeriesHash),
}

/// The cache of one target.
#[derive(Debug)]
pub(crate) struct Cache {
    hasher: Hasher,
    entries: Vec<Entry>,
    table: HashTable<u32>,
    /// The running scrape.
    iteration: u16,
    /// Entries that the running scrape has seen.
    seen: usize,
    /// Entries that were there when it began.
    base: usize,
    /// The entry seen last, and the one that should come next.
    last: Option<u32>,
    expected: u32,
}

impl Cache {
    pub(crate) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            entries: Vec::new(),
            table: HashTable::new(),
            iteration: 0,
            seen: 0,
            base: 0,
            last: None,
            expected: 0,
        }
    }

    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.iteration = self.iteration.wrapping_add(1);
        self.seen = 0;
        self.base = self.entries.len();
        self.last = None;
        self.expected = 0;
    }

    /// Looks a series up and notes that the running scrape has seen it. What has the same bytes but another `mark` is
    /// another series.
    #[inline]
    pub(crate) fn probe(&mut self, series: &[u8], mark: u64) -> Probe {
        let [first, second] = self.hasher.hash(series);
        let hash = [first, second ^ mark];
        let at = match self.entries.get(self.expected as usize) {
            Some(entry) if entry.hash == hash => self.expected,
            _ => match self.find(hash) {
                Some(at) => at,
                None => return Probe::Miss(hash),
            },
        };
        self.follow(at);
        let entry = &mut self.entries[at as usize];
        self.expected = entry.next;
        let again = entry.seen == self.iteration;
        entry.seen = self.iteration;
        self.seen += usize::from(!again);
        Probe::Hit(at, again)
    }

    fn find(&self, hash: SeriesHash) -> Option<u32> {
        self.table
            .find(hash[0], |at| self.entries[*at as usize].hash == hash)
            .copied()
    }

    /// Remembers that `at` came after the entry before it.
    #[inline]
    fn follow(&mut self, at: u32) {
        if let Some(last) = self.last {
            let last = &mut self.entries[last as usize];
            if last.next != at {
                last.next = at;
            }
        }
        self.last = Some(at);
    }

    /// Enters a series that [`Self::probe`] missed.
    pub(crate) fn insert(&mut self, hash: SeriesHash, state: State, number: u64) -> u32 {
        let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX - 1);
        let next = at + 1;
        self.entries.push(Entry {
            hash,
            number,
            next,
            seen: self.iteration,
            state,
            tracked: 0,
        });
        let entries = &self.entries;
        let place = self.table.entry(
            hash[0],
            |i| entries[*i as usize].hash == hash,
            |i| entries[*i as usize].hash[0],
        );
        if let Place::Vacant(place) = place {
            place.insert(at);
        }
        self.follow(at);
        self.expected = next;
        self.seen += 1;
        at
    }

    #[inline]
    pub(crate) fn entry(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[at as usize]
    }

    /// The references of the series that get a marker if the running scrape ends now: alive before, not seen now.
    pub(crate) fn gone(&self) -> impl Iterator<Item = u64> {
        let all_seen = self.seen == self.entries.len();
        let candidates = if all_seen { &[][..] } else { &self.entries[..] };
        candidates
            .iter()
            .filter(|e| e.is_tracked() && e.seen != self.iteration)
            .map(|e| e.number)
    }

    /// The references of the series that are alive.
    pub(crate) fn alive(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().filter(|e| e.is_tracked()).map(|e| e.number)
    }

    /// Ends a good scrape: what it did not see is forgotten, as is what the store did not take (still `New`).
    pub(crate) fn commit(&mut self) {
        let mut forget = false;
        for entry in &mut self.entries {
            forget |= entry.seen != self.iteration || entry.state == State::New;
            entry.tracked = (entry.tracked & TRACKED_NOW) >> 1;
        }
        if forget {
            self.forget();
        }
    }

    fn forget(&mut self) {
        let iteration = self.iteration;
        self.entries.retain(|e| e.seen == iteration && e.state != State::New);
        // The indices moved; the order of the vector is the best guess of what follows what.
        self.table.clear();
        for at in 0..self.entries.len() {
            self.entries[at].next = at as u32 + 1;
            let entries = &self.entries;
            self.table
                .insert_unique(entries[at].hash[0], at as u32, |i| entries[*i as usize].hash[0]);
        }
    }

    /// Ends a failed scrape: what it brought is forgotten, everything older stays known, and nothing is alive.
    pub(crate) fn fail(&mut self) {
        for at in self.base..self.entries.len() {
            let hash = self.entries[at].hash;
            if let Ok(found) = self.table.find_entry(hash[0], |i| *i as usize == at) {
                found.remove();
            }
        }
        self.entries.truncate(self.base);
        for entry in &mut self.entries {
            entry.tracked = 0;
            // However many scrapes fail in a row, the number of a scrape cannot come round to that of an entry.
            entry.seen = self.iteration;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.table.clear();
        self.begin();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One good scrape; the indices that were hit, `None` for new ones.
    fn scrape(cache: &mut Cache, series: &[&str]) -> Vec<Option<u32>> {
        cache.begin();
        let seen = series
            .iter()
            .map(|s| match cache.probe(s.as_bytes(), 0) {
                Probe::Hit(at, _) => {
                    cache.entry(at).show(true);
                    Some(at)
                }
                Probe::Miss(hash) => {
                    let at = cache.insert(hash, State::Known, hash[1]);
                    cache.entry(at).show(true);
                    None
                }
            })
            .collect();
        cache.commit();
        seen
    }

    #[test]
    fn an_entry_is_small() {
        assert_eq!(size_of::<Entry>(), 32);
    }

    #[test]
    fn series_are_found_in_any_order_and_the_new_order_is_learned() {
        let mut cache = Cache::new(Hasher::new(1));
        assert_eq!(scrape(&mut cache, &["a", "b", "c"]), [None, None, None]);
        assert_eq!(scrape(&mut cache, &["a", "b", "c"]), [Some(0), Some(1), Some(2)]);
        assert_eq!(scrape(&mut cache, &["c", "a", "b"]), [Some(2), Some(0), Some(1)]);
        assert_eq!(
            scrape(&mut cache, &["c", "x", "a", "b"]),
            [Some(2), None, Some(0), Some(1)]
        );
        assert_eq!(
            scrape(&mut cache, &["c", "x", "a", "b"]),
            [Some(2), Some(3), Some(0), Some(1)]
        );
        cache.begin();
        for s in ["c", "x", "a", "b"] {
            cache.probe(s.as_bytes(), 0);
        }
        let follows: Vec<u32> = [2, 3, 0].map(|at| cache.entries[at].next).to_vec();
        assert_eq!(follows, [3, 0, 1]);
    }

    #[test]
    fn the_same_bytes_with_another_mark_are_another_series() {
        let mut cache = Cache::new(Hasher::new(1));
        cache.begin();
        for mark in [0, 1, 2] {
            let Probe::Miss(hash) = cache.probe(b"a", mark) else {
                panic!("{mark} is known")
            };
            cache.insert(hash, State::Known, mark);
        }
        for mark in [1, 0, 2] {
            let Probe::Hit(at, true) = cache.probe(b"a", mark) else {
                panic!("{mark} is not known")
            };
            assert_eq!(cache.entry(at).number, mark);
        }
    }

    #[test]
    fn what_a_good_scrape_does_not_show_is_gone_and_forgotten() {
        let mut cache = Cache::new(Hasher::new(1));
        scrape(&mut cache, &["a", "b", "c"]);
        cache.begin();
        let Probe::Hit(at, false) = cache.probe(b"b", 0) else {
            panic!("b was expected")
        };
        cache.entry(at).show(true);
        assert_eq!(cache.gone().count(), 2);
        cache.commit();
        assert_eq!((cache.len(), cache.alive().count()), (1, 1));
        assert_eq!(scrape(&mut cache, &["a", "b"]), [None, Some(0)]);
    }

    #[test]
    fn a_failed_scrape_brings_nothing_in_and_forgets_nothing() {
        let mut cache = Cache::new(Hasher::new(1));
        scrape(&mut cache, &["a", "b"]);
        cache.begin();
        cache.probe(b"a", 0);
        if let Probe::Miss(hash) = cache.probe(b"new", 0) {
            cache.insert(hash, State::New, 0);
        }
        assert_eq!(cache.alive().count(), 2);
        cache.fail();
        assert_eq!((cache.len(), cache.alive().count()), (2, 0));
        assert_eq!(scrape(&mut cache, &["a", "b", "new"]), [Some(0), Some(1), None]);
    }
}
