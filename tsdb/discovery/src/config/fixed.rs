//! `static_configs`, and the same shape in the files of `file_sd_configs`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Targets that are written down, with labels they all get.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "Written")]
pub struct StaticConfig {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Labels of every target.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl TryFrom<Written> for StaticConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let labels = written.labels.unwrap_or_default();
        super::check_label_names(labels.keys())?;
        Ok(Self {
            targets: written.targets,
            labels,
        })
    }
}

impl StaticConfig {
    /// A target that is written as a URL, of which scheme and path have keys of their own (`CheckTargetAddress`).
    /// Prometheus looks for that where no relabelling could mend it.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.targets
            .iter()
            .find(|target| target.contains('/'))
            .map(String::as_str)
    }
}
