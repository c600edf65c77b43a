//! Scrapes of 2,000 series (82 bytes a line) from a server on loopback into a head: nanoseconds per sample, all in.
#![expect(missing_docs, reason = "criterion's macros make public items")]

fn main() {}
