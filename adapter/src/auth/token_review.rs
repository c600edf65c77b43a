//! Identity by bearer token, reviewed by the API server.

use super::Identity;
use crate::stats::Stats;
use async_trait::async_trait;
use aws_lc_rs::hmac;
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is kept, for good tokens and bad.
const TTL: Duration = Duration::from_secs(10);
/// How long one review may take, attempts included. Shorter than the limit of the request that waits for it
/// ([`crate::Limits::deadline`]), which would cut it and know nothing of what failed.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts of one review.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; each further wait is half as long again. All of them fit into [`TIMEOUT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest token that is reviewed, bytes.
const LONGEST: usize = 64 * 1024;

/// Why a token could not be reviewed (which says nothing about the token).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(pub String);

/// Reviews tokens.
#[async_trait]
pub trait TokenReviewer: Send + Sync {
    /// Whose token this is; `None` when it is nobody's. `audiences` is sent along when it is not empty, and then a
    /// token that is not for one of them is nobody's.
    ///
    /// # Errors
    /// [`TokenError`] when there was no answer; it is tried again.
    async fn review(&self, token: &str, audiences: &[String]) -> Result<Option<Identity>, TokenError>;
}

/// Reviews tokens and remembers the answers for ten seconds, under a keyed hash: neither a dump of the cache nor its
/// lookup time tells a token. Equal tokens at the same time share one review.
pub struct Tokens {
    reviewer: Arc<dyn TokenReviewer>,
    audiences: Vec<String>,
    key: hmac::Key,
    answers: Cache<[u8; 32], Option<Arc<Identity>>>,
}

impl Tokens {
    /// `audiences`: for whom tokens must be meant; empty means the API server's own audience.
    ///
    /// # Errors
    /// When the operating system gives no randomness for the key.
    pub fn new(reviewer: Arc<dyn TokenReviewer>, audiences: Vec<String>) -> Result<Self, TokenError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new())
            .map_err(|_| TokenError("no randomness for the key of the token cache".into()))?;
        let answers = Cache::builder().max_capacity(4096).time_to_live(TTL).build();
        Ok(Self {
            reviewer,
            audiences,
            key,
            answers,
        })
    }

    /// Whose token this is. Failures are not remembered.
    ///
    /// # Errors
    /// [`TokenError`] when no attempt got an answer in time.
    pub async fn review(&self, token: &str, stats: &Stats) -> Result<Option<Arc<Identity>>, TokenError> {
        if token.len() > LONGEST {
            return Ok(None);
        }
        let mut key = [0u8; 32];
        key.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        if let Some(answer) = self.answers.get(&key).await {
            stats.token_hits.inc();
            return Ok(answer);
        }
        stats.token_misses.inc();
        let ask = async { self.ask(token).await.map(|answer| answer.map(Arc::new)) };
        self.answers
            .try_get_with(key, ask)
            .await
            .map_err(|e| TokenError::clone(&e))
    }

    async fn ask(&self, token: &str) -> Result<Option<Identity>, TokenError> {
        let end = Instant::now() + TIMEOUT;
        let mut wait = FIRST_WAIT;
        let mut last = None;
        for attempt in 1..=ATTEMPTS {
            match tokio::time::timeout_at(end, self.reviewer.review(token, &self.audiences)).await {
                Ok(Ok(answer)) => return Ok(answer.filter(|identity| !identity.user.is_empty())),
                Ok(Err(error)) => last = Some(error),
                Err(_) => return Err(late(last)),
            }
            // Whoever waits need not wait for an attempt that there is no time for.
            if attempt == ATTEMPTS || Instant::now() + wait >= end {
                break;
            }
            tokio::time::sleep(wait).await;
            wait = wait * 3 / 2;
        }
        Err(last.unwrap_or_else(|| late(None)))
    }
}

/// The last attempt had no answer; `before` is why the one before it failed.
fn late(before: Option<TokenError>) -> TokenError {
    let seconds = TIMEOUT.as_secs();
    TokenError(match before {
        None => format!("no answer within {seconds} s"),
        Some(TokenError(reason)) => format!("no answer within {seconds} s; the attempt before: {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::TIMEOUT;

    #[test]
    fn a_review_ends_before_the_request_that_waits_for_it() {
        assert!(TIMEOUT < crate::Limits::default().deadline);
    }
}
