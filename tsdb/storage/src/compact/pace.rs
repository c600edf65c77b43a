//! How fast a compaction may go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Is told what a compaction wrote, and holds it up when that was too much.
pub trait Pace: Send + Sync {
    /// `bytes` were written, of chunks or of the index.
    fn wrote(&self, bytes: u64);
}

/// No limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unhurried;

impl Pace for Unhurried {
    fn wrote(&self, _bytes: u64) {}
}

/// At most so many bytes per second: after every twentieth of a second's worth it sleeps for that long. The time that the
/// work itself takes is not counted, so it stays below the limit.
#[derive(Debug)]
pub struct Throttle {
    step: u64,
    owed: AtomicU64,
}

const STEPS: u32 = 20;

impl Throttle {
    /// A limit, bytes per second, at least 20.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            step: (bytes_per_second / u64::from(STEPS)).max(1),
            owed: AtomicU64::new(0),
        }
    }

    /// Adds to what is owed and takes whole steps from it; how many.
    fn steps(&self, bytes: u64) -> u32 {
        let owed = self.owed.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let steps = owed / self.step;
        self.owed.fetch_sub(steps * self.step, Ordering::Relaxed);
        u32::try_from(steps).unwrap_or(u32::MAX)
    }
}

impl Pace for Throttle {
    fn wrote(&self, bytes: u64) {
        let steps = self.steps(bytes);
        if steps > 0 {
            std::thread::sleep(Duration::from_secs(1) / STEPS * steps.min(STEPS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_due_for_each_twentieth_of_what_a_second_allows() {
        let throttle = Throttle::new(2_000);
        let due: Vec<u32> = [99, 1, 50, 250, 0].into_iter().map(|n| throttle.steps(n)).collect();
        assert_eq!(due, [0, 1, 0, 3, 0]);
    }
}
