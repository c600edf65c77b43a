//! The newest samples: in memory alone, or with a directory that holds their log and their full chunks.

mod bound;
mod cardinality;
mod chunks_head;
mod closed;
mod commit;
mod delete;
mod durable;
mod exemplars;
mod frozen;
mod gc;
mod grouping;
mod histograms;
mod index;
mod late;
mod log;
mod map;
mod matched;
mod mend;
mod metadata;
mod order;
mod out_of_order;
mod pairs;
pub(crate) mod postings;
mod ranges;
mod rebuild;
mod rejoin;
mod renew;
mod replay;
mod resolve;
mod salvage;
mod select;
mod selectors;
mod series;
mod sorting;
mod source;
mod stale;
mod stripe;
mod truncate;
mod unwritten;
mod verdicts;

pub use cardinality::Cardinality;
pub use chunks_head::verify_mapped;
pub use durable::HeadParts;
pub use gc::Maintenance;
pub use log::LogHealth;
pub use mend::Mended;
pub use out_of_order::OutOfOrder;
pub(crate) use replay::{KeptExemplar, Part, Portion, Remains, Weighed};
pub use replay::{ReplayMonitor, Replayed};
pub use source::RangeSource;
pub use stale::StaleSeries;

use crate::error::SettingsError;
use crate::settings::Settings;
use crate::stats::{Counters, Stats};
use durable::{Durable, Leases};
use exemplars::Exemplars;
use index::Index;
use leadline_model::Clock;
use leadline_model::labels::Labels;
use leadline_model::port::{CommitEvent, Generation};
use leadline_model::sample::Timestamp;
use leadline_model::target::OwnerId;
use matched::Selections;
use metadata::Told;
use parking_lot::{Mutex, RwLock};
use rapidhash::RapidHashMap;
use selectors::Selectors;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use stripe::{STRIPES, Stripe};
use tokio::sync::broadcast;

/// The newest samples, in memory. See the crate's documentation for its layout and its locks.
pub struct Head {
    settings: Settings,
    clock: Arc<dyn Clock>,
    stripes: [RwLock<Stripe>; STRIPES],
    index: RwLock<Index>,
    selectors: RwLock<Selectors>,
    /// Label sets of recently selected series, by reference.
    labels: RwLock<RapidHashMap<u64, Labels>>,
    selections: Selections,
    counters: Counters,
    next_owner: AtomicU32,
    closed: AtomicBool,
    /// Whether the cap on series refused some lately.
    crowded: AtomicBool,
    generation: AtomicU64,
    /// Held while a generation is published, so that numbers and events come in one order.
    publish: Mutex<broadcast::Sender<Arc<CommitEvent>>>,
    /// Held while the store is tidied.
    tidying: Mutex<()>,
    /// The oldest and the newest time (ms) of what is held; of an empty head the ends of time, the wrong way round.
    mint: AtomicI64,
    maxt: AtomicI64,
    /// Samples older than this (ms) are refused: a block holds their time.
    min_valid: AtomicI64,
    /// What came in order before this time (ms) is in blocks alone, though chunks may reach over it.
    floor: AtomicI64,
    /// How much older (ms) than the newest sample another may be and still be taken; 0: samples come in order.
    window: AtomicI64,
    /// The most exemplars that are kept.
    max_exemplars: AtomicU32,
    /// Readers for whom series must keep their numbers in the index.
    leases: Leases,
    /// The directory, if there is one.
    durable: Option<Durable>,
    /// Locked behind all others, as is `told`.
    exemplars: RwLock<Exemplars>,
    told: RwLock<Told>,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Head {
    /// An empty head in memory alone.
    ///
    /// # Errors
    /// [`SettingsError`] when a setting is out of its range.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, SettingsError> {
        Ok(Arc::new(Self::build(settings, clock, None)?))
    }

    fn build(settings: Settings, clock: Arc<dyn Clock>, durable: Option<Durable>) -> Result<Self, SettingsError> {
        settings.validate()?;
        let (sender, _) = broadcast::channel(settings.event_capacity as usize);
        let exemplars = Exemplars::new(settings.max_exemplars, settings.out_of_order_window_ms);
        Ok(Self {
            window: AtomicI64::new(settings.out_of_order_window_ms),
            max_exemplars: AtomicU32::new(settings.max_exemplars),
            exemplars: RwLock::new(exemplars),
            told: RwLock::default(),
            selections: Selections::new(settings.selection_cache),
            settings,
            clock,
            stripes: std::array::from_fn(|_| RwLock::new(Stripe::new())),
            index: RwLock::new(Index::default()),
            selectors: RwLock::new(Selectors::default()),
            labels: RwLock::new(RapidHashMap::default()),
            counters: Counters::default(),
            next_owner: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            publish: Mutex::new(sender),
            tidying: Mutex::new(()),
            mint: AtomicI64::new(Timestamp::MAX),
            maxt: AtomicI64::new(Timestamp::MIN),
            min_valid: AtomicI64::new(Timestamp::MIN),
            floor: AtomicI64::new(Timestamp::MIN),
            leases: Leases::default(),
            durable,
        })
    }

    /// What the head was built with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes samples up to `out_of_order_window_ms` older than the newest from now on, and keeps up to `max_exemplars`
    /// (`tsdb/head.go`, `Head.ApplyConfig`). What came out of order before stays, whatever the window is.
    ///
    /// # Errors
    /// [`SettingsError`] when one is out of its range; nothing is changed then.
    pub fn adjust(&self, out_of_order_window_ms: i64, max_exemplars: u32) -> Result<(), SettingsError> {
        let wanted = Settings {
            out_of_order_window_ms,
            max_exemplars,
            ..self.settings.clone()
        };
        wanted.validate()?;
        self.window.store(out_of_order_window_ms, Ordering::Release);
        self.max_exemplars.store(max_exemplars, Ordering::Release);
        // Behind the stores: a replay that ends puts a ring of its own there, and reads them while it holds the lock.
        self.limit(&mut self.exemplars.write());
        Ok(())
    }

    /// How much older (ms) than the newest sample another may be and still be taken; 0: samples come in order.
    #[must_use]
    pub fn window(&self) -> i64 {
        self.window.load(Ordering::Acquire)
    }

    /// Gives a ring the limits that hold now.
    fn limit(&self, ring: &mut Exemplars) {
        ring.limit(self.max_exemplars.load(Ordering::Acquire), self.window());
    }

    /// Refuses every commit from now on; reading goes on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Time (ms) of the oldest sample, or a time before it; `None` while there is none.
    #[must_use]
    pub fn min_time(&self) -> Option<Timestamp> {
        let mint = self.mint.load(Ordering::Acquire);
        (mint != Timestamp::MAX).then_some(mint)
    }

    /// Time (ms) of the newest sample that came in order; `None` while there is none.
    #[must_use]
    pub fn max_time(&self) -> Option<Timestamp> {
        let maxt = self.maxt.load(Ordering::Acquire);
        (maxt != Timestamp::MIN).then_some(maxt)
    }

    /// Widens what is held by `mint` to `maxt` (ms).
    fn widen(&self, mint: Timestamp, maxt: Timestamp) {
        if mint < self.mint.load(Ordering::Relaxed) {
            self.mint.fetch_min(mint, Ordering::AcqRel);
        }
        if maxt > self.maxt.load(Ordering::Relaxed) {
            self.maxt.fetch_max(maxt, Ordering::AcqRel);
        }
    }

    /// Figures of the store, summed up in time that depends on the number of stripes alone.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.stats();
        stats.generation = self.generation.load(Ordering::Acquire);
        for stripe in &self.stripes {
            stripe.read().add_to(&mut stats);
        }
        self.index.read().add_to(&mut stats);
        self.selectors.read().add_to(&mut stats);
        let labels = self.labels.read();
        stats.cached_label_sets = labels.len() as u64;
        stats.selections_bytes = self.selections.bytes();
        stats.bytes += labels.capacity() as u64 * 25 + stats.selections_bytes;
        stats.exemplars = self.exemplars.read().counts().0 as u64;
        stats
    }

    /// Numbers a commit whose samples are all in, and tells the subscribers.
    fn publish(
        &self,
        slot: i64,
        owner: OwnerId,
        attempt: leadline_model::port::Attempt,
        touched: Arc<[leadline_model::port::SelectorId]>,
    ) -> Generation {
        let sender = self.publish.lock();
        let generation = Generation(self.generation.load(Ordering::Relaxed) + 1);
        self.generation.store(generation.0, Ordering::Release);
        if sender.receiver_count() > 0 {
            // An error means that the last subscriber has just left.
            let _ = sender.send(Arc::new(CommitEvent {
                generation,
                slot,
                owner,
                attempt,
                touched,
            }));
        }
        generation
    }
}
