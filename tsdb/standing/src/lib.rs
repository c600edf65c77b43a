//! Registered expressions, evaluated when a commit touches them.
//!
//! An adapter rule or a KEDA trigger registers an expression ([`Register::register`]) and asks its [`Query`] for a
//! [`Snapshot`]: the rows of the newest evaluation, indexed by the labels that name an object, each with provenance
//! and [`Completeness`]. Equal expressions share one evaluation. What may be answered of a snapshot is decided in
//! [`freshness`]; when it is evaluated, in `schedule`.

mod entry;
mod error;
mod feed;
#[cfg(test)]
mod fixture;
pub mod freshness;
mod history;
mod index;
mod outage;
mod registry;
mod roster;
mod schedule;
mod settings;
mod silent;
pub mod snapshot;
pub mod staleness;
mod stats;
mod subscribe;
mod waiting;
mod warming;
mod warmth;

pub use error::RegisterError;
pub use settings::Settings;
pub use snapshot::{Before, Completeness, OnPartial, Row, Snapshot, Verdict, Warming, Warmth};
pub use stats::{Counts, ExpressionStats, Stats};

use async_trait::async_trait;
use leadline_model::port::{Commits, Evaluate, Plan, Queryable};
use leadline_model::target::Board;
use leadline_model::{Clock, Matcher};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What is registered.
#[derive(Debug, Clone)]
pub struct Request {
    /// PromQL.
    pub text: String,
    /// Matchers for every selector of the expression's tree (tenancy).
    pub inject: Vec<Matcher>,
    /// The result labels that name an object, for [`Snapshot::find`].
    pub index_by: Vec<String>,
    /// Never expires (an adapter rule); otherwise it is dropped when nobody asked for a while (a trigger).
    pub pinned: bool,
    /// The share of feeders, 0 to 1, up to which missing ones are tolerated: more make a row partial (default 0.1).
    pub partial: f64,
}

/// A standing query in the hand of whoever registered it. Dropping it deregisters.
#[async_trait]
pub trait Query: Send + Sync {
    /// The prepared expression.
    fn plan(&self) -> &Arc<Plan>;

    /// The newest snapshot; evaluates first when none is newer than the last commit that touched the expression (and,
    /// for an expression that moves with time, than the last aligned tick), unless the last evaluation began less
    /// than 250 ms or ten times its own cost ago: then that one answers. Waits no longer than the evaluation's
    /// own limit.
    async fn snapshot(&self) -> Arc<Snapshot>;

    /// Wakes with every new snapshot, from the newest on.
    fn subscribe(&self) -> tokio::sync::watch::Receiver<Option<Arc<Snapshot>>>;
}

/// The room's door, as the adapter and the scaler know it.
pub trait Register: Send + Sync {
    /// Registers an expression.
    ///
    /// # Errors
    /// [`RegisterError`].
    fn register(&self, request: Request) -> Result<Arc<dyn Query>, RegisterError>;
}

/// All standing queries of a process.
pub struct Standing {
    inner: Arc<registry::Inner>,
}

impl Standing {
    /// A room without queries. Its start is now: what is discovered from here on has to be observed before values
    /// that read it are warm, as far as the store does not have it from before. `store` is asked for its generation, for
    /// the `up` of targets before their first scrape, and for what targets that never answer gave before the start; `evaluate`
    /// for the values of that time.
    #[must_use]
    pub fn new(
        settings: Settings,
        evaluate: Arc<dyn Evaluate>,
        store: Arc<dyn Queryable>,
        commits: Arc<dyn Commits>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(registry::Inner::new(settings, evaluate, store, commits, board, clock)),
        })
    }

    /// Evaluates as commits and ticks ask for it, until `stop`; returns when what was under way has ended. To be
    /// called once.
    pub async fn run(&self, stop: CancellationToken) {
        Arc::clone(&self.inner).run(stop).await;
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

impl Register for Standing {
    fn register(&self, request: Request) -> Result<Arc<dyn Query>, RegisterError> {
        self.inner.register(&request)
    }
}
