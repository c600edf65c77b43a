//! A part of a source's time.

use crate::error::StorageError;
use crate::interval::Interval;
use crate::source::{SeriesIter, Source, SourceSeries, SymbolIter};
use leadline_model::labels::Labels;
use leadline_model::sample::Timestamp;

/// What a source holds between two times. What is outside counts as deleted, so that chunks that reach out are cut when
/// they are written.
pub struct Window<'a> {
    source: &'a dyn Source,
    within: Interval,
}

impl<'a> Window<'a> {
    /// The samples of `source` with `mint <= t <= maxt` (ms).
    #[must_use]
    pub fn new(source: &'a dyn Source, mint: Timestamp, maxt: Timestamp) -> Self {
        Self {
            source,
            within: Interval { mint, maxt },
        }
    }

    fn cut(&self, mut series: SourceSeries) -> Option<SourceSeries> {
        let Interval { mint, maxt } = self.within;
        series
            .chunks
            .retain(|chunk| self.within.overlaps(chunk.mint, chunk.maxt));
        if series.chunks.is_empty() {
            return None;
        }
        if let Some(before) = mint.checked_sub(1) {
            series.deleted.add(Interval {
                mint: Timestamp::MIN,
                maxt: before,
            });
        }
        if let Some(behind) = maxt.checked_add(1) {
            series.deleted.add(Interval {
                mint: behind,
                maxt: Timestamp::MAX,
            });
        }
        Some(series)
    }
}

impl Source for Window<'_> {
    fn symbols(&self) -> Result<SymbolIter<'_>, StorageError> {
        self.source.symbols()
    }

    fn series(&self) -> Result<SeriesIter<'_>, StorageError> {
        let all = self.source.series()?;
        Ok(Box::new(all.filter_map(|series| match series {
            Ok(series) => self.cut(series).map(Ok),
            Err(error) => Some(Err(error)),
        })))
    }

    fn is_stored(&self) -> bool {
        self.source.is_stored()
    }

    fn damaged(&self, labels: &Labels, chunk: Option<Timestamp>, expected: &str, got: String) -> StorageError {
        self.source.damaged(labels, chunk, expected, got)
    }
}
