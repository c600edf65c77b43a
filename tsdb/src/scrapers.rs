//! The threads that scrape. A body is parsed and committed where it arrives: on threads of their own, whoever asks for a
//! value never waits behind one, and a part of a body that arrives wakes one thread, not one to read it and one to look
//! for more work.

use leadline_model::target::OwnerId;
use parking_lot::Mutex;
use std::io;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The most threads: so many parse and commit ten million samples a second.
const MOST: usize = 8;
/// How long work that the tasks left behind may go on when the threads end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Threads, each with a runtime. Dropping it ends them.
pub(crate) struct Scrapers {
    handles: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: CancellationToken,
}

impl Scrapers {
    /// One thread for each two processors.
    ///
    /// # Errors
    /// The operating system has no thread or no descriptor left.
    pub(crate) fn start() -> io::Result<Self> {
        let processors = std::thread::available_parallelism()?.get();
        let mut scrapers = Self {
            handles: Vec::new(),
            threads: Mutex::default(),
            stop: CancellationToken::new(),
        };
        for _ in 0..(processors / 2).clamp(1, MOST) {
            let (built, handle) = std::sync::mpsc::channel();
            let stop = scrapers.stop.clone();
            let thread = std::thread::Builder::new()
                .name("scrape".to_owned())
                .spawn(move || live(&built, &stop))?;
            scrapers.threads.get_mut().push(thread);
            let handle = handle.recv().map_err(|_| io::Error::other("the thread ended"))?;
            scrapers.handles.push(handle?);
        }
        Ok(scrapers)
    }

    /// Where the target that owns these series is scraped.
    pub(crate) fn of(&self, owner: OwnerId) -> Handle {
        self.handles[owner.0 as usize % self.handles.len()].clone()
    }

    /// Ends the threads; blocks until they have ended, a second at most when their tasks have ended before.
    pub(crate) fn end(&self) {
        self.stop.cancel();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread that scrapes had panicked");
            }
        }
    }
}

/// What a thread does: it tells where tasks can be started on it, and runs them until `stop`. The runtime begins and ends
/// here, because where others run it could not be dropped.
fn live(built: &Sender<io::Result<Handle>>, stop: &CancellationToken) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .thread_name("scrape-large")
        .build();
    match runtime {
        Ok(runtime) => {
            // Nobody waits for it any more: then it is told to stop, too.
            let _ = built.send(Ok(runtime.handle().clone()));
            runtime.block_on(stop.cancelled());
            runtime.shutdown_timeout(PATIENCE);
        }
        Err(error) => drop(built.send(Err(error))),
    }
}

impl Drop for Scrapers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn targets_are_scraped_on_threads_of_their_own_until_these_end() {
        let scrapers = Scrapers::start().unwrap();
        let name = || std::thread::current().name().map(ToOwned::to_owned);
        for owner in 0..20 {
            let ran = scrapers.of(OwnerId(owner)).spawn(async move { name() }).await.unwrap();
            assert_eq!(ran.as_deref(), Some("scrape"));
        }
        let waits = scrapers.of(OwnerId(0)).spawn(std::future::pending::<()>());
        tokio::task::spawn_blocking(move || scrapers.end()).await.unwrap();
        assert!(waits.await.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn dropping_them_ends_their_tasks() {
        let scrapers = Scrapers::start().unwrap();
        let waits = scrapers.of(OwnerId(3)).spawn(std::future::pending::<()>());
        drop(scrapers);
        assert!(waits.await.unwrap_err().is_cancelled());
    }
}
