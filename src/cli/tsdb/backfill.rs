//! `leadline tsdb create-blocks-from …`.

use super::{Failure, list, open};
use crate::cli::storage::duration;
use clap::{Args, Subcommand};
use leadline_exposition::{OpenMetrics, OpenMetricsSample, Pair, ParseError, parse_series};
use leadline_model::clock::{Clock, SystemClock};
use leadline_model::duration::Duration;
use leadline_model::entropy::SystemEntropy;
use leadline_model::labels::{Labels, LabelsBuilder};
use leadline_model::sample::Timestamp;
use leadline_storage::block::{Block, Meta, OUT_OF_ORDER, Ulid, Writer};
use leadline_storage::chunk::{Encoding, XorAppender};
use leadline_storage::source::SourceChunk;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes blocks from samples of another source.
#[derive(Debug, Subcommand)]
pub(crate) enum CreateBlocksFrom {
    /// Imports samples from OpenMetrics text; each of them has to have a timestamp.
    Openmetrics(Backfill),
}

impl CreateBlocksFrom {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let Self::Openmetrics(command) = self;
        command.write(out)
    }
}

/// Imports samples from OpenMetrics text.
#[derive(Debug, Args)]
pub(crate) struct Backfill {
    /// Print times and sizes for people.
    #[arg(short = 'r', long)]
    human_readable: bool,
    /// Do not print the blocks.
    #[arg(short = 'q', long)]
    quiet: bool,
    /// A label for every series; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The longest time that a block may span; it is rounded down to a range that Prometheus compacts to.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2h")]
    max_block_duration: Duration,
    /// The text; the lines of a pipe are kept in memory.
    #[arg(value_name = "INPUT FILE")]
    input: PathBuf,
    /// The directory that the blocks go to.
    #[arg(value_name = "OUTPUT DIRECTORY", default_value = "data/")]
    output: PathBuf,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE was expected")?;
    match name {
        "" => Err("the name is empty".to_owned()),
        _ => Ok((name.to_owned(), value.to_owned())),
    }
}

/// The shortest time that a block spans, ms (`tsdb/db.go`, `DefaultBlockDuration`).
const BLOCK_MS: i64 = 2 * 60 * 60 * 1000;
/// Samples after which a chunk is closed.
const CHUNK_SAMPLES: u16 = 120;
/// The longest line that is read, bytes.
const MAX_LINE: u64 = 1 << 20;

impl Backfill {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut input = Input::open(&self.input)?;
        let Some((mint, maxt)) = ends(&mut input)? else {
            return Ok(());
        };
        std::fs::create_dir_all(&self.output)
            .map_err(|e| format!("create output dir: {}: {e}", self.output.display()))?;
        let range = block_range(self.max_block_duration.as_millis());
        let mut from = mint.div_euclid(range) * range;
        let mut header = true;
        while from <= maxt {
            let until = from.saturating_add(range);
            let mut block = Collected::new(&self.labels, (from, until));
            each(&mut input, |reader, line, sample| block.add(reader, line, sample))?;
            let next = block.next;
            if let Some(written) = block.write(&self.output)?
                && !self.quiet
            {
                list::write_blocks(out, std::iter::once(written.as_ref()), header, self.human_readable)?;
                header = false;
            }
            // Ranges without samples are passed over.
            let Some(next) = next else { break };
            from = next.div_euclid(range) * range;
        }
        Ok(())
    }
}

/// The range that Prometheus compacts to and that is not longer than asked for: 2h, 6h, 18h, …
fn block_range(longest_ms: i64) -> i64 {
    let ranges = std::iter::successors(Some(BLOCK_MS), |range| range.checked_mul(3)).take(10);
    ranges
        .take_while(|range| *range <= longest_ms)
        .last()
        .unwrap_or(BLOCK_MS)
}

/// The text, which is read several times.
enum Input {
    File(File),
    /// What cannot be read twice.
    Memory(Vec<u8>),
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_file() {
            return Ok(Self::File(file));
        }
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(failed)?;
        Ok(Self::Memory(content))
    }

    /// From the beginning.
    fn lines(&mut self) -> Result<Box<dyn BufRead + '_>, Failure> {
        Ok(match self {
            Self::File(file) => {
                file.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::with_capacity(1 << 18, file))
            }
            Self::Memory(content) => Box::new(Cursor::new(content.as_slice())),
        })
    }
}

/// Calls `each` for every sample of the text.
fn each(
    input: &mut Input,
    mut each: impl FnMut(&OpenMetrics, &[u8], OpenMetricsSample<'_>) -> Result<(), ParseError>,
) -> Result<(), Failure> {
    let mut lines = input.lines()?;
    let mut reader = OpenMetrics::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(reader.finish()?);
        }
        if line.pop_if(|last| *last == b'\n').is_none() && read as u64 == MAX_LINE {
            return Err(format!("a line is longer than {MAX_LINE} bytes").into());
        }
        if let Some(sample) = reader.read_line(&line)? {
            each(&reader, &line, sample)?;
        }
    }
}

/// The earliest and the latest time; `None` where there is no sample.
fn ends(input: &mut Input) -> Result<Option<(Timestamp, Timestamp)>, Failure> {
    let mut ends: Option<(Timestamp, Timestamp)> = None;
    each(input, |reader, _, sample| {
        let t = sample
            .timestamp
            .ok_or_else(|| reader.error_at(0, "expected timestamp for series got none"))?;
        let (mint, maxt) = ends.unwrap_or((t, t));
        ends = Some((mint.min(t), maxt.max(t)));
        Ok(())
    })?;
    Ok(ends)
}

/// What becomes one block.
struct Collected<'a> {
    /// Labels for every series.
    labels: &'a [(String, String)],
    /// From, and up to but without.
    range: (Timestamp, Timestamp),
    series: BTreeMap<Labels, Series>,
    /// The earliest time behind the range.
    next: Option<Timestamp>,
}

#[derive(Default)]
struct Series {
    closed: Vec<SourceChunk>,
    open: XorAppender,
    /// Time of the first sample of `open`.
    first: Timestamp,
}

impl<'a> Collected<'a> {
    fn new(labels: &'a [(String, String)], range: (Timestamp, Timestamp)) -> Self {
        Self {
            labels,
            range,
            series: BTreeMap::new(),
            next: None,
        }
    }

    fn add(&mut self, reader: &OpenMetrics, line: &[u8], sample: OpenMetricsSample<'_>) -> Result<(), ParseError> {
        let Some(t) = sample.timestamp.filter(|t| *t >= self.range.0) else {
            return Ok(());
        };
        if t >= self.range.1 {
            self.next = Some(self.next.map_or(t, |next| next.min(t)));
            return Ok(());
        }
        let mut pairs = Vec::new();
        parse_series(sample.series, reader.kind(), &mut pairs).map_err(|e| reader.error_at(e.offset, e.message))?;
        let labels = self.labelled(&pairs);
        let series = self.series.entry(labels).or_default();
        if !series.push(t, sample.value) {
            let shown = String::from_utf8_lossy(line).into_owned();
            return Err(reader.error_at(0, format!("out of order sample: {shown}")));
        }
        Ok(())
    }

    fn labelled(&self, pairs: &[Pair<'_>]) -> Labels {
        let own = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        if self.labels.is_empty() {
            return Labels::from_sorted(own);
        }
        let mut builder = LabelsBuilder::new();
        for (name, value) in own.chain(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
            builder.set(name, value);
        }
        builder.build()
    }

    /// Writes the block, if there is anything in it.
    fn write(self, output: &Path) -> Result<Option<std::sync::Arc<Block>>, Failure> {
        let disk = open::disk();
        let (mut mint, mut maxt) = (Timestamp::MAX, Timestamp::MIN);
        let ulid = Ulid::new(SystemClock.now(), &SystemEntropy::default());
        let symbols: BTreeSet<String> = self
            .series
            .keys()
            .flat_map(|labels| {
                labels
                    .iter()
                    .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
            })
            .collect();
        let mut writer = Writer::create(disk.clone(), output, ulid, Box::new(symbols.into_iter().map(Ok)))?;
        for (labels, series) in self.series {
            let chunks = series.finish();
            if let (Some(first), Some(last)) = (chunks.first(), chunks.last()) {
                (mint, maxt) = (mint.min(first.mint), maxt.max(last.maxt));
            }
            writer.series(&labels, &chunks)?;
        }
        let mut meta = Meta::new(ulid, mint, maxt.saturating_add(1));
        meta.compaction.level = 1;
        // Not all that there is of its time: else a start would not read the log of that time, nor would Prometheus.
        meta.add_hint(OUT_OF_ORDER);
        meta.compaction.sources = vec![ulid];
        match writer.finish(meta)? {
            Some(meta) => Ok(Some(Block::open(
                disk,
                &output.join(meta.ulid.to_string()),
                open::cache(),
            )?)),
            None => Ok(None),
        }
    }
}

impl Series {
    /// Adds a sample; `false` where it is not later than the one before. One that repeats it is passed over.
    fn push(&mut self, t: Timestamp, v: f64) -> bool {
        if self.open.samples() > 0 || !self.closed.is_empty() {
            if t <= self.open.last_t() {
                return t == self.open.last_t() && v.to_bits() == self.open.last_bits();
            }
            if self.open.is_full(CHUNK_SAMPLES) {
                self.close();
            }
        }
        if self.open.samples() == 0 {
            self.first = t;
        }
        self.open.append(t, v);
        true
    }

    fn close(&mut self) {
        if self.open.samples() == 0 {
            return;
        }
        let data = self.open.seal(&mut Vec::new());
        self.closed.push(SourceChunk {
            mint: self.first,
            maxt: self.open.last_t(),
            encoding: Encoding::Xor,
            data: bytes::Bytes::from_owner(data),
        });
    }

    fn finish(mut self) -> Vec<SourceChunk> {
        self.close();
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_span_what_prometheus_compacts_to() {
        let hour = 3_600_000;
        for (asked, span) in [(0, 2), (2, 2), (5, 2), (6, 6), (17, 6), (18, 18), (100_000, 39_366)] {
            assert_eq!(block_range(asked * hour) / hour, span, "{asked}h");
        }
    }

    #[test]
    fn labels_are_name_and_value() {
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("a").is_err() && label("=b").is_err());
    }
}
