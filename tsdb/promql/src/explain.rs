//! What the parts of an expression cost when it was evaluated.

use crate::syntax::ast::Span;

/// The cost of one node. Everything is told with what stands below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeCost {
    /// Where it stands in the text.
    pub span: Span,
    /// How many nodes stand around it; nodes come in the order in which their evaluation began.
    pub depth: u32,
    /// Series of its result; 1 of a scalar.
    pub series: u64,
    /// Values of its result over all steps.
    pub values: u64,
    /// Series that selectors read.
    pub series_read: u64,
    /// Samples that were decoded from the store.
    pub samples_read: u64,
    /// How long it took, microseconds.
    pub micros: u64,
}
