//! What was read from files and may be asked for again: one bounded cache for all blocks and the mapped chunks of the head, least
//! recently used out first.

use crate::block::{Page, SeriesEntry};
use crate::chunk::{Decoded, Encoding, decode};
use crate::error::ChunkError;
use bytes::Bytes;
use leadline_model::sample::{Samples, Timestamp};
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an entry takes besides its content, bytes: key, counters and links of the cache, allocations.
const OVERHEAD: usize = 160;
/// A chunk of floats has so many samples as a rule, and at most nearly always.
const USUAL_SAMPLES: usize = 120;

/// Where something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The number in this cache of its block, or of its file of mapped chunks.
    pub(crate) of: u64,
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it is: an offset in the index or in the file, or a chunk's reference.
    pub(crate) at: u64,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Symbols,
    Values,
    Postings,
    Series,
    Chunk,
}

/// What was read, checked.
#[derive(Debug, Clone)]
pub(crate) enum Cached {
    Page(Arc<Page>),
    Postings(Arc<[u32]>),
    Series(Arc<SeriesEntry>),
    Chunk(Chunk),
}

/// A chunk that was read.
#[derive(Debug, Clone)]
pub(crate) enum Chunk {
    /// Floats without start times.
    Decoded(Decoded),
    /// What else there is, as it is stored.
    Encoded(Encoding, Bytes),
}

impl Chunk {
    /// How it is stored.
    pub(crate) fn encoding(&self) -> Encoding {
        match self {
            Self::Decoded(_) => Encoding::Xor,
            Self::Encoded(encoding, _) => *encoding,
        }
    }

    /// Appends its floats with `mint <= t <= maxt` (ms).
    ///
    /// # Errors
    /// [`ChunkError`], as of [`decode`].
    pub(crate) fn floats(&self, (mint, maxt): (Timestamp, Timestamp), into: &mut Samples) -> Result<(), ChunkError> {
        match self {
            Self::Decoded(decoded) => decoded.append((mint, maxt), into),
            Self::Encoded(encoding, data) => decode(*encoding, data, mint, maxt, into)?,
        }
        Ok(())
    }

    /// Its bytes; none of floats without start times, which nobody needs who does not want [`Self::floats`].
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Decoded(_) => &[],
            Self::Encoded(_, data) => data,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Decoded(decoded) => decoded.bytes(),
            Self::Encoded(_, data) => data.len(),
        }
    }
}

impl Cached {
    fn weight(&self) -> u32 {
        let content = match self {
            Self::Page(page) => page.weight(),
            Self::Postings(list) => size_of_val(&list[..]),
            Self::Series(series) => series.weight(),
            Self::Chunk(chunk) => chunk.weight(),
        };
        u32::try_from(content + OVERHEAD).unwrap_or(u32::MAX)
    }
}

/// How a cache is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// What it holds, bytes (about).
    pub bytes: u64,
    /// What it may hold, bytes.
    pub capacity: u64,
    /// Entries that it holds.
    pub entries: u64,
    /// How often something was there.
    pub hits: u64,
    /// How often it had to be read.
    pub misses: u64,
}

/// The cache of a store: all its blocks, and the mapped chunks of its head.
pub struct Cache {
    entries: Moka<Key, Cached, rapidhash::fast::RandomState>,
    capacity: u64,
    opened: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Cache {
    /// A cache of at most `capacity` bytes; 0 keeps nothing.
    #[must_use]
    pub fn new(capacity: u64) -> Arc<Self> {
        let entries = Moka::builder()
            .max_capacity(capacity)
            .weigher(|_, cached: &Cached| cached.weight())
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(rapidhash::fast::RandomState::default());
        Arc::new(Self {
            entries,
            capacity,
            opened: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// How it is used.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.entries.run_pending_tasks();
        CacheStats {
            bytes: self.entries.weighted_size(),
            capacity: self.capacity,
            entries: self.entries.entry_count(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// A number for a block, or a file of mapped chunks, that was opened; never given twice, so that what a removed one left is
    /// never found.
    pub(crate) fn number(&self) -> u64 {
        self.opened.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Cached> {
        let found = self.entries.get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether so many chunks, which are all read for one query, are worth keeping: when they take more than half of the room,
    /// they push out what others ask for, and each other before the query comes again.
    pub(crate) fn is_worth_keeping(&self, chunks: usize) -> bool {
        let each = USUAL_SAMPLES * size_of::<f64>() + OVERHEAD;
        chunks.saturating_mul(each) as u64 <= self.capacity / 2
    }

    pub(crate) fn put(&self, key: Key, cached: Cached) {
        // What is larger than the whole would only push everything else out.
        if u64::from(cached.weight()) <= self.capacity {
            self.entries.insert(key, cached);
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
