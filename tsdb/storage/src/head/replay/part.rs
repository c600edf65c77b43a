//! Reading the log in parts, each of them a share of the series, because memory does not hold all of it at once.

use leadline_model::labels::Labels;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The most parts. One that is still too large is read all the same: it is as small as it gets.
const MOST: u32 = 64;

/// A share of all series, chosen by their labels: whatever references the log has for a series, it is in one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    number: u32,
    /// How many parts of this size all series have.
    of: u32,
    /// Labels come from outside and must not be able to crowd into one part on purpose.
    seed: u64,
}

impl Part {
    /// All series.
    pub(crate) fn whole(seed: u64) -> Self {
        Self { number: 0, of: 1, seed }
    }

    /// The two halves of this part; `None` when it is not to be cut any further.
    pub(crate) fn halves(self) -> Option<[Self; 2]> {
        let of = self.of * 2;
        let half = |number| Self { number, of, ..self };
        (of <= MOST).then(|| [half(self.number), half(self.number + self.of)])
    }

    /// Whether it has all series.
    pub(crate) fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Whether it is the one that tells what all parts meet. However parts are cut, there is one.
    pub(crate) fn is_first(self) -> bool {
        self.number == 0
    }

    /// Whether a series belongs to it.
    pub(crate) fn takes(self, labels: &Labels) -> bool {
        if self.is_whole() {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        labels.hash(&mut hasher);
        hasher.finish() % u64::from(self.of) == u64::from(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_in_one_part_however_often_parts_are_halved() {
        let mut parts = vec![Part::whole(7)];
        for round in 0..40 {
            let part = parts.remove(round % parts.len());
            match part.halves() {
                Some(halves) => parts.extend(halves),
                None => parts.push(part),
            }
            for n in 0..200 {
                let labels = Labels::from_pairs([("pod", format!("pod-{n}"))]);
                let takers = parts.iter().filter(|part| part.takes(&labels)).count();
                assert_eq!(takers, 1, "{n} in {parts:?}");
            }
            assert_eq!(parts.iter().filter(|part| part.is_first()).count(), 1);
        }
    }

    #[test]
    fn parts_are_about_equal_and_are_not_halved_for_ever() {
        let labels = |n: u32| Labels::from_pairs([("pod", format!("pod-{n}"))]);
        let mut part = Part::whole(3);
        let mut halvings = 0;
        while let Some([_, half]) = part.halves() {
            part = half;
            halvings += 1;
        }
        assert_eq!(halvings, 6);
        let taken = (0..64_000).filter(|&n| part.takes(&labels(n))).count();
        assert!((800..1_200).contains(&taken), "{taken}");
    }
}
