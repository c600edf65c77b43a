//! Start times of samples (`metric@st -30s-1mx2`), which the head does not keep: they stand beside its series.

use crate::fronted::Front;
use leadline_model::duration::Duration;
use leadline_model::port::{GroupedSeries, Grouping, QueryError, Queryable, SeriesSet};
use leadline_model::sample::{Sample, Samples};
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Matcher, Timestamp};
use leadline_storage::Head;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// (sample's time, start), ms, of each series.
type Starts = HashMap<Labels, BTreeMap<Timestamp, Timestamp>>;

/// A head with start times beside it.
pub(crate) struct HeadWithStarts {
    head: Arc<Head>,
    starts: RwLock<Arc<Starts>>,
}

impl HeadWithStarts {
    pub(crate) fn new(head: Arc<Head>) -> Arc<Self> {
        Arc::new(Self {
            head,
            starts: RwLock::default(),
        })
    }

    /// Notes when the counters behind the samples began that lie `step_ms` apart from 0 on. `offsets` are relative to
    /// the samples' times.
    pub(crate) fn note(&self, labels: &Labels, step_ms: i64, offsets: &[Option<i64>]) {
        let times = (0i64..).map(|i| i * step_ms).zip(offsets);
        let known = times.filter_map(|(t, offset)| Some((t, t + (*offset)?)));
        let mut starts = self.starts.write();
        Arc::make_mut(&mut starts)
            .entry(labels.clone())
            .or_default()
            .extend(known);
    }
}

impl Front for Arc<HeadWithStarts> {
    fn store(&self) -> &dyn Queryable {
        &*self.head
    }

    fn select(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        sorted: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(Box::new(Selected {
            of_head: self.head.select(matchers, mint, maxt, sorted)?,
            starts: Arc::clone(&self.starts.read()),
        }))
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        (mint, maxt): (Timestamp, Timestamp),
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        // Who reads start times does not ask for groups.
        self.head.select_groups(matchers, mint, maxt, grouping)
    }
}

struct Selected {
    of_head: Box<dyn SeriesSet>,
    starts: Arc<Starts>,
}

impl SeriesSet for Selected {
    fn len(&self) -> usize {
        self.of_head.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.of_head.labels(i)
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        self.of_head.owner(i)
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        self.of_head.read(i, mint, maxt, into)
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<leadline_model::histogram::HistogramSample>,
    ) -> Result<(), QueryError> {
        self.of_head.read_histograms(i, mint, maxt, into)
    }

    fn start_times(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<(Timestamp, Timestamp)>,
    ) -> Result<(), QueryError> {
        into.clear();
        if let Some(starts) = self.starts.get(&self.labels(i)) {
            into.extend(starts.range(mint..=maxt).map(|(t, st)| (*t, *st)));
        }
        Ok(())
    }

    fn newest(&self, i: usize, mint: Timestamp, maxt: Timestamp) -> Result<Option<Sample>, QueryError> {
        self.of_head.newest(i, mint, maxt)
    }
}

/// The offsets (ms) of a line: `_`, `_xN`, `-1m`, `-1mxN`, `-30s-1mxN`.
pub(crate) fn parse_offsets(sequence: &str) -> Result<Vec<Option<i64>>, String> {
    let mut offsets = Vec::new();
    for item in sequence.split_whitespace() {
        parse_item(item, &mut offsets).ok_or_else(|| format!("invalid start time {item:?}"))?;
    }
    Ok(offsets)
}

fn parse_item(item: &str, offsets: &mut Vec<Option<i64>>) -> Option<()> {
    let (what, times) = match item.split_once('x') {
        Some((what, times)) => (what, times.parse::<usize>().ok()?),
        None => (item, 0),
    };
    if what == "_" {
        offsets.extend(std::iter::repeat_n(None, times.max(1)));
        return Some(());
    }
    let second = what.get(1..)?.find(['+', '-']).map_or(what.len(), |at| at + 1);
    let (base, step) = what.split_at_checked(second)?;
    let (base, step) = (
        milliseconds(base)?,
        if step.is_empty() { 0 } else { milliseconds(step)? },
    );
    offsets.extend((0i64..).take(times + 1).map(|i| Some(base + i * step)));
    Some(())
}

fn milliseconds(text: &str) -> Option<i64> {
    let length = text.trim_start_matches(['+', '-']);
    let ms = Duration::parse(length).ok()?.as_millis();
    Some(if text.starts_with('-') { -ms } else { ms })
}
