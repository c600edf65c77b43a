//! `file_sd_configs`.

use crate::glob;
use leadline_model::duration::Duration;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Targets in files that somebody else writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct FileConfig {
    /// Paths that end in `.json`, `.yml` or `.yaml`; the last part may be a pattern (`targets/*.json`).
    pub files: Vec<PathBuf>,
    /// `refresh_interval`: how often a file is read although nothing says that it changed (default 5m). A change is
    /// noticed within a second or so in any case.
    pub refresh_interval: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    files: Vec<String>,
    #[serde(default = "every_five_minutes")]
    refresh_interval: Duration,
}

fn every_five_minutes() -> Duration {
    Duration::from_secs(300)
}

impl TryFrom<Written> for FileConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.files.is_empty() {
            return Err("file service discovery config must contain at least one path name".to_owned());
        }
        for name in &written.files {
            check_name(name)?;
        }
        Ok(Self {
            files: written.files.into_iter().map(PathBuf::from).collect(),
            refresh_interval: written.refresh_interval,
        })
    }
}

/// Prometheus' rule: the extension says the format, and a pattern stands in the last part only.
fn check_name(name: &str) -> Result<(), String> {
    let fail = |reason: String| Err(format!("path name {name:?} is not valid for file discovery: {reason}"));
    let (directory, file) = name.rsplit_once('/').unwrap_or(("", name));
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    if !matches!(extension, "json" | "yml" | "yaml" | "JSON" | "YML" | "YAML") {
        return fail("expected it to end in .json, .yml or .yaml".to_owned());
    }
    if directory.contains('*') {
        return fail("expected a pattern in the last part only".to_owned());
    }
    glob::check(file).or_else(|reason| fail(reason.to_owned()))
}

impl FileConfig {
    pub(super) fn set_directory(&mut self, directory: &Path) {
        for file in &mut self.files {
            *file = directory.join(&*file);
        }
    }
}
