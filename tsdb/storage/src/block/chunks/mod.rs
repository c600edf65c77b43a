//! `chunks/000001` and on: the samples (`tsdb/chunks/chunks.go`). A chunk's reference is its segment, from 0, in the upper
//! half and its offset there in the lower.

mod reader;
mod writer;

pub(super) use reader::{ChunkReader, Reader};
pub(super) use writer::{SEGMENT, Writer};

/// Name of the folder within a block's.
pub(super) const DIR: &str = "chunks";

const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;
/// Magic, version and three zeros, bytes.
const HEADER: u64 = 8;
/// The longest a chunk's length can be as uvarint, bytes.
const MAX_LEN_FIELD: u64 = 5;
