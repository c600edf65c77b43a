//! Configuration to target groups.
//!
//! A [`Manager`] runs the discoveries of every job and publishes one [`Snapshot`]: per job its [`TargetGroup`]s and whether
//! every discovery of the job has told all it knows.
//!
//! [`TargetGroup`]: leadline_model::target::TargetGroup

pub mod config;
mod file;
mod fixed;
mod glob;
mod kubernetes;
mod manager;

pub use config::{Discoveries, FileConfig, KubernetesConfig, StaticConfig};
pub use file::file_targets;
pub use manager::{DiscoveryReport, JobTargets, Manager, PodSource, Snapshot};
