//! Sums of series that a store gives out in any order: most are the same whatever the order is, and tell so.
//!
//! Neumaier's sum keeps the rounded sum and what rounding lost of it. Only the second can be inexact. It is exact in any
//! order where no term is very small beside all of them: what is lost are multiples of the smallest term's last bit, and of
//! n terms at most n u of the sum of their sizes, u = 2^-53. Else it is wrong by at most (n u)^2 of that sum (Ogita, Rump,
//! Oishi: Accurate sum and dot product, proposition 4.5), so that every order gives the number that all sums as near as that
//! round to. Other sums depend on the order, for example where large terms cancel out: these are added up in the order of
//! labels, as Prometheus does.

use crate::functions::number::Kahan;

/// Above this the sum of some terms may be out of range though that of all is not.
const LARGEST: f64 = 1e300;

/// A sum, and how large its terms are.
#[derive(Debug, Clone, Copy)]
pub(super) struct CertainSum {
    sum: Kahan,
    /// The sum of the sizes of all finite terms.
    size: f64,
    /// The size of the smallest that is not 0.
    least: f64,
}

impl CertainSum {
    /// Of one term.
    pub(super) fn at(x: f64) -> Self {
        let mut sum = Self {
            sum: Kahan::at(x),
            size: 0.0,
            least: f64::INFINITY,
        };
        sum.grow(x);
        sum
    }

    /// From its parts: the sum of the sizes of all finite terms, and the smallest of them that is not 0, infinite where there
    /// is none.
    pub(super) fn made(sum: Kahan, size: f64, least: f64) -> Self {
        Self { sum, size, least }
    }

    /// Adds a term.
    #[inline]
    pub(super) fn add(&mut self, x: f64) {
        self.sum.add(x);
        self.grow(x);
    }

    #[inline]
    fn grow(&mut self, x: f64) {
        let size = x.abs();
        if size < f64::INFINITY {
            self.size += size;
            if size < self.least && size > 0.0 {
                self.least = size;
            }
        }
    }

    /// The sum.
    #[inline]
    pub(super) fn total(self) -> f64 {
        self.sum.total()
    }

    /// Whether every order of the terms, which are at most so many, gives this sum.
    pub(super) fn is_certain(self, terms: usize) -> bool {
        if self.size > LARGEST {
            return false;
        }
        // Made so by an infinite term or one that is no number: nothing that is finite went out of range.
        if !self.total().is_finite() {
            return true;
        }
        // Twice and four times the bounds, for the rounding of what is calculated here.
        let share = terms as f64 * f64::EPSILON;
        if share * self.size <= self.least {
            return true;
        }
        let error = share * share * self.size;
        self.sum.sum + (self.sum.lost - error) == self.sum.sum + (self.sum.lost + error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(terms: &[f64]) -> CertainSum {
        let mut sum = CertainSum::at(terms[0]);
        terms[1..].iter().for_each(|&x| sum.add(x));
        sum
    }

    /// Usual numbers, and such as make sums of few terms differ.
    fn term() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => -1e6..1e6f64,
            2 => any::<f64>(),
            2 => (any::<i8>(), -60i32..60).prop_map(|(m, e)| f64::from(m) * 2f64.powi(e)),
            1 => prop::sample::select(vec![1e308, -1e308, 1e16, -1e16, 1.0, 0.0, -0.0, 5e-324, f64::NAN, f64::INFINITY]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn what_is_certain_is_the_same_in_any_order(
            (terms, shuffled) in (prop::collection::vec(term(), 1..8), 0usize..6).prop_flat_map(|(mut terms, back)| {
                // Some cancel out.
                let negated: Vec<f64> = terms.iter().take(back).map(|x| -x).collect();
                terms.extend(negated);
                (Just(terms.clone()), Just(terms).prop_shuffle())
            }),
        ) {
            let (one, other) = (sum(&terms), sum(&shuffled));
            if one.is_certain(terms.len()) {
                let same = one.total() == other.total() || one.total().is_nan() && other.total().is_nan();
                prop_assert!(same, "{} and {}", one.total(), other.total());
            }
        }
    }

    #[test]
    fn usual_sums_are_certain_and_those_that_show_their_order_are_not() {
        let rates: Vec<f64> = (1..10_000).map(|i| f64::from(i) / 3.0).collect();
        for (terms, certain) in [
            (rates.as_slice(), true),
            (&[0.1, 0.2, -0.3, 7.0], true),
            (&[0.0, -0.0], true),
            (&[1.0, f64::NAN], true),
            (&[1.0, f64::INFINITY, -3.0], true),
            (&[1e308, 1e308, -1e308], false),
            (&[1e200, 1.0, 1e100, -1e100, -1e200], false),
            (&[1.0, -1.0], true),
            // Half a last bit is lost.
            (&[1.0, 1.0 + f64::EPSILON], true),
            (&[1e16, 1.0, -1e16, 0.3], false),
        ] {
            assert_eq!(
                sum(terms).is_certain(terms.len()),
                certain,
                "{:?}",
                &terms[..terms.len().min(9)]
            );
        }
    }
}
