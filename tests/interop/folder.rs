//! Directories: copied before a program that may write gets one, and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy that may be written to, and that goes when this is dropped. Without the lock of whoever had the original.
pub(crate) struct Copied {
    folder: TempDir,
}

impl Copied {
    /// Copies `from`.
    pub(crate) fn of(from: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(from, &folder.path().join("data"));
        // promtool insists on one, even where blocks are all there is.
        std::fs::create_dir_all(folder.path().join("data/wal")).unwrap();
        Self { folder }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside it.
    pub(crate) fn beside(&self) -> &Path {
        self.folder.path()
    }
}

/// A folder that stays when the test fails, so that somebody can look into it.
pub(crate) struct Evidence(Option<TempDir>);

impl Evidence {
    /// Takes over a temporary folder.
    pub(crate) fn new(folder: TempDir) -> Self {
        Self(Some(folder))
    }

    /// A path within.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.as_ref().unwrap().path().join(name)
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take().filter(|_| std::thread::panicking()) {
            println!("kept for a look: {}", folder.keep().display());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_name() != "lock" {
            std::fs::write(&target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// Every file of a directory with its content.
pub(crate) fn content(of: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
            found.insert(path, Vec::new());
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// `meta.json` of every block of a directory.
pub(crate) fn metas(of: &Path) -> Vec<serde_json::Value> {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| std::fs::read(entry.path().join("meta.json")).ok());
    texts.filter_map(|text| serde_json::from_slice(&text).ok()).collect()
}

/// Whether blocks of samples that came in order reach as far as those of samples that did not. Until then promtool, which
/// reads no log before the end of the newest block, sees less than the servers do, with a directory of Prometheus' own too.
pub(crate) fn in_order_blocks_reach_furthest(of: &Path) -> bool {
    let blocks = metas(of);
    let late = |meta: &serde_json::Value| meta["compaction"]["hints"].to_string().contains("from-out-of-order");
    let end = |of: bool| {
        let ends = blocks
            .iter()
            .filter(|meta| late(meta) == of)
            .filter_map(|meta| meta["maxTime"].as_i64());
        ends.max().unwrap_or(0)
    };
    end(false) >= end(true)
}
