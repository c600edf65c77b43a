//! What is added up of the groups of an aggregation.

use super::aggregate::Tally;
use super::lanes::Lanes;
use crate::syntax::ast::AggregateOp;

/// All groups.
pub(super) struct Tallies {
    op: AggregateOp,
    steps: usize,
    /// For each group where it is.
    places: Vec<Place>,
    /// Of groups that are added to step by step: `steps` of each.
    single: Vec<Tally>,
    /// Of the others.
    lanes: Vec<Lanes>,
}

/// Where what was added up of one group is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// In [`Tallies::single`] from here on.
    Single(usize),
    /// In [`Tallies::lanes`].
    Lanes(usize),
}

impl Tallies {
    /// No group yet.
    pub(super) fn new(op: AggregateOp, steps: usize) -> Self {
        Self {
            op,
            steps,
            places: Vec::new(),
            single: Vec::new(),
            lanes: Vec::new(),
        }
    }

    /// One group more.
    #[inline]
    pub(super) fn push(&mut self) {
        let place = match Lanes::new(self.op, self.steps) {
            Some(lanes) => {
                self.lanes.push(lanes);
                Place::Lanes(self.lanes.len() - 1)
            }
            None => {
                let at = self.single.len();
                self.single.resize(at + self.steps, Tally::Nothing);
                Place::Single(at)
            }
        };
        self.places.push(place);
    }

    /// Adds a row to a group: the numbers that are `present`, each to what there is of its step.
    #[inline]
    pub(super) fn add(&mut self, group: usize, cells: &[f64], present: &[bool]) {
        let at = match self.places[group] {
            Place::Single(at) => at,
            Place::Lanes(lanes) => {
                let full = present.iter().fold(true, |all, there| all & there);
                if full && self.lanes[lanes].add(cells) {
                    return;
                }
                self.split(group, lanes)
            }
        };
        Tally::add_row(self.op, &mut self.single[at..at + self.steps], cells, present);
    }

    /// From now on the group is added to step by step; where it is.
    #[cold]
    fn split(&mut self, group: usize, lanes: usize) -> usize {
        let at = self.single.len();
        self.single.extend(self.lanes[lanes].tallies());
        self.places[group] = Place::Single(at);
        at
    }

    /// Whether every order of the rows, which are at most so many, makes these values.
    pub(super) fn is_certain(&self, rows: usize) -> bool {
        let mut certain = true;
        for group in 0..self.places.len() {
            self.each(group, |tally| certain &= tally.is_certain(rows));
        }
        certain
    }

    /// Shows `see` what there is of each step of a group.
    #[inline]
    pub(super) fn each(&self, group: usize, see: impl FnMut(Tally)) {
        match self.places[group] {
            Place::Single(at) => self.single[at..at + self.steps].iter().copied().for_each(see),
            Place::Lanes(lanes) => self.lanes[lanes].tallies().for_each(see),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Usual numbers, equal ones, and those that operations treat apart.
    fn number() -> impl Strategy<Value = f64> {
        const APART: [f64; 10] = [
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            -f64::MAX,
            5e-324,
            1e16,
            -1e16,
        ];
        prop_oneof![
            6 => -1e3..1e3f64,
            3 => any::<i8>().prop_map(f64::from),
            1 => prop::sample::select(&APART[..]),
        ]
    }

    /// Rows of as many steps: the group, numbers, and at which steps there is none.
    fn rows() -> impl Strategy<Value = Vec<(usize, Vec<f64>, Vec<bool>)>> {
        (8usize..20).prop_flat_map(|steps| {
            let usual = prop::collection::vec((-4i8..5).prop_map(f64::from), steps);
            let numbers = prop_oneof![usual, prop::collection::vec(number(), steps)];
            let present = prop_oneof![4 => Just(vec![true; steps]), 1 => prop::collection::vec(any::<bool>(), steps)];
            prop::collection::vec((0..3usize, numbers, present), 1..12)
        })
    }

    /// What is answered of a tally, where any NaN is like any other, and whether that is certain.
    fn shown(op: AggregateOp, tally: Tally) -> (Option<u64>, bool) {
        let number = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
        (tally.result(op).map(number), tally.is_certain(12))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn several_steps_at_once_are_what_each_step_alone_is(rows in rows()) {
            use AggregateOp::{Avg, Count, Group, Max, Min, Stddev, Sum};
            let steps = rows[0].1.len();
            for op in [Sum, Avg, Min, Max, Count, Group, Stddev] {
                let mut tallies = Tallies::new(op, steps);
                let mut alone = vec![Tally::Nothing; 3 * steps];
                (0..3).for_each(|_| tallies.push());
                for (group, cells, present) in &rows {
                    tallies.add(*group, cells, present);
                    Tally::add_row(op, &mut alone[group * steps..(group + 1) * steps], cells, present);
                }
                let mut found = Vec::new();
                (0..3).for_each(|group| tallies.each(group, |tally| found.push(shown(op, tally))));
                let alone: Vec<_> = alone.into_iter().map(|tally| shown(op, tally)).collect();
                prop_assert_eq!(tallies.is_certain(12), alone.iter().all(|shown| shown.1), "{:?}", op);
                prop_assert_eq!(found, alone, "{:?}", op);
            }
        }
    }
}
