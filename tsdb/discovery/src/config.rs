//! The sections `static_configs`, `file_sd_configs` and `kubernetes_sd_configs`, in Prometheus' own format.

mod file;
mod fixed;
mod kubernetes;
mod pod_fields;

pub use file::FileConfig;
pub use fixed::StaticConfig;
pub use kubernetes::{KubernetesConfig, Namespaces};
pub use pod_fields::FieldSelector;

use std::path::Path;

/// The discoveries of one job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discoveries {
    /// `static_configs`.
    pub fixed: Vec<StaticConfig>,
    /// `file_sd_configs`.
    pub file: Vec<FileConfig>,
    /// `kubernetes_sd_configs`.
    pub kubernetes: Vec<KubernetesConfig>,
}

impl Discoveries {
    /// Makes relative file names relative to `directory` (that of the configuration file), as Prometheus does.
    pub fn set_directory(&mut self, directory: &Path) {
        for file in &mut self.file {
            file.set_directory(directory);
        }
    }
}

/// Whether `name` can be a label's name: UTF-8 and not empty (Prometheus 3).
fn check_label_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    for name in names {
        if name.is_empty() {
            return Err("\"\" is not a valid label name, expected at least one character".to_owned());
        }
    }
    Ok(())
}
