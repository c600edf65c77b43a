//! Series that bytes describe, as a store.

use leadline_model::histogram::{AnyHistogram, FloatHistogram, HistogramSample, Span};
use leadline_model::matcher::all_match;
use leadline_model::port::{Generation, GroupOrder, GroupedSeries, Grouping, QueryError, Queryable, SeriesSet};
use leadline_model::sample::Samples;
use leadline_model::target::OwnerId;
use leadline_model::{Labels, Matcher, STALE_NAN, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Series with their samples, by labels.
pub(super) struct Made(Vec<Arc<Series>>);

#[derive(Default)]
struct Series {
    labels: Labels,
    floats: Samples,
    histograms: Vec<HistogramSample>,
}

/// Numbers that calculations treat specially.
const SPECIAL: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e308,
    -1e308,
    5e-324,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    STALE_NAN,
    9_007_199_254_740_993.0,
    1e-300,
    100.0,
];

impl Made {
    /// Up to 16 series. Three bytes are a sample: whose, how many seconds behind the one before, and what. The metric and
    /// its labels follow from the number of the series: `m` and `n` with `a` and `b`, and buckets of `h_bucket`.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut all: Vec<Series> = (0..16).map(Series::named).collect();
        let mut t = 0;
        for sample in bytes.chunks_exact(3) {
            t += 1 + 1000 * i64::from(sample[1]);
            let series = &mut all[usize::from(sample[0] % 16)];
            match sample[2] {
                special @ 0..=15 => series.floats.push(t, SPECIAL[usize::from(special)]),
                size @ 16..=47 => series.histograms.push(histogram(t, size)),
                number => series.floats.push(t, f64::from(number) * 3.0),
            }
        }
        all.retain(|series| !series.floats.is_empty() || !series.histograms.is_empty());
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        Self(all.into_iter().map(Arc::new).collect())
    }

    /// The series `m{text="…"}` with one sample, and `h{text="…"}` with a histogram whose count, sum and one bucket are it.
    pub(super) fn one(text: &str, t: Timestamp, v: f64) -> Self {
        let named = |name: &str| Series {
            labels: Labels::from_pairs([("__name__", name), ("text", text)]),
            ..Series::default()
        };
        let (mut number, mut native) = (named("m"), named("h"));
        number.floats.push(t, v);
        let h = FloatHistogram {
            count: v,
            sum: v,
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![v],
            ..FloatHistogram::default()
        };
        native.histograms.push(HistogramSample {
            t,
            h: AnyHistogram::Float(Arc::new(h)),
        });
        Self(vec![Arc::new(native), Arc::new(number)])
    }
}

impl Series {
    fn named(i: usize) -> Self {
        let (a, b) = (["x", "y"][i % 2], ["1", "2", ""][i / 2 % 3]);
        let le = ["0.1", "1", "+Inf", "NaN"][i % 4];
        let labels = match i {
            0..6 => Labels::from_pairs([("__name__", "m"), ("a", a), ("b", b)]),
            6..12 => Labels::from_pairs([("__name__", "n"), ("a", a), ("b", b)]),
            _ => Labels::from_pairs([("__name__", "h_bucket"), ("le", le), ("a", "x")]),
        };
        Self {
            labels,
            ..Self::default()
        }
    }
}

/// A histogram of a few buckets, exponential or with bounds of its own.
fn histogram(t: Timestamp, size: u8) -> HistogramSample {
    let buckets = usize::from(size % 4);
    let counts: Vec<f64> = (0..buckets).map(|i| i as f64 + f64::from(size)).collect();
    let custom = size.is_multiple_of(5);
    let h = FloatHistogram {
        schema: if custom { -53 } else { i32::from(size % 8) - 4 },
        zero_threshold: if custom { 0.0 } else { 0.001 },
        zero_count: if custom { 0.0 } else { f64::from(size) },
        count: counts.iter().sum::<f64>() + if custom { 0.0 } else { f64::from(size) },
        sum: f64::from(size) * 1.5 - 40.0,
        positive_spans: vec![Span {
            offset: 0,
            length: buckets as u32,
        }],
        positive_buckets: counts,
        custom_values: (1..=if custom { buckets } else { 0 }).map(|i| i as f64).collect(),
        ..FloatHistogram::default()
    };
    HistogramSample {
        t,
        h: AnyHistogram::Float(Arc::new(h)),
    }
}

struct Found(Vec<Arc<Series>>);

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, i: usize) -> Labels {
        self.0[i].labels.clone()
    }

    fn owner(&self, i: usize) -> Option<OwnerId> {
        Some(OwnerId(i as u32))
    }

    fn read(&self, i: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
        let floats = &self.0[i].floats;
        into.clear();
        for (&t, &v) in floats
            .t
            .iter()
            .zip(&floats.v)
            .filter(|(t, _)| (mint..=maxt).contains(*t))
        {
            into.push(t, v);
        }
        Ok(())
    }

    fn read_histograms(
        &self,
        i: usize,
        mint: Timestamp,
        maxt: Timestamp,
        into: &mut Vec<HistogramSample>,
    ) -> Result<(), QueryError> {
        into.clear();
        let all = self.0[i].histograms.iter();
        into.extend(all.filter(|sample| (mint..=maxt).contains(&sample.t)).cloned());
        Ok(())
    }
}

impl Made {
    fn matching(&self, matchers: &[Matcher]) -> Vec<Arc<Series>> {
        let matching = self.0.iter().filter(|series| all_match(matchers, &series.labels));
        matching.map(Arc::clone).collect()
    }

    fn texts(&self, matchers: &[Matcher], of: impl Fn(&Labels) -> Vec<String>) -> Vec<String> {
        let found = self.matching(matchers);
        let texts: BTreeSet<String> = found.iter().flat_map(|series| of(&series.labels)).collect();
        texts.into_iter().collect()
    }
}

impl Queryable for Made {
    fn select(
        &self,
        matchers: &[Matcher],
        _: Timestamp,
        _: Timestamp,
        _: bool,
    ) -> Result<Box<dyn SeriesSet>, QueryError> {
        Ok(Box::new(Found(self.matching(matchers))))
    }

    fn at_most(&self, matchers: &[Matcher], _: Timestamp) -> Option<usize> {
        Some(self.matching(matchers).len())
    }

    fn select_groups(
        &self,
        matchers: &[Matcher],
        _: Timestamp,
        _: Timestamp,
        grouping: Grouping<'_>,
    ) -> Result<Option<GroupedSeries>, QueryError> {
        let found = self.matching(matchers);
        let differs = |name: &&str| {
            found
                .windows(2)
                .any(|two| two[0].labels.get(name) != two[1].labels.get(name))
        };
        if grouping.alike.iter().any(differs) {
            return Ok(None);
        }
        let mut labels: Vec<Labels> = Vec::new();
        let mut group = |series: &Series| {
            let named = |name: &str| grouping.names.iter().any(|other| other == name);
            let of_group = series.labels.without(|name| named(name) == grouping.without);
            let known = labels.iter().position(|labels| *labels == of_group);
            known.unwrap_or_else(|| {
                labels.push(of_group);
                labels.len() - 1
            }) as u32
        };
        let group_of: Vec<u32> = found.iter().map(|series| group(series)).collect();
        // They are kept in the order of their labels.
        let told = (grouping.order == GroupOrder::Groups).then_some(0..group_of.len() as u32);
        Ok(Some(GroupedSeries {
            set: Box::new(Found(found)),
            group_of: group_of.into(),
            labels: labels.into(),
            places: told.into_iter().flatten().collect(),
        }))
    }

    fn label_names(&self, matchers: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
        Ok(self.texts(matchers, |labels| {
            labels.iter().map(|(name, _)| name.to_owned()).collect()
        }))
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        Ok(self.texts(matchers, |labels| {
            labels.get(name).map(str::to_owned).into_iter().collect()
        }))
    }

    fn generation(&self) -> Generation {
        Generation(1)
    }
}
