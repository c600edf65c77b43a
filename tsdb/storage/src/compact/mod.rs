//! Compaction: what is due ([`plan()`]), and doing it ([`write()`]).
//!
//! A plan is a value that depends on the descriptions of the blocks alone. Doing it streams: one series and the table of
//! symbols are in memory, however large the blocks are.

mod merge;
mod meta;
mod pace;
mod plan;
mod sound;
mod symbols;
mod vertical;
mod window;
mod write;

pub use meta::{describe, describe_rewritten};
pub use pace::{Pace, Throttle, Unhurried};
pub use plan::{Plan, PlanSettings, SELECTED_SERIES, Why, in_order_end, is_whole, plan};
pub use window::Window;
pub use write::{Job, write};
