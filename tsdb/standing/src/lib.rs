//! Registered expressions, evaluated when a commit touches them.
//!
//! An adapter rule or a KEDA trigger registers an expression ([`Standing::register`]) and asks its [`Query`] for a
//! [`Snapshot`]: the rows of the newest evaluation, indexed by the labels that name an object, each with provenance
//! and [`Completeness`]. Equal expressions share one evaluation.

#[cfg(test)]
mod fixture;
pub mod freshness;
mod index;
pub mod snapshot;

pub use snapshot::{Completeness, OnPartial, Row, Snapshot, Verdict, Warmth};

use async_trait::async_trait;
use leadline_model::Matcher;
use leadline_model::port::{Plan, PrepareError};
use std::sync::Arc;

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

/// Why an expression was not registered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegisterError {
    /// The expression is not valid.
    #[error(transparent)]
    Invalid(#[from] PrepareError),
    /// It evaluates to something that cannot be scaled on.
    #[error("the expression is a {0}; a scalar or an instant vector is needed")]
    Shape(&'static str),
    /// The cap is reached.
    #[error("{0} standing queries are registered already, the most that are allowed")]
    Full(usize),
}

/// A standing query in the hand of whoever registered it. Dropping it deregisters.
#[async_trait]
pub trait Query: Send + Sync {
    /// The prepared expression.
    fn plan(&self) -> &Arc<Plan>;

    /// The newest snapshot; evaluates first when none is newer than the last commit that touched the expression (and,
    /// for an expression that moves with time, than the last aligned tick). Waits no longer than the evaluation's
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
