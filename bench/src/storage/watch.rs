//! The memory of a process, looked at while it runs.

use crate::error::BenchError;
use crate::process::{Memory, Process};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it looks: what lasts shorter is not seen.
const PERIOD: Duration = Duration::from_millis(50);

/// Looks at one process until it is dropped.
pub(super) struct Watch {
    seen: Arc<Mutex<Vec<(Instant, Memory)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Begins to look at `process`.
    pub(super) fn over(process: &Process) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (list, id) = (Arc::clone(&seen), process.id());
        let task = tokio::spawn(async move {
            // Ends with the process.
            while let Ok(memory) = Memory::of(id) {
                list.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((Instant::now(), memory));
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self { seen, task }
    }

    /// The mean since `start`.
    pub(super) fn mean(&self, start: Instant) -> Result<Memory, BenchError> {
        let (sum, n) = self.fold(start, |a, b| Memory {
            rss: a.rss + b.rss,
            anonymous: a.anonymous + b.anonymous,
        })?;
        Ok(Memory {
            rss: sum.rss / n,
            anonymous: sum.anonymous / n,
        })
    }

    /// The most of each since `start`.
    pub(super) fn peak(&self, start: Instant) -> Result<Memory, BenchError> {
        let (most, _) = self.fold(start, |a, b| Memory {
            rss: a.rss.max(b.rss),
            anonymous: a.anonymous.max(b.anonymous),
        })?;
        Ok(most)
    }

    fn fold(&self, start: Instant, join: impl Fn(Memory, Memory) -> Memory) -> Result<(Memory, f64), BenchError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let since = seen.iter().filter(|(at, _)| *at >= start).map(|(_, memory)| *memory);
        let n = since.clone().count() as f64;
        let folded = since.reduce(join);
        folded
            .map(|memory| (memory, n))
            .ok_or_else(|| BenchError::Unexpected("no memory was seen: did the program end?".to_owned()))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
