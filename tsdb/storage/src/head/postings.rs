//! Sorted lists of series numbers, and what can be done with them.

use smallvec::SmallVec;

/// A series' number in the index.
pub(crate) type Id = u32;

/// The series that carry one label pair; ascending. Numbers only grow, so entering one is appending it, and pairs that
/// one series alone carries need no allocation.
pub(crate) type Postings = SmallVec<[Id; 2]>;

/// Enters `id`, which is above all that are in the list. Grows by a quarter once the list is long.
pub(crate) fn push(list: &mut Postings, id: Id) {
    if list.len() == list.capacity() && list.len() >= 64 {
        list.reserve_exact(list.len() / 4);
    }
    list.push(id);
}

/// Keeps of `a` what is in `b` too. Gallops through `b`, so it costs `a.len() * log(b.len() / a.len())`.
pub(crate) fn intersect(a: &mut Vec<Id>, b: &[Id]) {
    let mut rest = b;
    a.retain(|&id| {
        rest = &rest[gallop(rest, id)..];
        rest.first() == Some(&id)
    });
}

/// Drops from `a` what is in `b`.
pub(crate) fn subtract(a: &mut Vec<Id>, b: &[Id]) {
    let mut rest = b;
    a.retain(|&id| {
        rest = &rest[gallop(rest, id)..];
        rest.first() != Some(&id)
    });
}

/// The position of the first element that is not below `id`: doubling steps, then a binary search in the last.
pub(crate) fn gallop(list: &[Id], id: Id) -> usize {
    let mut step = 1;
    while step <= list.len() && list[step - 1] < id {
        step *= 2;
    }
    let from = step / 2;
    let to = step.min(list.len());
    from + list[from..to].partition_point(|&x| x < id)
}

/// The numbers of several lists, one bit each.
struct Bits(Vec<u64>);

impl Bits {
    fn of(lists: &[&[Id]], universe: usize) -> Self {
        let mut bits = vec![0u64; universe.div_ceil(64)];
        for &id in lists.iter().copied().flatten() {
            bits[id as usize / 64] |= 1 << (id % 64);
        }
        Self(bits)
    }

    fn has(&self, id: Id) -> bool {
        self.0[id as usize / 64] >> (id % 64) & 1 == 1
    }
}

/// Whether lists of `total` numbers are too few for a bitmap: above that it is cheaper to mark numbers than to sort them.
fn is_sparse(total: usize, universe: usize) -> bool {
    total < universe / 64
}

/// Keeps of `a` what is in any of the lists. `universe` is above every number.
pub(crate) fn intersect_any(a: &mut Vec<Id>, lists: &[&[Id]], universe: usize) {
    match lists {
        [one] => intersect(a, one),
        _ if is_sparse(lists.iter().map(|l| l.len()).sum(), universe) => intersect(a, &union(lists, universe)),
        _ => {
            let bits = Bits::of(lists, universe);
            a.retain(|&id| bits.has(id));
        }
    }
}

/// The union of lists, ascending. `universe` is above every number.
pub(crate) fn union(lists: &[&[Id]], universe: usize) -> Vec<Id> {
    let total = lists.iter().map(|l| l.len()).sum::<usize>();
    if let [one] = lists {
        return one.to_vec();
    }
    if is_sparse(total, universe) {
        let mut out = Vec::with_capacity(total);
        for list in lists {
            out.extend_from_slice(list);
        }
        out.sort_unstable();
        out.dedup();
        return out;
    }
    let mut out = Vec::with_capacity(total);
    for (word, mut set) in Bits::of(lists, universe).0.into_iter().enumerate() {
        while set != 0 {
            out.push(word as Id * 64 + set.trailing_zeros());
            set &= set - 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_behave_as_sets(a in btree_set(0u32..400, 0..80), b in btree_set(0u32..400, 0..300)) {
            let (list, other): (Vec<_>, Vec<_>) = (a.iter().copied().collect(), b.iter().copied().collect());
            let mut both = list.clone();
            intersect(&mut both, &other);
            prop_assert_eq!(both, a.intersection(&b).copied().collect::<Vec<_>>());
            let mut rest = list.clone();
            subtract(&mut rest, &other);
            prop_assert_eq!(rest, a.difference(&b).copied().collect::<Vec<_>>());
            for universe in [400, 1 << 20] {
                prop_assert_eq!(union(&[&list, &other], universe), a.union(&b).copied().collect::<Vec<_>>());
                for half in [other.len() / 2, other.len()] {
                    let mut any = list.clone();
                    let lists: [&[Id]; 2] = [&other[..half], &other[half..]];
                    intersect_any(&mut any, &lists, universe);
                    prop_assert_eq!(any, a.intersection(&b).copied().collect::<Vec<_>>());
                }
            }
            for id in 0..401 {
                prop_assert_eq!(gallop(&other, id), other.partition_point(|&x| x < id));
            }
        }
    }
}
