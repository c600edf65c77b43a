//! What can be wrong with stored bytes, with the disk and with settings.

use leadline_model::port::QueryError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a chunk cannot be decoded. Offsets count from the chunk's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Shorter than its header.
    #[error("chunk of {len} bytes is too short for its header, expected at least {expected}")]
    NoHeader {
        /// Length of the chunk, bytes.
        len: usize,
        /// Length of the header, bytes.
        expected: usize,
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
    /// A value's window of significant bits does not fit into 64 bits.
    #[error("chunk has an impossible bit window ({leading} leading, {significant} significant) in sample {sample}")]
    Window {
        /// The sample, from 0.
        sample: u16,
        /// Leading zero bits claimed.
        leading: u8,
        /// Significant bits claimed.
        significant: u8,
    },
    /// It holds floats where histograms are wanted, or the other way round.
    #[error("chunk has encoding {encoding}, expected one of {expected}")]
    Kind {
        /// The encoding's number.
        encoding: u8,
        /// "floats" or "histograms".
        expected: &'static str,
    },
    /// A histogram's schema is not known.
    #[error("chunk has histograms of schema {schema}, expected -9 to 52 or -53")]
    Schema {
        /// The schema.
        schema: i64,
    },
    /// A histogram's spans are impossible.
    #[error("chunk has impossible bucket spans in sample {sample}")]
    Spans {
        /// The sample, from 0.
        sample: u16,
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

/// Stored bytes that are not what they must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: damaged at offset {offset}: expected {expected}, got {got}", path.display())]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it, bytes from its beginning.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub got: String,
}

/// Why the store could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was tried: "open", "write", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// Stored bytes are not what they must be.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// Written by something newer, or something else.
    #[error("{}: at offset {offset}: {what} {found} is not known, expected {known}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Where in it, bytes from its beginning.
        offset: u64,
        /// What is unknown: "index version", "chunk encoding", …
        what: &'static str,
        /// What was found.
        found: String,
        /// What is known.
        known: &'static str,
    },
    /// Another process has the directory.
    #[error("{}: locked by another process: stop it, or work on a copy of the directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What was asked for cannot be done, and why.
    #[error("{0}")]
    Refused(String),
}

impl StorageError {
    /// The operating system refused `action` on `path`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// Bytes of `path` at `offset` are not `expected`.
    pub fn damaged(path: &Path, offset: u64, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self::Damaged(Damage {
            path: path.to_owned(),
            offset,
            expected: expected.into(),
            got: got.into(),
        })
    }

    /// The directory `path` changed as often as it was read.
    #[must_use]
    pub fn changing(path: &Path) -> Self {
        Self::Refused(format!(
            "{}: the directory changes while it is read: take a snapshot (POST /api/v1/admin/tsdb/snapshot) and read that",
            path.display()
        ))
    }

    /// What was begun is given up, because the store is being closed.
    pub(crate) fn closing() -> Self {
        Self::Refused("the store is being closed".to_owned())
    }

    /// Whether bytes that were stored cannot be had back: they are damaged, or the disk does not read them.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Io { action: "read", .. })
    }

    /// Whether nothing helps but somebody who does something about it: the same would fail again.
    #[must_use]
    pub fn needs_a_hand(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Locked { .. } | Self::Settings(_))
    }

    /// Whether the disk has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

impl From<StorageError> for QueryError {
    fn from(error: StorageError) -> Self {
        Self::Corrupt(error.to_string())
    }
}
