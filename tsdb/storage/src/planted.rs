//! Defects of durability, planted to show that the simulation finds what it looks for. Only in builds with the feature
//! `planted`, which no binary that is shipped has, and only while one is switched on.

use std::cell::Cell;

/// What is done wrong while the defect is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The log is called durable without an fsync.
    LogNotSynced,
    /// A new segment of the log gets no durable name.
    SegmentNameNotSynced,
    /// A block gets its name before its files are durable.
    BlockRenamedBeforeSync,
    /// A deletion from the head is not logged.
    LostTombstone,
    /// A write to the log that stored only a part is taken for a success.
    SwallowedShortWrite,
    /// The cut of the head leaves out the last sample of its range.
    CutOffByOne,
    /// A checkpoint leaves out a series that lives.
    CheckpointDropsSeries,
    /// Whoever reads the log leaves out each record that goes over the end of a page.
    PageEndNotReplayed,
    /// The retention removes a block an eighth of its time too early.
    EarlyRetention,
    /// The merge of overlapping chunks leaves out the sample behind one that both have.
    MergeDropsNeighbour,
    /// The head forgets what it cut before the block is there.
    TruncatedBeforeBlock,
    /// Merged blocks are removed before the one they became is durable.
    ParentsRemovedFirst,
    /// Out-of-order samples are logged but left out of the replay.
    OutOfOrderNotReplayed,
    /// A log that is too large is emptied before the blocks that were cut of it are where blocks are.
    LogEmptiedFirst,
    /// A log that is written anew leaves out what is in open chunks.
    RebuildWithoutOpenChunks,
    /// A checkpoint leaves out exemplars.
    CheckpointDropsExemplars,
    /// A checkpoint keeps what was told of a series under each of its names, in the order of these, and loses what was
    /// told under one that it gives up.
    ToldByName,
    /// The retention by size removes one block more than it must.
    OneBlockMore,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::LogNotSynced,
        Self::SegmentNameNotSynced,
        Self::BlockRenamedBeforeSync,
        Self::LostTombstone,
        Self::SwallowedShortWrite,
        Self::CutOffByOne,
        Self::CheckpointDropsSeries,
        Self::PageEndNotReplayed,
        Self::EarlyRetention,
        Self::MergeDropsNeighbour,
        Self::TruncatedBeforeBlock,
        Self::ParentsRemovedFirst,
        Self::OutOfOrderNotReplayed,
        Self::LogEmptiedFirst,
        Self::RebuildWithoutOpenChunks,
        Self::CheckpointDropsExemplars,
        Self::ToldByName,
        Self::OneBlockMore,
    ];
}

thread_local! {
    static ON: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Switches a defect on for this thread, or with `None` the one that is on off.
pub fn plant(defect: Option<Defect>) {
    ON.set(defect);
}

/// Whether this thread is to do it wrong.
#[must_use]
pub fn on(defect: Defect) -> bool {
    ON.get() == Some(defect)
}

/// Takes a failed write for a success while [`Defect::SwallowedShortWrite`] is on.
///
/// # Errors
/// The same, while it is off.
pub fn swallow(error: std::io::Error) -> std::io::Result<()> {
    if on(Defect::SwallowedShortWrite) {
        Ok(())
    } else {
        Err(error)
    }
}

/// How much too early (ms) a block is past a retention (ms) while [`Defect::EarlyRetention`] is on; else 0.
#[must_use]
pub fn early(retention_ms: i64) -> i64 {
    if on(Defect::EarlyRetention) {
        retention_ms / 8
    } else {
        0
    }
}

/// Leaves out what stands behind two of equal time while [`Defect::MergeDropsNeighbour`] is on.
pub fn drop_neighbours<T>(points: &mut Vec<T>, time: impl Fn(&T) -> i64) {
    if on(Defect::MergeDropsNeighbour) {
        let times: Vec<i64> = points.iter().map(time).collect();
        let mut pairs = times.windows(2).map(|pair| pair.first() == pair.last());
        let (mut behind, mut twins) = (false, false);
        points.retain(|_| {
            let keep = !std::mem::replace(&mut behind, twins);
            twins = pairs.next().unwrap_or(false);
            keep
        });
    }
}
