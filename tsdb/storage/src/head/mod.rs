//! The store itself.

mod commit;
mod exemplars;
mod gc;
mod index;
mod metadata;
mod pairs;
mod postings;
mod resolve;
mod select;
mod selectors;
mod series;
mod stripe;

pub use gc::Maintenance;

use crate::error::SettingsError;
use crate::settings::Settings;
use crate::stats::{Counters, Stats};
use index::Index;
use leadline_model::Clock;
use leadline_model::labels::Labels;
use leadline_model::port::{CommitEvent, Generation};
use leadline_model::target::OwnerId;
use parking_lot::{Mutex, RwLock};
use rapidhash::RapidHashMap;
use selectors::Selectors;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
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
    counters: Counters,
    next_owner: AtomicU32,
    closed: AtomicBool,
    generation: AtomicU64,
    /// Held while a generation is published, so that numbers and events come in one order.
    publish: Mutex<broadcast::Sender<Arc<CommitEvent>>>,
    /// Held while the store is tidied.
    tidying: Mutex<()>,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Head {
    /// An empty head.
    ///
    /// # Errors
    /// [`SettingsError`] when a setting is out of its range.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, SettingsError> {
        settings.validate()?;
        let (sender, _) = broadcast::channel(settings.event_capacity as usize);
        Ok(Arc::new(Self {
            settings,
            clock,
            stripes: std::array::from_fn(|_| RwLock::new(Stripe::default())),
            index: RwLock::new(Index::default()),
            selectors: RwLock::new(Selectors::default()),
            labels: RwLock::new(RapidHashMap::default()),
            counters: Counters::default(),
            next_owner: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            publish: Mutex::new(sender),
            tidying: Mutex::new(()),
        }))
    }

    /// What the head was built with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Refuses every commit from now on; reading goes on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
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
        stats.bytes += labels.capacity() as u64 * 25;
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
