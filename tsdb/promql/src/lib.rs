//! PromQL from text to values with provenance.

pub mod check;
pub mod diagnostic;
pub mod syntax;
