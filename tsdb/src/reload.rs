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
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Watched {
    /// Reads every file; whether one holds something else than before. A file that is gone or unreadable for a moment is no
    /// change: what replaces it is.
    async fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, last) in &mut self.files {
            match tokio::fs::read(&*path).await {
                Ok(content) if *last == content => {}
                Ok(content) => {
                    *last = content;
                    changed = true;
                }
                Err(error) => tracing::debug!(path = %path.display(), %error, "configuration file cannot be read"),
            }
        }
        changed
    }
}

/// Follows `files` until `cancel` and sends a growing number whenever the content of one is another than before: at first
/// than what the caller read, so that a change between that and the call is not missed.
pub async fn follow(files: Vec<(PathBuf, Vec<u8>)>, changed: watch::Sender<u64>, cancel: CancellationToken) {
    let mut watched = Watched { files };
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
        let files = vec![(at("file"), b"a".to_vec())];
        let mut watched = Watched { files };
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

    #[tokio::test]
    async fn a_change_since_the_caller_read_the_file_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "new").unwrap();
        let (changed, mut changes) = watch::channel(0);
        let stop = CancellationToken::new();
        let following = tokio::spawn(follow(vec![(file, b"old".to_vec())], changed, stop.clone()));
        changes.changed().await.unwrap();
        stop.cancel();
        following.await.unwrap();
    }
}
