//! Keeps the store going: reads its log at the start, writes what commits leave pending in groups, makes it durable, and
//! does what is due by the clock; chunks are written away by a thread of their own, which waits for no block. The store has no threads of its own; these are they.

use leadline_model::port::{CommitEvent, Commits};
use leadline_storage::StorageError;
use leadline_storage::db::{Db, Maintenance};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// How long commits gather before they are written to the log together: so much a process that is killed may lose of them,
/// a tenth of what a machine that is switched off loses at the default `--storage.tsdb.wal-fsync-interval`. To wake the thread
/// costs more than to write a small group.
const GROUP: Duration = Duration::from_millis(100);
/// The longest time between two looks at what is due.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// The shortest, with blocks that span seconds.
const MAINTAIN_AT_LEAST: Duration = Duration::from_millis(500);
/// The longest time until a log that could not be read is tried again for the first time; each later attempt waits twice as
/// long as the one before.
const READ_AGAIN: Duration = Duration::from_secs(5);
/// The longest time until it is tried again: reading a long log keeps a processor and the disk busy.
const READ_AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// How nice maintenance is to everything else (`setpriority(2)`).
const NICE: i32 = 10;

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageState {
    /// Its log is being read; samples are taken already.
    Replaying,
    /// It keeps what it is given.
    Writing,
    /// It takes samples, and cannot write them, or not read its log: why. It goes on trying.
    Failing(String),
    /// Its log cannot be read: why. It needs a hand.
    Broken(String),
}

/// What runs the store.
pub(crate) struct Keeper {
    db: Arc<Db>,
    state: watch::Sender<StorageState>,
    sync_every: Duration,
    maintain_every: Duration,
}

/// The keeper's threads.
pub(crate) struct Running {
    stop: CancellationToken,
    log: JoinHandle<()>,
    chunks: JoinHandle<()>,
    work: JoinHandle<()>,
}

impl Keeper {
    /// A keeper of `db`, whose log becomes durable every `sync_ms`, and whose blocks span `block_range_ms` at least.
    pub(crate) fn new(db: Arc<Db>, sync_ms: i64, block_range_ms: i64) -> Arc<Self> {
        let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        Arc::new(Self {
            db,
            state: watch::Sender::new(StorageState::Replaying),
            sync_every: ms(sync_ms),
            // Ten looks per block, so that a block is cut soon after it is due.
            maintain_every: (ms(block_range_ms) / 10).clamp(MAINTAIN_AT_LEAST, MAINTAIN_EVERY),
        })
    }

    /// How the store is, now and from now on.
    pub(crate) fn state(&self) -> watch::Receiver<StorageState> {
        self.state.subscribe()
    }

    /// Starts the threads, on a tokio runtime's behalf.
    ///
    /// # Errors
    /// The operating system has no thread left.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<Running> {
        let stop = CancellationToken::new();
        let thread = |name: &str, work: fn(&Self, &Handle, &CancellationToken)| {
            let (keeper, runtime, stop) = (Arc::clone(self), Handle::current(), stop.clone());
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&keeper, &runtime, &stop))
        };
        Ok(Running {
            log: thread("storage-log", Self::write_log)?,
            chunks: thread("storage-chunks", Self::map_chunks)?,
            work: thread("storage-work", Self::work)?,
            stop,
        })
    }

    /// Writes what commits leave pending, until `stop`. While nothing is committed it sleeps; from the first commit on until
    /// all is durable it needs nobody to wake it.
    fn write_log(&self, runtime: &Handle, stop: &CancellationToken) {
        let mut commits = self.db.subscribe();
        while runtime.block_on(committed(&mut commits, stop)) {
            let mut sync_at = Instant::now() + self.sync_every;
            loop {
                std::thread::sleep(GROUP.min(sync_at.saturating_duration_since(Instant::now())));
                if stop.is_cancelled() {
                    return;
                }
                while let Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) = commits.try_recv() {}
                self.tell(self.db.flush());
                if Instant::now() < sync_at {
                    continue;
                }
                let synced = self.db.sync();
                let durable = synced.is_ok();
                self.tell(synced);
                if durable {
                    break;
                }
                // What could not be written is tried again without waiting for a commit.
                sync_at = Instant::now() + self.sync_every;
            }
        }
    }

    /// Reads the log, and then does what is due, until `stop`.
    fn work(&self, runtime: &Handle, stop: &CancellationToken) {
        if !self.read_log(runtime, stop) {
            return;
        }
        be_nice();
        while !stop.is_cancelled() {
            let done = self.db.maintain();
            report(&done);
            let more = done.failures.is_empty() && (!done.cut.is_empty() || done.compacted.is_some());
            if !more {
                rest(self.maintain_every, runtime, stop);
            }
        }
    }

    /// Reads the log, again and again where the disk fails. Returns whether it was read; else `stop` came first, or nothing
    /// helps.
    fn read_log(&self, runtime: &Handle, stop: &CancellationToken) -> bool {
        let mut pause = self.maintain_every.min(READ_AGAIN);
        loop {
            match self.db.replay() {
                Ok(replayed) => {
                    for lost in &replayed.lost {
                        tracing::warn!(lost, "a part of the log was damaged and is not kept");
                    }
                    self.state.send_replace(StorageState::Writing);
                    return true;
                }
                // The store is closed before it was read.
                Err(_) if stop.is_cancelled() => return false,
                Err(error) if error.needs_a_hand() => {
                    tracing::error!(%error, "the write-ahead log cannot be read");
                    self.state.send_replace(StorageState::Broken(error.to_string()));
                    return false;
                }
                Err(error) => {
                    tracing::error!(%error, "the write-ahead log cannot be read, which is tried again");
                    let why = self.db.health().err().unwrap_or_else(|| error.to_string());
                    self.state.send_replace(StorageState::Failing(why));
                }
            }
            rest(pause, runtime, stop);
            pause = (pause * 2).min(READ_AGAIN_AT_MOST);
            if stop.is_cancelled() {
                return false;
            }
        }
    }

    /// Writes full chunks away while blocks are being made, until `stop`.
    fn map_chunks(&self, runtime: &Handle, stop: &CancellationToken) {
        be_nice();
        while !stop.is_cancelled() {
            if let Err(error) = self.db.map_chunks() {
                tracing::error!(%error, "chunks cannot be mapped, which is tried again");
            }
            rest(self.maintain_every, runtime, stop);
        }
    }

    /// Notes how writing went. The store logs it.
    fn tell(&self, result: Result<(), StorageError>) {
        // The store's own word first: it is the same for what fails now and what failed before and is not over.
        let now = match (self.db.health(), result) {
            (Err(why), _) => StorageState::Failing(why),
            (Ok(()), Err(error)) => StorageState::Failing(error.to_string()),
            (Ok(()), Ok(())) => StorageState::Writing,
        };
        self.state.send_if_modified(|state| {
            if *state == now || matches!(state, StorageState::Replaying | StorageState::Broken(_)) {
                return false;
            }
            *state = now;
            true
        });
    }
}

impl Running {
    /// Ends the threads, and closes the store whose threads they are.
    pub(crate) async fn end(self, db: Arc<Db>) {
        self.stop.cancel();
        let ended = tokio::task::spawn_blocking(move || {
            let (log, chunks) = (self.log.join(), self.chunks.join());
            let closed = db.close();
            // A compaction that is under way ends by itself; what it leaves behind when it does not is removed at the next
            // start.
            let work = if self.work.is_finished() {
                self.work.join()
            } else {
                Ok(())
            };
            (log.is_ok() && chunks.is_ok() && work.is_ok(), closed)
        });
        match ended.await {
            Ok((true, Ok(()))) => tracing::debug!("the store is closed"),
            Ok((true, Err(error))) => tracing::error!(%error, "the store could not write its last samples"),
            Ok((false, _)) | Err(_) => tracing::error!("a thread of the store had panicked"),
        }
    }
}

/// Waits until something may be due again, or for `stop`.
fn rest(time: Duration, runtime: &Handle, stop: &CancellationToken) {
    runtime.block_on(async {
        let _ = tokio::time::timeout(time, stop.cancelled()).await;
    });
}

/// Makes the calling thread less urgent than all else; on Linux it is the only one. Where that is refused, it is as urgent.
fn be_nice() {
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Whether something was committed; `false` when the log's thread has to end.
async fn committed(commits: &mut broadcast::Receiver<Arc<CommitEvent>>, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        committed = commits.recv() => !matches!(committed, Err(broadcast::error::RecvError::Closed)),
    }
}

/// Says what is lost and what maintenance could not do; the store itself says what it did.
fn report(done: &Maintenance) {
    for lost in &done.lost {
        tracing::error!(lost, "samples of a mapped chunk that cannot be read are lost");
    }
    for failure in &done.failures {
        tracing::error!(error = failure, "maintenance of the store failed and is tried again");
    }
}
