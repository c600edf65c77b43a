//! Means of histograms, and what is noticed while histograms are aggregated.

use crate::eval::Combining;
use crate::eval::notes::Notes;
use crate::syntax::ast::Span;
use leadline_model::histogram::{CombineError, FloatHistogram, HistogramSum, Reconciled, ResetHint};

/// A mean that divides the sum while the sum is finite and goes on incrementally from where it would overflow.
#[derive(Debug, Clone)]
pub(crate) struct HistogramMean {
    /// The sum; the mean itself once `incremental`.
    sum: HistogramSum,
    count: f64,
    incremental: bool,
}

impl HistogramMean {
    /// Of one histogram.
    pub(crate) fn of(h: &FloatHistogram) -> Result<Self, CombineError> {
        Ok(Self {
            sum: HistogramSum::of(h)?,
            count: 1.0,
            incremental: false,
        })
    }

    /// Adds a histogram.
    pub(crate) fn add(&mut self, h: &FloatHistogram) -> Result<Reconciled, CombineError> {
        self.count += 1.0;
        let mut reconciled = Reconciled::default();
        if !self.incremental {
            let mut next = self.sum.clone();
            reconciled = next.add(h)?;
            if !next.has_overflow() {
                self.sum = next;
                return Ok(reconciled);
            }
            self.incremental = true;
            self.sum.divide(self.count - 1.0);
        }
        self.sum.scale((self.count - 1.0) / self.count);
        reconciled |= self.sum.add(&h.clone().divided(self.count))?;
        Ok(reconciled)
    }

    /// The mean.
    pub(crate) fn total(mut self) -> FloatHistogram {
        if !self.incremental {
            self.sum.divide(self.count);
        }
        self.sum.total()
    }
}

/// What was noticed of the histograms of an aggregation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hints {
    reset: bool,
    not_reset: bool,
    /// What adding them up noticed.
    pub(crate) reconciled: Reconciled,
}

impl Hints {
    /// Looks at the hint of one.
    pub(crate) fn see(&mut self, h: &FloatHistogram) {
        self.reset |= h.reset == ResetHint::Reset;
        self.not_reset |= h.reset == ResetHint::NotReset;
    }

    /// Tells it.
    pub(crate) fn tell(self, notes: &mut Notes, span: Span, combining: Combining) {
        if self.reset && self.not_reset {
            notes.resets_collide(span, combining);
        }
        if self.reconciled.bounds_differ {
            notes.bounds_differ(span, combining);
        }
    }
}
