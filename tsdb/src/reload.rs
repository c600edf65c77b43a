//! Notices that the configuration changed.
//!
//! A ConfigMap volume changes by a symbolic link being swapped, an editor writes a new file under the old name: the
//! content is what counts, so it is read every second and compared.

use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the files are read; they are small.
const LOOK: Duration = Duration::from_secs(1);

/// Files and what they held when they were last read.
struct Watched {
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Watched {
    fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            files: paths.into_iter().map(|path| (path, None)).collect(),
        }
    }

    /// Reads every file; whether one holds something else than before. The first reading is no change, and neither is a
    /// file that is gone or unreadable for a moment: what replaces it is.
    async fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, last) in &mut self.files {
            match tokio::fs::read(&*path).await {
                Ok(content) if last.as_ref() == Some(&content) => {}
                Ok(content) => changed |= last.replace(content).is_some(),
                Err(error) => tracing::debug!(path = %path.display(), %error, "configuration file cannot be read"),
            }
        }
        changed
    }
}

/// Follows the files `paths` until `cancel` and sends a growing number whenever the content of one changed since the call.
pub async fn follow(paths: Vec<PathBuf>, changed: watch::Sender<u64>, cancel: CancellationToken) {
    let mut watched = Watched::new(paths);
    loop {
        if watched.look().await {
            changed.send_modify(|n| *n += 1);
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_swapped_symbolic_link_is_a_change_and_an_equal_content_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, content) in [("1", "a"), ("2", "a"), ("3", "b")] {
            std::fs::write(at(name), content).unwrap();
        }
        let swap = |to: &str| {
            std::os::unix::fs::symlink(to, at("tmp")).unwrap();
            std::fs::rename(at("tmp"), at("file")).unwrap();
        };
        let mut watched = Watched::new(vec![at("file")]);
        for (to, changed) in [
            ("1", false),
            ("1", false),
            ("2", false),
            ("3", true),
            ("none", false),
            ("3", false),
            ("1", true),
        ] {
            swap(to);
            assert_eq!(watched.look().await, changed, "{to}");
        }
    }
}
