//! `leadline tsdb analyze`.

use super::dump::{Selector, selector};
use super::spread::Spreads;
use super::text::Span;
use super::{Failure, open};
use clap::Args;
use leadline_model::labels::{Labels, NAME};
use leadline_model::matcher::all_match;
use leadline_storage::block::{Block, Meta};
use leadline_storage::source::{Source, SourceSeries};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

/// Analyzes churn, label pair cardinality and compaction efficiency of one block.
#[derive(Debug, Args)]
pub(crate) struct Analyze {
    /// How many items to show in each list.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Analyze chunks too.
    #[arg(long)]
    extended: bool,
    /// Only the series of this selector.
    #[arg(long = "match", value_name = "SELECTOR", value_parser = given)]
    matchers: Option<Given>,
    /// The directory.
    #[arg(value_name = "DB PATH", default_value = "data/")]
    path: PathBuf,
    /// The block; the last one by default.
    #[arg(value_name = "BLOCK ID")]
    block: Option<String>,
}

/// A selector and its text.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    selector: Selector,
}

fn given(text: &str) -> Result<Given, String> {
    let selector = selector(text)?;
    Ok(Given {
        text: text.to_owned(),
        selector,
    })
}

impl Analyze {
    pub(super) fn write(self, out: &mut dyn Write) -> Result<(), Failure> {
        let block = open::block(&self.path, self.block.as_deref())?;
        let meta = block.meta();
        writeln!(out, "Block ID: {}", meta.ulid)?;
        writeln!(out, "Duration: {}", Span(meta.max_time.saturating_sub(meta.min_time)))?;
        writeln!(out, "Total Series: {}", meta.stats.num_series)?;
        let figures = Figures::of(&block, self.matchers.as_ref().map(|m| &m.selector), self.extended)?;
        if let Some(matchers) = &self.matchers {
            writeln!(out, "Matcher: {}", matchers.text)?;
        }
        writeln!(out, "Label names: {}", figures.names.len())?;
        if self.matchers.is_some() {
            writeln!(out, "Matched series: {}", figures.series)?;
        }
        figures.write(out, self.limit)?;
        match figures.spreads {
            Some(spreads) => spreads.write(out),
            None => Ok(()),
        }
    }
}

/// What is counted of a label name.
#[derive(Debug, Default)]
struct Name {
    /// Time (ms) of the block that its series do not cover.
    uncovered: u64,
    values: BTreeSet<Box<str>>,
}

/// What is counted of a label pair.
#[derive(Debug, Default, Clone, Copy)]
struct Pair {
    uncovered: u64,
    series: u64,
}

/// What one walk through a block counts.
#[derive(Debug, Default)]
struct Figures {
    /// Time (ms) that the block spans.
    span: u64,
    series: u64,
    entries: u64,
    names: BTreeMap<Box<str>, Name>,
    /// By `name=value`.
    pairs: BTreeMap<Box<str>, Pair>,
    /// Series by metric name.
    metrics: BTreeMap<Box<str>, u64>,
    spreads: Option<Spreads>,
}

impl Figures {
    fn of(block: &Block, matchers: Option<&Selector>, extended: bool) -> Result<Self, Failure> {
        let mut figures = Self {
            span: span(&block.meta()),
            spreads: extended.then(Spreads::default),
            ..Self::default()
        };
        for series in block.series()? {
            let series = series?;
            if matchers.is_none_or(|Selector(matchers)| all_match(matchers, &series.labels)) {
                figures.add(&series)?;
            }
        }
        Ok(figures)
    }

    fn add(&mut self, series: &SourceSeries) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (series.chunks.first(), series.chunks.last()) else {
            return Ok(());
        };
        let covered = last.maxt.abs_diff(first.mint);
        self.add_labels(&series.labels, self.span.saturating_sub(covered));
        self.series += 1;
        if let Some(spreads) = &mut self.spreads {
            for chunk in &series.chunks {
                spreads.add(chunk)?;
            }
        }
        Ok(())
    }

    fn add_labels(&mut self, labels: &Labels, uncovered: u64) {
        for (name, value) in labels {
            let of_name = self.names.entry(name.into()).or_default();
            of_name.uncovered += uncovered;
            if !of_name.values.contains(value) {
                of_name.values.insert(value.into());
            }
            let pair = self.pairs.entry(format!("{name}={value}").into()).or_default();
            pair.uncovered += uncovered;
            pair.series += 1;
            self.entries += 1;
            if name == NAME {
                *self.metrics.entry(value.into()).or_default() += 1;
            }
        }
    }

    fn write(&self, out: &mut dyn Write, limit: usize) -> Result<(), Failure> {
        writeln!(out, "Postings (unique label pairs): {}", self.pairs.len())?;
        writeln!(out, "Postings entries (total label pairs): {}", self.entries)?;
        // In units of whole series: how many would cover that time.
        let churn = |uncovered: u64| (uncovered as f64 / self.span as f64) as u64;
        let names = |of: &dyn Fn(&Name) -> u64| self.names.iter().map(|(key, name)| (key.as_ref(), of(name))).collect();
        let pairs = |of: &dyn Fn(&Pair) -> u64| self.pairs.iter().map(|(key, pair)| (key.as_ref(), of(pair))).collect();
        let length = |name: &Name| name.values.iter().map(|value| value.len() as u64).sum();
        let metrics = self
            .metrics
            .iter()
            .map(|(name, series)| (name.as_ref(), *series))
            .collect();
        let lists: [(&str, Vec<(&str, u64)>); 6] = [
            (
                "Label pairs most involved in churning",
                pairs(&|pair| churn(pair.uncovered)),
            ),
            (
                "Label names most involved in churning",
                names(&|name| churn(name.uncovered)),
            ),
            ("Most common label pairs", pairs(&|pair| pair.series)),
            ("Label names with highest cumulative label value length", names(&length)),
            ("Highest cardinality labels", names(&|name| name.values.len() as u64)),
            ("Highest cardinality metric names", metrics),
        ];
        for (title, mut rows) in lists {
            writeln!(out, "\n{title}:")?;
            rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            for (key, n) in rows.iter().take(limit) {
                writeln!(out, "{n} {key}")?;
            }
        }
        Ok(())
    }
}

fn span(meta: &Meta) -> u64 {
    meta.max_time.abs_diff(meta.min_time).max(1)
}
