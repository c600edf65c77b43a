//! The systems that are compared, how each is started, and what each leaves on disk.

use super::disk;
use super::scenario::Scenario;
use crate::error::BenchError;
use crate::peer::{built, free_address};
use crate::process::Process;
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of a configuration, in the folder of its system.
pub(crate) const CONFIG: &str = "config.yml";

/// A system under measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    /// This project.
    Leadline,
    /// Prometheus, from its Go module.
    Prometheus,
    /// VictoriaMetrics, Debian's or the one given.
    #[value(name = "victoriametrics")]
    VictoriaMetrics,
}

/// A system with its program and the folder of one life.
pub(crate) struct Installed {
    /// Which.
    pub(crate) system: System,
    /// The first line of what its `--version` says, or of its package.
    pub(crate) version: String,
    /// Size and time of change of the program: another build is another system.
    pub(crate) build: String,
    program: PathBuf,
}

/// Where one life of a system keeps its files and listens.
pub(super) struct Home {
    /// The configuration, the log and the data.
    pub(super) folder: PathBuf,
    /// Of its HTTP API.
    pub(super) web: SocketAddr,
}

impl System {
    /// As files are named.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Leadline => "leadline",
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoriametrics",
        }
    }

    /// Whether it writes Prometheus' log and blocks.
    pub(crate) fn has_blocks(self) -> bool {
        self != Self::VictoriaMetrics
    }

    /// Finds its program and version.
    pub(crate) fn find(self, leadline: &Path, victoria_metrics: Option<&Path>) -> Result<Installed, BenchError> {
        let program = match (self, victoria_metrics) {
            (Self::Leadline, _) => leadline.to_owned(),
            (Self::Prometheus, _) => built("prometheus")?.join("prometheus"),
            (Self::VictoriaMetrics, Some(path)) => path.to_owned(),
            (Self::VictoriaMetrics, None) => debian("victoria-metrics")?.join("usr/bin/victoria-metrics"),
        };
        let Ok(about) = program.metadata() else {
            return Err(BenchError::Missing {
                program: program.display().to_string(),
                remedy: match self {
                    Self::Leadline => "cargo build --release",
                    Self::Prometheus => "tests/programs/build prometheus",
                    Self::VictoriaMetrics => "tests/programs/debian victoria-metrics, or --victoria-metrics",
                },
            });
        };
        let changed = about.modified()?.duration_since(std::time::UNIX_EPOCH);
        Ok(Installed {
            system: self,
            version: version(self, &program)?,
            build: format!("{} {}", about.len(), changed.map_or(0, |d| d.as_secs())),
            program,
        })
    }
}

/// What the program says of itself; Debian's VictoriaMetrics says nothing, so its package's version is taken.
fn version(system: System, program: &Path) -> Result<String, BenchError> {
    let output = Command::new(program).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let said = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    let path = program.display().to_string();
    let package = path
        .split("debian-victoria-metrics-")
        .nth(1)
        .and_then(|p| p.split('/').next());
    Ok(match (system, package) {
        (System::VictoriaMetrics, Some(version)) => format!("VictoriaMetrics {version}"),
        (System::Prometheus, _) => {
            let number = said.split_whitespace().skip_while(|w| *w != "version").nth(1);
            format!("Prometheus {}", number.unwrap_or(said))
        }
        _ => said.to_owned(),
    })
}

/// The folder of a package that `tests/programs/debian` unpacked.
fn debian(name: &str) -> Result<PathBuf, BenchError> {
    let output = Command::new("tests/programs/debian").args(["--where", name]).output()?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

impl Home {
    /// A folder with a configuration that scrapes `targets`.
    pub(super) fn new(folder: &Path, scenario: &Scenario, targets: &[SocketAddr]) -> Result<Self, BenchError> {
        let targets: Vec<String> = targets.iter().map(|a| format!("\"{a}\"")).collect();
        let interval = scenario.interval;
        std::fs::write(
            folder.join(CONFIG),
            format!(
                "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}\n\
                 scrape_configs: [{{job_name: bench, static_configs: [{{targets: [{}]}}]}}]\n",
                targets.join(",")
            ),
        )?;
        Ok(Self {
            folder: folder.to_owned(),
            web: free_address()?,
        })
    }

    /// Where the system keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Bytes of the write-ahead log.
    pub(super) fn log_bytes(&self) -> Result<u64, BenchError> {
        disk::bytes(&self.data().join("wal"))
    }
}

impl Installed {
    /// Starts it, for the first time or again.
    pub(super) fn start(&self, home: &Home, scenario: &Scenario) -> Result<Process, BenchError> {
        // As far as levels go in either: 1, 3 and 9 times the first range.
        let (least, most) = (scenario.block_range, scenario.block_range * 9);
        let blocks = [
            format!("--storage.tsdb.min-block-duration={least}s"),
            format!("--storage.tsdb.max-block-duration={most}s"),
            "--storage.tsdb.retention.time=24h".to_owned(),
        ];
        let config = home.folder.join(CONFIG).display().to_string();
        let victoria = [format!("-promscrape.config={config}"), "-retentionPeriod=1".to_owned()];
        self.launch(&home.folder, home.web, &blocks, &victoria)
    }

    /// Starts it on `folder`, with its configuration, data and log, to listen on `web`; `blocks` are flags for those that have
    /// Prometheus' flags, `victoria` for VictoriaMetrics.
    pub(crate) fn launch(
        &self,
        folder: &Path,
        web: SocketAddr,
        blocks: &[String],
        victoria: &[String],
    ) -> Result<Process, BenchError> {
        let config = folder.join(CONFIG).display().to_string();
        let data = folder.join("data").display().to_string();
        let mut args = match self.system {
            System::Prometheus | System::Leadline => vec![
                format!("--config.file={config}"),
                format!("--web.listen-address={web}"),
                format!("--storage.tsdb.path={data}"),
            ],
            System::VictoriaMetrics => vec![
                format!("-httpListenAddr={web}"),
                format!("-storageDataPath={data}"),
                // Its queries look back 30 s from now otherwise, and see new series that late.
                "-search.latencyOffset=0s".to_owned(),
                "-search.disableCache".to_owned(),
            ],
        };
        args.extend_from_slice(if self.system.has_blocks() { blocks } else { victoria });
        if self.system == System::Leadline {
            args.insert(0, "serve".to_owned());
            // Rollouts hold four times the series at most; the limit is not what is measured.
            args.push("--storage.tsdb.max-series=10000000".to_owned());
            args.push(format!("--adapter.listen-address={}", free_address()?));
            args.push(format!("--scaler.listen-address={}", free_address()?));
        }
        Process::start(&self.program, &args, &folder.join("log"))
    }
}
