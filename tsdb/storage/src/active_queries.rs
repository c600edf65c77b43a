//! `queries.active`: which queries run now, for whoever looks after a crash (`promql/query_logger.go`).
//!
//! ```text
//! '[' | of each of n places 1000 bytes: {"query":"...","timestamp_sec":n}, zeros, and ',' as the last; or only zeros
//! ```
//! The file has its room from the beginning, so that a full disk is noticed when it is opened and not by a query.

use crate::disk::{Disk, File};
use crate::error::StorageError;
use leadline_model::Clock;
use leadline_model::port::ActiveQueries;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file's name.
pub const FILE: &str = "queries.active";

/// Bytes of a place.
const PLACE: usize = 1000;
/// The most bytes that are read of what is there.
const MAX_READ: u64 = 4 * 1024 * 1024;

/// A query that runs, or ran when the process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveQuery {
    /// Its text, cut off where it is longer than a place.
    pub query: String,
    /// When it began, seconds.
    #[serde(rename = "timestamp_sec")]
    pub began: i64,
}

/// The file, open.
pub struct QueryFile {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    unfinished: Vec<ActiveQuery>,
}

#[derive(Debug)]
struct State {
    file: Box<dyn File>,
    /// Places that are free, the next one last.
    free: Vec<u32>,
    failed: bool,
}

impl fmt::Debug for QueryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl QueryFile {
    /// Opens the file in `dir` with room for `places` queries (the engine's concurrency). What the last run left in it is
    /// logged and then overwritten.
    ///
    /// # Errors
    /// [`StorageError`] when it cannot be written, or has no room ([`StorageError::is_full`]).
    pub fn open(disk: &dyn Disk, dir: &Path, places: u32, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let path = dir.join(FILE);
        let unfinished = unfinished(disk, &path);
        if !unfinished.is_empty() {
            let queries = serde_json::to_string(&unfinished).unwrap_or_default();
            tracing::warn!(%queries, "these queries had not finished when the last run ended");
        }
        let mut file = disk.create(&path).map_err(|e| StorageError::io("create", &path, e))?;
        let len = 1 + u64::from(places) * PLACE as u64;
        file.allocate(len).map_err(|e| StorageError::io("allocate", &path, e))?;
        file.write_at(b"[", 0)
            .map_err(|e| StorageError::io("write", &path, e))?;
        let state = State {
            file,
            free: (0..places).rev().collect(),
            failed: false,
        };
        Ok(Self {
            path,
            clock,
            state: Mutex::new(state),
            unfinished,
        })
    }

    /// What had not finished when the last run ended.
    #[must_use]
    pub fn unfinished(&self) -> &[ActiveQuery] {
        &self.unfinished
    }

    /// Writes a place; the first failure is logged.
    fn write(&self, state: &mut State, place: u32, bytes: &[u8; PLACE]) -> bool {
        let written = state.file.write_at(bytes, 1 + u64::from(place) * PLACE as u64);
        if let Err(error) = &written
            && !state.failed
        {
            tracing::warn!(path = %self.path.display(), %error, "running queries cannot be noted");
        }
        state.failed = written.is_err();
        written.is_ok()
    }
}

impl ActiveQueries for QueryFile {
    fn begin(&self, query: &str) -> Option<u32> {
        let entry = entry(query, self.clock.now().div_euclid(1000));
        let mut state = self.state.lock();
        let place = state.free.pop()?;
        if self.write(&mut state, place, &entry) {
            return Some(place);
        }
        state.free.push(place);
        None
    }

    fn end(&self, place: u32) {
        let mut state = self.state.lock();
        self.write(&mut state, place, &[0; PLACE]);
        state.free.push(place);
    }
}

/// What a place holds while a query runs.
fn entry(query: &str, began: i64) -> [u8; PLACE] {
    let mut place = [0; PLACE];
    let mut end = query.len().min(PLACE);
    let json = loop {
        while !query.is_char_boundary(end) {
            end -= 1;
        }
        let entry = ActiveQuery {
            query: query.get(..end).unwrap_or_default().to_owned(),
            began,
        };
        let json = serde_json::to_vec(&entry).unwrap_or_default();
        // A character takes at most six bytes in JSON.
        match json.len().checked_sub(PLACE - 1) {
            Some(excess) if excess > 0 && end > 0 => end = end.saturating_sub(excess.div_ceil(6)),
            _ => break json,
        }
    };
    for (slot, byte) in place.iter_mut().zip(json) {
        *slot = byte;
    }
    place[PLACE - 1] = b',';
    place
}

/// What a file that is there holds. One that cannot be read holds nothing: it only is what a crash left.
fn unfinished(disk: &dyn Disk, path: &Path) -> Vec<ActiveQuery> {
    match read(disk, path) {
        Ok(bytes) => bytes
            .get(1..)
            .unwrap_or_default()
            .chunks(PLACE)
            .filter_map(parse)
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the queries of the last run cannot be read");
            Vec::new()
        }
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len = file.len()?.min(MAX_READ);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The query of a place, where one is.
fn parse(place: &[u8]) -> Option<ActiveQuery> {
    let (_, json) = place.split_last()?;
    let len = json.iter().position(|&byte| byte == 0).unwrap_or(json.len());
    serde_json::from_slice(json.get(..len)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_any_length_fits_its_place() {
        for query in [
            "up",
            "",
            &"x".repeat(5000),
            &"\"".repeat(999),
            &"\u{1}".repeat(300),
            &"ü".repeat(700),
        ] {
            let place = entry(query, 1_700_000_000);
            assert_eq!(place[PLACE - 1], b',');
            let read = parse(&place).unwrap();
            assert_eq!(read.began, 1_700_000_000);
            assert!(query.starts_with(&read.query) && (query.len() > 100) == (read.query != query));
            assert!(
                read.query == query || place.iter().filter(|&&b| b == 0).count() < 12,
                "{query}"
            );
        }
    }
}
