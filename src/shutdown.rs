//! An ordered stop: who is late is named.

use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Parts of the process, stopped in the order in which they were added: listeners first, what they read from last.
#[derive(Default)]
pub(crate) struct Shutdown {
    parts: Vec<(&'static str, CancellationToken, JoinHandle<()>)>,
}

impl Shutdown {
    /// Starts `work` as a part named `name`; it ends when its token is cancelled.
    pub(crate) fn start<F>(&mut self, name: &'static str, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = CancellationToken::new();
        let task = tokio::spawn(work(token.clone()));
        self.parts.push((name, token, task));
    }

    /// Resolves with the name of the first part that ends by itself, which none should.
    pub(crate) async fn first_to_end(&mut self) -> &'static str {
        let tasks = self.parts.iter_mut().map(|(name, _, task)| {
            let name = *name;
            Box::pin(async move {
                let _ = task.await;
                name
            })
        });
        futures::future::select_all(tasks.collect::<Vec<_>>()).await.0
    }

    /// Stops one part after the other, giving each at most `patience`.
    pub(crate) async fn stop(self, patience: Duration) {
        for (name, token, mut task) in self.parts {
            token.cancel();
            if task.is_finished() {
                continue;
            }
            if tokio::time::timeout(patience, &mut task).await.is_err() {
                tracing::warn!(part = name, "did not stop in time and was left behind");
                task.abort();
            }
        }
    }
}
