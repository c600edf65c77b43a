//! The binary from outside: started with files and flags, asked over its sockets, stopped with signals.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test needs and does not get fails the test; what is skipped or counted is said"
)]

mod api;
mod commands;
mod datasources;
mod demo;
mod errors;
mod full_disk;
mod gone;
mod kills;
mod limits;
mod openapi;
mod promql;
mod proxy;
mod query_log;
mod reload;
mod retention;
mod rules;
mod scaler;
mod signals;
mod small_disk;
mod start;
mod storage;
mod verify;
mod world;
