//! The systems that are compared, and how each is started on the same configuration.

use crate::error::BenchError;
use crate::process::Process;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A system under measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// This project.
    Leadline,
    /// Prometheus, from its Go module.
    Prometheus,
}

impl Peer {
    /// As the report names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Leadline => "leadline",
            Self::Prometheus => "Prometheus 3.16.0",
        }
    }

    /// Starts it on `config`; its HTTP API is at the address returned.
    pub(crate) fn start(
        self,
        leadline: &Path,
        config: &Path,
        folder: &Path,
    ) -> Result<(Process, SocketAddr), BenchError> {
        let web = free_address()?;
        let log = folder.join("log");
        let text = |path: &Path| path.display().to_string();
        let (program, args) = match self {
            Self::Leadline => {
                if !leadline.exists() {
                    return Err(BenchError::Missing {
                        program: text(leadline),
                        remedy: "cargo build --release",
                    });
                }
                let args = vec![
                    "serve".to_owned(),
                    format!("--config.file={}", text(config)),
                    format!("--web.listen-address={web}"),
                    format!("--storage.tsdb.path={}", text(&folder.join("data"))),
                    format!("--adapter.listen-address={}", free_address()?),
                    format!("--scaler.listen-address={}", free_address()?),
                ];
                (leadline.to_owned(), args)
            }
            Self::Prometheus => {
                let args = vec![
                    format!("--config.file={}", text(config)),
                    format!("--web.listen-address={web}"),
                    format!("--storage.tsdb.path={}", text(&folder.join("data"))),
                ];
                (built("prometheus")?.join("prometheus"), args)
            }
        };
        Ok((Process::start(&program, &args, &log)?, web))
    }
}

/// The folder of a program built by `tests/programs/build`.
pub(crate) fn built(name: &str) -> Result<PathBuf, BenchError> {
    let output = Command::new("tests/programs/build").args(["--where", name]).output()?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(BenchError::Missing {
            program: name.to_owned(),
            remedy: "run it from the root of the checkout after tests/programs/build",
        })
    }
}

/// A loopback address that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, BenchError> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
