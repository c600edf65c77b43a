//! Log lines on standard error, as logfmt-like text or JSON.

use tracing_subscriber::EnvFilter;

/// `--log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Level {
    /// Everything.
    Debug,
    /// What an operator reads.
    Info,
    /// What may become a problem.
    Warn,
    /// What is one.
    Error,
}

/// `--log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Installs the process' subscriber. Called once, from `main`.
pub(crate) fn install(level: Level, format: Format) {
    let word = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    // Libraries below the rooms speak up only when something is wrong; `debug` opens our own crates alone.
    let filter = EnvFilter::new(format!(
        "warn,leadline={word},{}",
        ROOMS.map(|r| format!("leadline_{r}={word}")).join(",")
    ));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true);
    let installed = match format {
        Format::Logfmt => subscriber.with_ansi(false).try_init(),
        Format::Json => subscriber.json().flatten_event(true).try_init(),
    };
    debug_assert!(installed.is_ok(), "the subscriber is installed once");
}

const ROOMS: [&str; 13] = [
    "adapter",
    "api",
    "cluster",
    "discovery",
    "exposition",
    "httpclient",
    "promql",
    "scaler",
    "scrape",
    "standing",
    "storage",
    "tsdb",
    "model",
];
