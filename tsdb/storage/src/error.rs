//! What can be wrong with stored bytes and with settings.

/// Why a chunk cannot be decoded. Offsets count from the chunk's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Shorter than the two bytes that hold the number of samples.
    #[error("chunk of {len} bytes is too short for its header, expected at least 2")]
    NoHeader {
        /// Length of the chunk, bytes.
        len: usize,
    },
    /// The bits end before the samples do.
    #[error("chunk of {len} bytes ends inside sample {sample} of {samples}")]
    Truncated {
        /// Length of the chunk, bytes.
        len: usize,
        /// The sample that is cut, from 0.
        sample: u16,
        /// How many samples the header promises.
        samples: u16,
    },
    /// A variable-length integer is longer than 64 bits.
    #[error("chunk has an integer of more than 64 bits in sample {sample}")]
    Overflow {
        /// The sample, from 0.
        sample: u16,
    },
    /// A value's window of significant bits does not fit into 64 bits, or none was set before its use.
    #[error("chunk has an impossible bit window ({leading} leading, {significant} significant) in sample {sample}")]
    Window {
        /// The sample, from 0.
        sample: u16,
        /// Leading zero bits claimed.
        leading: u8,
        /// Significant bits claimed.
        significant: u8,
    },
}

/// Why settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {value} is out of range, expected {expected}")]
pub struct SettingsError {
    /// The setting.
    pub key: &'static str,
    /// What was given.
    pub value: i64,
    /// What is allowed.
    pub expected: &'static str,
}
