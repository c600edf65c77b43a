//! A directory that is only looked at.

use crate::disk::Disk;
use crate::error::StorageError;
use crate::head::Head;
use crate::settings::Settings;
use crate::source::{SeriesIter, Source, SymbolIter};
use leadline_model::clock::Clock;
use leadline_model::matcher::Matcher;
use leadline_model::port::{Generation, QueryError, Queryable, SeriesSet};
use leadline_model::sample::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory that is open for reading alone: see [`super::Db::read_only`].
#[derive(Debug)]
pub struct ReadOnly {
    path: PathBuf,
    head: Arc<Head>,
}

impl ReadOnly {
    pub(super) fn open(disk: Arc<dyn Disk>, path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        disk.list(path).map_err(|error| StorageError::io("list", path, error))?;
        let head = Head::new(Settings::default(), clock)?;
        Ok(Self {
            path: path.to_owned(),
            head,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Queryable for ReadOnly {
    fn select(
        &self,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        self.head.select(matchers, mint, maxt, sorted)
    }

    fn label_names(&self, matchers: &[Matcher], mint: Timestamp, maxt: Timestamp) -> Result<Vec<String>, QueryError> {
        self.head.label_names(matchers, mint, maxt)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        mint: Timestamp,
        maxt: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        self.head.label_values(name, matchers, mint, maxt)
    }

    fn generation(&self) -> Generation {
        self.head.generation()
    }
}

impl Source for ReadOnly {
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
        Ok(Box::new(std::iter::empty()))
    }

    fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
        Ok(Box::new(std::iter::empty()))
    }
}
