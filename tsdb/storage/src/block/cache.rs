//! What was read from blocks and may be asked for again: one bounded cache for all of them, least recently used out
//! first.

use super::index::{Page, SeriesEntry};
use crate::chunk::Encoding;
use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache as Moka;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an entry takes besides its content, bytes: key, counters and links of the cache, allocations.
const OVERHEAD: usize = 160;

/// Where something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The block's number in this cache.
    pub(super) block: u64,
    /// What it is.
    pub(super) kind: Kind,
    /// Where it is: an offset in the index, or a chunk's reference.
    pub(super) at: u64,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Symbols,
    Values,
    Postings,
    Series,
    Chunk,
}

/// What was read, checked.
#[derive(Debug, Clone)]
pub(super) enum Cached {
    Page(Arc<Page>),
    Postings(Arc<[u32]>),
    Series(Arc<SeriesEntry>),
    Chunk(Encoding, Bytes),
}

impl Cached {
    fn weight(&self) -> u32 {
        let content = match self {
            Self::Page(page) => page.weight(),
            Self::Postings(list) => size_of_val(&list[..]),
            Self::Series(series) => series.weight(),
            Self::Chunk(_, data) => data.len(),
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

/// The cache of all blocks of a store.
pub struct Cache {
    entries: Moka<Key, Cached, rapidhash::fast::RandomState>,
    capacity: u64,
    blocks: AtomicU64,
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
            blocks: AtomicU64::new(0),
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

    /// A number for a block that was opened; never given twice, so that what a removed block left is never found.
    pub(super) fn number(&self) -> u64 {
        self.blocks.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Cached> {
        let found = self.entries.get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn put(&self, key: Key, cached: Cached) {
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
