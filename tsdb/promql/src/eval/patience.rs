//! How long an evaluation may go on.

use crate::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Where a query stands when it is stopped.
const STAGE: &str = "expression evaluation";

/// What an evaluation asks now and then while it works.
pub(crate) trait Patience {
    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Canceled`].
    fn look(&self) -> Result<(), Error>;
}

/// Until a time, as long as somebody waits.
pub(crate) struct Until<'a> {
    /// When time is up.
    pub(crate) deadline: Instant,
    /// Whether nobody waits any more.
    pub(crate) cancelled: &'a AtomicBool,
}

impl Patience for Until<'_> {
    fn look(&self) -> Result<(), Error> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Canceled(STAGE));
        }
        if Instant::now() >= self.deadline {
            return Err(Error::Timeout(STAGE));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Frame, QueryRange, evaluate};
    use super::*;
    use crate::settings::Settings;
    use crate::syntax::{Features, parse};
    use leadline_model::histogram::{AnyHistogram, FloatHistogram, HistogramSample, Span};
    use leadline_model::port::{Generation, QueryError, Queryable, SeriesSet};
    use leadline_model::sample::Samples;
    use leadline_model::target::OwnerId;
    use leadline_model::{Labels, Matcher, Timestamp};
    use std::cell::Cell;
    use std::sync::Arc;

    /// Goes on for so many looks.
    struct Looks(Cell<u32>);

    impl Patience for Looks {
        fn look(&self) -> Result<(), Error> {
            let left = self.0.get().checked_sub(1).ok_or(Error::Canceled(STAGE))?;
            self.0.set(left);
            Ok(())
        }
    }

    /// The whole seconds between two times, ms.
    fn seconds(mint: Timestamp, maxt: Timestamp) -> impl Iterator<Item = Timestamp> {
        ((mint + 999).div_euclid(1000) * 1000..=maxt).step_by(1000)
    }

    /// Whatever is selected: so many series, numbered by `le` and `pod`, with a sample each second. A metric called `h…` has
    /// histograms.
    #[derive(Clone, Copy)]
    struct Rows {
        count: usize,
        histograms: bool,
    }

    impl Queryable for Rows {
        fn select(
            &self,
            matchers: &[Matcher],
            _: Timestamp,
            _: Timestamp,
            _: bool,
        ) -> Result<Box<dyn SeriesSet>, QueryError> {
            let histograms = matchers.iter().any(|m| m.value().starts_with('h'));
            Ok(Box::new(Self { histograms, ..*self }))
        }

        fn label_names(&self, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
            Ok(Vec::new())
        }

        fn label_values(&self, _: &str, _: &[Matcher], _: Timestamp, _: Timestamp) -> Result<Vec<String>, QueryError> {
            Ok(Vec::new())
        }

        fn generation(&self) -> Generation {
            Generation(0)
        }
    }

    impl SeriesSet for Rows {
        fn len(&self) -> usize {
            self.count
        }

        fn labels(&self, i: usize) -> Labels {
            let number = i.to_string();
            Labels::from_pairs([("__name__", "m"), ("le", &number), ("pod", &number)])
        }

        fn owner(&self, _: usize) -> Option<OwnerId> {
            None
        }

        fn read(&self, _: usize, mint: Timestamp, maxt: Timestamp, into: &mut Samples) -> Result<(), QueryError> {
            into.clear();
            if !self.histograms {
                seconds(mint, maxt).for_each(|t| into.push(t, t as f64));
            }
            Ok(())
        }

        fn read_histograms(
            &self,
            _: usize,
            mint: Timestamp,
            maxt: Timestamp,
            into: &mut Vec<HistogramSample>,
        ) -> Result<(), QueryError> {
            into.clear();
            if self.histograms {
                let h = AnyHistogram::Float(Arc::new(FloatHistogram {
                    count: 200.0,
                    positive_spans: vec![Span { offset: 0, length: 200 }],
                    positive_buckets: vec![1.0; 200],
                    ..FloatHistogram::default()
                }));
                into.extend(seconds(mint, maxt).map(|t| HistogramSample { t, h: h.clone() }));
            }
            Ok(())
        }
    }

    /// How often evaluating on `count` series at `steps` times looks; stopped at the look behind `most`.
    fn looks(text: &str, (count, steps): (usize, i64), most: u32) -> Result<u32, Error> {
        let store = Rows {
            count,
            histograms: false,
        };
        let settings = Settings {
            features: Features::LANGUAGE,
            ..Settings::default()
        };
        let patience = Looks(Cell::new(most));
        let query = QueryRange {
            start: 0,
            end: (steps - 1) * 1000,
            step: 1000,
        };
        let mut cx = Context::new(&store, &settings, 1000, query, &patience);
        let frame = Frame::range(query.start, query.end, query.step);
        evaluate(&mut cx, &parse(text).unwrap(), frame)?;
        Ok(most - patience.0.get())
    }

    #[test]
    fn work_that_the_number_of_series_does_not_bound_is_interrupted() {
        let long = format!("label_join(m, \"a\", \"{}\"{})", "x".repeat(40), ", \"pod\"".repeat(50));
        let mut wrong = Vec::new();
        // Expression, what it evaluates first, series and steps.
        for (text, operands, size) in [
            (
                "quantile_over_time(0.5, vector(1)[10m:1s])",
                "last_over_time(vector(1)[1s:1s])",
                (1, 250),
            ),
            // Not rate(): windows of a counter that never falls are not looked through.
            ("deriv(m[10m])", "deriv(m[2s])", (1, 250)),
            ("count_over_time(h[20s])", "count_over_time(h[1s])", (1, 100)),
            ("quantile(0.5, m)", "m", (150, 200)),
            ("topk(1, m)", "m", (150, 200)),
            ("sum(h)", "h", (5, 300)),
            ("histogram_sum(h)", "h", (10, 1_000)),
            ("histogram_quantile(0.5, h)", "h", (5, 300)),
            ("histogram_quantile(0.5, m)", "m", (150, 800)),
            ("m / on (pod) m", "m or m", (150, 700)),
            (&long, "m", (150, 1)),
        ] {
            let alone = looks(operands, size, u32::MAX).unwrap();
            let whole = looks(text, size, u32::MAX).unwrap();
            if whole < alone + 3 {
                wrong.push(format!("{text}: {whole} looks, {alone} of them of its operands"));
                continue;
            }
            let error = looks(text, size, whole - 1);
            assert!(matches!(error, Err(Error::Canceled(_))), "{text}: {error:?}");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
