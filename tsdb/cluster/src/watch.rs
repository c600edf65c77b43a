//! Keeps a watch going: initial list, backoff, and what can be seen of it.

use crate::backoff::Backoff;
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::runtime::watcher::{self, Event, InitialListStrategy};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How a watch goes, as of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchReport {
    /// What is watched.
    pub name: String,
    /// Whether a complete list was received once.
    pub synced: bool,
    /// Changes received after the lists.
    pub events: u64,
    /// Complete lists received, the first included.
    pub relists: u64,
    /// Failures.
    pub errors: u64,
    /// The last failure, as long as nothing was received since.
    pub last_error: Option<String>,
}

/// The live side of [`WatchReport`].
#[derive(Debug)]
pub(crate) struct WatchStatus {
    name: String,
    synced: AtomicBool,
    events: AtomicU64,
    relists: AtomicU64,
    errors: AtomicU64,
    last_error: Mutex<Option<String>>,
    failure: Notify,
}

impl WatchStatus {
    pub(crate) fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            synced: AtomicBool::new(false),
            events: AtomicU64::new(0),
            relists: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            last_error: Mutex::new(None),
            failure: Notify::new(),
        })
    }

    pub(crate) fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// A complete list is in place.
    pub(crate) fn complete(&self) {
        self.relists.fetch_add(1, Ordering::Relaxed);
        self.synced.store(true, Ordering::Release);
    }

    pub(crate) fn failed(&self, error: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last_error.lock();
        // The same failure over and over is one line in the log.
        if last.as_deref() != Some(error) {
            tracing::warn!(watch = self.name, error, "watch failed, trying again");
            *last = Some(error.to_owned());
        }
        drop(last);
        self.failure.notify_waiters();
    }

    /// Waits until the watch has failed and received nothing since: at once, where that is so.
    pub(crate) async fn failing(&self) {
        loop {
            let failure = self.failure.notified();
            if self.last_error.lock().is_some() {
                return;
            }
            failure.await;
        }
    }

    /// Something was received: the last failure is over.
    pub(crate) fn received(&self) {
        if self.last_error.lock().take().is_some() {
            tracing::info!(watch = self.name, "watch goes on");
        }
    }

    pub(crate) fn report(&self) -> WatchReport {
        WatchReport {
            name: self.name.clone(),
            synced: self.synced(),
            events: self.events.load(Ordering::Relaxed),
            relists: self.relists.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            last_error: self.last_error.lock().clone(),
        }
    }
}

/// How long a streamed initial list may stay silent before it is fetched page by page: API servers before 1.27 ignore the
/// request for initial events and would never end it.
const SILENCE: Duration = Duration::from_secs(30);

enum Next<K> {
    Event(watcher::Result<Event<K>>),
    /// The stream ended, which watchers do not do.
    Ended,
    /// A streamed initial list stayed silent.
    Silent,
    Cancelled,
}

async fn next<K>(
    stream: &mut BoxStream<'static, watcher::Result<Event<K>>>,
    silence: Option<Duration>,
    cancel: &CancellationToken,
) -> Next<K> {
    let silent = async {
        match silence {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Next::Cancelled,
        item = stream.next() => item.map_or(Next::Ended, Next::Event),
        () = silent => Next::Silent,
    }
}

/// Runs a watch until `cancel` and hands every event to `sink`.
///
/// The initial list is streamed (a WATCH with `sendInitialEvents`, so that there is no LIST and the API server answers
/// from its cache); where the server refuses that, it is listed in pages. After a failure the watch goes on where it was,
/// or starts over with a new list when its place is gone.
pub(crate) async fn drive<K: 'static>(
    status: &WatchStatus,
    config: watcher::Config,
    start: impl Fn(watcher::Config) -> BoxStream<'static, watcher::Result<Event<K>>>,
    mut sink: impl FnMut(Event<K>),
    cancel: CancellationToken,
) {
    let mut config = config.streaming_lists();
    let (mut backoff, mut listing) = (Backoff::new(), true);
    let mut stream = start(config.clone());
    loop {
        let streaming = config.initial_list_strategy == InitialListStrategy::StreamingList;
        match next(&mut stream, (streaming && listing).then_some(SILENCE), &cancel).await {
            Next::Cancelled => return,
            Next::Silent => stream = start(paged(&mut config)),
            Next::Ended => stream = start(config.clone()),
            Next::Event(Ok(event)) => {
                backoff.reset();
                status.received();
                listing = match event {
                    Event::Init | Event::InitApply(_) => true,
                    Event::InitDone => false,
                    Event::Apply(_) | Event::Delete(_) => {
                        status.events.fetch_add(1, Ordering::Relaxed);
                        false
                    }
                };
                sink(event);
                continue;
            }
            Next::Event(Err(error)) => {
                if streaming && refuses_streaming(&error) {
                    stream = start(paged(&mut config));
                    continue;
                }
                status.failed(&describe(&error));
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}

fn paged(config: &mut watcher::Config) -> watcher::Config {
    config.initial_list_strategy = InitialListStrategy::ListWatch;
    config.clone()
}

/// Servers without the feature WatchList answer 422 (or 400) to `sendInitialEvents`.
fn refuses_streaming(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if matches!(status.code, 400 | 422))
}

/// The error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn refused(code: u16) -> watcher::Error {
        watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(Status {
            code,
            ..Status::default()
        })))
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_cannot_stream_lists_is_asked_for_pages_and_failures_are_seen_until_something_comes() {
        let status = WatchStatus::new("things");
        let cancel = CancellationToken::new();
        let starts = Mutex::new(Vec::new());
        let start = |config: watcher::Config| {
            starts.lock().push(config.initial_list_strategy.clone());
            let events: Vec<watcher::Result<Event<u8>>> = match config.initial_list_strategy {
                InitialListStrategy::StreamingList => vec![Err(refused(422))],
                InitialListStrategy::ListWatch => {
                    vec![
                        Ok(Event::Init),
                        Err(refused(500)),
                        Ok(Event::Init),
                        Ok(Event::InitApply(1)),
                        Ok(Event::InitDone),
                    ]
                }
            };
            futures::stream::iter(events).chain(futures::stream::pending()).boxed()
        };
        let mut seen = 0;
        let sink = |event| {
            if let Event::Init = event {
                seen += 1;
            }
            if let Event::InitDone = event {
                status.complete();
                cancel.cancel();
            }
        };
        drive(&status, watcher::Config::default(), start, sink, cancel.clone()).await;
        assert_eq!(
            *starts.lock(),
            [InitialListStrategy::StreamingList, InitialListStrategy::ListWatch]
        );
        let report = status.report();
        assert_eq!(
            (seen, report.synced, report.errors, report.last_error),
            (2, true, 1, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_streamed_list_that_stays_silent_is_fetched_in_pages() {
        let (status, cancel) = (WatchStatus::new("things"), CancellationToken::new());
        let start = |config: watcher::Config| match config.initial_list_strategy {
            InitialListStrategy::StreamingList => futures::stream::iter([Ok(Event::<u8>::Init)])
                .chain(futures::stream::pending())
                .boxed(),
            InitialListStrategy::ListWatch => futures::stream::iter([Ok(Event::Init), Ok(Event::InitDone)])
                .chain(futures::stream::pending())
                .boxed(),
        };
        let sink = |event| {
            if let Event::InitDone = event {
                cancel.cancel();
            }
        };
        drive(&status, watcher::Config::default(), start, sink, cancel.clone()).await;
    }
}
