//! Waiting for a condition instead of for time.

use crate::{Failure, Result};
use std::time::Duration;
use tokio::time::Instant;

/// How often a condition is asked for.
const INTERVAL: Duration = Duration::from_millis(100);

/// Asks `probe` until it answers `Some`, for at most `limit`.
///
/// `probe` answers `Ok(None)` or an error while the condition does not hold; the last error becomes part of the message.
///
/// # Errors
/// Says what was waited for, how long, and what the last attempt said.
pub async fn until<T, F, P>(what: &str, limit: Duration, mut probe: P) -> Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + limit;
    let mut last = String::from("the condition does not hold");
    loop {
        match tokio::time::timeout_at(end, probe()).await {
            Ok(Ok(Some(found))) => return Ok(found),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => last = error.to_string(),
            // Cut off by the end, which is nobody's fault unless it was the only attempt.
            Err(_) => {}
        }
        if Instant::now() >= end {
            return Err(Failure::new(format!("waited {} s for {what}: {last}", limit.as_secs())));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Asks `probe` until it answers `true`, for at most `limit`. See [`until`].
///
/// # Errors
/// See [`until`].
pub async fn until_true<F, P>(what: &str, limit: Duration, mut probe: P) -> Result<()>
where
    P: FnMut() -> F,
    F: Future<Output = Result<bool>>,
{
    until(what, limit, || {
        let asked = probe();
        async move { Ok(asked.await?.then_some(())) }
    })
    .await
}
