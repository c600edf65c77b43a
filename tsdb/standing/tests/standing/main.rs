//! The room through its public door, with an engine that records and clocks that tests move.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod complete;
mod discovering;
mod real;
mod restart;
mod schedule;
mod silent;
mod warming;
mod world;
