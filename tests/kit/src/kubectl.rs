//! The real kubectl, as people use it.

use crate::failure::Context;
use crate::{Result, fail, programs};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// kubectl with a kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    /// kubectl that reads `kubeconfig`; its discovery cache lives beside it.
    ///
    /// # Errors
    /// kubectl is not built.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        let cache = kubeconfig.with_extension("cache");
        Ok(Self {
            program: programs::binary("kubernetes", "kubectl")?,
            kubeconfig: kubeconfig.to_owned(),
            cache,
        })
    }

    /// Runs it and returns stdout.
    ///
    /// # Errors
    /// It ended with an error; the message is its stderr.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        self.run_with_input(args, "").await
    }

    /// Runs it with `input` on stdin and returns stdout.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context(self.program.display())?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            fail!(
                "kubectl {}: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `kubectl apply --server-side -f FILE` for every file, in order.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub async fn apply_files(&self, files: &[&Path]) -> Result<()> {
        for file in files {
            let file = file.display().to_string();
            self.run(&["apply", "--server-side", "--force-conflicts", "-f", &file])
                .await?;
        }
        Ok(())
    }

    /// Applies objects given as YAML or JSON text.
    ///
    /// # Errors
    /// See [`Self::run`].
    pub async fn apply(&self, text: &str) -> Result<()> {
        self.run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], text)
            .await
            .map(drop)
    }
}
