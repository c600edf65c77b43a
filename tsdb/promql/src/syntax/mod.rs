//! Text to tree and back.

pub mod ast;
mod features;
mod lexer;
mod literal;
mod operator;
mod parser;
mod pretty;
mod printer;
mod token;
mod walk;

pub use features::{Features, Idle, UnknownFeature};
pub(crate) use literal::LONGEST_SECONDS;
pub(crate) use parser::parse_syntax;
pub use parser::{MAX_DEPTH, MAX_TEXT_BYTES, Selectors, parse, parse_selector, parse_with};
pub use walk::inject;
