//! Why the harness could not do something: one sentence a person can act on.

use std::fmt;

/// A message, grown by context on its way up.
#[derive(Debug, Clone)]
pub struct Failure(String);

/// What every fallible function of the harness returns.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

macro_rules! from_error {
    ($($kind:ty),* $(,)?) => {$(
        impl From<$kind> for Failure {
            fn from(error: $kind) -> Self {
                Self(describe(&error))
            }
        }
    )*};
}

from_error!(
    std::io::Error,
    reqwest::Error,
    serde_json::Error,
    rcgen::Error,
    rustls::Error,
    rustls::pki_types::pem::Error,
    serde_saphyr::Error,
    std::str::Utf8Error,
    std::num::ParseIntError,
    tokio::task::JoinError,
    tonic::transport::Error,
);

/// The error and its sources: the outermost alone ("error sending request") rarely says what happened.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

/// Adds what was being done to an error.
pub trait Context<T> {
    /// `what: error`.
    ///
    /// # Errors
    /// The error of `self`, prefixed.
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {}", error.into())))
    }
}

/// Returns a [`Failure`] with a formatted message.
#[macro_export]
macro_rules! fail {
    ($($arg:tt)*) => {
        return Err($crate::Failure::new(format!($($arg)*)))
    };
}
