//! Why an expression is not registered.

use leadline_model::duration::Duration;
use leadline_model::port::PrepareError;

/// Why an expression was not registered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegisterError {
    /// The expression is not valid.
    #[error(transparent)]
    Invalid(#[from] PrepareError),
    /// It evaluates to something that cannot be scaled on.
    #[error("the expression is a {0}; a scalar or an instant vector is needed")]
    Shape(&'static str),
    /// It reads further back than samples are kept, so that part of its window would always be missing.
    #[error("the expression reads {} back, and samples are kept for {}", Duration::from_millis(*window_ms), Duration::from_millis(*kept_ms))]
    Window {
        /// How far back it reads, ms.
        window_ms: i64,
        /// For how long samples are kept, ms.
        kept_ms: i64,
    },
    /// The cap is reached.
    #[error("{0} standing queries are registered already, the most that are allowed")]
    Full(usize),
}
