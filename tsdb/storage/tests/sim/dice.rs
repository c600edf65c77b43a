//! Chance that repeats.

use leadline_model::entropy::{Entropy, SeededEntropy};

/// Draws that belong to a seed.
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// A number below `n`, which is at least 1.
    pub(crate) fn below(&self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    pub(crate) fn index(&self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as u64) as i64
    }

    pub(crate) fn seed(&self) -> u64 {
        self.0.next_u64()
    }

    /// One of the choices, each as likely as its weight says.
    pub(crate) fn weighted<T: Copy>(&self, choices: &[(u64, T)]) -> T {
        let mut left = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for &(weight, choice) in choices {
            if left < weight {
                return choice;
            }
            left -= weight;
        }
        choices[0].1
    }
}

/// Spreads the bits of a number.
pub(crate) fn mix(n: u64) -> u64 {
    SeededEntropy::new(n).next_u64()
}
