//! Whether they may: SubjectAccessReviews, remembered.
//!
//! An HPA asks every 15 s, so that the 10 s for which Go servers remember an answer means a review per request. Here an
//! allow is remembered for five minutes and looked up again in the background during the last of them; while the API
//! server cannot answer it is served for up to ten minutes after it was given. That is the longest time for which a
//! revoked right still works. A deny is remembered for ten seconds. A question without a remembered answer is denied
//! while the API server is away: nothing is fail-open.

use super::{Identity, MASTERS};
use crate::stats::Stats;
use async_trait::async_trait;
use leadline_model::{Clock, Timestamp};
use moka::future::Cache;
use moka::ops::compute::Op;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create` …
    pub verb: &'static str,
    /// Of what.
    pub target: Target,
}

/// A resource or a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A path that is no resource, such as `/apis`.
    Path(String),
    /// A resource; empty texts stand for nothing.
    Resource {
        /// API group.
        group: String,
        /// API version.
        version: String,
        /// Resource.
        resource: String,
        /// Subresource: the metric, in custom.metrics.k8s.io.
        subresource: String,
        /// Namespace.
        namespace: String,
        /// The object, or `*`.
        name: String,
    },
}

impl Attributes {
    /// Bytes of text, to bound what is remembered.
    fn size(&self) -> usize {
        match &self.target {
            Target::Path(path) => path.len(),
            Target::Resource {
                group,
                version,
                resource,
                subresource,
                namespace,
                name,
            } => [group, version, resource, subresource, namespace, name]
                .iter()
                .map(|s| s.len())
                .sum(),
        }
    }
}

/// The answer to a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, in the authorizer's words; may be empty.
    pub reason: String,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReviewError(pub String);

/// Answers whether an identity may do something.
#[async_trait]
pub trait Reviewer: Send + Sync + 'static {
    /// Asks afresh.
    ///
    /// # Errors
    /// [`ReviewError`] when there is no answer; that is never an allow.
    async fn review(&self, identity: &Identity, attributes: &Attributes) -> Result<Review, ReviewError>;
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go on.
    Allow,
    /// 403: why, in the authorizer's words.
    Deny(String),
    /// 500: there was no answer and none is remembered.
    Failed(String),
}

/// How long answers are remembered.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// An allow, ms.
    pub allow_ms: i64,
    /// From this age on an allow is looked up again in the background, ms.
    pub refresh_ms: i64,
    /// An allow while the API server does not answer, ms.
    pub stale_allow_ms: i64,
    /// A deny, ms.
    pub deny_ms: i64,
    /// One review may take this long, ms.
    pub timeout_ms: u64,
    /// After a review had no answer in time, no other one is tried for this long, ms: whoever waited behind it fails
    /// with it instead of waiting as long again.
    pub outage_ms: i64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            allow_ms: 300_000,
            refresh_ms: 240_000,
            stale_allow_ms: 600_000,
            deny_ms: 10_000,
            timeout_ms: 1_500,
            outage_ms: 1_000,
        }
    }
}

/// Texts longer than this are not remembered, bytes (as in Kubernetes' webhook authorizer).
const LARGEST: usize = 10_000;
/// Answers remembered at most.
const CAPACITY: u64 = 8192;

/// All that an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    identity: Identity,
    attributes: Attributes,
}

struct Answer {
    review: Review,
    /// When it was given, ms.
    at: Timestamp,
    refreshing: AtomicBool,
}

struct Shared {
    reviewer: Arc<dyn Reviewer>,
    answers: Cache<Question, Arc<Answer>>,
    clock: Arc<dyn Clock>,
    lifetimes: Lifetimes,
    /// When a review last had no answer in time, ms, and what that says; an answer clears it.
    outage: Mutex<Option<(Timestamp, String)>>,
}

/// Authorizes requests.
#[derive(Clone)]
pub struct Authorizer(Arc<Shared>);

impl Authorizer {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(reviewer: Arc<dyn Reviewer>, clock: Arc<dyn Clock>, lifetimes: Lifetimes) -> Self {
        let answers = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(Duration::from_secs(660))
            .build();
        Self(Arc::new(Shared {
            reviewer,
            answers,
            clock,
            lifetimes,
            outage: Mutex::new(None),
        }))
    }

    /// Whether `identity` may do what `attributes` say.
    pub async fn authorize(&self, identity: &Identity, attributes: &Attributes, stats: &Arc<Stats>) -> Decision {
        if identity.groups.iter().any(|g| g == MASTERS) {
            return Decision::Allow;
        }
        if attributes.size() >= LARGEST {
            stats.access_misses.inc();
            return decision(self.0.ask(identity, attributes, stats).await);
        }
        let question = Question {
            identity: identity.clone(),
            attributes: attributes.clone(),
        };
        if let Some(answer) = self.0.answers.get(&question).await
            && let Some(decision) = self.remembered(&question, &answer, stats)
        {
            stats.access_hits.inc();
            return decision;
        }
        stats.access_misses.inc();
        decision(self.0.look_up(question, stats).await)
    }

    /// What a remembered answer is worth now.
    fn remembered(&self, question: &Question, answer: &Arc<Answer>, stats: &Arc<Stats>) -> Option<Decision> {
        let (age, lifetimes) = (self.0.clock.now() - answer.at, self.0.lifetimes);
        if !answer.review.allowed {
            return (age < lifetimes.deny_ms).then(|| Decision::Deny(answer.review.reason.clone()));
        }
        if age < lifetimes.allow_ms {
            if age >= lifetimes.refresh_ms && !answer.refreshing.swap(true, Ordering::AcqRel) {
                self.refresh(question.clone(), Arc::clone(answer), Arc::clone(stats));
            }
            return Some(Decision::Allow);
        }
        None
    }

    /// Looks an answer up again while the old one is served.
    fn refresh(&self, question: Question, answer: Arc<Answer>, stats: Arc<Stats>) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Ok(review) = shared.ask(&question.identity, &question.attributes, &stats).await {
                shared.remember(question, review).await;
            }
            answer.refreshing.store(false, Ordering::Release);
        });
    }
}

impl Shared {
    /// Asks once for all who ask the same at the same time. Where nobody answers, an allow that is not too old holds.
    async fn look_up(&self, question: Question, stats: &Stats) -> Result<Review, ReviewError> {
        let Question { identity, attributes } = question.clone();
        let outcome = self
            .answers
            .entry(question)
            .and_try_compute_with(|current| async {
                let now = self.clock.now();
                let current = current.map(moka::Entry::into_value);
                if current.as_ref().is_some_and(|a| now - a.at < self.fresh_for(a)) {
                    return Ok(Op::Nop);
                }
                match self.ask(&identity, &attributes, stats).await {
                    Ok(review) => Ok(Op::Put(self.answer(review))),
                    Err(error) => match current {
                        Some(a) if a.review.allowed && now - a.at < self.lifetimes.stale_allow_ms => {
                            stats.access_stale.inc();
                            Ok(Op::Nop)
                        }
                        _ => Err(error),
                    },
                }
            })
            .await?;
        match outcome.into_entry() {
            Some(entry) => Ok(entry.into_value().review.clone()),
            None => Err(ReviewError("no answer".into())),
        }
    }

    fn fresh_for(&self, answer: &Answer) -> i64 {
        if answer.review.allowed {
            self.lifetimes.allow_ms
        } else {
            self.lifetimes.deny_ms
        }
    }

    fn answer(&self, review: Review) -> Arc<Answer> {
        Arc::new(Answer {
            review,
            at: self.clock.now(),
            refreshing: AtomicBool::new(false),
        })
    }

    async fn remember(&self, question: Question, review: Review) {
        self.answers.insert(question, self.answer(review)).await;
    }

    async fn ask(&self, identity: &Identity, attributes: &Attributes, stats: &Stats) -> Result<Review, ReviewError> {
        if let Some((at, why)) = self.outage.lock().clone()
            && (0..self.lifetimes.outage_ms).contains(&(self.clock.now() - at))
        {
            return Err(ReviewError(why));
        }
        let limit = Duration::from_millis(self.lifetimes.timeout_ms);
        let answer = tokio::time::timeout(limit, self.reviewer.review(identity, attributes)).await;
        let Ok(answer) = answer else {
            let why = format!("no answer within {} ms", self.lifetimes.timeout_ms);
            stats.access_errors.inc();
            *self.outage.lock() = Some((self.clock.now(), why.clone()));
            return Err(ReviewError(why));
        };
        match &answer {
            Ok(_) => *self.outage.lock() = None,
            Err(_) => stats.access_errors.inc(),
        }
        answer
    }
}

fn decision(answer: Result<Review, ReviewError>) -> Decision {
    match answer {
        Ok(Review { allowed: true, .. }) => Decision::Allow,
        Ok(Review { reason, .. }) => Decision::Deny(reason),
        Err(error) => Decision::Failed(error.to_string()),
    }
}
