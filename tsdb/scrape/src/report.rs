//! What scraping says of itself in the target's own series (`report` in `scrape/scrape.go`).

use crate::ingest::{Counts, Created, Scratch};
use crate::relabel::report_labels;
use leadline_model::labels::Labels;
use leadline_model::metadata::{Metadata, MetricKind};
use leadline_model::port::{Entry, MetadataEntry, SeriesRef, Slot};
use leadline_model::{STALE_NAN, Timestamp};

const NAMES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// Unit and meaning of each.
const MEANINGS: [(&str, &str); NAMES.len()] = [
    ("targets", "Whether the last scrape of the target succeeded: 1, or 0."),
    ("seconds", "How long the last scrape took."),
    ("samples", "How many samples the last scrape brought."),
    ("samples", "How many of them metric relabelling left."),
    (
        "series",
        "How many series the last scrape brought that were not known before.",
    ),
];

/// What one scrape reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) up: bool,
    pub(crate) duration_s: f64,
    pub(crate) counts: Counts,
}

/// The report series of one target.
#[derive(Debug)]
pub(crate) struct Report {
    labels: [Labels; NAMES.len()],
    refs: [Option<SeriesRef>; NAMES.len()],
}

impl Report {
    pub(crate) fn new(target: &Labels) -> Self {
        Self {
            labels: NAMES.map(|name| report_labels(name, target)),
            refs: [None; NAMES.len()],
        }
    }

    /// How many samples it has: the last ones of a scrape.
    pub(crate) const LEN: usize = NAMES.len();

    /// Adds one sample of each series to the batch and, with `tell`, what a series that is new means.
    pub(crate) fn append(&self, at: Timestamp, measured: Measured, tell: bool, scratch: &mut Scratch) {
        let counts = measured.counts;
        let values = [
            f64::from(u8::from(measured.up)),
            measured.duration_s,
            counts.scraped as f64,
            counts.kept as f64,
            counts.added as f64,
        ];
        for (n, v) in values.into_iter().enumerate() {
            let series = match self.refs[n] {
                Some(series) => Slot::Known(series),
                None => {
                    scratch.created.push(self.labels[n].clone());
                    scratch.created_for.push(Created::Report(n));
                    let series = Slot::New(scratch.created.len() as u32 - 1);
                    if tell {
                        scratch.metadata.push(MetadataEntry {
                            series,
                            metadata: meaning(n),
                        });
                    }
                    series
                }
            };
            scratch.batch_entries.push(Entry { series, t: at, v });
        }
    }

    /// Where `up` is among entries to which a report was added last.
    pub(crate) fn up_of(entries: &[Entry]) -> Option<usize> {
        entries.len().checked_sub(NAMES.len())
    }

    /// Adds a marker for each series that was ever written.
    pub(crate) fn append_stale(&self, at: Timestamp, scratch: &mut Scratch) {
        let known = self.refs.iter().flatten();
        scratch.batch_entries.extend(known.map(|series| Entry {
            series: Slot::Known(*series),
            t: at,
            v: STALE_NAN,
        }));
    }

    pub(crate) fn learn(&mut self, n: usize, series: Option<SeriesRef>) {
        self.refs[n] = series;
    }

    /// Forgets the references; they are asked for again.
    pub(crate) fn forget(&mut self) {
        self.refs = [None; NAMES.len()];
    }
}

fn meaning(n: usize) -> Metadata {
    let (unit, help) = MEANINGS[n];
    Metadata {
        kind: MetricKind::Gauge,
        unit: unit.into(),
        help: help.into(),
    }
}
