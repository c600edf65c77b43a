//! Why a request failed.

use std::error::Error;
use std::path::PathBuf;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file that the settings name cannot be used.
    #[error("{field}: {}: {reason}", path.display())]
    File {
        /// The key that names it.
        field: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of the settings cannot be used.
    #[error("{field}: {reason}")]
    Setting {
        /// The key.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL cannot be requested.
    #[error("url {url:?}: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong and what was expected.
        reason: &'static str,
    },
    /// No connection could be made.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// host:port.
        address: String,
        /// What the system or TLS says.
        reason: String,
    },
    /// The exchange broke off or was no HTTP.
    #[error("http exchange with {address} failed: {reason}")]
    Exchange {
        /// host:port.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The server redirects too often.
    #[error("stopped after {0} redirects")]
    TooManyRedirects(usize),
    /// The body reached the limit (bytes).
    #[error("the body reaches the limit of {0} bytes")]
    BodyTooLarge(u64),
}

/// An error with its causes, for libraries whose own text leaves out what happened.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
