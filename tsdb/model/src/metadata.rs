//! What an exposition says about a metric besides its samples.

use std::sync::Arc;

/// The kind of a metric; the numbers are those of Prometheus' write-ahead log (`tsdb/record/record.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum MetricKind {
    /// Nothing was said.
    #[default]
    Unknown = 0,
    /// Only grows, or begins again.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Observations counted in buckets, cumulative over time.
    Histogram = 3,
    /// Observations counted in buckets, as they are now.
    GaugeHistogram = 4,
    /// Quantiles that the target computed.
    Summary = 5,
    /// Labels that describe; the value is 1.
    Info = 6,
    /// States of which each is on or off.
    StateSet = 7,
}

impl MetricKind {
    /// The word that expositions and the HTTP API use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// The kind with this number, `None` above 7.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [MetricKind; 8] = [
            MetricKind::Unknown,
            MetricKind::Counter,
            MetricKind::Gauge,
            MetricKind::Histogram,
            MetricKind::GaugeHistogram,
            MetricKind::Summary,
            MetricKind::Info,
            MetricKind::StateSet,
        ];
        ALL.get(usize::from(number)).copied()
    }
}

/// Kind, unit and help of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metadata {
    /// Its kind.
    pub kind: MetricKind,
    /// Its unit, empty where none was said.
    pub unit: Arc<str>,
    /// Its description, empty where none was said.
    pub help: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_number() {
        for number in 0..8 {
            assert_eq!(MetricKind::from_number(number).map(|kind| kind as u8), Some(number));
        }
        assert_eq!(MetricKind::from_number(8), None);
    }
}
