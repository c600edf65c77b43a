//! `leadline tsdb list`.

use super::text::{Bytes, Moment, Span};
use super::{Failure, columns, open};
use clap::Args;
use leadline_storage::block::Block;
use std::io::Write;
use std::path::PathBuf;

/// Lists the blocks.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print times and sizes for people.
    #[arg(short = 'r', long)]
    human_readable: bool,
    /// The directory.
    #[arg(value_name = "DB PATH", default_value = "data/")]
    path: PathBuf,
}

const HEADER: [&str; 8] = [
    "BLOCK ULID",
    "MIN TIME",
    "MAX TIME",
    "DURATION",
    "NUM SAMPLES",
    "NUM CHUNKS",
    "NUM SERIES",
    "SIZE",
];

impl List {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let blocks = open::blocks(&open::disk(), &self.path)?;
        write_blocks(out, blocks.iter().map(AsRef::as_ref), true, self.human_readable)
    }
}

/// Prints blocks as a table, with or without the line that names its columns.
pub(super) fn write_blocks<'a>(
    out: &mut dyn Write,
    blocks: impl Iterator<Item = &'a Block>,
    header: bool,
    human: bool,
) -> Result<(), Failure> {
    let header = header.then(|| HEADER.map(ToOwned::to_owned));
    let lines: Vec<_> = header
        .into_iter()
        .chain(blocks.map(|block| line(block, human)))
        .collect();
    columns::write(out, &lines)
}

fn line(block: &Block, human: bool) -> [String; 8] {
    let meta = block.meta();
    let time = |t| if human { Moment(t).to_string() } else { t.to_string() };
    let size = block.size();
    [
        meta.ulid.to_string(),
        time(meta.min_time),
        time(meta.max_time),
        Span(meta.max_time.saturating_sub(meta.min_time)).to_string(),
        meta.stats.num_samples.to_string(),
        meta.stats.num_chunks.to_string(),
        meta.stats.num_series.to_string(),
        if human {
            Bytes(size).to_string()
        } else {
            size.to_string()
        },
    ]
}
