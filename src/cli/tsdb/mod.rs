//! `leadline tsdb …`: looks into a storage directory, copies it, and writes blocks. What promtool has too has its words.

mod analyze;
mod backfill;
mod bench;
mod columns;
mod dump;
#[cfg(test)]
mod in_use;
mod list;
mod open;
mod snapshot;
mod spread;
mod text;
mod verify;

use crate::cli::fail;
use clap::Subcommand;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

/// Works on a storage directory. A command that only reads never changes it, not even when it was not closed properly.
#[derive(Debug, Subcommand)]
pub(crate) enum Tsdb {
    /// Lists the blocks.
    List(list::List),
    /// Analyzes churn, label pair cardinality and compaction efficiency of one block.
    Analyze(analyze::Analyze),
    /// Prints series and samples.
    Dump(dump::Dump),
    /// Prints samples as OpenMetrics text, without native histograms and stale markers, which that text cannot express.
    DumpOpenmetrics(dump::DumpOpenmetrics),
    /// Checks every byte of blocks, log and mapped chunks; names file, offset, what was expected and what is there.
    Verify(verify::Verify),
    /// Copies blocks and head below snapshots/ in the directory, which no other process may have open.
    Snapshot(snapshot::Snapshot),
    /// Writes blocks from samples of another source.
    #[command(subcommand)]
    CreateBlocksFrom(backfill::CreateBlocksFrom),
    /// Measures.
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Why a command failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Tsdb {
    /// Runs the command; its result goes to standard output.
    pub(crate) fn run(self) -> ExitCode {
        let mut out = BufWriter::new(io::stdout().lock());
        let result = self.write(&mut out).and_then(|()| Ok(out.flush()?));
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                // What was found before the failure is worth seeing.
                let _ = out.flush();
                fail(&error)
            }
        }
    }

    fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.write(out),
            Self::Analyze(command) => command.write(out),
            Self::Dump(command) => command.write(out),
            Self::DumpOpenmetrics(command) => command.write(out),
            Self::Verify(command) => command.write(out),
            Self::Snapshot(command) => command.write(out),
            Self::CreateBlocksFrom(command) => command.write(out),
            Self::Bench(command) => command.write(out),
        }
    }
}

/// Whoever read the output (`head`, say) has enough.
fn is_closed_pipe(error: &Failure) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
