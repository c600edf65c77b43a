//! Text to tree and back.

pub mod ast;
mod operator;
mod walk;

pub use walk::inject;
