//! Makes the data directory once, copies it for each system, and sends it to VictoriaMetrics, which cannot open it.

use super::scenario::Scenario;
use super::series::{BEGIN, SERIES, Values, labels};
use crate::client::Client;
use crate::error::BenchError;
use crate::print;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Series in one request to VictoriaMetrics.
const AT_ONCE: usize = 250;

/// The data directory, which is written if it is not there yet.
pub(super) fn directory(results: &Path, scenario: &Scenario) -> Result<PathBuf, BenchError> {
    let folder = results.join(scenario.data());
    if folder.is_dir() {
        return Ok(folder);
    }
    print("  writing the data directory with leadline's store");
    let partial = folder.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial)?;
    }
    let step_ms = scenario.interval * 1_000;
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--release", "-p", "leadline-bench"])
        .args(["--example", "promql-data", "--"])
        .arg(&partial)
        .args([scenario.pods, scenario.samples, step_ms].map(|n| n.to_string()))
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(BenchError::Unexpected(format!("promql-data ended with {status}")));
    }
    std::fs::rename(&partial, &folder)?;
    Ok(folder)
}

/// Copies files and folders.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), BenchError> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Sends the same samples to VictoriaMetrics' import and makes them visible.
pub(super) async fn import(web: SocketAddr, scenario: &Scenario) -> Result<(), BenchError> {
    let mut client = Client::connect(web, None).await?;
    let mut times = String::new();
    for sample in 0..scenario.samples {
        let t = BEGIN + (sample * scenario.interval * 1_000) as i64;
        put(&mut times, format_args!("{}{t}", if sample > 0 { "," } else { "" }));
    }
    for n in 0..scenario.pods {
        for first in (0..SERIES).step_by(AT_ONCE) {
            let mut body = String::new();
            for i in first..(first + AT_ONCE).min(SERIES) {
                line(&mut body, (n, i), scenario.samples, &times);
            }
            let (status, answer) = client.post_body("/api/v1/import", body).await?;
            if status >= 300 {
                let text = String::from_utf8_lossy(&answer).into_owned();
                return Err(BenchError::Unexpected(format!("import: {status}: {text}")));
            }
        }
    }
    client.get("/internal/force_flush").await?;
    Ok(())
}

/// One series as the import takes it.
fn line(out: &mut String, (n, i): (usize, usize), samples: usize, times: &str) {
    let metric: serde_json::Map<_, _> = labels(n, i)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    put(
        out,
        format_args!("{{\"metric\":{},\"values\":[", serde_json::Value::Object(metric)),
    );
    let mut values = Values::of(n, i);
    for sample in 0..samples {
        put(
            out,
            format_args!("{}{}", if sample > 0 { "," } else { "" }, values.next()),
        );
    }
    put(out, format_args!("],\"timestamps\":[{times}]}}\n"));
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
