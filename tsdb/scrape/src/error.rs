//! Why a scrape failed.

use leadline_exposition::ParseError;
use leadline_httpclient::FetchError;
use leadline_model::port::Refusal;
use std::sync::Arc;

/// Why a scrape failed. Its text is what `/targets` shows.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// No answer could be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The answer was not whole within the timeout (ms).
    #[error("no whole answer within {0} ms")]
    Timeout(i64),
    /// The answer was not 200.
    #[error("server answered {0}, expected 200")]
    Status(http::StatusCode),
    /// The answer is in a format that is not read.
    #[error("{0}")]
    ContentType(String),
    /// The answer is compressed in a way that was not asked for, or badly.
    #[error("{0}")]
    Encoding(String),
    /// The body reached `body_size_limit` (bytes).
    #[error("body_size_limit exceeded: the body reaches {0} bytes")]
    BodySize(u64),
    /// The text is not what it must be.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// After relabelling a series has no name.
    #[error("series {0} has no metric name after metric_relabel_configs")]
    NameMissing(String),
    /// A limit on labels.
    #[error("{0}")]
    LabelLimit(String),
    /// `sample_limit`.
    #[error("sample_limit exceeded: {samples} samples after relabelling, limit {limit}")]
    SampleLimit {
        /// Samples the target exposes, after relabelling.
        samples: usize,
        /// The limit.
        limit: usize,
    },
    /// The store refused so many, by its cap on series or because its numbers for them are used up; what it took of the others
    /// is stored.
    #[error(
        "the store has no room for more series: {0} new ones were refused (--storage.tsdb.max-series, or no number is left)"
    )]
    SeriesLimit(usize),
    /// The store refused even `up` at the time of the scrape: it has newer samples of the target.
    #[error("the store refused what was scraped: {} (it has newer samples of the target: was the clock set back?)", .0.as_str())]
    Outdated(Refusal),
    /// The job has too many targets.
    #[error("{0}")]
    TargetLimit(Arc<str>),
    /// The store did not take the commit.
    #[error(transparent)]
    Append(#[from] leadline_model::port::AppendError),
    /// The task that read a large body ended early.
    #[error("reading the body was broken off")]
    BrokenOff,
}

/// The kinds of failure that are counted apart.
pub const REASONS: [&str; 11] = [
    "fetch",
    "timeout",
    "status",
    "content_type",
    "encoding",
    "body_size_limit",
    "parse",
    "label_limit",
    "sample_limit",
    "series_limit",
    "target_limit",
];

/// Failures that have no reason of their own in [`REASONS`].
pub const OTHER_REASON: &str = "store";

impl ScrapeError {
    /// The word used in metrics: one of [`REASONS`] or [`OTHER_REASON`].
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "fetch",
            Self::Timeout(_) => "timeout",
            Self::Status(_) => "status",
            Self::ContentType(_) => "content_type",
            Self::Encoding(_) => "encoding",
            Self::BodySize(_) => "body_size_limit",
            Self::Parse(_) | Self::NameMissing(_) => "parse",
            Self::LabelLimit(_) => "label_limit",
            Self::SampleLimit { .. } => "sample_limit",
            Self::SeriesLimit(_) => "series_limit",
            Self::TargetLimit(_) => "target_limit",
            Self::Append(_) | Self::Outdated(_) | Self::BrokenOff => OTHER_REASON,
        }
    }
}
