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
        // A slash makes it a URL, of which scheme and path have keys of their own (`CheckTargetAddress`).
        if let Some(target) = written.targets.iter().find(|t| t.contains('/')) {
            return Err(format!(
                "{target:?} is not a valid hostname, expected host:port without scheme and path"
            ));
        }
        Ok(Self {
            targets: written.targets,
            labels,
        })
    }
}
