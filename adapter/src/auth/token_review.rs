//! Identity by bearer token, reviewed by the API server.

use super::Identity;
use crate::stats::Stats;
use async_trait::async_trait;
use aws_lc_rs::hmac;
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer is kept, for good tokens and bad.
const TTL: Duration = Duration::from_secs(10);
/// How long one review may take, attempts included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts of one review.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; each further wait is half as long again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
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
        let attempts = async {
            let mut wait = FIRST_WAIT;
            for _ in 1..ATTEMPTS {
                if let Ok(answer) = self.reviewer.review(token, &self.audiences).await {
                    return Ok(answer);
                }
                tokio::time::sleep(wait).await;
                wait = wait * 3 / 2;
            }
            self.reviewer.review(token, &self.audiences).await
        };
        let answer = tokio::time::timeout(TIMEOUT, attempts).await;
        let answer = answer.unwrap_or_else(|_| Err(TokenError("no answer within 10 s".into())))?;
        Ok(answer.filter(|identity| !identity.user.is_empty()))
    }
}
