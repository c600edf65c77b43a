//! The command line: one file per command.

pub(crate) mod check;
mod client;
pub(crate) mod demo;
pub(crate) mod explain;
mod features;
pub(crate) mod promql;
mod query;
pub(crate) mod serve;
mod storage;
mod tsdb;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Scrapes, stores and queries metrics, and serves them to the Kubernetes HPA and KEDA.
#[derive(Debug, Parser)]
#[command(name = "leadline", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs leadline: scrapes targets and serves queries, the metrics APIs and the KEDA scaler.
    Serve(Box<serve::Serve>),
    /// Shows the whole main job on this machine, with a sample workload and nothing to install.
    Demo(demo::Demo),
    /// Checks files.
    #[command(subcommand)]
    Check(check::Check),
    /// Tells why a metric of an object is what it is, asked of a running leadline.
    Explain(explain::Explain),
    /// Looks at PromQL expressions: formats, checks and explains them.
    #[command(subcommand)]
    Promql(promql::Promql),
    /// Looks into a storage directory, copies it, and writes blocks.
    #[command(subcommand)]
    Tsdb(tsdb::Tsdb),
}

impl Cli {
    /// Runs the command; the exit code says whether it succeeded.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Explain(command) => command.run(),
            Command::Promql(command) => command.run(),
            Command::Tsdb(command) => command.run(),
        }
    }
}

/// The most threads for work that blocks: one for each query that `--query.max-concurrency` can allow, a quarter as many for
/// lists, and what tokio has by default for all else. They are started when they are needed.
const MOST_BLOCKING: usize = query::MOST_AT_ONCE as usize * 5 / 4 + 512;

/// How a command's work ended.
pub(crate) enum Ended {
    /// With everything it began; what still runs on a thread is waited for.
    Whole(ExitCode),
    /// Before it had begun in earnest; what still runs on a thread has no end to wait for, and is left behind.
    Early(ExitCode),
}

impl From<ExitCode> for Ended {
    fn from(code: ExitCode) -> Self {
        Self::Whole(code)
    }
}

/// Runs async work of a command on a runtime of its own.
pub(crate) fn on_runtime(work: impl Future<Output = impl Into<Ended>>) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = match builder.enable_all().max_blocking_threads(MOST_BLOCKING).build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format_args!("the runtime cannot start: {error}")),
    };
    match runtime.block_on(work).into() {
        Ended::Whole(code) => code,
        Ended::Early(code) => {
            runtime.shutdown_background();
            code
        }
    }
}

/// Says on standard error why a command failed.
#[expect(clippy::print_stderr, reason = "this is how a command line tells its user")]
pub(crate) fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("leadline: {error}");
    ExitCode::FAILURE
}

/// Prints the result of a command.
#[expect(clippy::print_stdout, reason = "standard output is where a command's result goes")]
pub(crate) fn print(text: &dyn std::fmt::Display) {
    println!("{text}");
}
