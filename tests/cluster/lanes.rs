//! Trials on different clusters side by side: each cluster's trials are a process of their own, one after the other.
//!
//! Most of a trial is waiting for an autoscaler, so that two clusters take hardly longer than one. Processes and not threads,
//! because a test runner knows no order between trials that share something.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

/// Which cluster's trials a process runs; without it, it starts one process for each.
const VARIABLE: &str = "LEADLINE_CLUSTER_LANE";

/// The cluster of this process, where it is one of those that were started.
pub(crate) fn own() -> Option<String> {
    std::env::var(VARIABLE).ok()
}

/// Runs this very program once for each lane, with the same arguments, and prints line by line what they print.
pub(crate) fn run_all(lanes: &[&str]) -> ExitCode {
    let run = |lane: &str| -> std::io::Result<bool> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env(VARIABLE, lane)
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                say(&line?);
            }
        }
        Ok(child.wait()?.success())
    };
    let passed: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = lanes.iter().map(|lane| (lane, scope.spawn(|| run(lane)))).collect();
        let joined = threads.into_iter().map(|(lane, thread)| match thread.join() {
            Ok(Ok(passed)) => passed,
            Ok(Err(error)) => {
                say(&format!("lane {lane}: {error}"));
                false
            }
            Err(_) => false,
        });
        joined.collect()
    });
    if passed.iter().all(|passed| *passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn say(line: &str) {
    #[expect(clippy::print_stdout, reason = "what a test prints")]
    {
        println!("{line}");
    }
}
