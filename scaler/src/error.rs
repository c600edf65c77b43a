//! Why a call is refused, and the gRPC status that says so.

use tonic::{Code, Status};

/// A metadata key that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata {key}: {problem}")]
pub struct TriggerError {
    /// The key.
    pub key: String,
    /// The value that was found and what was expected.
    pub problem: String,
}

/// Why a value cannot be answered now. KEDA keeps replicas, or falls back, on any of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// It is cold, partial or the query failed: a later call may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// What the query returns cannot be scaled on.
    #[error("{0}")]
    Unusable(String),
}

impl From<TriggerError> for Status {
    fn from(error: TriggerError) -> Self {
        Status::invalid_argument(error.to_string())
    }
}

impl From<Unanswerable> for Status {
    fn from(error: Unanswerable) -> Self {
        let code = match error {
            Unanswerable::Unavailable(_) => Code::Unavailable,
            Unanswerable::Unusable(_) => Code::FailedPrecondition,
        };
        Status::new(code, error.to_string())
    }
}
