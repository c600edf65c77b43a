//! Sums that do not lose what rounding cuts off (`util/kahansum`).

/// A sum that carries what rounding lost (Kahan's summation with Neumaier's improvement).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kahan {
    /// The rounded sum.
    pub sum: f64,
    /// What rounding lost so far.
    pub lost: f64,
}

impl Kahan {
    /// Starts at `sum`.
    #[must_use]
    pub fn at(sum: f64) -> Self {
        Self { sum, lost: 0.0 }
    }

    /// Adds `x`.
    #[inline]
    pub fn add(&mut self, x: f64) {
        let total = self.sum + x;
        if total.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= x.abs() {
            self.lost += (self.sum - total) + x;
        } else {
            self.lost += (x - total) + self.sum;
        }
        self.sum = total;
    }

    /// The corrected sum.
    #[inline]
    #[must_use]
    pub fn total(self) -> f64 {
        self.sum + self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_rounding_would_lose() {
        let mut sum = Kahan::default();
        for x in [1.0, 1e100, 1.0, -1e100] {
            sum.add(x);
        }
        assert_eq!(sum.total(), 2.0);
    }
}
