//! The load generator as the benchmark sees it.

use super::generator::{Addresses, Served};
use crate::client::Client;
use crate::error::BenchError;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running generator; ended when dropped.
pub(super) struct Load {
    child: Child,
    addresses: Addresses,
}

impl Load {
    /// Starts one that serves `targets` targets of `series` series.
    pub(super) fn start(targets: usize, series: usize) -> Result<Self, BenchError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--generate", &targets.to_string(), &series.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        match serde_json::from_str(&line) {
            Ok(addresses) => Ok(Self { child, addresses }),
            Err(error) => {
                // Fails only when it has ended already.
                let _ = child.kill();
                let _ = child.wait();
                Err(BenchError::Unexpected(format!(
                    "the load generator said {line:?}: {error}"
                )))
            }
        }
    }

    /// Where the targets listen.
    pub(super) fn targets(&self) -> &[SocketAddr] {
        &self.addresses.targets
    }

    /// What was scraped until now.
    pub(super) async fn served(&self) -> Result<Served, BenchError> {
        let mut client = Client::connect(self.addresses.control, None).await?;
        let (_, body) = client.get("/").await?;
        serde_json::from_slice(&body).map_err(|e| BenchError::Unexpected(format!("the load generator: {e}")))
    }

    /// Waits until every target was scraped `times` times from now on.
    pub(super) async fn wait(&self, times: u64, patience: Duration) -> Result<(), BenchError> {
        self.wait_after("/mark", times, patience).await
    }

    /// Replaces all pods and waits until every target was scraped `times` times since.
    pub(super) async fn roll_out(&self, times: u64, patience: Duration) -> Result<(), BenchError> {
        self.wait_after("/rollout", times, patience).await
    }

    async fn wait_after(&self, path: &str, times: u64, patience: Duration) -> Result<(), BenchError> {
        Client::connect(self.addresses.control, None).await?.post(path).await?;
        let began = Instant::now();
        while self.served().await?.least < times {
            if began.elapsed() > patience {
                return Err(BenchError::Unexpected(format!(
                    "not every target was scraped {times} times within {patience:?}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Either fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
