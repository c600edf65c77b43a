//! Prometheus' configuration format: the sections this façade reads, and where in a file something is wrong.
//!
//! Every key of Prometheus 3.16's `global`, `scrape_configs` and `storage` is known. What does not work yet is refused by name
//! ("not supported yet: …"), never ignored; a key that Prometheus does not know either is an error.

mod global;
mod http;
mod refused;
mod resolve;
mod scrape;
mod storage;
mod yaml;

pub use global::Global;
pub use resolve::{Resolved, resolve};
pub use scrape::ScrapeConfig;
pub use storage::Storage;
pub use yaml::{ConfigError, Place, Refused, parse_yaml};

/// A value and where it stands in its file.
pub use serde_saphyr::Spanned;
