//! The signals that the process obeys. They are caught from its first moment on: as process 1 of a container it would not hear
//! SIGTERM before, and elsewhere an early SIGHUP would end it. One that comes during the start is kept.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What ends the process.
pub(crate) struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

/// Catches SIGTERM and SIGINT, and SIGHUP, which reloads the configuration.
///
/// # Errors
/// The system's, when they cannot be caught.
pub(crate) fn catch() -> io::Result<(Stops, Signal)> {
    let stops = Stops {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
    };
    Ok((stops, signal(SignalKind::hangup())?))
}

impl Stops {
    /// Resolves at SIGTERM or SIGINT with its name.
    pub(crate) async fn told(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
