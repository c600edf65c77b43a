//! A directory that is only looked at.

use super::blocks::{Blocks, Found};
use super::places::Places;
use super::ports::{join, texts};
use crate::block::Block;
use crate::cache::Cache;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::head::{Head, HeadParts, Replayed, Weighed};
use crate::settings::Settings;
use leadline_model::clock::Clock;
use leadline_model::exemplar::Exemplar;
use leadline_model::labels::Labels;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Generation, QueryError, Queryable, SeriesSet};
use leadline_model::sample::Timestamp;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory that is open for reading alone: see [`super::Db::read_only`].
#[derive(Debug)]
pub struct ReadOnly {
    path: PathBuf,
    head: Arc<Head>,
    blocks: Blocks,
    replayed: Replayed,
}

/// How often a directory is read that changes meanwhile.
const ATTEMPTS: u32 = 5;

/// A directory to be read, and with what.
pub(super) struct Source {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
    /// The most bytes of memory that what only the log has may take.
    pub(super) limit: Option<u64>,
}

impl Source {
    /// Whoever has the directory open lets go of segments and of mapped chunks as it goes on, and moves samples from the log
    /// to blocks. Of what moves behind the look at the blocks and before the log is read, neither has anything. So where
    /// anything moved, all is read once more.
    pub(super) fn open(&self) -> Result<ReadOnly, StorageError> {
        let mut failed = StorageError::changing(&self.path);
        for _ in 0..ATTEMPTS {
            let before = Places::of(self.disk.as_ref(), &self.path)?;
            let read = self.read();
            if Places::of(self.disk.as_ref(), &self.path)? != before {
                failed = StorageError::changing(&self.path);
                continue;
            }
            match read {
                Err(error) if is_gone(&error) => failed = error,
                read => return read,
            }
        }
        Err(failed)
    }

    fn read(&self) -> Result<ReadOnly, StorageError> {
        let settings = Settings::default();
        let cache = Cache::new(settings.cache_bytes);
        let found = Found::look(&self.disk, &self.path, &cache)?;
        let blocks = Blocks::new(found);
        let begins = blocks.log_begins(&self.disk, &self.path)?;
        let head = Head::durable(HeadParts {
            settings,
            clock: Arc::clone(&self.clock),
            disk: Arc::clone(&self.disk),
            dir: self.path.clone(),
            read_only: true,
            cache,
        })?;
        if let Some(begins) = begins {
            head.seal(begins);
        }
        let replayed = match head.replay_within(self.limit, &())? {
            Weighed::Installed(replayed) => replayed,
            Weighed::TooLarge { bytes, .. } => return Err(self.too_large(bytes)),
        };
        Ok(ReadOnly {
            path: self.path.clone(),
            head,
            blocks,
            replayed,
        })
    }

    fn too_large(&self, bytes: u64) -> StorageError {
        let (path, limit) = (self.path.display(), self.limit.unwrap_or_default());
        StorageError::Refused(format!(
            "{path}: what only the log has took {bytes} bytes of memory and may take {limit}: write it into blocks (leadline \
             tsdb snapshot {path}, or POST /api/v1/admin/tsdb/snapshot where leadline runs) and read the snapshot"
        ))
    }
}

impl ReadOnly {
    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What only the log and the mapped chunks hold.
    #[must_use]
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// What reading the log has found.
    #[must_use]
    pub fn replayed(&self) -> &Replayed {
        &self.replayed
    }

    /// The blocks that are open.
    #[must_use]
    pub fn blocks(&self) -> Vec<Arc<Block>> {
        self.blocks.list().to_vec()
    }

    /// The blocks that are damaged or cannot be read now and were left out, by name, and why.
    #[must_use]
    pub fn damaged(&self) -> Vec<(String, String)> {
        self.blocks.damaged()
    }
}

fn is_gone(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

impl Queryable for ReadOnly {
    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        let head = self.head.select(matchers, mint, maxt, sorted)?;
        join(Some(head), &self.blocks.list(), matchers, (mint, maxt), sorted)
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        let head = self.head.label_names(matchers, mint, maxt)?;
        texts(head, &self.blocks.list(), (mint, maxt), |block| {
            block.label_names(matchers, mint, maxt)
        })
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        let head = self.head.label_values(name, matchers, mint, maxt)?;
        texts(head, &self.blocks.list(), (mint, maxt), |block| {
            block.label_values(name, matchers, mint, maxt)
        })
    }

    fn exemplars(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, QueryError> {
        self.head.exemplars(matchers, mint, maxt)
    }

    fn generation(&self) -> Generation {
        self.head.generation()
    }
}
