//! The section `global`.

use super::refused::{errors, not_yet};
use super::yaml::{ConfigError, Place, Refused};
use leadline_model::duration::Duration;
use leadline_model::labels::Labels;
use leadline_promql::cost::CostLimits;
use leadline_scrape::{ByteSize, Protocol};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Defaults of every job. What is absent, or 0, has Prometheus' default; the methods say which.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Global {
    /// How often targets are scraped (default 1m).
    pub scrape_interval: Option<Spanned<Duration>>,
    /// How long a scrape may take (default 10s, and at most the interval).
    pub scrape_timeout: Option<Spanned<Duration>>,
    /// The formats that are asked for; at least one of the text formats.
    pub scrape_protocols: Option<Spanned<Vec<Protocol>>>,
    /// The steps of subqueries that name none (default 1m); it is how often Prometheus evaluates rules.
    pub evaluation_interval: Option<Spanned<Duration>>,
    /// Labels that tell this server from others.
    pub external_labels: Option<Spanned<BTreeMap<String, String>>>,
    /// Default of the jobs' `body_size_limit`.
    pub body_size_limit: ByteSize,
    /// Default of the jobs' `sample_limit`.
    pub sample_limit: usize,
    /// Default of the jobs' `target_limit`.
    pub target_limit: usize,
    /// Default of the jobs' `label_limit`.
    pub label_limit: usize,
    /// Default of the jobs' `label_name_length_limit`.
    pub label_name_length_limit: usize,
    /// Default of the jobs' `label_value_length_limit`.
    pub label_value_length_limit: usize,
    /// Default of the jobs' `keep_dropped_targets`.
    pub keep_dropped_targets: usize,
    /// `utf8` (the default); `legacy` is refused.
    pub metric_name_validation_scheme: Option<Spanned<String>>,
    /// `allow-utf-8` (the default); others are refused.
    pub metric_name_escaping_scheme: Option<Spanned<String>>,
    /// `true` is refused.
    pub scrape_native_histograms: Option<Spanned<bool>>,
    /// `true` is refused.
    pub convert_classic_histograms_to_nhcb: Option<Spanned<bool>>,
    /// Classic histograms are always scraped, so either value is met.
    pub always_scrape_classic_histograms: Option<bool>,
    /// `true` is refused.
    pub extra_scrape_metrics: Option<Spanned<bool>>,
    /// Anything but 0 is refused.
    pub rule_query_offset: Option<Spanned<Duration>>,
    /// Where queries are logged; empty or absent for nowhere ([`Self::query_log_file`]).
    query_log_file: Option<String>,
    /// How many series a query may read, with the feature `query-cost`; 0 for any number.
    pub query_max_series: u64,
    /// How many samples a query may read, with the feature `query-cost`; 0 for any number.
    pub query_max_samples_read: u64,
    /// How long a query may take instead of `--query.timeout`, with the feature `query-cost`.
    pub query_max_duration: Option<Spanned<Duration>>,
    scrape_failure_log_file: Option<Refused>,
}

/// A duration that is given and not 0.
pub(super) fn given(duration: Option<&Spanned<Duration>>) -> Option<i64> {
    duration.map(|d| d.value.as_millis()).filter(|ms| *ms != 0)
}

const MINUTE_MS: i64 = 60_000;
const TIMEOUT_MS: i64 = 10_000;

impl Global {
    /// `scrape_interval`, ms.
    #[must_use]
    pub fn scrape_interval_ms(&self) -> i64 {
        given(self.scrape_interval.as_ref()).unwrap_or(MINUTE_MS)
    }

    /// `scrape_timeout`, ms.
    #[must_use]
    pub fn scrape_timeout_ms(&self) -> i64 {
        given(self.scrape_timeout.as_ref()).unwrap_or_else(|| TIMEOUT_MS.min(self.scrape_interval_ms()))
    }

    /// `evaluation_interval`.
    #[must_use]
    pub fn evaluation_interval(&self) -> Duration {
        Duration::from_millis(given(self.evaluation_interval.as_ref()).unwrap_or(MINUTE_MS))
    }

    /// What a query may cost.
    #[must_use]
    pub fn cost_limits(&self) -> CostLimits {
        CostLimits {
            series: self.query_max_series,
            samples_read: self.query_max_samples_read,
            duration: given(self.query_max_duration.as_ref()).map(Duration::from_millis),
        }
    }

    /// `external_labels`.
    #[must_use]
    pub fn external_labels(&self) -> Labels {
        self.external_labels
            .as_ref()
            .map(|labels| Labels::from_pairs(labels.value.iter()))
            .unwrap_or_default()
    }

    /// `query_log_file`; a relative path starts from the folder of the configuration file `file`.
    #[must_use]
    pub fn query_log_file(&self, file: &str) -> Option<PathBuf> {
        let given = self.query_log_file.as_deref().filter(|path| !path.is_empty())?;
        Some(Path::new(file).parent().unwrap_or(Path::new("")).join(given))
    }

    /// Checks what the types cannot say; all that is wrong, not only the first.
    pub(super) fn check(&self, file: &str) -> Vec<ConfigError> {
        let mut found = errors(file, [("scrape_failure_log_file", &self.scrape_failure_log_file)]);
        if let Some(timeout) = &self.scrape_timeout
            && timeout.value.as_millis() > self.scrape_interval_ms()
        {
            found.push(Place::of(timeout).error(file, "global scrape timeout greater than scrape interval"));
        }
        if let Some(offset) = self.rule_query_offset.as_ref().filter(|o| o.value.as_millis() != 0) {
            found.push(not_yet(file, Place::of(offset), "rule_query_offset"));
        }
        for (key, flag) in [
            ("scrape_native_histograms", &self.scrape_native_histograms),
            (
                "convert_classic_histograms_to_nhcb",
                &self.convert_classic_histograms_to_nhcb,
            ),
            ("extra_scrape_metrics", &self.extra_scrape_metrics),
        ] {
            found.extend(
                flag.as_ref()
                    .filter(|f| f.value)
                    .map(|f| not_yet(file, Place::of(f), key)),
            );
        }
        found.extend(check_protocols(file, self.scrape_protocols.as_ref()));
        let (validation, escaping) = (&self.metric_name_validation_scheme, &self.metric_name_escaping_scheme);
        found.extend(check_names(file, validation.as_ref(), escaping.as_ref()));
        found.extend(self.check_external_labels(file));
        found
    }

    fn check_external_labels(&self, file: &str) -> Option<ConfigError> {
        let labels = self.external_labels.as_ref()?;
        for (name, value) in &labels.value {
            if name.is_empty() {
                return Some(Place::of(labels).error(file, "\"\" is not a valid label name"));
            }
            // Prometheus puts environment variables in here; taking the text as it is would be something else.
            if value.contains('$') {
                let message = format!("not supported yet: $ in external_labels ({name}: {value})");
                return Some(Place::of(labels).error(file, message));
            }
        }
        None
    }
}

/// Each format once, and one of them a text format: other formats are asked for later.
pub(super) fn check_protocols(file: &str, protocols: Option<&Spanned<Vec<Protocol>>>) -> Option<ConfigError> {
    let given = protocols?;
    let fail = |message: String| Some(Place::of(given).error(file, message));
    let words: Vec<&str> = given.value.iter().map(|p| p.as_str()).collect();
    if words.is_empty() {
        return fail("scrape_protocols cannot be empty".to_owned());
    }
    if words.iter().enumerate().any(|(i, word)| words[..i].contains(word)) {
        return fail(format!("duplicated protocol in scrape_protocols, got {words:?}"));
    }
    if !given.value.iter().any(|p| p.is_text()) {
        return fail(format!(
            "not supported yet: scrape_protocols without PrometheusText0.0.4 or 1.0.0, got {words:?}"
        ));
    }
    None
}

/// The rules for names: UTF-8 without escaping is what works.
pub(super) fn check_names(
    file: &str,
    validation: Option<&Spanned<String>>,
    escaping: Option<&Spanned<String>>,
) -> Vec<ConfigError> {
    let mut found = Vec::new();
    if let Some(scheme) = validation {
        let place = Place::of(scheme);
        match scheme.value.as_str() {
            "" | "utf8" => {}
            "legacy" if escaping.is_some_and(|e| e.value == "allow-utf-8") => {
                found.push(place.error(
                    file,
                    "utf8 metric names requested but validation scheme is not set to UTF8",
                ));
            }
            "legacy" => found.push(not_yet(file, place, "metric_name_validation_scheme legacy")),
            other => {
                let message = format!("unknown name validation scheme {other:?}, expected \"\", legacy or utf8");
                found.push(place.error(file, message));
            }
        }
    }
    if let Some(scheme) = escaping {
        let place = Place::of(scheme);
        match scheme.value.as_str() {
            "" | "allow-utf-8" => {}
            known @ ("underscores" | "dots" | "values") => {
                found.push(not_yet(file, place, &format!("metric_name_escaping_scheme {known}")));
            }
            other => {
                let message = format!(
                    "unknown name escaping scheme {other:?}, expected allow-utf-8, underscores, dots or values"
                );
                found.push(place.error(file, message));
            }
        }
    }
    found
}
