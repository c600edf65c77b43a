//! The write-ahead log against what Prometheus wrote, against damage, and against disks that fail.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may stop it")]

mod checkpoints;
mod container;
mod damage;
mod faults;
mod prometheus;
mod support;
