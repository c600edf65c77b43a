//! `meta.json`: what a block is, in Prometheus' words (`tsdb/block.go`, `BlockMeta`). Keys that are not known here are
//! kept: Thanos and Mimir put theirs beside them.

use super::ulid::Ulid;
use crate::disk::Disk;
use crate::error::StorageError;
use leadline_model::sample::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io;
use std::path::Path;

/// Name of the file within a block's folder.
pub(crate) const FILE: &str = "meta.json";

/// The only version there is.
const VERSION: u32 = 1;

/// The longest `meta.json` that is read, bytes; real ones have some hundred per parent.
const MAX_LEN: u64 = 64 << 20;

/// What a block is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Its name.
    pub ulid: Ulid,
    /// No sample is before this time, ms.
    pub min_time: Timestamp,
    /// Every sample is before this time, ms.
    pub max_time: Timestamp,
    /// How much is in it.
    #[serde(default)]
    pub stats: Stats,
    /// What it was made from.
    #[serde(default)]
    pub compaction: Compaction,
    /// Always 1.
    pub version: u32,
    /// Keys of others.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How much is in a block.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Samples of either kind.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Float samples; 0 in blocks of Prometheus before 3.0.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Native histograms; 0 in blocks of Prometheus before 3.0.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted ranges of all series together.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
    /// Keys of others.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a block was made from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Compaction {
    /// How many compactions its samples went through at most; 1 is a block cut from the head.
    pub level: u32,
    /// The blocks cut from the head that it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub sources: Vec<Ulid>,
    /// A compaction of it had no samples left: it can go.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// The blocks that it replaces.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub parents: Vec<Parent>,
    /// A compaction of it failed: it is not planned again.
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    /// Where its samples come from when not from the head's newest: [`OUT_OF_ORDER`], [`STALE_SERIES`].
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub hints: Vec<String>,
    /// Keys of others.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Hint of a block of samples that came out of order (`CompactionHintFromOutOfOrder`).
pub const OUT_OF_ORDER: &str = "from-out-of-order";
/// Hint of a block of series that ended and were evicted from the head (`CompactionHintFromStaleSeries`).
pub const STALE_SERIES: &str = "from-stale-series";

/// A block that another replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// Its name.
    pub ulid: Ulid,
    /// Its [`Meta::min_time`].
    pub min_time: Timestamp,
    /// Its [`Meta::max_time`].
    pub max_time: Timestamp,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(b: &bool) -> bool {
    !b
}

/// Go writes an absent list as `null` where nothing omits it.
fn null_is_empty<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Meta {
    /// A block cut from the head, with samples at `min_time <= t < max_time` (ms).
    #[must_use]
    pub fn new(ulid: Ulid, min_time: Timestamp, max_time: Timestamp) -> Self {
        Self {
            ulid,
            min_time,
            max_time,
            stats: Stats::default(),
            compaction: Compaction {
                level: 1,
                sources: vec![ulid],
                ..Compaction::default()
            },
            version: VERSION,
            extra: Map::new(),
        }
    }

    /// As the parent of another block.
    #[must_use]
    pub fn as_parent(&self) -> Parent {
        Parent {
            ulid: self.ulid,
            min_time: self.min_time,
            max_time: self.max_time,
        }
    }

    /// Whether it has the hint.
    #[must_use]
    pub fn has_hint(&self, hint: &str) -> bool {
        self.compaction.hints.iter().any(|h| h == hint)
    }

    /// Adds a hint; they stay sorted and each is there once.
    pub fn add_hint(&mut self, hint: &str) {
        let hints = &mut self.compaction.hints;
        if let Err(at) = hints.binary_search_by(|h| h.as_str().cmp(hint)) {
            hints.insert(at, hint.to_owned());
        }
    }

    /// Reads the one in a block's folder, and how many bytes it has.
    ///
    /// # Errors
    /// [`StorageError::Io`]; [`StorageError::Damaged`] when it is no such JSON; [`StorageError::Unknown`] for another
    /// version.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<(Self, u64), StorageError> {
        let path = dir.join(FILE);
        let text = super::read_file(disk, &path, MAX_LEN)?;
        let wrong = |e: &serde_json::Error| {
            let before = text.split_inclusive(|&b| b == b'\n').take(e.line().saturating_sub(1));
            let offset = before.map(<[u8]>::len).sum::<usize>() + e.column().saturating_sub(1);
            StorageError::damaged(&path, offset as u64, "the description of a block", e.to_string())
        };
        // The version is judged before the rest: another one may have other keys.
        let version = serde_json::from_slice::<Version>(&text).map_err(|e| wrong(&e))?.version;
        if version != i64::from(VERSION) {
            return Err(StorageError::Unknown {
                path,
                offset: offset_of_version(&text),
                what: "meta.json version",
                found: version.to_string(),
                known: "1",
            });
        }
        let meta = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
        Ok((meta, text.len() as u64))
    }

    /// Writes it into a block's folder so that either the old or the new one is there whole, durably. The bytes are
    /// those of Go's encoder. Returns how many there are.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<u64, StorageError> {
        let path = dir.join(FILE);
        let mut text = Vec::with_capacity(1024);
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs))
            .map_err(|e| StorageError::io("encode", &path, io::Error::other(e)))?;
        super::replace_file(disk, dir, FILE, &text)?;
        Ok(text.len() as u64)
    }
}

/// Where the version is said, bytes from the beginning.
fn offset_of_version(text: &[u8]) -> u64 {
    let key = br#""version""#;
    text.windows(key.len()).position(|at| at == key).unwrap_or_default() as u64
}

/// Only the version.
#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    version: i64,
}
