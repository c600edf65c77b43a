//! The settings of one scrape configuration, resolved: global defaults are filled in and everything is checked.

use leadline_httpclient::{Settings, SettingsError};
use leadline_model::discovery::JOB;
use leadline_model::relabel::RelabelConfig;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One scrape configuration. Equal jobs scrape equally, so a reload leaves the targets of an unchanged job alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// `job_name`; unique among the jobs.
    pub name: Arc<str>,
    /// `scrape_interval`, ms.
    pub interval_ms: i64,
    /// `scrape_timeout`, ms; at most the interval.
    pub timeout_ms: i64,
    /// `metrics_path`, from the leading slash on, unescaped; a query belongs into `params`.
    pub metrics_path: String,
    /// `scheme`.
    pub scheme: Scheme,
    /// `params`: query parameters, each with its values in order.
    pub params: BTreeMap<String, Vec<String>>,
    /// `honor_labels`: exposed labels win over the target's.
    pub honor_labels: bool,
    /// `honor_timestamps`: exposed timestamps are used (default yes).
    pub honor_timestamps: bool,
    /// `track_timestamps_staleness`: series with exposed timestamps get stale markers too.
    pub track_timestamps_staleness: bool,
    /// What a target may expose at most.
    pub limits: Limits,
    /// `keep_dropped_targets`: how many dropped targets are remembered for display; 0 means
    /// [`DEFAULT_KEEP_DROPPED`].
    pub keep_dropped_targets: usize,
    /// `relabel_configs`, on targets.
    pub relabel: Vec<RelabelConfig>,
    /// `metric_relabel_configs`, on series.
    pub metric_relabel: Vec<RelabelConfig>,
    /// Authentication and TLS.
    pub http: Settings,
    /// `enable_compression`: gzip is asked for (default yes, as in Prometheus).
    pub enable_compression: bool,
    /// `fallback_scrape_protocol`: how an answer without a usable Content-Type is read.
    pub fallback_scrape_protocol: Option<Protocol>,
}

/// How many dropped targets a job remembers where `keep_dropped_targets` is 0.
pub const DEFAULT_KEEP_DROPPED: usize = 1_000;

/// The largest body (bytes, uncompressed) that is read where `body_size_limit` is 0: nothing from outside is unbounded.
pub const DEFAULT_BODY_CAP: u64 = 512 << 20;

impl Job {
    /// A job with Prometheus' defaults: every minute, 10 s timeout, `http`, `/metrics`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            interval_ms: 60_000,
            timeout_ms: 10_000,
            metrics_path: "/metrics".to_owned(),
            scheme: Scheme::Http,
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            limits: Limits::default(),
            keep_dropped_targets: 0,
            relabel: Vec::new(),
            metric_relabel: Vec::new(),
            http: Settings::default(),
            enable_compression: true,
            fallback_scrape_protocol: None,
        }
    }

    /// Whether every series of it carries its target's label `job` as discovery has it, which is [`Self::name`] unless the
    /// target's group says another: no rule writes the label, and an exposed one does not win.
    #[must_use]
    pub fn keeps_job_label(&self) -> bool {
        let mut rules = self.relabel.iter().chain(&self.metric_relabel);
        !self.honor_labels && !rules.any(|rule| rule.may_write(JOB))
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`JobError`] names the job and the key.
    pub fn validate(&self) -> Result<(), JobError> {
        let refuse = |field: &'static str, reason: String| {
            Err(JobError {
                job: self.name.to_string(),
                field,
                reason,
            })
        };
        if self.name.is_empty() {
            return refuse("job_name", "it is empty".to_owned());
        }
        if self.interval_ms <= 0 {
            return refuse("scrape_interval", "expected more than 0".to_owned());
        }
        if self.timeout_ms <= 0 {
            return refuse("scrape_timeout", "expected more than 0".to_owned());
        }
        if self.timeout_ms > self.interval_ms {
            return refuse(
                "scrape_timeout",
                format!(
                    "{} ms is more than scrape_interval ({} ms)",
                    self.timeout_ms, self.interval_ms
                ),
            );
        }
        if let Some(protocol) = self.fallback_scrape_protocol.filter(|p| !p.is_text()) {
            return refuse(
                "fallback_scrape_protocol",
                format!("not supported yet: {}", protocol.as_str()),
            );
        }
        self.http
            .validate()
            .map_err(|SettingsError { field, reason }| JobError {
                job: self.name.to_string(),
                field,
                reason,
            })
    }
}

/// Why a job was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("job {job:?}: {field}: {reason}")]
pub struct JobError {
    /// The job's name.
    pub job: String,
    /// The key.
    pub field: &'static str,
    /// What is wrong and what was expected.
    pub reason: String,
}

/// How a target is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What one scrape may hold at most; 0 means no limit. Exceeding one fails the scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Samples left after `metric_relabel_configs`.
    pub sample_limit: usize,
    /// Labels of a series.
    pub label_limit: usize,
    /// Bytes of a label's name.
    pub label_name_length_limit: usize,
    /// Bytes of a label's value.
    pub label_value_length_limit: usize,
    /// Bytes of the body, uncompressed.
    pub body_size_limit: u64,
    /// Targets of the job; beyond it every scrape of the job fails.
    pub target_limit: usize,
}

/// An exposition format as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Text without UTF-8 names.
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText004,
    /// Text with UTF-8 names.
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText100,
    /// Recognised; not supported yet.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText001,
    /// Recognised; not supported yet.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText100,
    /// Recognised; not supported yet.
    #[serde(rename = "PrometheusProto")]
    PrometheusProto,
}

impl Protocol {
    /// Whether the text parser reads it.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, Self::PrometheusText004 | Self::PrometheusText100)
    }

    /// The word used in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusText004 => "PrometheusText0.0.4",
            Self::PrometheusText100 => "PrometheusText1.0.0",
            Self::OpenMetricsText001 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText100 => "OpenMetricsText1.0.0",
            Self::PrometheusProto => "PrometheusProto",
        }
    }
}

/// A number of bytes, written `512KB`, `10MB`, `1GB` (powers of 1024) or `0`, as `body_size_limit` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u32); 7] = [
    ("B", 0),
    ("KB", 10),
    ("MB", 20),
    ("GB", 30),
    ("TB", 40),
    ("PB", 50),
    ("EB", 60),
];

impl ByteSize {
    /// Parses `10MB`; `KiB` and its like mean the same (`units.ParseBase2Bytes`).
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fail =
            || format!("invalid size {text:?}: expected a whole number and B, KB, MB, GB, TB, PB or EB, as in 10MB");
        if text.is_empty() || text == "0" {
            return Ok(Self(0));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| fail())?;
        let unit = text[digits..].replace("iB", "B");
        let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fail)?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(fail)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .rev()
            .find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match unit {
            Some((name, shift)) => write!(f, "{}{name}", self.0 >> shift),
            None => f.write_str("0"),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
