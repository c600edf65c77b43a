//! The workload of the cluster tests: an exporter whose counters follow the wall clock.
//!
//! A counter is the integral of its rate since a fixed moment, so an exporter that is killed and started again goes on
//! where it would be without the kill, as a counter of a service whose load does not care would. Rates and gauges are set
//! by POST and survive a restart in a state file.
//!
//! ```text
//! exporter --web.listen-address=127.0.0.1:8080 [--state=FILE] [--counter='NAME{labels}=RATE']... [--gauge='NAME{labels}=VALUE']...
//! GET  /metrics
//! POST /set?metric=NAME{labels}&rate=PER_SECOND      (or &value=VALUE for a gauge)
//! ```

use crate::failure::Context;
use crate::{Failure, Result, fail};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use leadline_model::clock::{Clock, SystemClock};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The moment (ms since the epoch) from which a counter's first rate counts: the same for every process.
const ORIGIN_MS: i64 = 1_700_000_000_000;

/// One series.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Series {
    /// `base` at `since` (ms), growing by `rate` per second.
    Counter { base: f64, since: i64, rate: f64 },
    /// A value that stands.
    Gauge(f64),
}

impl Series {
    fn value(self, now: i64) -> f64 {
        match self {
            Self::Gauge(value) => value,
            #[expect(
                clippy::cast_precision_loss,
                reason = "milliseconds of a few years are exact in an f64"
            )]
            Self::Counter { base, since, rate } => base + rate * (now - since) as f64 / 1000.0,
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Default)]
struct Options {
    listen: String,
    state: Option<PathBuf>,
    series: BTreeMap<String, Series>,
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options {
        listen: "127.0.0.1:8080".to_owned(),
        ..Options::default()
    };
    for arg in args {
        match arg.split_once('=') {
            Some(("--web.listen-address", address)) => address.clone_into(&mut options.listen),
            Some(("--state", path)) => options.state = Some(path.into()),
            Some(("--counter", series)) => {
                let (name, rate) = name_and_number(series)?;
                options.series.insert(
                    name,
                    Series::Counter {
                        base: 0.0,
                        since: ORIGIN_MS,
                        rate,
                    },
                );
            }
            Some(("--gauge", series)) => {
                let (name, value) = name_and_number(series)?;
                options.series.insert(name, Series::Gauge(value));
            }
            _ => fail!("exporter: unknown argument '{arg}'"),
        }
    }
    Ok(options)
}

/// `NAME{labels}=NUMBER`; label values may hold '='.
fn name_and_number(text: &str) -> Result<(String, f64)> {
    let (name, number) = text
        .rsplit_once('=')
        .ok_or_else(|| Failure::new(format!("'{text}': NAME=NUMBER expected")))?;
    let number = number
        .parse()
        .map_err(|_| Failure::new(format!("'{text}': '{number}' is no number")))?;
    Ok((name.to_owned(), number))
}

#[derive(Debug)]
struct Exporter {
    series: Mutex<BTreeMap<String, Series>>,
    state: Option<PathBuf>,
    clock: SystemClock,
}

impl Exporter {
    fn new(options: Options) -> Result<Self> {
        let mut series = options.series;
        if let Some(path) = &options.state
            && path.exists()
        {
            series.extend(load(path)?);
        }
        Ok(Self {
            series: Mutex::new(series),
            state: options.state,
            clock: SystemClock,
        })
    }

    fn render(&self) -> String {
        let now = self.clock.now();
        let mut text = String::new();
        let mut family = String::new();
        for (name, series) in self.series.lock().iter() {
            let base = name.split('{').next().unwrap_or(name);
            if base != family {
                let kind = if matches!(series, Series::Gauge(_)) {
                    "gauge"
                } else {
                    "counter"
                };
                let _ = writeln!(text, "# TYPE {base} {kind}");
                base.clone_into(&mut family);
            }
            let _ = writeln!(text, "{name} {}", series.value(now));
        }
        text
    }

    /// Sets one series and saves all.
    fn set(&self, query: &HashMap<String, String>) -> Result<()> {
        let name = query
            .get("metric")
            .ok_or_else(|| Failure::new("no 'metric' in the query"))?;
        let number = |key: &str| -> Result<Option<f64>> {
            query
                .get(key)
                .map(|text| {
                    text.parse()
                        .map_err(|_| Failure::new(format!("'{key}': '{text}' is no number")))
                })
                .transpose()
        };
        let mut series = self.series.lock();
        let now = self.clock.now();
        let next = match (number("rate")?, number("value")?) {
            (Some(rate), None) => {
                let base = series.get(name).map_or(0.0, |series| series.value(now));
                Series::Counter { base, since: now, rate }
            }
            (None, Some(value)) => Series::Gauge(value),
            _ => fail!("either 'rate' or 'value' expected"),
        };
        series.insert(name.clone(), next);
        self.state.as_deref().map_or(Ok(()), |path| save(path, &series))
    }
}

fn load(path: &Path) -> Result<BTreeMap<String, Series>> {
    let text = std::fs::read_to_string(path).context(path.display())?;
    let saved: BTreeMap<String, Value> = serde_json::from_str(&text).context(path.display())?;
    let read = |value: &Value| match value["rate"].as_f64() {
        Some(rate) => Series::Counter {
            base: value["base"].as_f64().unwrap_or_default(),
            since: value["since"].as_i64().unwrap_or_default(),
            rate,
        },
        None => Series::Gauge(value["value"].as_f64().unwrap_or_default()),
    };
    Ok(saved.iter().map(|(name, value)| (name.clone(), read(value))).collect())
}

/// Written aside and renamed: a kill in between must not lose the state.
fn save(path: &Path, series: &BTreeMap<String, Series>) -> Result<()> {
    let value = |series: &Series| match *series {
        Series::Counter { base, since, rate } => json!({"base": base, "since": since, "rate": rate}),
        Series::Gauge(value) => json!({ "value": value }),
    };
    let saved: BTreeMap<&String, Value> = series.iter().map(|(name, series)| (name, value(series))).collect();
    let aside = path.with_extension("new");
    std::fs::write(&aside, serde_json::to_vec(&saved)?).context(aside.display())?;
    std::fs::rename(&aside, path).context(path.display())
}

/// Serves until the process is told to stop by SIGTERM.
///
/// # Errors
/// An argument is wrong, the state cannot be read or the address not be bound.
pub async fn run(args: &[String]) -> Result<()> {
    let options = parse(args)?;
    let listener = tokio::net::TcpListener::bind(&options.listen)
        .await
        .context(&options.listen)?;
    let exporter = Arc::new(Exporter::new(options)?);
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/set", post(set))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(exporter);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

async fn metrics(State(exporter): State<Arc<Exporter>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        exporter.render(),
    )
}

async fn set(
    State(exporter): State<Arc<Exporter>>,
    Query(query): Query<HashMap<String, String>>,
) -> (StatusCode, String) {
    match exporter.set(&query) {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_the_integral_of_its_rate_so_a_restart_loses_nothing() {
        let series = Series::Counter {
            base: 7.0,
            since: 1_000,
            rate: 10.0,
        };
        assert_eq!(series.value(3_500), 32.0);
        let folder = std::env::temp_dir().join(format!("exporter-{}", std::process::id()));
        let saved = BTreeMap::from([("m{a=\"b\"}".to_owned(), series), ("g".to_owned(), Series::Gauge(4.5))]);
        save(&folder, &saved).unwrap();
        assert_eq!(load(&folder).unwrap(), saved);
        std::fs::remove_file(folder).unwrap();
    }

    #[test]
    fn arguments_name_series_with_labels() {
        let args = ["--counter=m{code=\"200\"}=5".to_owned(), "--gauge=g=1.5".to_owned()];
        let options = parse(&args).unwrap();
        assert_eq!(
            options.series["m{code=\"200\"}"],
            Series::Counter {
                base: 0.0,
                since: ORIGIN_MS,
                rate: 5.0
            }
        );
        assert_eq!(options.series["g"], Series::Gauge(1.5));
        assert!(parse(&["--counter=m".to_owned()]).is_err());
    }
}
