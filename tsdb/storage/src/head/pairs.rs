//! Label pairs as numbers: each (name, value) is stored once, with the series that carry it.

use super::postings::{self, Id, Postings};
use crate::stats::Stats;
use hashbrown::HashTable;
use rapidhash::RapidHashMap;
use rapidhash::fast::RandomState;
use std::cmp::Ordering;
use std::hash::BuildHasher;

/// The number of a label pair.
pub(super) type PairId = u32;

/// The number of a label name.
pub(super) type NameId = u32;

/// Set in the number of a symbol that is a name and not the value of a pair.
const NAME_SYMBOL: u32 = 1 << 31;

/// A label pair that exists.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) name: NameId,
    pub(super) value: Box<str>,
    /// The series that carry it.
    pub(super) postings: Postings,
}

/// A label name and its pairs.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    pub(super) pairs: Vec<PairId>,
    /// Changes whenever pairs are freed, whose numbers may be given out anew.
    pub(super) reclaimed: u64,
}

/// All label pairs.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    names: Vec<Name>,
    /// Places in `names` that are free: exporters may put into names what belongs into values.
    free_names: Vec<NameId>,
    name_ids: RapidHashMap<Box<str>, NameId>,
    pairs: Vec<Pair>,
    /// Places in `pairs` that are free.
    free: Vec<PairId>,
    lookup: HashTable<PairId>,
    text_bytes: u64,
    /// Entries of all postings lists.
    entries: u64,
    /// Bytes of postings lists that are too long to be kept within their pair.
    list_bytes: u64,
    /// Seeded at random: values come from outside and must not be able to collide on purpose.
    hasher: RandomState,
}

/// Bytes that a list takes outside its pair.
fn heap(list: &Postings) -> u64 {
    if list.spilled() {
        list.capacity() as u64 * size_of::<Id>() as u64
    } else {
        0
    }
}

fn hash(hasher: &RandomState, name: NameId, value: &str) -> u64 {
    hasher.hash_one((name, value))
}

impl Pairs {
    /// The number of a name, if any series has it.
    pub(super) fn name_id(&self, name: &str) -> Option<NameId> {
        self.name_ids.get(name).copied()
    }

    /// A name by its number.
    pub(super) fn name(&self, id: NameId) -> &Name {
        &self.names[id as usize]
    }

    /// Every name, free places included (they have no pairs and no text).
    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The names that series have and the values, each as a number for [`Self::symbol`].
    pub(super) fn symbols(&self) -> Vec<u32> {
        let used = (0..).zip(&self.names).filter(|(_, name)| !name.pairs.is_empty());
        used.flat_map(|(id, name)| std::iter::once(NAME_SYMBOL | id).chain(name.pairs.iter().copied()))
            .collect()
    }

    /// The text of a name or a value.
    pub(super) fn symbol(&self, id: u32) -> &str {
        match id & NAME_SYMBOL {
            0 => &self.pair(id).value,
            _ => &self.name(id & !NAME_SYMBOL).text,
        }
    }

    /// A pair by its number.
    #[inline]
    pub(super) fn pair(&self, id: PairId) -> &Pair {
        &self.pairs[id as usize]
    }

    /// The order of two pairs: by name, then by value, bytewise.
    pub(super) fn compare(&self, a: PairId, b: PairId) -> Ordering {
        let (a, b) = (self.pair(a), self.pair(b));
        let names = || self.name(a.name).text.cmp(&self.name(b.name).text);
        let by_name = if a.name == b.name { Ordering::Equal } else { names() };
        by_name.then_with(|| a.value.cmp(&b.value))
    }

    pub(super) fn pair_mut(&mut self, id: PairId) -> &mut Pair {
        &mut self.pairs[id as usize]
    }

    /// How many numbers of pairs there are, free ones included.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// The number of a pair, if any series has it.
    pub(super) fn find(&self, name: &str, value: &str) -> Option<PairId> {
        let name = self.name_id(name)?;
        self.lookup
            .find(hash(&self.hasher, name, value), |&id| self.is(id, name, value))
            .copied()
    }

    fn is(&self, id: PairId, name: NameId, value: &str) -> bool {
        let pair = self.pair(id);
        pair.name == name && *pair.value == *value
    }

    /// The number of a pair, which is entered if need be.
    pub(super) fn intern(&mut self, name: &str, value: &str) -> PairId {
        let name = self.intern_name(name);
        let h = hash(&self.hasher, name, value);
        if let Some(&id) = self.lookup.find(h, |&id| self.is(id, name, value)) {
            return id;
        }
        let pair = Pair {
            name,
            value: value.into(),
            postings: Postings::default(),
        };
        self.text_bytes += value.len() as u64;
        let id = match self.free.pop() {
            Some(id) => {
                self.pairs[id as usize] = pair;
                id
            }
            None => {
                self.pairs.push(pair);
                (self.pairs.len() - 1) as PairId
            }
        };
        self.names[name as usize].pairs.push(id);
        let (pairs, hasher) = (&self.pairs, &self.hasher);
        self.lookup.insert_unique(h, id, |&id| {
            let p = &pairs[id as usize];
            hash(hasher, p.name, &p.value)
        });
        id
    }

    fn intern_name(&mut self, name: &str) -> NameId {
        if let Some(&id) = self.name_ids.get(name) {
            return id;
        }
        self.text_bytes += 2 * name.len() as u64;
        let id = match self.free_names.pop() {
            Some(id) => {
                self.names[id as usize].text = name.into();
                id
            }
            None => {
                self.names.push(Name {
                    text: name.into(),
                    pairs: Vec::new(),
                    reclaimed: 0,
                });
                (self.names.len() - 1) as NameId
            }
        };
        self.name_ids.insert(name.into(), id);
        id
    }

    /// Enters a series, whose number is above all others, in a pair's postings.
    pub(super) fn post(&mut self, pair: PairId, series: Id) {
        let list = &mut self.pairs[pair as usize].postings;
        let before = heap(list);
        postings::push(list, series);
        self.entries += 1;
        self.list_bytes = self.list_bytes + heap(list) - before;
    }

    /// Keeps the series of a pair's postings for which `keep` says so, and tells whether any is left.
    pub(super) fn retain(&mut self, pair: PairId, mut keep: impl FnMut(Id) -> bool) -> bool {
        let list = &mut self.pairs[pair as usize].postings;
        let (before, entries) = (heap(list), list.len());
        list.retain(|id| keep(*id));
        if list.len() < list.capacity() / 2 {
            list.shrink_to_fit();
        }
        self.entries -= (entries - list.len()) as u64;
        self.list_bytes = self.list_bytes + heap(list) - before;
        !list.is_empty()
    }

    /// Frees the given pairs, which no series carries any more, and the names of which no pair is left.
    pub(super) fn reclaim(&mut self, mut unused: Vec<PairId>) {
        unused.sort_unstable();
        unused.dedup();
        let mut names: Vec<NameId> = Vec::new();
        for &id in &unused {
            let name = self.pair(id).name;
            let h = hash(&self.hasher, name, &self.pair(id).value);
            if let Ok(entry) = self.lookup.find_entry(h, |&other| other == id) {
                entry.remove();
            }
            names.push(name);
            self.text_bytes -= self.pair(id).value.len() as u64;
            self.pair_mut(id).value = Box::default();
        }
        names.sort_unstable();
        names.dedup();
        for id in names {
            let name = &mut self.names[id as usize];
            name.pairs.retain(|id| unused.binary_search(id).is_err());
            // It goes on counting when the place is another name's, so that no verdict on values of the one is taken for the other.
            name.reclaimed += 1;
            if name.pairs.is_empty() {
                let text = std::mem::take(&mut name.text);
                name.pairs = Vec::new();
                self.text_bytes -= 2 * text.len() as u64;
                self.name_ids.remove(&text);
                self.free_names.push(id);
            }
        }
        self.free.append(&mut unused);
    }

    /// Every pair with its number, free places included (they have no postings).
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Pair> {
        self.pairs.iter_mut()
    }

    /// Adds the gauges of names, pairs and postings.
    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.label_pairs += (self.pairs.len() - self.free.len()) as u64;
        stats.symbol_bytes += self.text_bytes;
        stats.postings += self.entries;
        let per_name: usize = self
            .names
            .iter()
            .map(|n| n.pairs.capacity() * 4 + size_of::<Name>() + 40)
            .sum();
        let tables = self.pairs.capacity() * size_of::<Pair>() + self.lookup.capacity() * 5 + self.free.capacity() * 4;
        stats.bytes += self.text_bytes + self.list_bytes + (per_name + tables) as u64;
    }
}
