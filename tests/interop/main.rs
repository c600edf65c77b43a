//! Prometheus' own programs read what leadline wrote, and leadline reads what they wrote.
//!
//! The programs are the real ones: 3.16 from its Go module (`tests/programs/build prometheus`), 2.42 as Debian has it
//! (`tests/programs/debian prometheus`). A trial whose program is not here says so in one line.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test needs and does not get fails the test; what is skipped is said"
)]

mod answers;
mod commands;
mod copied;
mod evicted;
mod folder;
mod foreign;
mod late;
mod metadata;
mod port;
mod programs;
mod server;
#[path = "../it/world.rs"]
#[expect(
    dead_code,
    reason = "it is shared with the trials of the binary, which use more of it"
)]
mod world;
mod written;
