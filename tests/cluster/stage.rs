//! Trials in sequence on shared clusters.

use crate::lab::Lab;
use leadline_testkit::Result;
use libtest_mimic::{Failed, Trial};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Runtime;

/// The two clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// leadline serves custom and external metrics.
    Metrics,
    /// KEDA serves external metrics, leadline custom metrics and KEDA's scaler.
    Keda,
}

/// Holds the cluster of the moment.
#[derive(Debug)]
pub(crate) struct Stage {
    runtime: Option<Runtime>,
    current: Mutex<Option<(Kind, Lab)>>,
}

impl Stage {
    /// An empty stage.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        Self {
            runtime: runtime.ok(),
            current: Mutex::new(None),
        }
    }

    /// A trial that runs `body` on the cluster of `kind`, which is started when the one before is another.
    pub(crate) fn trial<F>(self: &Arc<Self>, name: &str, kind: Kind, body: F) -> Trial
    where
        F: AsyncFn(&Lab) -> Result<()> + Send + 'static,
    {
        let stage = self.clone();
        Trial::test(name, move || stage.run(kind, &body))
    }

    fn run<F: AsyncFn(&Lab) -> Result<()>>(&self, kind: Kind, body: &F) -> std::result::Result<(), Failed> {
        let runtime = self.runtime.as_ref().ok_or("no tokio runtime could be made")?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.block_on(async {
            if current.as_ref().is_none_or(|(running, _)| *running != kind) {
                if let Some((_, lab)) = current.take() {
                    lab.cluster.stop().await;
                }
                *current = Some((kind, Lab::start(kind).await?));
            }
            let Some((_, lab)) = current.as_ref() else {
                return Ok(());
            };
            match body(lab).await {
                Ok(()) => Ok(()),
                Err(error) => Err(Failed::from(format!(
                    "{error}\n\n{}\n{error}",
                    lab.cluster.dump().await
                ))),
            }
        })
    }

    /// Stops the last cluster.
    pub(crate) fn stop(&self) {
        let last = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(runtime), Some((_, lab))) = (&self.runtime, last) {
            runtime.block_on(lab.cluster.stop());
        }
    }
}
