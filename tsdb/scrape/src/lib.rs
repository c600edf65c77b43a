//! Target groups to committed samples.
//!
//! [`Manager`] takes [`Job`]s (settings) and target groups (from discovery), relabels the targets and runs one task per
//! target: it waits for the target's slot on an absolute grid, fetches the text over a kept-alive connection, and turns
//! it into one commit: samples, stale markers for what is gone, and the report series. A scrape that fails anywhere is
//! committed as failed: `up` is 0 and everything the target had gets a stale marker.

mod body;
mod cache;
pub mod config;
pub mod error;
mod fetch;
pub mod ingest;
pub mod manager;
mod metadata;
mod refusals;
mod relabel;
mod report;
mod runner;
pub mod schedule;
pub mod stats;
pub mod target;
mod told;

pub use body::ACCEPT;
pub use config::{ByteSize, Job, JobError, Limits, Protocol, Scheme};
pub use error::ScrapeError;
pub use manager::{Dropped, Manager, Parts};
pub use stats::Stats;
pub use target::{DropReason, DroppedTarget, Target};
