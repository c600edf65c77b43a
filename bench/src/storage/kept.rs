//! Results of earlier runs, one file per scenario and system, so that a run that was ended goes on where it was.

use super::figures::Figures;
use super::scenario::Scenario;
use super::system::Installed;
use crate::error::BenchError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One system's result in one scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) version: String,
    build: String,
    scenario: Scenario,
    pub(super) figures: Figures,
}

impl Kept {
    /// The figures of `installed`, measured in `scenario`.
    pub(super) fn new(installed: &Installed, scenario: &Scenario, figures: Figures) -> Self {
        Self {
            version: installed.version.clone(),
            build: installed.build.clone(),
            scenario: scenario.clone(),
            figures,
        }
    }

    /// What is kept below `folder` of the same build in the same scenario.
    pub(super) fn load(folder: &Path, installed: &Installed, scenario: &Scenario) -> Option<Self> {
        let text = std::fs::read(file(folder, installed, scenario)).ok()?;
        // A file of another version of this benchmark stands for nothing.
        let kept: Self = serde_json::from_slice(&text).ok()?;
        (kept.build == installed.build && kept.scenario == *scenario).then_some(kept)
    }

    /// Keeps it below `folder`.
    pub(super) fn store(&self, folder: &Path, installed: &Installed) -> Result<(), BenchError> {
        std::fs::create_dir_all(folder)?;
        let text = serde_json::to_string_pretty(self).map_err(|e| BenchError::Unexpected(e.to_string()))?;
        Ok(std::fs::write(file(folder, installed, &self.scenario), text)?)
    }
}

fn file(folder: &Path, installed: &Installed, scenario: &Scenario) -> PathBuf {
    folder.join(format!("storage-{scenario}-{}.json", installed.system.word()))
}
