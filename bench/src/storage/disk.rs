//! What is on disk: bytes of folders, and what the blocks say of themselves.

use crate::error::BenchError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The blocks that were found, by level.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Blocks(BTreeMap<u64, Level>);

/// Sums over the blocks of one level.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Level {
    /// How many there are.
    pub(super) count: usize,
    /// Samples in them.
    pub(super) samples: f64,
    /// Bytes of their chunk files.
    pub(super) chunk_bytes: f64,
    /// Bytes of all their files.
    pub(super) bytes: f64,
}

impl Blocks {
    /// The lowest level and its sums; nothing where there is no block.
    pub(super) fn lowest(&self) -> (u64, Level) {
        self.0
            .first_key_value()
            .map(|(&n, &level)| (n, level))
            .unwrap_or_default()
    }

    /// The highest level and its sums; nothing where there is no block.
    pub(super) fn highest(&self) -> (u64, Level) {
        self.0
            .last_key_value()
            .map(|(&n, &level)| (n, level))
            .unwrap_or_default()
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        self.0.values().map(|level| level.count).sum()
    }
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    stats: Stats,
    compaction: Compaction,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_samples: f64,
}

#[derive(Deserialize)]
struct Compaction {
    level: u64,
}

/// Bytes of all files below `folder`; what vanishes meanwhile counts as nothing.
pub(super) fn bytes(folder: &Path) -> Result<u64, BenchError> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(0);
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        match entry.metadata() {
            Ok(about) if about.is_dir() => sum += bytes(&entry.path())?,
            Ok(about) => sum += about.len(),
            Err(_) => {}
        }
    }
    Ok(sum)
}

/// The blocks in a data folder; one that vanishes meanwhile counts as nothing, as do those still being written.
pub(super) fn blocks(data: &Path) -> Result<Blocks, BenchError> {
    let mut found = Blocks::default();
    let Ok(entries) = std::fs::read_dir(data) else {
        return Ok(found);
    };
    for entry in entries {
        let block = entry?.path();
        if block.extension().is_some() {
            continue;
        }
        let Ok(text) = std::fs::read(block.join("meta.json")) else {
            continue;
        };
        let meta: Meta = serde_json::from_slice(&text)
            .map_err(|e| BenchError::Unexpected(format!("{}/meta.json: {e}", block.display())))?;
        let sum = found.0.entry(meta.compaction.level).or_default();
        sum.count += 1;
        sum.samples += meta.stats.num_samples;
        sum.chunk_bytes += bytes(&block.join("chunks"))? as f64;
        sum.bytes += bytes(&block)? as f64;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn blocks_are_summed_by_level_and_what_is_being_written_is_not() {
        let data = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = data.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        let meta = r#"{"ulid":"x","stats":{"numSamples":10},"compaction":{"level":2}}"#;
        write("01ARZ3NDEKTSV4RRFFQ69G5FAV/meta.json", meta);
        write("01ARZ3NDEKTSV4RRFFQ69G5FAV/chunks/000001", "12345");
        write("01BX5ZZKBKACTAV9WEVGEMMVRZ/meta.json", r#"{"compaction":{"level":1}}"#);
        write("01BX5ZZKBKACTAV9WEVGEMMVS0.tmp-for-creation/meta.json", "{");
        write("wal/00000000", "1");
        let found = blocks(data.path()).expect("they are read");
        assert_eq!(found.count(), 2);
        let (level, low) = found.lowest();
        assert_eq!((level, low.count, low.samples, low.bytes), (1, 1, 0.0, 26.0));
        let (level, high) = found.highest();
        assert_eq!((level, high.count, high.samples, high.chunk_bytes), (2, 1, 10.0, 5.0));
        assert_eq!(high.bytes, (meta.len() + 5) as f64);
    }
}
