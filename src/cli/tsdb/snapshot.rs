//! `leadline tsdb snapshot`.

use super::{Failure, open};
use crate::cli::storage::share;
use clap::Args;
use leadline_model::clock::SystemClock;
use leadline_model::entropy::SystemEntropy;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Copies blocks and head below snapshots/ in the directory. A running leadline does the same on
/// POST /api/v1/admin/tsdb/snapshot.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    /// Leave out what is not in blocks yet.
    #[arg(long)]
    skip_head: bool,
    /// The directory.
    #[arg(value_name = "DB PATH", default_value = "data/")]
    path: PathBuf,
}

impl Snapshot {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let disk = open::disk();
        // Opening would create it.
        open::names(disk.as_ref(), &self.path)?;
        let db = Db::open(Parts {
            disk,
            path: self.path,
            settings: Settings {
                // A log that the server starts with must not be too much for this.
                replay_memory_bytes: crate::memory::allowed().map_or(0, share),
                ..Settings::default()
            },
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
        })?;
        db.replay()?;
        let copied = db.snapshot(!self.skip_head);
        let closed = db.close();
        let name = copied?;
        closed?;
        Ok(writeln!(out, "{}", db.path().join("snapshots").join(name).display())?)
    }
}
