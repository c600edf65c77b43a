//! Samples as bytes: the encodings of Prometheus' chunks, bit for bit.

mod bits;
mod decode;
mod xor;

pub use decode::{decode, sample_count};
pub use xor::XorAppender;
