//! What is due by the clock.

/// What one [`super::Db::maintain`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Chunks that were written away and left the memory.
    pub chunks_mapped: usize,
    /// Series that left the head because nothing of them was left there.
    pub series_removed: usize,
    /// Stale series that left the head for a block.
    pub series_evicted: usize,
    /// Blocks that were written from the head, by name.
    pub cut: Vec<String>,
    /// Blocks that were merged, and the block that they became (`None`: everything in them was deleted).
    pub compacted: Option<(Vec<String>, Option<String>)>,
    /// Blocks that the retention removed.
    pub removed: Vec<String>,
    /// What could not be done, and is tried again by the next call.
    pub failures: Vec<String>,
}
