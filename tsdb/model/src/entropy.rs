//! Randomness as a component: rooms are given an [`Entropy`] and never ask the operating system themselves, so that the
//! same seed twice ends in the same bytes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Gives random numbers.
pub trait Entropy: Send + Sync + 'static {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
}

/// Numbers that nobody can foretell: the operating system's seed, as every hash map of the standard library gets it.
#[derive(Debug, Default)]
pub struct SystemEntropy {
    state: std::hash::RandomState,
    drawn: AtomicU64,
}

impl Entropy for SystemEntropy {
    fn next_u64(&self) -> u64 {
        use std::hash::BuildHasher;
        self.state.hash_one(self.drawn.fetch_add(1, Ordering::Relaxed))
    }
}

/// The same numbers for the same seed (`SplitMix64`, Steele et al., OOPSLA 2014); for tests, simulations and replays.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_published_sequence() {
        let entropy = SeededEntropy::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| entropy.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn two_sources_of_the_system_differ() {
        assert_ne!(SystemEntropy::default().next_u64(), SystemEntropy::default().next_u64());
    }
}
