//! The query log: a line of JSON for each query that somebody asked (`promql/engine.go`, exec; `util/logging/file.go`).
//!
//! Lines are made where the query ran and written by a thread of the log's own, so that no query waits for the disk. What
//! cannot be written is counted, and so is what finds [`MOST_WAITING`] bytes waiting: a disk that hangs must not fill memory.

mod line;

use leadline_model::clock::Clock;
use leadline_promql::log::{Ended, QueryLog};
use parking_lot::{Condvar, Mutex};
use rustix::fs::{Mode, OFlags};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::watch;

/// The most bytes of lines that wait to be written.
const MOST_WAITING: usize = 8 << 20;

/// The log, which can be on or off and change its file while it is used.
pub struct QueryLogFile {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    /// Whether the thread runs, and whether it has ended; it is started when a file is first opened.
    thread: Mutex<Option<watch::Receiver<bool>>>,
}

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("query_log_file: {path}: {source}", path = path.display())]
pub struct QueryLogError {
    path: PathBuf,
    source: io::Error,
}

/// What the log and its thread share.
#[derive(Default)]
struct Shared {
    on: AtomicBool,
    failures: AtomicU64,
    queue: Mutex<Queue>,
    more: Condvar,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Bytes of the lines in it.
    bytes: usize,
    closed: bool,
}

/// What the thread has to do, in order.
enum Item {
    Line(Vec<u8>),
    /// From here on lines belong in this file, or nowhere.
    Use(Option<Target>),
}

/// A file that is written to.
struct Target {
    path: PathBuf,
    file: File,
    /// Whether the last line was written in part only.
    torn: bool,
    /// Whether the last write failed.
    failing: bool,
}

/// A file that was opened and is not in use yet. Dropped, everything stays as it was.
pub struct Opened<'a> {
    log: &'a QueryLogFile,
    target: Option<Target>,
}

impl QueryLogFile {
    /// A log that is off.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::default(),
            clock,
            thread: Mutex::default(),
        })
    }

    /// Opens the file that the log is to be written to from [`Opened::apply`] on, at its end; `None` turns it off. A file
    /// that is in use is opened anew, since it may have been moved away.
    ///
    /// # Errors
    /// [`QueryLogError`]: it cannot be opened for writing, or there is no thread for it.
    pub fn open(&self, path: Option<&Path>) -> Result<Opened<'_>, QueryLogError> {
        let Some(path) = path else {
            return Ok(Opened {
                log: self,
                target: None,
            });
        };
        let refuse = |source| QueryLogError {
            path: path.to_owned(),
            source,
        };
        let target = Target::open(path).map_err(refuse)?;
        self.start().map_err(refuse)?;
        Ok(Opened {
            log: self,
            target: Some(target),
        })
    }

    /// Whether it is on.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    /// Lines that could not be written.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Starts the thread, where it does not run.
    fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let (ended, ends) = watch::channel(false);
            std::thread::Builder::new()
                .name("query-log".to_owned())
                .spawn(move || {
                    shared.write();
                    ended.send_replace(true);
                })?;
            *thread = Some(ends);
        }
        Ok(())
    }

    /// Turns the log off; resolves when what was told of is written.
    pub(crate) async fn close(&self) {
        self.shared.on.store(false, Ordering::Relaxed);
        self.shared.queue.lock().closed = true;
        self.shared.more.notify_one();
        let thread = self.thread.lock().take();
        if let Some(mut ends) = thread {
            // An error says that the thread is gone, too.
            let _ = ends.wait_for(|ended| *ended).await;
        }
    }
}

impl Opened<'_> {
    /// Puts the file to use. Lines told of before still go where they belonged.
    pub fn apply(self) {
        let on = self.target.is_some();
        let shared = &self.log.shared;
        shared.queue.lock().items.push_back(Item::Use(self.target));
        shared.on.store(on, Ordering::Relaxed);
        shared.more.notify_one();
    }
}

impl QueryLog for QueryLogFile {
    fn is_on(&self) -> bool {
        self.enabled()
    }

    fn ended(&self, ended: &Ended<'_>) {
        let line = line::of(ended, self.clock.now());
        let mut queue = self.shared.queue.lock();
        if queue.bytes.saturating_add(line.len()) > MOST_WAITING || queue.closed {
            drop(queue);
            self.shared.failures.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes += line.len();
        queue.items.push_back(Item::Line(line));
        drop(queue);
        self.shared.more.notify_one();
    }
}

impl Shared {
    /// Writes what comes, until the log is closed and nothing is left.
    fn write(&self) {
        let mut target: Option<Target> = None;
        while let Some(item) = self.next() {
            match (item, &mut target) {
                (Item::Use(new), target) => *target = new,
                (Item::Line(line), Some(target)) => {
                    if !target.write(&line) {
                        self.failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
                // It was turned off while the query ran.
                (Item::Line(_), None) => {}
            }
        }
    }

    fn next(&self) -> Option<Item> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(item) = queue.items.pop_front() {
                if let Item::Line(line) = &item {
                    queue.bytes -= line.len();
                }
                return Some(item);
            }
            if queue.closed {
                return None;
            }
            self.more.wait(&mut queue);
        }
    }
}

impl Target {
    fn open(path: &Path) -> io::Result<Self> {
        // A pipe that nobody reads is refused instead of waited for.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?;
        // Once it is open, its thread may wait.
        rustix::fs::fcntl_setfl(&fd, OFlags::APPEND)?;
        Ok(Self {
            path: path.to_owned(),
            file: File::from(fd),
            torn: false,
            failing: false,
        })
    }

    /// Writes a line; the first failure of a row is logged, and so is the end of the row.
    fn write(&mut self, line: &[u8]) -> bool {
        let result = self.append(line);
        match &result {
            Err(error) if !self.failing => {
                tracing::error!(path = %self.path.display(), %error, "queries cannot be logged");
            }
            Ok(()) if self.failing => tracing::info!(path = %self.path.display(), "queries are logged again"),
            _ => {}
        }
        self.failing = result.is_err();
        result.is_ok()
    }

    fn append(&mut self, mut line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        while !line.is_empty() {
            match self.file.write(line) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => line = line.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.torn = !line.is_empty();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::clock::ManualClock;
    use leadline_promql::error::Error;
    use leadline_promql::log::Origin;
    use leadline_promql::stats::{Consumed, QueryStats, StepConsumed};
    use serde_json::{Value, json};
    use std::net::{IpAddr, Ipv6Addr};

    fn tell(log: &QueryLogFile, query: &str, error: Option<&Error>) {
        log.ended(&Ended {
            query,
            start: 0,
            end: 10_500,
            step_ms: 2_500,
            error,
            stats: &QueryStats {
                eval_us: 1_000_000,
                queued_us: 500_000,
                peak_samples: 2,
                consumed: Some(Consumed {
                    total: 7,
                    read: 5,
                    steps: vec![StepConsumed {
                        t: 1500,
                        total: 7,
                        read: 5,
                    }],
                }),
                ..QueryStats::default()
            },
            origin: Origin::Http {
                client: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
                method: "GET",
                path: "/api/v1/query_range",
            },
        });
    }

    fn log() -> Arc<QueryLogFile> {
        QueryLogFile::new(Arc::new(ManualClock::at(1_767_361_020_005)))
    }

    /// The queries of the lines of a file.
    fn queries(file: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let query = |line: &str| match serde_json::from_str::<Value>(line) {
            Ok(line) => line["params"]["query"].as_str().unwrap().to_owned(),
            Err(_) => format!("no JSON: {line}"),
        };
        text.lines().map(query).collect()
    }

    #[tokio::test]
    async fn a_line_has_the_names_and_the_order_of_prometheus() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.log");
        let log = log();
        log.open(Some(&file)).unwrap().apply();
        tell(&log, "up{a=\"<\u{1}ü\"}", None);
        tell(&log, "b", Some(&Error::Canceled("query queue")));
        log.close().await;
        let text = std::fs::read_to_string(&file).unwrap();
        let source = text.split("\"source\":\"").nth(1).unwrap().split('"').next().unwrap();
        let shape = format!(
            r#"{{"time":"2026-01-02T13:37:00.005Z","level":"INFO","source":"{source}","msg":"promql query logged","params":{{"end":"1970-01-01T00:00:10.500Z","query":"up{{a=\"<\u0001ü\"}}","start":"1970-01-01T00:00:00.000Z","step":2}},"stats":{{"timings":{{"evalTotalTime":1,"resultSortTime":0,"queryPreparationTime":0,"innerEvalTime":0,"execQueueTime":0.5,"execTotalTime":1.5}},"samples":{{"totalQueryableSamplesPerStep":[[1.5,7]],"totalQueryableSamples":7,"samplesReadPerStep":[[1.5,5]],"samplesRead":5,"seriesTouched":0,"peakSamples":2}}}},"httpRequest":{{"clientIP":"::1","method":"GET","path":"/api/v1/query_range"}}}}"#
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], shape);
        let second: Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(second["error"], json!("query was canceled in query queue"));
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_made_anew_and_none_ends_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let (file, moved) = (folder.path().join("q.log"), folder.path().join("q.log.1"));
        let log = log();
        tell(&log, "before", None);
        log.open(Some(&file)).unwrap().apply();
        tell(&log, "1", None);
        std::fs::rename(&file, &moved).unwrap();
        tell(&log, "2", None);
        log.open(Some(&file)).unwrap().apply();
        tell(&log, "3", None);
        drop(log.open(None).unwrap());
        assert!(log.enabled(), "what is opened and not applied changes nothing");
        tell(&log, "4", None);
        log.open(None).unwrap().apply();
        assert!(!log.enabled());
        tell(&log, "after", None);
        log.close().await;
        assert_eq!(
            (queries(&moved), queries(&file)),
            (vec!["1".into(), "2".into()], vec!["3".into(), "4".into()])
        );
        assert_eq!(log.failures(), 0);
    }

    #[tokio::test]
    async fn what_is_there_is_kept_and_what_cannot_be_opened_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.log");
        std::fs::write(&file, "{\"params\":{\"query\":\"old\"}}\n").unwrap();
        let log = log();
        log.open(Some(&file)).unwrap().apply();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        for bad in [folder.path(), &folder.path().join("none/q.log"), &pipe] {
            let error = log.open(Some(bad)).err().unwrap().to_string();
            assert!(
                error.starts_with(&format!("query_log_file: {}: ", bad.display())),
                "{error}"
            );
        }
        tell(&log, "new", None);
        log.close().await;
        assert_eq!(queries(&file), ["old", "new"]);
    }

    #[tokio::test]
    async fn a_full_disk_is_counted_and_does_not_end_the_log() {
        let log = log();
        log.open(Some(Path::new("/dev/full"))).unwrap().apply();
        tell(&log, "1", None);
        tell(&log, "2", None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.log");
        log.open(Some(&file)).unwrap().apply();
        tell(&log, "3", None);
        log.close().await;
        assert_eq!((log.failures(), queries(&file)), (2, vec!["3".to_owned()]));
        tell(&log, "late", None);
        assert_eq!(log.failures(), 3, "what comes after the end is counted");
    }

    #[test]
    fn a_line_that_was_written_in_part_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("q.log");
        let mut target = Target::open(&file).unwrap();
        assert!(target.write(b"{\"params\""));
        target.torn = true;
        assert!(target.write(b"{\"params\":{\"query\":\"next\"}}\n"));
        assert_eq!(queries(&file), ["no JSON: {\"params\"", "next"]);
    }

    #[test]
    fn what_finds_too_much_waiting_is_counted() {
        let log = log();
        let long = "x".repeat(1 << 20);
        for _ in 0..10 {
            tell(&log, &long, None);
        }
        // Nobody writes here; the names beside the text take their room too.
        assert_eq!((log.shared.queue.lock().items.len(), log.failures()), (7, 3));
    }
}
