//! Target groups to committed samples.

pub mod config;

pub use config::{ByteSize, Job, JobError, Limits, Protocol, Scheme};
