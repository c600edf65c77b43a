//! What a block is written from: a range of the head, or blocks that exist.

use crate::chunk::Encoding;
use crate::error::StorageError;
use crate::interval::Intervals;
use bytes::Bytes;
use leadline_model::labels::Labels;
use leadline_model::sample::Timestamp;

/// One encoded chunk with its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceChunk {
    /// Time (ms) of its first sample.
    pub mint: Timestamp,
    /// Time (ms) of its last sample.
    pub maxt: Timestamp,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Its bytes.
    pub data: Bytes,
}

/// One series with its chunks.
#[derive(Debug, Clone)]
pub struct SourceSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its chunks in order of `mint`. Those of a head's out-of-order samples may overlap; those of a block do not.
    pub chunks: Vec<SourceChunk>,
    /// What of them was deleted.
    pub deleted: Intervals,
}

/// The series of a source in order of their labels, one at a time in memory.
pub type SeriesIter<'a> = Box<dyn Iterator<Item = Result<SourceSeries, StorageError>> + 'a>;

/// The label names and values of a source: sorted bytewise, each once.
pub type SymbolIter<'a> = Box<dyn Iterator<Item = Result<String, StorageError>> + 'a>;

/// Gives series to whoever writes a block.
pub trait Source: Send + Sync {
    /// Every label name and value of [`Self::series`]; more does no harm.
    ///
    /// # Errors
    /// [`StorageError`] when stored bytes cannot be read.
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError>;

    /// The series in order of their labels.
    ///
    /// # Errors
    /// [`StorageError`] when stored bytes cannot be read.
    fn series(&self) -> Result<SeriesIter<'_>, StorageError>;

    /// Whether its chunks were written at another time, maybe by another program, so that nobody here knows that their
    /// samples are what is said beside them.
    fn is_stored(&self) -> bool {
        false
    }

    /// The error that says that what it gave as a series of these labels, or as its chunk that begins at `chunk` (ms), is
    /// not what it must be; with the place, where it is stored.
    fn damaged(&self, labels: &Labels, chunk: Option<Timestamp>, expected: &str, got: String) -> StorageError {
        let _ = chunk;
        StorageError::Refused(format!("{labels}: expected {expected}, got {got}"))
    }
}
