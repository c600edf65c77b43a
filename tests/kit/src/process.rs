//! Local processes: started with a log file, killed with their owner.

use crate::failure::Context;
use crate::wait::until;
use crate::{Failure, Result};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name in messages and of the log file.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment, added to ours unless [`Spec::clear_env`].
    pub env: Vec<(OsString, OsString)>,
    /// Start with nothing of our own environment.
    pub clear_env: bool,
    /// Where stdout and stderr are appended to.
    pub log: PathBuf,
}

impl Spec {
    /// `program` named `name`, logging to `folder`/NAME.log.
    #[must_use]
    pub fn new(name: &str, program: &Path, folder: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            log: folder.join(format!("{name}.log")),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts it. The process dies with the returned value, and with the thread that started it where `setpriv` is
    /// there, so that an interrupted test leaves nothing behind.
    ///
    /// # Errors
    /// The log cannot be opened or the program not be started.
    pub fn start(&self) -> Result<Process> {
        let log = self.open_log()?;
        let mut command = match Path::new("/usr/bin/setpriv").exists() {
            true => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            false => Command::new(&self.program),
        };
        if self.clear_env {
            command.env_clear();
        }
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().context(format!("start {}", self.program.display()))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| Failure::new(format!("{} ended at once", self.name)))?;
        Ok(Process {
            name: self.name.clone(),
            pid,
            child: Mutex::new(Some(child)),
            log: self.log.clone(),
        })
    }

    fn open_log(&self) -> Result<File> {
        if let Some(folder) = self.log.parent() {
            std::fs::create_dir_all(folder).context(folder.display())?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .context(self.log.display())
    }
}

/// A process that is running or has ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Option<Child>>,
    log: PathBuf,
}

impl Process {
    /// The process's id.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal. One that has ended is left in peace: it is reaped only through this value, so the id is its own.
    pub fn signal(&self, signal: Signal) {
        if self.exited().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exited(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock();
        child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Waits for the end of the process.
    pub async fn wait(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGTERM, then SIGKILL after `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(grace, self.wait()).await.is_err() {
            self.signal(Signal::KILL);
            self.wait().await;
        }
    }

    /// The last `lines` lines of the log.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }

    /// Waits until `probe` holds; fails at once when the process ends.
    ///
    /// # Errors
    /// See [`until`]; the message carries the end of the log.
    pub async fn ready<F, P>(&self, what: &str, limit: Duration, mut probe: P) -> Result<()>
    where
        P: FnMut() -> F,
        F: Future<Output = Result<bool>>,
    {
        let alive = || {
            let ended = self.exited();
            let asked = probe();
            async move {
                match ended {
                    Some(status) => Ok(Some(Err(status))),
                    None => Ok(asked.await?.then_some(Ok(()))),
                }
            }
        };
        match until(what, limit, alive).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(Failure::new(format!(
                "{} ended with {status}:\n{}",
                self.name,
                self.tail(20)
            ))),
            Err(error) => Err(Failure::new(format!("{error}\n--- {}\n{}", self.name, self.tail(20)))),
        }
    }
}

/// The last `lines` lines of the file at `path`; empty when it cannot be read.
#[must_use]
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
