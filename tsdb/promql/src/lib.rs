//! PromQL from text to values with provenance.
//!
//! [`engine::Engine`] evaluates [`query::Query`]s on a store behind `model`'s `Queryable` port and is itself an
//! `Evaluate` port.

pub mod check;
pub mod cost;
pub mod diagnostic;
pub mod engine;
pub mod error;
mod eval;
pub mod explain;
mod functions;
mod job;
mod kept;
pub mod log;
mod port;
pub mod query;
pub mod reading;
pub mod settings;
mod small;
pub mod stats;
pub mod syntax;
pub mod value;
