//! Generated from `proto/externalscaler.proto`; a test compares, and with `LEADLINE_REGENERATE=1` writes.

/// Messages, client and server of the contract.
#[rustfmt::skip]
#[expect(clippy::allow_attributes_without_reason, unused_qualifications, reason = "the generator writes them")]
pub mod externalscaler;

/// The contract as a compiled descriptor, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("externalscaler.bin");
