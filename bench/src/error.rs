//! Why a measurement was not made.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A program is not there.
    #[error("{program} is missing: {remedy}")]
    Missing {
        /// Which.
        program: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// Something did not come about in time.
    #[error("{what} did not happen within {seconds} s; its log ends: {log}")]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// The end of the program's log.
        log: String,
    },
    /// The system said something unexpected.
    #[error("{0}")]
    Unexpected(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
