//! A measured program: started, watched through `/proc`, ended.

use crate::error::BenchError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The time between two looks at whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A running program; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `args`; its output goes to `log`.
    pub(crate) fn start(program: &Path, args: &[String], log: &Path) -> Result<Self, BenchError> {
        let out = std::fs::File::create(log)?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .map_err(|e| BenchError::Unexpected(format!("{}: {e}", program.display())))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// CPU time used until now, seconds (user and system).
    pub(crate) fn cpu(&self) -> Result<f64, BenchError> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .map(|f| f.parse().unwrap_or(0.0))
            .collect();
        match (fields.get(11), fields.get(12)) {
            (Some(user), Some(system)) => Ok((user + system) / 100.0),
            _ => Err(BenchError::Unexpected("/proc/PID/stat has too few fields".to_owned())),
        }
    }

    /// Memory held now, bytes (`VmRSS`).
    pub(crate) fn rss(&self) -> Result<f64, BenchError> {
        Ok(Memory::of(self.id())?.rss)
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it ever held, bytes (`VmHWM`).
    pub(crate) fn peak_rss(&self) -> Result<f64, BenchError> {
        Memory::field(self.id(), "VmHWM:")
    }

    /// Lets [`Self::peak_rss`] count from now on.
    pub(crate) fn forget_peak(&self) -> Result<(), BenchError> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5")?)
    }

    /// Resolves with an error when the program has ended by itself; never otherwise.
    pub(crate) async fn ended(&self) -> BenchError {
        let stat = format!("/proc/{}/stat", self.id());
        loop {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            let state = stat
                .rsplit(')')
                .next()
                .and_then(|fields| fields.split_whitespace().next());
            if matches!(state, None | Some("Z")) {
                return BenchError::Unexpected("the program ended by itself".to_owned());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), BenchError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The end of its output.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// `VmRSS`: everything resident, mapped files too.
    pub(crate) rss: f64,
    /// `RssAnon`: what only swap could take away.
    pub(crate) anonymous: f64,
}

impl Memory {
    /// What the process `id` holds now.
    pub(crate) fn of(id: u32) -> Result<Self, BenchError> {
        Ok(Self {
            rss: Self::field(id, "VmRSS:")?,
            anonymous: Self::field(id, "RssAnon:")?,
        })
    }

    fn field(id: u32, key: &str) -> Result<f64, BenchError> {
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|l| l.strip_prefix(key));
        let kilobytes = line.and_then(|l| l.split_whitespace().next());
        let number = kilobytes.and_then(|n| n.parse::<f64>().ok());
        number
            .map(|kb| kb * 1024.0)
            .ok_or_else(|| BenchError::Unexpected(format!("no {key} did the program end?")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
