//! What a query cost.

/// Counters of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryStats {
    /// Series that selectors of the expression matched, each time they were read.
    pub series_read: u64,
    /// Samples that were decoded from the store.
    pub samples_read: u64,
    /// Most samples that were held in memory at once.
    pub peak_samples: u64,
    /// How long the query waited for its turn, microseconds.
    pub queued_us: u64,
    /// How long the evaluation took, microseconds.
    pub eval_us: u64,
}
