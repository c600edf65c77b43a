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
    /// Values of its result over all steps; of a range selector the samples of all windows, each once.
    pub values: u64,
    /// Series that selectors read.
    pub series_read: u64,
    /// Samples that were decoded from the store.
    pub samples_read: u64,
    /// How long it took, microseconds; of a range selector to select and to decode.
    pub micros: u64,
    /// How it came about.
    pub how: How,
}

/// In which ways a node was evaluated otherwise than by itself and at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// An aggregation that was answered series by series from groups that the store told, together with the function and the
    /// selector in it: these have no nodes of their own.
    pub streamed: bool,
    /// Evaluated at one time for all steps, because `@` fixes what it reads.
    pub once: bool,
    /// Its series were those that an equal selector of the same query had selected.
    pub shared: bool,
    /// A calculation with constants that was done before the query ran.
    pub folded: bool,
}

impl How {
    /// The names of the ways.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.streamed, "streamed"),
            (self.once, "once"),
            (self.shared, "shared"),
            (self.folded, "folded"),
        ];
        all.into_iter().filter_map(|(is, name)| is.then_some(name))
    }
}
