//! `leadline tsdb dump` and `dump-openmetrics`.

use super::text::{Braced, Exposed};
use super::{Failure, open};
use clap::{Args, ValueEnum};
use leadline_model::Matcher;
use leadline_model::histogram::HistogramSample;
use leadline_model::labels::{Labels, NAME};
use leadline_model::matcher::{MatchOp, all_match};
use leadline_model::number::general;
use leadline_model::port::{Queryable, SeriesSet};
use leadline_model::sample::{Samples, Timestamp, is_stale};
use leadline_promql::syntax::ast::{Border, ExprKind, Shift};
use leadline_storage::db::ReadOnly;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::PathBuf;

/// What is printed.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The earliest time, milliseconds since the Unix epoch.
    #[arg(long, value_name = "MS", default_value_t = i64::MIN, hide_default_value = true, allow_hyphen_values = true)]
    min_time: i64,
    /// The latest time, milliseconds since the Unix epoch.
    #[arg(long, value_name = "MS", default_value_t = i64::MAX, hide_default_value = true, allow_hyphen_values = true)]
    max_time: i64,
    /// Series selector; may be given several times. Default: every series.
    #[arg(long = "match", value_name = "SELECTOR", value_parser = selector)]
    matchers: Vec<Selector>,
    /// Taken as promtool's flag is, and not used: reading writes nothing.
    #[arg(long, value_name = "DIR", hide = true)]
    sandbox_dir_root: Option<PathBuf>,
    /// The directory.
    #[arg(value_name = "DB PATH", default_value = "data/")]
    path: PathBuf,
}

/// A series selector.
#[derive(Debug, Clone)]
pub(super) struct Selector(pub(super) Vec<Matcher>);

/// Reads a plain series selector, such as `up{job="api"}`.
pub(super) fn selector(text: &str) -> Result<Selector, String> {
    let expr = leadline_promql::syntax::parse(text).map_err(|e| e.to_string())?;
    match expr.kind {
        ExprKind::Selector(selector)
            if selector.shift == Shift::default()
                && selector.computed_offset.is_none()
                && selector.border == Border::Open =>
        {
            Ok(Selector(selector.matchers))
        }
        _ => Err("a plain series selector such as up{job=\"api\"} was expected".to_owned()),
    }
}

/// Prints series and samples.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[command(flatten)]
    selection: Selection,
    /// How.
    #[arg(long, value_enum, default_value = "prom")]
    format: Format,
}

/// How series are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One sample a line: labels, value, milliseconds.
    Prom,
    /// One series a line, as JSON, without samples.
    Seriesjson,
}

impl Dump {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self.format {
            Format::Prom => self.selection.each(&mut |series| series.write(out)),
            Format::Seriesjson => self.selection.each(&mut |series| {
                // The series is there when it has a sample in the range.
                match series.is_empty() {
                    true => Ok(()),
                    false => Ok(writeln!(out, "{}", json(&series.labels))?),
                }
            }),
        }
    }
}

/// Prints samples as OpenMetrics text.
#[derive(Debug, Args)]
pub(crate) struct DumpOpenmetrics {
    #[command(flatten)]
    selection: Selection,
}

impl DumpOpenmetrics {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        self.selection.each(&mut |series| series.write_openmetrics(out))?;
        Ok(writeln!(out, "# EOF")?)
    }
}

impl Selection {
    /// Calls `each` for every selected series, those of one metric after those of another: labels are in memory of one metric
    /// at a time, samples of one series.
    fn each(&self, each: &mut dyn FnMut(&Series) -> Result<(), Failure>) -> Result<(), Failure> {
        let store = open::read_only(&self.path)?;
        let everything = [Selector(vec![Matcher::new(NAME, MatchOp::Regex, ".*")?])];
        let selectors = if self.matchers.is_empty() {
            &everything
        } else {
            self.matchers.as_slice()
        };
        for (i, Selector(matchers)) in selectors.iter().enumerate() {
            let earlier = selectors.get(..i).unwrap_or_default();
            let metrics = store.label_values(NAME, matchers, self.min_time, self.max_time)?;
            // The empty name is that of series without one.
            for metric in std::iter::once("").chain(metrics.iter().map(String::as_str)) {
                let mut matchers = matchers.clone();
                matchers.push(Matcher::new(NAME, MatchOp::Equal, metric)?);
                self.each_of(&store, &matchers, earlier, each)?;
            }
        }
        complete(&store)
    }

    /// Calls `each` for the series that fulfil all matchers. What an `earlier` selector matches was printed with that: a series
    /// is printed once, and none has to be remembered for it.
    fn each_of(
        &self,
        store: &ReadOnly,
        matchers: &[Matcher],
        earlier: &[Selector],
        each: &mut dyn FnMut(&Series) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let times = (self.min_time, self.max_time);
        let found = store.select(matchers, times.0, times.1, true)?;
        for i in 0..found.len() {
            let labels = found.labels(i);
            if earlier.iter().any(|Selector(matchers)| all_match(matchers, &labels)) {
                continue;
            }
            each(&Series::read(found.as_ref(), i, labels, times)?)?;
        }
        Ok(())
    }
}

/// What is readable has been printed; what is not must not go unnoticed.
fn complete(store: &ReadOnly) -> Result<(), Failure> {
    let blocks = store.damaged();
    let blocks = blocks
        .iter()
        .map(|(block, why)| format!("block {block} is left out: {why}"));
    let lost: Vec<String> = blocks.chain(store.replayed().lost.iter().cloned()).collect();
    match lost.is_empty() {
        true => Ok(()),
        false => Err(lost.join("\n").into()),
    }
}

/// One series with its samples.
struct Series {
    labels: Labels,
    floats: Samples,
    histograms: Vec<HistogramSample>,
}

impl Series {
    fn read(
        found: &dyn SeriesSet,
        i: usize,
        labels: Labels,
        (mint, maxt): (Timestamp, Timestamp),
    ) -> Result<Self, Failure> {
        let (mut floats, mut histograms) = (Samples::default(), Vec::new());
        found.read(i, mint, maxt, &mut floats)?;
        found.read_histograms(i, mint, maxt, &mut histograms)?;
        Ok(Self {
            labels,
            floats,
            histograms,
        })
    }

    fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Floats and histograms in order of their times.
    fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let labels = Braced(&self.labels).to_string();
        let mut histograms = self.histograms.iter().peekable();
        for (&t, &v) in self.floats.t.iter().zip(&self.floats.v) {
            while let Some(sample) = histograms.next_if(|sample| sample.t < t) {
                writeln!(out, "{labels} {} {}", sample.h, sample.t)?;
            }
            writeln!(out, "{labels} {} {t}", general(v))?;
        }
        for sample in histograms {
            writeln!(out, "{labels} {} {}", sample.h, sample.t)?;
        }
        Ok(())
    }

    fn write_openmetrics(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let series = Exposed(&self.labels).to_string();
        let samples = self.floats.t.iter().zip(&self.floats.v);
        for (&t, &v) in samples.filter(|(_, v)| !is_stale(**v)) {
            let sign = if t < 0 { "-" } else { "" };
            let ms = t.unsigned_abs();
            writeln!(out, "{series} {} {sign}{}.{:03}", general(v), ms / 1000, ms % 1000)?;
        }
        Ok(())
    }
}

/// Labels as a JSON object, with the escapes of Go's encoder, which thinks of HTML.
fn json(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
    let text = Value::Object(pairs.collect::<Map<_, _>>()).to_string();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_model::clock::ManualClock;
    use leadline_model::entropy::SeededEntropy;
    use leadline_model::port::{Appender, Attempt, Batch, Entry, Extras, Slot};
    use leadline_storage::Settings;
    use leadline_storage::db::{Db, Parts};
    use leadline_storage::disk::RealDisk;
    use std::sync::Arc;

    #[test]
    fn a_series_that_several_selectors_match_is_printed_once() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(Parts {
            disk: Arc::new(RealDisk),
            path: dir.path().to_owned(),
            settings: Settings::default(),
            clock: Arc::new(ManualClock::at(1000)),
            entropy: Arc::new(SeededEntropy::new(1)),
        })
        .unwrap();
        db.replay().unwrap();
        let entry = |n| Entry {
            series: Slot::New(n),
            t: 1000,
            v: f64::from(n),
        };
        let series = |n| Labels::from_pairs([("__name__", "m".to_owned()), ("n", format!("{n}"))]);
        db.commit(&Batch {
            owner: db.new_owner(),
            slot: 1000,
            attempt: Attempt::Good,
            created: (0..3).map(series).collect(),
            entries: (0..3).map(entry).collect(),
            extras: Extras::default(),
        })
        .unwrap();
        db.close().unwrap();
        let dump = Dump {
            selection: Selection {
                min_time: 0,
                max_time: 2000,
                matchers: [r#"m{n=~"1|2"}"#, r#"{n="1"}"#, "m"]
                    .map(|text| selector(text).unwrap())
                    .into(),
                sandbox_dir_root: None,
                path: dir.path().to_owned(),
            },
            format: Format::Prom,
        };
        let mut out = Vec::new();
        dump.write(&mut out).unwrap();
        let line = |n| format!("{{__name__=\"m\", n=\"{n}\"}} {n} 1000\n");
        assert_eq!(String::from_utf8(out).unwrap(), [1, 2, 0].map(line).concat());
    }
}
