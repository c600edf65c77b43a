//! One number a step.

use super::grid::Frame;
use super::trace::Trace;

/// The values of a scalar node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scalar {
    /// One a step.
    pub(crate) values: Vec<f64>,
    /// What went into them.
    pub(crate) trace: Trace,
}

impl Scalar {
    /// The same number at every step.
    pub(crate) fn constant(value: f64, frame: Frame) -> Self {
        Self::from_values(vec![value; frame.steps])
    }

    /// The first number at each of `steps`.
    pub(crate) fn repeated(self, steps: usize) -> Self {
        let value = self.values.first().copied().unwrap_or(f64::NAN);
        Self {
            values: vec![value; steps],
            trace: self.trace,
        }
    }

    /// Numbers that no series went into.
    pub(crate) fn from_values(values: Vec<f64>) -> Self {
        Self {
            values,
            trace: Trace::default(),
        }
    }
}
