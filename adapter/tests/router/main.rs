//! The room through its router: requests in, responses out, with certificates of our own making.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod answers;
mod discovery;
mod explaining;
mod handshake;
mod identity;
mod kinds;
mod log;
mod strangers;
mod warming;
mod world;
