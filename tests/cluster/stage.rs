//! Trials in sequence on a shared cluster.

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

impl Kind {
    /// All there are.
    pub(crate) const ALL: [Self; 2] = [Self::Metrics, Self::Keda];

    /// The lane of its trials.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Keda => "keda",
        }
    }
}

/// Holds the cluster of this process.
#[derive(Debug)]
pub(crate) struct Stage {
    runtime: Option<Runtime>,
    lab: Mutex<Option<Lab>>,
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
            lab: Mutex::new(None),
        }
    }

    /// A trial that runs `body` on the cluster of `kind`, which the first one starts.
    pub(crate) fn trial<F>(self: &Arc<Self>, name: &str, kind: Kind, body: F) -> (Kind, Trial)
    where
        F: AsyncFn(&Lab) -> Result<()> + Send + 'static,
    {
        let stage = self.clone();
        (kind, Trial::test(name, move || stage.run(kind, &body)))
    }

    fn run<F: AsyncFn(&Lab) -> Result<()>>(&self, kind: Kind, body: &F) -> std::result::Result<(), Failed> {
        let runtime = self.runtime.as_ref().ok_or("no tokio runtime could be made")?;
        let mut held = self.lab.lock().unwrap_or_else(PoisonError::into_inner);
        runtime.block_on(async {
            let lab = match held.take() {
                Some(lab) => held.insert(lab),
                None => held.insert(Lab::start(kind).await?),
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

    /// Stops the cluster.
    pub(crate) fn stop(&self) {
        let last = self.lab.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(runtime), Some(lab)) = (&self.runtime, last) {
            runtime.block_on(lab.cluster.stop());
        }
    }
}
