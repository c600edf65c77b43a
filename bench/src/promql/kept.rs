//! Results of earlier runs, one file per scenario and system, so that a run that was ended goes on with the next system.

use super::digest::Digest;
use super::scenario::Scenario;
use crate::error::BenchError;
use crate::storage::system::Installed;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What one question cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Figures {
    /// As [`super::questions::Question::name`].
    pub(super) question: String,
    /// Milliseconds.
    pub(super) p50: f64,
    /// Milliseconds.
    pub(super) p99: f64,
    /// Of the whole process, milliseconds a query.
    pub(super) cpu: f64,
    /// The most memory (`VmHWM`) while it was asked, bytes.
    pub(super) peak: f64,
    /// The answer.
    pub(super) answer: Digest,
}

/// One system's results.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What the system says it is.
    pub(super) version: String,
    build: String,
    scenario: Scenario,
    /// In the order of the questions; none before the system was through.
    pub(super) figures: Vec<Figures>,
}

impl Kept {
    /// Nothing measured yet.
    pub(super) fn new(installed: &Installed, scenario: &Scenario) -> Self {
        Self {
            version: installed.version.clone(),
            build: installed.build.clone(),
            scenario: scenario.clone(),
            figures: Vec::new(),
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
        let text = serde_json::to_string_pretty(self).map_err(|e| BenchError::Unexpected(e.to_string()))?;
        Ok(std::fs::write(file(folder, installed, &self.scenario), text)?)
    }

    /// What the question with this name cost.
    pub(super) fn find(&self, question: &str) -> Option<&Figures> {
        self.figures.iter().find(|f| f.question == question)
    }
}

fn file(folder: &Path, installed: &Installed, scenario: &Scenario) -> PathBuf {
    folder.join(format!("promql-{scenario}-{}.json", installed.system.word()))
}
