//! Why a query failed.

use leadline_model::port::{EvaluateError, PrepareError, QueryError};

/// Why a query failed. The texts are Prometheus' where it has them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The expression was refused; nothing was evaluated.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The parameters of the request contradict each other (a step of 0, say).
    #[error("{0}")]
    BadRequest(String),
    /// The expression cannot be evaluated on this data (many-to-many matching, say).
    #[error("{0}")]
    Execution(String),
    /// The time limit was reached.
    #[error("query timed out in {0}")]
    Timeout(&'static str),
    /// Nobody waits for the answer any more.
    #[error("query was canceled in {0}")]
    Canceled(&'static str),
    /// The limit on samples in memory was reached.
    #[error("query processing would load too many samples into memory in {0}")]
    TooManySamples(&'static str),
    /// The limit on series that are read was reached.
    #[error("query would load too many series into memory in {0}")]
    TooManySeries(&'static str),
    /// The limit on samples that are consumed was reached.
    #[error("query would read too many samples in {0}")]
    TooManySamplesRead(&'static str),
    /// Too many queries wait already.
    #[error("too many queries are waiting")]
    Overloaded,
    /// The store could not answer.
    #[error("expanding series: {0}")]
    Storage(#[from] QueryError),
}

impl Error {
    /// An [`Error::Execution`].
    pub(crate) fn execution(message: impl Into<String>) -> Self {
        Self::Execution(message.into())
    }
}

impl From<Error> for EvaluateError {
    fn from(error: Error) -> Self {
        match error {
            Error::Timeout(stage) => Self::Timeout(stage.to_owned()),
            Error::TooManySamples(stage) => Self::TooManySamples(stage.to_owned()),
            Error::Overloaded => Self::Overloaded,
            Error::Storage(e) => Self::Storage(e),
            Error::Execution(message) | Error::BadRequest(message) => Self::Execution(message),
            other @ (Error::Prepare(_)
            | Error::Canceled(_)
            | Error::TooManySeries(_)
            | Error::TooManySamplesRead(_)) => Self::Execution(other.to_string()),
        }
    }
}
