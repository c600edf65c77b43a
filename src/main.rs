//! The `leadline` process.
fn main() {}
