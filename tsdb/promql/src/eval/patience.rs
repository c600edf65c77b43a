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
                (mint..=maxt)
                    .filter(|t| t % 1000 == 0)
                    .for_each(|t| into.push(t, t as f64));
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
                let times = (mint..=maxt).filter(|t| t % 1000 == 0);
                into.extend(times.map(|t| HistogramSample { t, h: h.clone() }));
            }
            Ok(())
        }
    }

    /// Evaluates on `count` series at `steps` times with so many looks.
    fn run(text: &str, (count, steps): (usize, i64), looks: u32) -> Result<(), Error> {
        let store = Rows {
            count,
            histograms: false,
        };
        let settings = Settings {
            features: Features::LANGUAGE,
            ..Settings::default()
        };
        let patience = Looks(Cell::new(looks));
        let query = QueryRange {
            start: 0,
            end: (steps - 1) * 1000,
            step: 1000,
        };
        let mut cx = Context::new(&store, &settings, 1000, query, &patience);
        let frame = Frame::range(query.start, query.end, query.step);
        evaluate(&mut cx, &parse(text).unwrap(), frame).map(|_| ())
    }

    #[test]
    fn work_that_the_number_of_series_does_not_bound_is_interrupted() {
        for (text, series, steps) in [
            ("quantile_over_time(0.5, vector(1)[20m:1s])", 1, 300),
            ("rate(m[20m])", 1, 300),
            ("count_over_time(h[20s])", 1, 1_000),
            ("quantile(0.5, m)", 300, 300),
            ("topk(1, m)", 300, 300),
            ("count_values(\"v\", m)", 1, 25_000),
            ("sum(h)", 10, 1_000),
            ("histogram_sum(h)", 10, 1_000),
            ("histogram_quantile(0.5, h)", 10, 1_000),
            ("histogram_quantile(0.5, m)", 300, 700),
            ("m / ignoring (le) m", 200, 700),
            ("h / ignoring (le) m", 2, 5_000),
            (
                r#"label_join(m, "a", "0123456789012345678901234567890123456789", "pod", "pod", "pod", "pod", "pod")"#,
                1_500,
                1,
            ),
        ] {
            // As many looks as the operands take by themselves, as a sum of all that is given shows.
            let error = run(text, (series, steps), 4);
            assert!(matches!(error, Err(Error::Canceled(_))), "{text}: {error:?}");
            assert!(run(text, (series, steps), u32::MAX).is_ok(), "{text}");
        }
    }
}
