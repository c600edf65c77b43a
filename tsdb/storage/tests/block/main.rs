//! Blocks: what is written is read, by any matchers, after deletions, crashes and damage, and by Prometheus.
#![expect(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod damage;
mod faults;
mod prometheus;
mod select;
mod support;
mod write;
