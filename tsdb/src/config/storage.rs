//! The section `storage`.

use super::refused::not_yet;
use super::yaml::{ConfigError, Place};
use leadline_model::duration::Duration;
use leadline_scrape::ByteSize;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// What the file says about the store. What is absent, or 0, is left to flags and defaults. Two are equal when they mean the
/// same, wherever they stand.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    tsdb: Option<Tsdb>,
    exemplars: Option<Exemplars>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tsdb {
    out_of_order_time_window: Option<Spanned<Duration>>,
    stale_series_compaction_threshold: Option<Spanned<f64>>,
    chunk_encoding: Option<ChunkEncoding>,
    retention: Option<Retention>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ChunkEncoding {
    floats: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Retention {
    time: Option<Spanned<Duration>>,
    size: Option<ByteSize>,
    percentage: Option<Spanned<f64>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Exemplars {
    max_exemplars: Option<i64>,
}

impl PartialEq for Storage {
    fn eq(&self, other: &Self) -> bool {
        let said = |s: &Self| {
            let times = (s.out_of_order_window_ms(), s.retention_ms());
            (times, s.retention_bytes(), s.max_exemplars(), s.stale_percent())
        };
        said(self) == said(other)
    }
}

impl Storage {
    /// `tsdb.out_of_order_time_window`, ms: how far behind the newest sample an older one is taken; 0 for not at all.
    #[must_use]
    pub fn out_of_order_window_ms(&self) -> i64 {
        let tsdb = self.tsdb.as_ref();
        let window = tsdb.and_then(|t| t.out_of_order_time_window.as_ref());
        window.map_or(0, |w| w.value.as_millis())
    }

    /// `exemplars.max_exemplars`, where it is given; 0 or less for none.
    #[must_use]
    pub fn max_exemplars(&self) -> Option<usize> {
        let most = self.exemplars.as_ref()?.max_exemplars?;
        Some(usize::try_from(most).unwrap_or(0))
    }

    /// `tsdb.retention.time`, ms, where it is given; it goes before the flag.
    #[must_use]
    pub fn retention_ms(&self) -> Option<i64> {
        let retention = self.tsdb.as_ref()?.retention.as_ref()?;
        super::global::given(retention.time.as_ref())
    }

    /// `tsdb.retention.size`, bytes, where it is given; it goes before the flag.
    #[must_use]
    pub fn retention_bytes(&self) -> Option<u64> {
        let retention = self.tsdb.as_ref()?.retention.as_ref()?;
        retention.size.map(|size| size.0).filter(|bytes| *bytes > 0)
    }

    /// `tsdb.stale_series_compaction_threshold`, where it is given: the share of the head's series, percent from 0 to 100 and
    /// rounded up, that have to be stale for them to leave the memory early; 0 for never.
    #[must_use]
    pub fn stale_percent(&self) -> Option<u8> {
        let share = self.tsdb.as_ref()?.stale_series_compaction_threshold.as_ref()?.value;
        Some((share * 100.0).ceil().clamp(0.0, 100.0) as u8)
    }

    /// Checks what the types cannot say; all that is wrong, not only the first.
    #[must_use]
    pub fn check(&self, file: &str) -> Vec<ConfigError> {
        self.tsdb.as_ref().map(|tsdb| tsdb.check(file)).unwrap_or_default()
    }
}

impl Tsdb {
    fn check(&self, file: &str) -> Vec<ConfigError> {
        let percentage = self.retention.as_ref().and_then(|r| r.percentage.as_ref());
        if let Some(wrong) = percentage.filter(|p| !(0.0..=100.0).contains(&p.value)) {
            let message = format!(
                "storage.tsdb.retention.percentage must be from 0 to 100, got {}",
                wrong.value
            );
            return vec![Place::of(wrong).error(file, message)];
        }
        let threshold = self.stale_series_compaction_threshold.as_ref();
        if let Some(wrong) = threshold.filter(|t| !(0.0..=1.0).contains(&t.value)) {
            let message = format!(
                "storage.tsdb.stale_series_compaction_threshold must be from 0 to 1, got {}",
                wrong.value
            );
            return vec![Place::of(wrong).error(file, message)];
        }
        let percentage = percentage.filter(|p| p.value != 0.0);
        let mut found: Vec<ConfigError> = percentage
            .map(|p| not_yet(file, Place::of(p), "storage.tsdb.retention.percentage"))
            .into_iter()
            .collect();
        let floats = self.chunk_encoding.as_ref().and_then(|e| e.floats.as_ref());
        found.extend(floats.and_then(|encoding| check_encoding(file, encoding)));
        found
    }
}

fn check_encoding(file: &str, encoding: &Spanned<String>) -> Option<ConfigError> {
    match encoding.value.as_str() {
        "" | "xor" => None,
        "xor2" => Some(not_yet(file, Place::of(encoding), "chunk_encoding.floats xor2")),
        other => {
            let message = format!("storage.tsdb.chunk_encoding.floats must be xor or xor2, got {other:?}");
            Some(Place::of(encoding).error(file, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_yaml;

    #[test]
    fn what_the_section_says_is_read() {
        let storage: Storage = parse_yaml(
            "tsdb:\n  out_of_order_time_window: 10m\n  chunk_encoding: {floats: xor}\n  retention: {time: 1d, size: 2GB}\n\
             exemplars: {max_exemplars: 5}\n",
            "l.yml",
        )
        .unwrap();
        assert_eq!(storage.check("l.yml"), []);
        assert_eq!(
            (storage.out_of_order_window_ms(), storage.max_exemplars()),
            (600_000, Some(5))
        );
        assert_eq!(
            (storage.retention_ms(), storage.retention_bytes()),
            (Some(86_400_000), Some(2 << 30))
        );
        for empty in ["{}", "tsdb:\nexemplars:\n", "tsdb: {retention: {time: 0s}}"] {
            let storage: Storage = parse_yaml(empty, "l.yml").unwrap();
            let read = (
                storage.out_of_order_window_ms(),
                storage.max_exemplars(),
                storage.retention_ms(),
            );
            assert_eq!(read, (0, None, None), "{empty}");
        }
        for (text, percent) in [("0", 0), ("0.001", 1), ("0.5", 50), ("1", 100)] {
            let text = format!("tsdb: {{stale_series_compaction_threshold: {text}}}");
            let storage: Storage = parse_yaml(&text, "l.yml").unwrap();
            assert_eq!(
                (storage.stale_percent(), storage.check("l.yml").len()),
                (Some(percent), 0),
                "{text}"
            );
        }
        let none: Storage = parse_yaml("exemplars: {max_exemplars: -1}", "l.yml").unwrap();
        assert_eq!(none.max_exemplars(), Some(0));
    }

    #[test]
    fn what_does_not_work_yet_is_refused_by_name_and_the_rest_is_an_error() {
        for (text, part) in [
            (
                "tsdb: {stale_series_compaction_threshold: 1.5}",
                "stale_series_compaction_threshold must be from 0 to 1, got 1.5",
            ),
            ("tsdb: {stale_series_compaction_threshold: .nan}", "got NaN"),
            (
                "tsdb: {retention: {percentage: 10}}",
                "not supported yet: storage.tsdb.retention.percentage",
            ),
            ("tsdb: {retention: {percentage: 101}}", "from 0 to 100, got 101"),
            (
                "tsdb: {chunk_encoding: {floats: xor2}}",
                "not supported yet: chunk_encoding.floats xor2",
            ),
            (
                "tsdb: {chunk_encoding: {floats: zip}}",
                "must be xor or xor2, got \"zip\"",
            ),
        ] {
            let storage: Storage = parse_yaml(text, "l.yml").unwrap();
            let errors: Vec<String> = storage.check("l.yml").iter().map(ToString::to_string).collect();
            assert!(errors.len() == 1 && errors[0].contains(part), "{text}: {errors:?}");
        }
        for text in [
            "tsdb: {retention: {size: much}}",
            "tsdb: {windows: 1}",
            "exemplars: 3",
            "wal: {}",
        ] {
            assert!(parse_yaml::<Storage>(text, "l.yml").is_err(), "{text}");
        }
    }
}
