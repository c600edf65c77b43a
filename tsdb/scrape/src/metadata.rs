//! What a scrape says of its series besides samples, for the store: kind and help of their families, as the comments before
//! them say (`scrape/scrape.go`, `scrapeLoop.append`).

use crate::told::{Comments, metric_kind, unescaped};
use leadline_exposition::Event;
use leadline_model::metadata::{Metadata, MetricKind};

/// Follows the comments of a body from one sample to the next.
#[derive(Debug, Default)]
pub(crate) struct Follower<'b> {
    /// The family that the newest comments are of, as written.
    name: &'b [u8],
    kind: MetricKind,
    help: Option<&'b str>,
    /// Made of all of these where a sample follows.
    family: Option<Family>,
}

/// A family whose samples follow its comments.
#[derive(Debug)]
pub(crate) struct Family {
    name: String,
    /// What the comments say.
    pub(crate) metadata: Metadata,
    /// Whether the scrape before said something else.
    pub(crate) is_news: bool,
}

impl<'b> Follower<'b> {
    /// A comment went by.
    pub(crate) fn note(&mut self, event: &Event<'b>) {
        let (Event::Help { metric, .. } | Event::Type { metric, .. }) = *event else {
            return;
        };
        if self.name != metric {
            *self = Self {
                name: metric,
                ..Self::default()
            };
        }
        self.family = None;
        match *event {
            Event::Help { text, .. } => self.help = Some(text),
            Event::Type { kind, .. } => self.kind = metric_kind(kind),
            Event::Sample { .. } => {}
        }
    }

    /// The family of the comments before this point; `None` where they say nothing. `before` is what the target said last.
    pub(crate) fn family(&mut self, before: &Comments) -> Option<&Family> {
        if self.kind == MetricKind::Unknown && self.help.is_none() {
            return None;
        }
        if self.family.is_none() {
            let name = String::from_utf8_lossy(self.name).into_owned();
            let metadata = Metadata {
                kind: self.kind,
                help: self.help.map(unescaped).unwrap_or_default(),
                ..Metadata::default()
            };
            let is_news = before.said(&name) != Some(&metadata);
            self.family = Some(Family {
                name,
                metadata,
                is_news,
            });
        }
        self.family.as_ref()
    }
}

impl Family {
    /// Whether a series of this name is of the family: its own name or, by its kind, that with one suffix. A counter's
    /// family may be named with or without `_total` (`scrape/scrape.go`, `isSeriesPartOfFamily`).
    pub(crate) fn has(&self, series: &str) -> bool {
        let suffixes: &[&str] = match self.metadata.kind {
            MetricKind::Counter => &["_total"],
            MetricKind::Histogram => &["_bucket", "_sum", "_count"],
            MetricKind::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
            MetricKind::Summary => &["_sum", "_count"],
            MetricKind::Info => &["_info"],
            MetricKind::Gauge | MetricKind::StateSet | MetricKind::Unknown => &[],
        };
        let bare = |name: &'_ str| {
            suffixes
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .map(str::len)
        };
        let family = match self.metadata.kind {
            MetricKind::Counter | MetricKind::Info => bare(&self.name).unwrap_or(self.name.len()),
            _ => self.name.len(),
        };
        let own = bare(series).unwrap_or(series.len());
        series.starts_with(&self.name) && self.name.get(..family) == series.get(..own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leadline_exposition::Parser;

    #[test]
    fn a_series_is_of_its_family_by_its_name_and_the_suffixes_of_its_kind() {
        use MetricKind::{Counter, Gauge, GaugeHistogram, Histogram, Info, Summary, Unknown};
        for (kind, family, series, expected) in [
            (Gauge, "a", "a", true),
            (Gauge, "a", "a_total", false),
            (Gauge, "a", "b", false),
            (Unknown, "a", "a_sum", false),
            (Counter, "a", "a", true),
            (Counter, "a", "a_total", true),
            (Counter, "a_total", "a_total", true),
            (Counter, "a_total", "a", false),
            (Counter, "a", "a_total_total", false),
            (Histogram, "a", "a_bucket", true),
            (Histogram, "a", "a_sum", true),
            (Histogram, "a", "a_count", true),
            (Histogram, "a", "a", true),
            (Histogram, "a", "a_max", false),
            (Histogram, "a", "ab_count", false),
            (GaugeHistogram, "a", "a_gsum", true),
            (GaugeHistogram, "a", "a_gcount", true),
            (GaugeHistogram, "a", "a_sum", false),
            (Summary, "a", "a_sum", true),
            (Summary, "a", "a_count", true),
            (Summary, "a", "a_bucket", false),
            (Info, "a", "a_info", true),
            (Info, "a_info", "a_info", true),
        ] {
            let name = family.to_owned();
            let metadata = Metadata {
                kind,
                ..Metadata::default()
            };
            let family = Family {
                name,
                metadata,
                is_news: true,
            };
            assert_eq!(family.has(series), expected, "{series} of {family:?}");
        }
    }

    #[test]
    fn the_comments_before_a_sample_say_its_family() {
        let body =
            "x 1\n# TYPE a counter\n# HELP a It \\\\ is\na 1\na 2\n# HELP b Other.\nb 1\n# TYPE c untyped\nc 1\n";
        let (mut follower, comments) = (Follower::default(), Comments::new(1));
        let mut parser = Parser::new(body.as_bytes());
        let mut families = Vec::new();
        while let Some(event) = parser.next_event().unwrap() {
            follower.note(&event);
            if let Event::Sample { .. } = event {
                let family = follower.family(&comments);
                families.push(family.map(|f| format!("{} {} {}", f.name, f.metadata.kind.as_str(), f.metadata.help)));
            }
        }
        let a = || Some("a counter It \\ is".to_owned());
        assert_eq!(families, [None, a(), a(), Some("b unknown Other.".to_owned()), None]);
    }
}
