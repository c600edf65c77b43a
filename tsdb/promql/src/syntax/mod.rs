//! Text to tree and back.

pub mod ast;
mod lexer;
mod literal;
mod operator;
mod parser;
mod pretty;
mod printer;
mod token;
mod walk;

pub use parser::{MAX_DEPTH, MAX_TEXT_BYTES, parse};
pub use walk::inject;
