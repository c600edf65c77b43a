//! Samples as bytes: the encodings of Prometheus' chunks, bit for bit.

mod bits;
mod xor;

pub use xor::{XorAppender, decode, sample_count};
