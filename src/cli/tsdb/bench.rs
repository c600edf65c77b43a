//! `leadline tsdb bench`.

use super::{Failure, open};
use clap::{Args, Subcommand};
use leadline_model::clock::ManualClock;
use leadline_model::entropy::SystemEntropy;
use leadline_model::labels::Labels;
use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, SeriesRef, Slot};
use leadline_model::sample::Timestamp;
use leadline_model::target::OwnerId;
use leadline_storage::Settings;
use leadline_storage::db::{Db, Parts};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Measures.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Writes samples to a new directory and says how fast that was.
    Write(BenchWrite),
}

impl Bench {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let Self::Write(command) = self;
        command.write(out)
    }
}

/// Writes samples to a new directory.
#[derive(Debug, Args)]
pub(crate) struct BenchWrite {
    /// The directory, which must not be there yet.
    #[arg(long, value_name = "FOLDER", default_value = "benchout")]
    out: PathBuf,
    /// Series to write to.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    metrics: usize,
    /// Samples per series, 15 s apart.
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    scrapes: usize,
    /// Label sets, a JSON object a line; made up where it is absent.
    #[arg(value_name = "FILE")]
    samples: Option<PathBuf>,
}

/// Series per owner, as a target has them.
const PER_OWNER: usize = 1_000;
/// Time between two scrapes, ms.
const INTERVAL_MS: i64 = 15_000;
/// Time of the first sample, ms.
const BEGIN: Timestamp = 1_700_000_000_000;

impl BenchWrite {
    fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(format!("{}: it is there already: name a new folder", self.out.display()).into());
        }
        let clock = Arc::new(ManualClock::at(BEGIN));
        let mut owners = Vec::new();
        let db = Db::open(Parts {
            disk: open::disk(),
            path: self.out.join("storage"),
            settings: Settings {
                retention_ms: 15 * 24 * 3_600_000,
                ..Settings::default()
            },
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SystemEntropy::default()),
        })?;
        db.replay()?;
        stage(out, "readData", || {
            let labels = self.labels()?;
            owners = labels.chunks(PER_OWNER).map(|labels| Owner::new(&db, labels)).collect();
            Ok(())
        })?;
        let mut total = 0;
        let took = stage(out, "ingestScrapes", || {
            for scrape in 0..self.scrapes {
                let t = BEGIN + INTERVAL_MS * i64::try_from(scrape)?;
                clock.set(t);
                for owner in &mut owners {
                    total += owner.scrape(&db, t, scrape)?;
                }
                db.flush()?;
            }
            Ok(())
        })?;
        writeln!(out, " > total samples: {total}")?;
        writeln!(out, " > samples/sec: {}", total as f64 / took.as_secs_f64())?;
        stage(out, "stopStorage", || Ok(db.close()?))?;
        Ok(())
    }

    fn labels(&self) -> Result<Vec<Labels>, Failure> {
        let Some(file) = &self.samples else {
            let made_up = |i: usize| {
                let (metric, pod) = (i % 100, i / 100);
                Labels::from_pairs([
                    ("__name__", format!("app_metric_{metric:03}_total")),
                    ("instance", format!("10.0.{}.{}:8080", pod / 250, pod % 250)),
                    ("job", "bench".to_owned()),
                    ("pod", format!("app-{pod:05}")),
                ])
            };
            return Ok((0..self.metrics).map(made_up).collect());
        };
        let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let lines = text.lines().take(self.metrics).enumerate();
        lines
            .map(|(i, line)| {
                let pairs: std::collections::BTreeMap<String, String> =
                    serde_json::from_str(line).map_err(|e| format!("{}:{}: {e}", file.display(), i + 1))?;
                Ok(Labels::from_pairs(pairs))
            })
            .collect()
    }
}

/// Who scrapes some of the series.
struct Owner {
    id: OwnerId,
    created: Vec<Labels>,
    refs: Vec<Option<SeriesRef>>,
}

impl Owner {
    fn new(db: &Db, labels: &[Labels]) -> Self {
        Self {
            id: db.new_owner(),
            created: labels.to_vec(),
            refs: Vec::new(),
        }
    }

    /// Commits a sample of every series; how many were taken.
    fn scrape(&mut self, db: &Db, t: Timestamp, scrape: usize) -> Result<usize, Failure> {
        let new = !self.created.is_empty();
        let slot = |i: usize, known: Option<SeriesRef>| match known {
            Some(series) => Some(Slot::Known(series)),
            None if new => Some(Slot::New(u32::try_from(i).ok()?)),
            None => None,
        };
        let count = self.created.len().max(self.refs.len());
        let entries = (0..count).filter_map(|i| {
            let series = slot(i, self.refs.get(i).copied().flatten())?;
            // Counters of different speeds.
            let v = (scrape * (i % 97 + 1)) as f64;
            Some(Entry { series, t, v })
        });
        let entries: Vec<Entry> = entries.collect();
        let outcome = db.commit(&Batch {
            owner: self.id,
            slot: t,
            attempt: Attempt::Good,
            created: std::mem::take(&mut self.created),
            entries,
            extras: Extras::default(),
        })?;
        if new {
            self.refs = outcome.refs;
        }
        Ok(outcome.appended)
    }
}

/// Times a stage.
fn stage(out: &mut dyn Write, name: &str, work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    writeln!(out, ">> start stage={name}")?;
    out.flush()?;
    let began = Instant::now();
    work()?;
    let took = began.elapsed();
    writeln!(out, ">> completed stage={name} duration={took:?}")?;
    Ok(took)
}
