//! `index`: which series a block has, by label, and where their chunks are (`tsdb/index/index.go`).

mod dictionary;
mod page;
mod postings;
mod reader;
mod section;
mod series;
mod series_reader;
mod symbols;
mod table;
mod toc;
mod walk;
mod writer;

pub(crate) use page::Page;
pub(super) use reader::Reader;
pub(super) use series::ChunkMeta;
pub(crate) use series::SeriesEntry;
pub(super) use table::Name;
pub(super) use toc::Toc;
pub(super) use writer::Writer;

/// Name of the file within a block's folder.
pub(super) const FILE: &str = "index";

const MAGIC: u32 = 0xbaaa_d700;
/// The version that is written.
const VERSION: u8 = 2;
/// Magic and version.
const HEADER: u64 = 5;
/// Symbols, and values in the table of postings, that share a page.
const PAGE: usize = 32;
/// Series begin at multiples of this, bytes (not in version 1).
const ALIGN: u64 = 16;
