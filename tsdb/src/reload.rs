//! Notices that the configuration file changed.
//!
//! A ConfigMap volume changes by a symbolic link being swapped, an editor writes a new file under the old name: the content
//! is what counts, so it is read every second and compared.

use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the file is read; it is small.
const LOOK: Duration = Duration::from_secs(1);

/// Follows the files `paths` until `cancel` and sends a growing number at each change of their contents, seen from the
/// first look on. A file that is gone or unreadable for a moment is no change: what replaces it is.
pub async fn follow(paths: Vec<PathBuf>, changed: watch::Sender<u64>, cancel: CancellationToken) {
    let mut last: Vec<Option<Vec<u8>>> = vec![None; paths.len()];
    loop {
        for (path, last) in paths.iter().zip(&mut last) {
            match tokio::fs::read(path).await {
                Ok(content) if last.as_ref() == Some(&content) => {}
                Ok(content) => {
                    let first = last.replace(content).is_none();
                    if !first {
                        changed.send_modify(|n| *n += 1);
                    }
                }
                Err(error) => tracing::debug!(path = %path.display(), %error, "configuration file cannot be read"),
            }
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
        std::os::unix::fs::symlink("1", at("file")).unwrap();
        let (sender, mut receiver) = watch::channel(0);
        let cancel = CancellationToken::new();
        tokio::spawn(follow(vec![at("file")], sender, cancel.clone()));
        let swap = |to: &str| {
            std::os::unix::fs::symlink(to, at("tmp")).unwrap();
            std::fs::rename(at("tmp"), at("file")).unwrap();
        };
        // Whether the first look saw 1 or 2, they are equal; 3 then is one change, once it was seen after them.
        swap("2");
        tokio::time::sleep(LOOK + LOOK / 2).await;
        swap("3");
        receiver.wait_for(|n| *n == 1).await.unwrap();
        cancel.cancel();
    }
}
