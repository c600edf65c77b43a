//! Answers from several stores as one: the head and the blocks that a query's time reaches into.

mod labels;
mod merged;
mod overlay;

pub(crate) use labels::join_sorted;
pub(crate) use merged::{Member, merged};
