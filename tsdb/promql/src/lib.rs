//! PromQL from text to values with provenance.

pub mod syntax;
