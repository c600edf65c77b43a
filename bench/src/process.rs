//! A measured program: started, watched through `/proc`, ended.

use crate::error::BenchError;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kilobytes = line
            .and_then(|l| l.split_whitespace().next())
            .and_then(|n| n.parse::<f64>().ok());
        kilobytes
            .map(|kb| kb * 1024.0)
            .ok_or_else(|| BenchError::Unexpected("no VmRSS: did the program end?".to_owned()))
    }

    /// The end of its output.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either fails only when the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
