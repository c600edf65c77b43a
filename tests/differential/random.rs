//! Random choices that a seed determines.

use leadline_model::entropy::{Entropy, SeededEntropy};

/// A sequence of choices.
#[derive(Debug)]
pub(crate) struct Random(SeededEntropy);

impl Random {
    /// The sequence that belongs to `seed` and `number`.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        // Seeds that are close together begin far apart.
        let own = SeededEntropy::new(seed).next_u64() ^ number.wrapping_mul(0xd134_2543_de82_ef95);
        Self(SeededEntropy::new(own))
    }

    /// A whole number below `n`, which is not 0.
    pub(crate) fn below(&self, n: usize) -> usize {
        (self.0.next_u64() % n as u64) as usize
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `all`.
    pub(crate) fn pick<T: Copy>(&self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A number from 0 to below 1.
    pub(crate) fn unit(&self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
