//! What reads the store beside queries, such as lists of series: it has their time limit, stops when nobody waits for it, and
//! waits for a turn among its like, a quarter as many as queries have: a store that lists slowly makes no query wait.

use crate::engine::{CancelOnDrop, Engine};
use crate::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What a reading asks now and then while it works.
#[derive(Debug)]
pub struct Reading {
    stage: &'static str,
    deadline: Instant,
    cancelled: Arc<AtomicBool>,
    max_samples: usize,
}

/// The bytes of an answer that count as one sample, which is a time and a value.
const SAMPLE: usize = 16;

impl Reading {
    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Timeout`] when time is up, [`Error::Canceled`] when nobody waits any more.
    pub fn look(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Canceled(self.stage));
        }
        if Instant::now() >= self.deadline {
            return Err(Error::Timeout(self.stage));
        }
        Ok(())
    }

    /// Whether so many bytes may be kept for the answer: 16 of them count as one of the samples that a query may hold.
    ///
    /// # Errors
    /// [`Error::TooManySamples`] when they are more.
    pub fn holds(&self, bytes: usize) -> Result<(), Error> {
        if bytes / SAMPLE > self.max_samples {
            return Err(Error::TooManySamples(self.stage));
        }
        Ok(())
    }
}

impl Engine {
    /// Runs `work` on the blocking pool, in time as if it were a query; `stage` tells in errors what it was. Work that does not
    /// look at its [`Reading`] is answered as timed out all the same, and keeps its turn until it ends.
    ///
    /// # Errors
    /// What `work` fails with; [`Error::Overloaded`]; [`Error::Timeout`] when its turn or its end does not come in time.
    pub async fn read<T, W>(&self, stage: &'static str, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Reading) -> Result<T, Error> + Send + 'static,
    {
        let timeout = self.settings().timeout;
        let deadline = Instant::now() + timeout.to_std();
        let turn = self.turn(&self.readings, timeout).await?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let _guard = CancelOnDrop(Arc::clone(&cancelled));
        let reading = Reading {
            stage,
            deadline,
            cancelled,
            max_samples: self.settings().max_samples,
        };
        let running = tokio::task::spawn_blocking(move || {
            let done = reading.look().and_then(|()| work(&reading));
            drop(turn);
            done
        });
        match tokio::time::timeout_at(deadline.into(), running).await {
            Ok(ended) => ended.unwrap_or_else(|_| Err(Error::execution("the reading ended unexpectedly"))),
            Err(_) => Err(Error::Timeout(stage)),
        }
    }
}
