//! The room through its public door, with an engine that records and clocks that tests move.

mod complete;
mod schedule;
mod world;
