//! The room through its own routes and the generated client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod calls;
mod streams;
mod world;
