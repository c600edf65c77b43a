//! The room through its own routes and the generated client.

mod calls;
mod streams;
mod world;
